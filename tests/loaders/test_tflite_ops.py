"""Every operator against LiteRT: networks written here, one or two operators each, run by both on the same samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.execute import prepare, run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite

RNG = np.random.default_rng(11)
SAMPLES = 3
TOLERANCE = {"SOFTMAX": 2e-6, "LOGISTIC": 2e-6, "TANH": 2e-6, "HARD_SWISH": 2e-6, "MEAN": 2e-6}
"""Largest |difference| / largest |value|; linear operators differ by summation order, others not at all beyond one rounding."""
LINEAR_TOLERANCE = 5e-6


def real(*shape: int) -> T:
    return const(RNG.normal(size=shape), np.float32)


def ints(*values: Any) -> T:
    return const(values[0] if len(values) == 1 else values, np.int32)


def litert(data: bytes, feeds: list[dict[str, Any]], reference: bool = False) -> list[np.ndarray]:
    """Run every feed (one declared batch each) in LiteRT; return the first outputs."""
    module = pytest.importorskip("ai_edge_litert.interpreter", reason="install the extra 'verify' to compare with LiteRT")
    kind = module.OpResolverType.BUILTIN_REF if reference else module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runtime = module.Interpreter(model_content=data, experimental_op_resolver_type=kind)
    runtime.allocate_tensors()
    results = []
    for feed in feeds:
        for detail in runtime.get_input_details():
            runtime.set_tensor(detail["index"], feed[detail["name"]])
        runtime.invoke()
        results.append(runtime.get_tensor(runtime.get_output_details()[0]["index"]))
    return results


def inputs_of(graph: Graph, samples: int) -> dict[str, np.ndarray]:
    """Return random values for every input: `samples` declared batches."""
    found = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        shape = (samples * tensor.shape[0], *tensor.shape[1:])
        if tensor.dtype == "float32":
            found[name] = RNG.normal(scale=2.0, size=shape).astype(np.float32)
        else:
            low, high = (-128, 128) if tensor.dtype == "int8" else (-32768, 32768)
            found[name] = RNG.integers(low, high, shape).astype(tensor.dtype)
    return found


def batches_of(graph: Graph, values: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    size = graph.tensors[graph.inputs[0]].shape[0]
    count = len(next(iter(values.values()))) // size
    return [{k: v[i * size : (i + 1) * size] for k, v in values.items()} for i in range(count)]


def window(**more: Any) -> dict[str, Any]:
    return {"Padding": 0, "StrideW": 1, "StrideH": 1} | more


def conv_cases() -> list[tuple[str, Net]]:
    cases = []
    for kernel in ((1, 1), (3, 3), (2, 5), (4, 1)):
        for stride in ((1, 1), (2, 2), (3, 1)):
            for padding in (0, 1):
                for dilation in ((1, 1), (2, 1)) if stride == (1, 1) else ((1, 1),):
                    shape = (1, int(RNG.integers(8, 12)), int(RNG.integers(8, 12)), 4)
                    geometry = window(
                        Padding=padding,
                        StrideH=stride[0],
                        StrideW=stride[1],
                        DilationHFactor=dilation[0],
                        DilationWFactor=dilation[1],
                        FusedActivationFunction=int(RNG.integers(0, 4)),
                    )
                    name = f"{kernel}-{stride}-{padding}-{dilation}".replace(" ", "")
                    out = _out(shape, kernel, stride, dilation, padding)
                    cases.append(
                        (
                            f"conv2d-{name}",
                            Net(
                                [T(shape, name="x"), real(5, *kernel, 4), real(5), T((1, *out, 5), name="y")],
                                [Op("CONV_2D", [0, 1, 2], [3], ("Conv2DOptions", geometry))],
                            ),
                        )
                    )
                    cases.append(
                        (
                            f"depthwise-{name}",
                            Net(
                                [T(shape, name="x"), real(1, *kernel, 8), real(8), T((1, *out, 8), name="y")],
                                [
                                    Op(
                                        "DEPTHWISE_CONV_2D",
                                        [0, 1, 2],
                                        [3],
                                        ("DepthwiseConv2DOptions", {**geometry, "DepthMultiplier": 2}),
                                    )
                                ],
                            ),
                        )
                    )
                    if dilation == (1, 1):
                        pool = {k: v for k, v in geometry.items() if "Dilation" not in k}
                        pool |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
                        for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
                            cases.append(
                                (
                                    f"{kind}-{name}",
                                    Net(
                                        [T(shape, name="x"), T((1, *out, 4), name="y")],
                                        [Op(kind, [0], [1], ("Pool2DOptions", pool))],
                                    ),
                                )
                            )
    cases.append(
        (
            "conv2d-groups",
            Net(
                [T((1, 6, 6, 6), name="x"), real(4, 3, 3, 3), real(4), T((1, 6, 6, 4), name="y")],
                [Op("CONV_2D", [0, 1, 2], [3], ("Conv2DOptions", window(DilationHFactor=1, DilationWFactor=1)))],
            ),
        )
    )
    return cases


def _out(shape: Any, kernel: Any, stride: Any, dilation: Any, padding: int) -> tuple[int, ...]:
    if padding == 0:
        return tuple(-(-shape[i + 1] // stride[i]) for i in (0, 1))
    return tuple(-(-(shape[i + 1] - (kernel[i] - 1) * dilation[i]) // stride[i]) for i in (0, 1))


def single(kind: str, shape: tuple[int, ...], out: tuple[int, ...], options: Any = None, *constants: T) -> Net:
    """One operator on one input, then its constants."""
    tensors = [T(shape, name="x"), *constants, T(out, name="y")]
    return Net(tensors, [Op(kind, list(range(len(tensors) - 1)), [len(tensors) - 1], options)])


def slice_case(
    shape: tuple[int, ...], begin: list[int], end: list[int], strides: list[int], out: tuple[int, ...], **masks: int
) -> Net:
    return single("STRIDED_SLICE", shape, out, ("StridedSliceOptions", masks), ints(begin), ints(end), ints(strides))


def other_cases() -> list[tuple[str, Net]]:
    s4 = (1, 4, 5, 3)
    cases = [(kind, single(kind, s4, s4)) for kind in ("RELU", "RELU6", "RELU_N1_TO_1", "LOGISTIC", "TANH", "HARD_SWISH")]
    cases += [
        ("leaky", single("LEAKY_RELU", s4, s4, ("LeakyReluOptions", {"Alpha": 0.3}))),
        ("softmax", single("SOFTMAX", (1, 7), (1, 7), ("SoftmaxOptions", {"Beta": 0.7}))),
        ("softmax-4d", single("SOFTMAX", s4, s4, ("SoftmaxOptions", {"Beta": 1.0}))),
        ("pad", single("PAD", s4, (1, 7, 5, 6), None, ints([[0, 0], [1, 2], [0, 0], [0, 3]]))),
        ("padv2", single("PADV2", s4, (1, 7, 5, 6), None, ints([[0, 0], [1, 2], [0, 0], [0, 3]]), const(1.5, np.float32))),
        ("mean-hw", single("MEAN", s4, (1, 3), ("ReducerOptions", {"KeepDims": False}), ints([1, 2]))),
        ("mean-keep", single("MEAN", s4, (1, 1, 1, 3), ("ReducerOptions", {"KeepDims": True}), ints([2, 1]))),
        ("mean-negative", single("MEAN", s4, (1, 4, 5), ("ReducerOptions", {"KeepDims": False}), ints([-1]))),
        ("transpose", single("TRANSPOSE", s4, (1, 3, 4, 5), None, ints([0, 3, 1, 2]))),
        ("reshape", single("RESHAPE", s4, (1, 60), None, ints([1, -1]))),
        ("reshape-free-batch", single("RESHAPE", s4, (1, 15, 4), None, ints([-1, 15, 4]))),
        ("squeeze", single("SQUEEZE", (1, 1, 5, 1), (1, 5), ("SqueezeOptions", {"SqueezeDims": [1, 3]}))),
        ("expand", single("EXPAND_DIMS", (1, 5), (1, 5, 1), None, ints(-1))),
        ("slice", slice_case(s4, [0, 1, 0, 0], [1, 4, 5, 3], [1, 2, 2, 1], (1, 2, 3, 3))),
        ("slice-masks", slice_case(s4, [9, 9, -3, 0], [0, 0, 9, -1], [1, -1, 1, 1], (1, 4, 3, 2), BeginMask=3, EndMask=3)),
        ("slice-shrink", slice_case(s4, [0, -1, 0, 0], [1, 0, 5, 3], [1, 1, 1, 1], (1, 5, 3), ShrinkAxisMask=2)),
        ("slice-short", slice_case(s4, [0, 3], [1, 0], [1, -1], (1, 3, 5, 3))),
        (
            "fc",
            single(
                "FULLY_CONNECTED",
                (1, 6),
                (1, 4),
                ("FullyConnectedOptions", {"FusedActivationFunction": 3}),
                real(4, 6),
                real(4),
            ),
        ),
        ("fc-4d", single("FULLY_CONNECTED", (1, 2, 1, 3), (1, 4), ("FullyConnectedOptions", {}), real(4, 6))),
        (
            "fc-keep",
            single("FULLY_CONNECTED", (1, 2, 5, 6), (1, 2, 5, 4), ("FullyConnectedOptions", {"KeepNumDims": True}), real(4, 6)),
        ),
        ("bmm-constant", single("BATCH_MATMUL", (1, 3, 4), (1, 3, 5), ("BatchMatMulOptions", {}), real(4, 5))),
    ]
    for kind, name in (("ADD", "AddOptions"), ("SUB", "SubOptions"), ("MUL", "MulOptions")):
        for other in (s4, (1, 1, 1, 3), (1, 4, 1, 1), (3,), ()):
            options = (name, {"FusedActivationFunction": int(RNG.integers(0, 4))})
            cases.append((f"{kind}-const-{other}".replace(" ", ""), single(kind, s4, s4, options, real(*other))))
            if len(other) == 4:
                net = Net(
                    [T(s4, name="x"), T(other, name="z"), T(s4, name="y")], [Op(kind, [1, 0], [2], options)], inputs=(0, 1)
                )
                cases.append((f"{kind}-two-{other}".replace(" ", ""), net))
        low = Net([T(s4, name="x"), T((1, 3), name="z"), T(s4, name="y")], [Op(kind, [0, 1], [2], (name, {}))], inputs=(0, 1))
        cases.append((f"{kind}-lower-rank", low))
    cases.append(
        (
            "concat",
            Net(
                [T(s4, name="x"), T((1, 4, 5, 2), name="z"), real(1, 4, 5, 1), T((1, 4, 5, 6), name="y")],
                [Op("CONCATENATION", [0, 2, 1], [3], ("ConcatenationOptions", {"Axis": -1}))],
                inputs=(0, 1),
            ),
        )
    )
    for adj_x in (False, True):
        for adj_y in (False, True):
            x, y = (1, 2, 4, 3) if adj_x else (1, 2, 3, 4), (1, 2, 5, 4) if adj_y else (1, 2, 4, 5)
            net = Net(
                [T(x, name="x"), T(y, name="z"), T((1, 2, 3, 5), name="y")],
                [Op("BATCH_MATMUL", [0, 1], [2], ("BatchMatMulOptions", {"AdjX": adj_x, "AdjY": adj_y}))],
                inputs=(0, 1),
            )
            cases.append((f"bmm-{adj_x}-{adj_y}", net))
    return cases


CASES = conv_cases() + other_cases()


@pytest.mark.parametrize(("name", "net"), CASES, ids=[name for name, _ in CASES])
def test_float_operator_equals_litert_on_any_number_of_samples(name: str, net: Net) -> None:
    data = net.bytes()
    graph = load_tflite("net.tflite", data)
    assert graph.fixed_batch is None
    values = inputs_of(graph, SAMPLES)
    got = run_reference(graph, values)[graph.outputs[0]]
    want = np.concatenate(litert(data, batches_of(graph, values)))
    assert got.shape == want.shape
    kind = net.ops[0].kind
    linear = kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "AVERAGE_POOL_2D")
    tolerance = LINEAR_TOLERANCE if linear else TOLERANCE.get(kind, 1e-7)
    assert np.abs(got - want).max() <= tolerance * max(1.0, float(np.abs(want).max()))


def batch_cases() -> list[tuple[str, Net]]:
    """Operators that move samples into other dimensions."""
    return [
        ("transpose", single("TRANSPOSE", (2, 3, 4), (3, 2, 4), None, ints([1, 0, 2]))),
        ("mean", single("MEAN", (2, 3, 4), (3, 4), ("ReducerOptions", {"KeepDims": False}), ints([0]))),
        ("reshape", single("RESHAPE", (2, 3, 4), (6, 4), None, ints([6, 4]))),
        ("reshape-one", single("RESHAPE", (1, 3, 4), (3, 4), None, ints([3, 4]))),
        ("slice", slice_case((4, 3), [1, 0], [3, 3], [1, 1], (2, 3))),
        ("slice-reverse", slice_case((4, 3), [0, 0], [0, 3], [-1, 1], (4, 3), BeginMask=1, EndMask=1)),
        ("rows", single("MUL", (2, 3), (2, 3), ("MulOptions", {}), real(2, 3))),
        ("more-rows", single("ADD", (1, 3), (4, 3), ("AddOptions", {}), real(4, 3))),
        ("higher-rank", single("ADD", (2, 3), (4, 2, 3), ("AddOptions", {}), real(4, 1, 3))),
        ("fc-rows", single("FULLY_CONNECTED", (1, 5, 6), (5, 4), ("FullyConnectedOptions", {}), real(4, 6))),
        (
            "join",
            Net(
                [T((2, 3), name="x"), T((2, 3), name="z"), T((4, 3), name="y")],
                [Op("CONCATENATION", [0, 1], [2], ("ConcatenationOptions", {"Axis": 0}))],
                inputs=(0, 1),
            ),
        ),
        (
            "matrices",
            Net(
                [T((2, 3), name="x"), T((2, 3), name="z"), T((2, 2), name="y")],
                [Op("BATCH_MATMUL", [0, 1], [2], ("BatchMatMulOptions", {"AdjY": True}))],
                inputs=(0, 1),
            ),
        ),
    ]


@pytest.mark.parametrize(("name", "net"), batch_cases(), ids=[name for name, _ in batch_cases()])
def test_operator_that_mixes_samples_fixes_the_batch(name: str, net: Net) -> None:
    data = net.bytes()
    graph = load_tflite("net.tflite", data)
    assert graph.fixed_batch == graph.tensors[graph.inputs[0]].shape[0]
    values = inputs_of(graph, SAMPLES)
    parts = batches_of(graph, values)
    for part, want in zip(parts, litert(data, parts), strict=True):
        got = run_reference(graph, part)[graph.outputs[0]]
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=0, atol=5e-6 * max(1.0, float(np.abs(want).max())))


def test_declared_batch_above_one_stays_free_when_samples_stay_apart() -> None:
    net = Net(
        [T((4, 3, 2), name="x"), ints([4, 6]), T((4, 6), name="m"), real(5, 6), T((4, 5), name="y")],
        [Op("RESHAPE", [0, 1], [2]), Op("FULLY_CONNECTED", [2, 3, -1], [4], ("FullyConnectedOptions", {}))],
    )
    data = net.bytes()
    graph = load_tflite("net.tflite", data)
    assert graph.fixed_batch is None
    x = RNG.normal(size=(8, 3, 2)).astype(np.float32)
    whole = run_reference(graph, {"x": x})["y"]
    np.testing.assert_array_equal(run_reference(graph, {"x": x[:3]})["y"], whole[:3])
    np.testing.assert_allclose(whole, np.concatenate(litert(data, [{"x": x[:4]}, {"x": x[4:]}])), atol=1e-5)


def test_shape_arithmetic_of_a_free_batch_is_folded() -> None:
    net = Net(
        [
            T((1, 4, 6), name="x", signature=(-1, 4, 6)),
            T((3,), np.int32, "shape"),
            ints([0]),
            ints([1]),
            ints([1]),
            T((), np.int32, "n"),
            ints(24),
            T((2,), np.int32, "target"),
            T((1, 24), name="y"),
        ],
        [
            Op("SHAPE", [0], [1], ("ShapeOptions", {"OutType": 2})),
            Op("STRIDED_SLICE", [1, 2, 3, 4], [5], ("StridedSliceOptions", {"ShrinkAxisMask": 1})),
            Op("PACK", [5, 6], [7], ("PackOptions", {"ValuesCount": 2, "Axis": 0})),
            Op("RESHAPE", [0, 7], [8]),
        ],
    )
    graph = load_tflite("net.tflite", net.bytes())
    assert [n.op for n in graph.nodes] == ["reshape"] and graph.fixed_batch is None
    assert run_reference(graph, {"x": np.zeros((7, 4, 6), np.float32)})["y"].shape == (7, 24)


def test_float16_weights_are_folded_to_float32() -> None:
    w = RNG.normal(size=(5, 6)).astype(np.float16)
    net = Net(
        [T((1, 6), name="x"), const(w), T((5, 6), name="w32"), T((1, 5), name="y")],
        [Op("DEQUANTIZE", [1], [2]), Op("FULLY_CONNECTED", [0, 2], [3], ("FullyConnectedOptions", {}))],
    )
    data = net.bytes()
    graph = load_tflite("net.tflite", data)
    assert [n.op for n in graph.nodes] == ["fully_connected"]
    assert graph.tensors["w32"].dtype == "float32"
    np.testing.assert_array_equal(graph.tensors["w32"].data, w.astype(np.float32))
    x = RNG.normal(size=(2, 6)).astype(np.float32)
    np.testing.assert_allclose(
        run_reference(graph, {"x": x})["y"], np.concatenate(litert(data, [{"x": x[:1]}, {"x": x[1:]}])), atol=2e-6
    )


def test_dequantized_weights_of_a_layer_are_floats_as_in_the_runtime() -> None:
    w = RNG.integers(-127, 128, (5, 6)).astype(np.int8)
    scale = RNG.uniform(0.01, 0.02, 5)
    net = Net(
        [T((1, 6), name="x"), const(w, name="w", scale=scale), T((5, 6), name="w32"), T((1, 5), name="y"), T((1, 5), name="z")],
        [Op("DEQUANTIZE", [1], [2]), Op("FULLY_CONNECTED", [0, 2], [3], ("FullyConnectedOptions", {})), Op("RELU", [3], [4])],
    )
    graph = load_tflite("net.tflite", net.bytes())
    assert graph.tensors["w32"].dtype == "float32" and "w" not in graph.tensors
    x = RNG.normal(size=(2, 6)).astype(np.float32)
    want = np.maximum(x @ (w * scale.astype(np.float32)[:, None]).T, 0)
    np.testing.assert_allclose(run_reference(graph, {"x": x})["z"], want, atol=2e-6)


def test_int4_weights_are_unpacked_low_nibble_first() -> None:
    from workbench.loaders.tflite.tensor import unpack

    assert unpack(np.array([0x7F, 0x80, 0x01], np.uint8), 4, 5).tolist() == [-1, 7, 0, -8, 1]
    assert unpack(np.array([0b10_01_11_00, 0b01], np.uint8), 2, 5).tolist() == [0, -1, 1, -2, 1]


def quantized(
    kind: str, options: Any, shape: tuple[int, ...], out: tuple[int, ...], *constants: T, dtype: Any = np.int8, **ends: Any
) -> Net:
    x = T(shape, dtype, "x", scale=[ends.get("sx", 0.05)], zero=[ends.get("zx", 3 if dtype == np.int8 else 0)])
    y = T(out, dtype, "y", scale=[ends.get("sy", 0.07)], zero=[ends.get("zy", -5 if dtype == np.int8 else 0)])
    tensors = [x, *constants, y]
    return Net(tensors, [Op(kind, list(range(len(tensors) - 1)), [len(tensors) - 1], options)])


def q(shape: tuple[int, ...], channels: int, axis: int, low: int = -127, high: int = 128) -> T:
    return const(RNG.integers(low, high, shape), np.int8, scale=RNG.uniform(0.002, 0.02, channels), axis=axis)


def bias(channels: int, dtype: Any = np.int32) -> T:
    return const(RNG.integers(-500, 500, channels), dtype, scale=[0.001] * channels if channels > 1 else [0.001])


def packed_int4(shape: tuple[int, ...], channels: int) -> T:
    values = RNG.integers(-7, 8, int(np.prod(shape)) + int(np.prod(shape)) % 2)
    raw = ((values[0::2] & 15) | ((values[1::2] & 15) << 4)).astype(np.uint8).tobytes()
    return T(shape, np.int8, "w4", raw=raw, scale=RNG.uniform(0.01, 0.05, channels), code=17)


def integer_cases() -> list[tuple[str, Net]]:
    s4, conv = (1, 6, 7, 4), window(StrideH=2, StrideW=1, DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=1)
    same = {"sy": 0.05, "zy": 3}
    fc = ("FullyConnectedOptions", {})
    return [
        ("conv", quantized("CONV_2D", ("Conv2DOptions", conv), s4, (1, 3, 7, 5), q((5, 3, 3, 4), 5, 0), bias(5))),
        (
            "conv-16x8",
            quantized(
                "CONV_2D", ("Conv2DOptions", conv), s4, (1, 3, 7, 5), q((5, 3, 3, 4), 5, 0), bias(5, np.int64), dtype=np.int16
            ),
        ),
        ("conv-int4", quantized("CONV_2D", ("Conv2DOptions", conv), s4, (1, 3, 7, 5), packed_int4((5, 3, 3, 4), 5), bias(5))),
        (
            "depthwise",
            quantized(
                "DEPTHWISE_CONV_2D",
                ("DepthwiseConv2DOptions", conv | {"DepthMultiplier": 2}),
                s4,
                (1, 3, 7, 8),
                q((1, 3, 3, 8), 8, 3),
                bias(8),
            ),
        ),
        ("fc", quantized("FULLY_CONNECTED", fc, (1, 12), (1, 5), q((5, 12), 1, 0), bias(5))),
        ("fc-4d", quantized("FULLY_CONNECTED", fc, (1, 1, 2, 6), (1, 5), q((5, 12), 1, 0), bias(5))),
        ("average", quantized("AVERAGE_POOL_2D", ("Pool2DOptions", window(FilterHeight=3, FilterWidth=2)), s4, s4, **same)),
        ("maximum", quantized("MAX_POOL_2D", ("Pool2DOptions", window(FilterHeight=3, FilterWidth=2)), s4, s4, **same)),
        (
            "add",
            quantized("ADD", ("AddOptions", {}), s4, s4, const(RNG.integers(-100, 100, (4,)), np.int8, scale=[0.03], zero=[2])),
        ),
        (
            "mul",
            quantized(
                "MUL", ("MulOptions", {}), s4, s4, const(RNG.integers(-100, 100, (1, 1, 1, 4)), np.int8, scale=[0.03], zero=[2])
            ),
        ),
        ("mean", quantized("MEAN", ("ReducerOptions", {"KeepDims": True}), s4, (1, 1, 1, 4), ints([1, 2]))),
        ("pad", quantized("PAD", None, s4, (1, 8, 7, 5), ints([[0, 0], [1, 1], [0, 0], [1, 0]]), **same)),
        (
            "padv2",
            quantized(
                "PADV2",
                None,
                s4,
                (1, 8, 7, 5),
                ints([[0, 0], [1, 1], [0, 0], [1, 0]]),
                const([-77], np.int8, scale=[0.05], zero=[3]),
                **same,
            ),
        ),
        ("softmax", quantized("SOFTMAX", ("SoftmaxOptions", {"Beta": 1.0}), (1, 9), (1, 9), sy=1 / 256, zy=-128)),
        ("logistic", quantized("LOGISTIC", None, s4, s4, sy=1 / 256, zy=-128)),
        ("tanh", quantized("TANH", None, s4, s4, sy=1 / 128, zy=0)),
        ("leaky", quantized("LEAKY_RELU", ("LeakyReluOptions", {"Alpha": 0.2}), s4, s4)),
        ("hard-swish", quantized("HARD_SWISH", None, s4, s4)),
        ("requantize", quantized("QUANTIZE", None, s4, s4)),
        ("transpose", quantized("TRANSPOSE", None, s4, (1, 4, 6, 7), ints([0, 3, 1, 2]), **same)),
        ("reshape", quantized("RESHAPE", None, s4, (1, 168), ints([-1, 168]), **same)),
    ]


@pytest.mark.parametrize(("name", "net"), integer_cases(), ids=[name for name, _ in integer_cases()])
def test_integer_operator_has_the_bits_of_litert_reference(name: str, net: Net) -> None:
    data = net.bytes()
    graph = load_tflite("net.tflite", data)
    assert graph.fixed_batch is None and graph.is_quantized
    values = inputs_of(graph, 20)
    want = np.concatenate(litert(data, batches_of(graph, values), reference=True))
    got = prepare(graph, load_profile("x86-litert-reference")).run(values)[graph.outputs[0]]
    np.testing.assert_array_equal(got, want)


def test_quantize_and_dequantize_at_the_ends() -> None:
    net = Net(
        [
            T((1, 6), name="x"),
            T((1, 6), np.int8, "xq", scale=[0.05], zero=[3]),
            q((5, 6), 1, 0),
            bias(5),
            T((1, 5), np.int8, "yq", scale=[0.1], zero=[-4]),
            T((1, 5), name="y"),
        ],
        [
            Op("QUANTIZE", [0], [1]),
            Op("FULLY_CONNECTED", [1, 2, 3], [4], ("FullyConnectedOptions", {})),
            Op("DEQUANTIZE", [4], [5]),
        ],
    )
    data = net.bytes()
    graph = load_tflite("net.tflite", data)
    values = inputs_of(graph, 20)
    want = np.concatenate(litert(data, batches_of(graph, values), reference=True))
    np.testing.assert_array_equal(prepare(graph, load_profile("x86-litert-reference")).run(values)["y"], want)
