"""Networks quantized by ONNX Runtime's quantizer: the bits of the runtime as it optimises by default. QONNX against its definition."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.loaders.onnx_cases import ints, load, model, node, rand
from tests.loaders.test_onnx_networks import NETWORKS, Net, conv_bn_relu, residual, transformer_block
from tests.operators.quant_nets import QONNX
from tests.oracles import qonnx
from workbench.api import emulate
from workbench.errors import ModelError, UnsupportedError
from workbench.execute import run_reference
from workbench.graph.ir import Graph

ort = pytest.importorskip("onnxruntime", reason="needs the extra 'verify' (onnxruntime)")
quantization = pytest.importorskip("onnxruntime.quantization", reason="needs the extra 'verify' (onnxruntime)")
U8, S8 = quantization.QuantType.QUInt8, quantization.QuantType.QInt8
QDQ, OPERATORS = quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator
PROFILE = "x86-vnni-onnxruntime"
Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.samples = iter([{"input": rand(*shape, seed=i, low=-2, high=2)} for i in range(4)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.samples, None)


def shape_of(proto: onnx.ModelProto) -> tuple[int, ...]:
    """Return the input's shape for one sample."""
    return tuple(max(d.dim_value, 1) for d in proto.graph.input[0].type.tensor_type.shape.dim)


def quantized(
    proto: onnx.ModelProto, folder: Path, form: Any = QDQ, act: Any = U8, weight: Any = S8, **options: Any
) -> onnx.ModelProto:
    """Return a network as quantize_static writes it, after the runtime's preparation."""
    names = [folder / f"{name}.onnx" for name in ("float", "ready", "int")]
    names[0].write_bytes(proto.SerializeToString())
    quantization.shape_inference.quant_pre_process(str(names[0]), str(names[1]), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(names[1]),
        str(names[2]),
        _Calibration(shape_of(proto)),
        quant_format=form,
        activation_type=act,
        weight_type=weight,
        **options,
    )
    return onnx.load(names[2])


def run_runtime(proto: onnx.ModelProto, x: Array) -> Array:
    """Return the runtime's outputs, sample by sample."""
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[i : i + 1]})[0] for i in range(len(x))])


def both(proto: onnx.ModelProto, folder: Path, samples: int = 12) -> tuple[Graph, Array, Array]:
    """Return the graph, its outputs here and the runtime's."""
    graph = load(proto, folder)
    x = rand(samples, *shape_of(proto)[1:], seed=99, low=-2.5, high=2.5)
    (got,) = emulate(graph, x, PROFILE).values()
    return graph, got, run_runtime(proto, x)


SCHEMES: dict[str, dict[str, Any]] = {
    "qdq u8s8": {}, "qdq u8s8 per channel": {"per_channel": True}, "qdq s8s8": {"act": S8, "per_channel": True},
    "qdq u8u8": {"weight": U8}, "qdq reduce_range": {"per_channel": True, "reduce_range": True},
    "operators u8s8": {"form": OPERATORS}, "operators s8s8": {"form": OPERATORS, "act": S8},
    "operators u8u8": {"form": OPERATORS, "weight": U8},
}  # fmt: skip


@pytest.mark.parametrize("make", NETWORKS, ids=lambda m: m.__name__)
@pytest.mark.parametrize("scheme", ["qdq u8s8 per channel", "qdq s8s8", "operators u8s8"])
def test_static_network_has_the_runtime_s_bits(make: Any, scheme: str, tmp_path: Path) -> None:
    graph, got, want = both(quantized(make(), tmp_path, **SCHEMES[scheme]), tmp_path)
    assert graph.is_quantized
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("make", [residual, transformer_block], ids=lambda m: m.__name__)
@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_every_scheme_has_the_runtime_s_bits(make: Any, scheme: str, tmp_path: Path) -> None:
    _, got, want = both(quantized(make(), tmp_path, **SCHEMES[scheme]), tmp_path)
    np.testing.assert_array_equal(got, want)


def test_residual_network_of_unsigned_bytes_is_integers_throughout(tmp_path: Path) -> None:
    graph = load(quantized(residual(), tmp_path), tmp_path)
    layers = [n for n in graph.nodes if n.op in ("conv2d", "add", "fully_connected")]
    assert len(layers) == 9
    assert all(graph.tensors[n.outputs[0]].dtype == "int8" for n in layers)


def test_weights_keep_the_file_s_integers(tmp_path: Path) -> None:
    proto = quantized(conv_bn_relu(), tmp_path, per_channel=True)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    file = sorted(w.astype(np.int64).sum() for w in stored.values() if w.dtype == np.int8 and w.ndim == 4)
    graph = load(proto, tmp_path)
    here = sorted(graph.tensors[n.inputs[1]].data.astype(np.int64).sum() for n in graph.nodes if n.op == "conv2d")  # type: ignore[union-attr]
    assert here == file


def test_signed_bytes_read_twice_stay_float_as_in_the_runtime(tmp_path: Path) -> None:
    """On x86 the runtime has integer kernels of unsigned bytes alone, and leaves int8 where two operators read it."""
    graph = load(quantized(residual(), tmp_path, act=S8), tmp_path)
    assert {graph.tensors[n.outputs[0]].dtype for n in graph.nodes if n.op == "conv2d"} == {"float32", "int8"}


@pytest.mark.parametrize("weight", [U8, S8])
@pytest.mark.parametrize("make", [conv_bn_relu, transformer_block], ids=lambda m: m.__name__)
def test_dynamic_network_is_near_the_runtime(make: Any, weight: Any, tmp_path: Path) -> None:
    """One last bit of a float layer between may move an activation to the next of 256 levels."""
    proto = make()
    names = [tmp_path / f"{name}.onnx" for name in ("float", "ready", "int")]
    names[0].write_bytes(proto.SerializeToString())
    quantization.shape_inference.quant_pre_process(str(names[0]), str(names[1]), skip_symbolic_shape=True)
    quantization.quantize_dynamic(str(names[1]), str(names[2]), weight_type=weight)
    graph, got, want = both(onnx.load(names[2]), tmp_path)
    assert graph.has_scales
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-3 * np.abs(want).max())


def test_sixteen_bits_are_floats_on_the_file_s_grid(tmp_path: Path) -> None:
    kind = quantization.QuantType.QUInt16
    graph, got, want = both(quantized(residual(), tmp_path, act=kind, extra_options={"UseQDQContribOps": True}), tmp_path)
    assert not any(t.dtype == "int8" and not t.is_constant for t in graph.tensors.values())
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-3 * np.abs(want).max())


def test_unsigned_network_runs_on_a_microcontroller_where_its_scales_fit(tmp_path: Path) -> None:
    """A dense layer of unsigned bytes is that of int8 with zero points 128 lower: other targets compute it by their own rule."""
    net = Net()
    proto = quantized(net.build(net.dense("input", "fc", 6, 20), ("N", 20)), tmp_path)
    x = rand(8, 20, seed=3)
    (runtime,) = emulate(load(proto, tmp_path), x, PROFILE).values()
    (micro,) = emulate(load(proto, tmp_path), x, "stm32l4r5-cortex-m4-tflm").values()
    step = np.unique(np.abs(np.diff(np.unique(runtime)))).min()
    assert np.abs(runtime - micro).max() <= 1.01 * step


@pytest.mark.parametrize("act", [U8, S8])
@pytest.mark.parametrize("computed", [False, True])
def test_a_clip_that_symmetric_integers_do_not_imply_stays(act: Any, computed: bool, tmp_path: Path) -> None:
    """ActivationSymmetric: zero points in the middle, so that a ReLU6 is an operator of its own. Bounds may be computed, too."""
    net = Net()
    x = net.conv("input", "c", 3, 3, 3)
    high = net.add("ReduceMax", "top", "input", keepdims=0) if computed else net.const("high", np.float32(0.6))
    y = net.add("Clip", "clip", x, net.const("low", np.float32(0)), high)
    proto = net.build(net.conv(y, "d", 4, 3, 1), (1, 3, 9, 9))
    extra = {"extra_options": {"ActivationSymmetric": True}, "op_types_to_quantize": ["Conv", "Clip"]}
    _, got, want = both(quantized(proto, tmp_path, act=act, **extra), tmp_path, samples=1 if computed else 6)
    np.testing.assert_array_equal(got, want)


# -- refusals ------------------------------------------------------------------------------------------------------------------


def refused(proto: onnx.ModelProto, folder: Path, *words: str) -> None:
    with pytest.raises((ModelError, UnsupportedError)) as problem:
        load(proto, folder)
    for word in words:
        assert word in str(problem.value), str(problem.value)


Q8 = {"s": np.float32(0.1), "z": np.uint8(3)}


QUANTIZE = node("QuantizeLinear", "x s z", "y", "q0")
PRODUCT = [node("QuantizeLinear", "x s z", "q"), node("QLinearMatMul", "q s z w t u s z", "y", "m0")]
W = {**Q8, "t": np.float32(0.1), "u": np.int8(0)}


@pytest.mark.parametrize(
    ("nodes", "constants", "words"),
    [
        ([QUANTIZE], {"s": rand(4, low=0.1), "z": np.zeros(4, np.uint8)}, ("q0", "4 scales", "per tensor")),
        ([QUANTIZE], {**Q8, "s": np.float32(-1)}, ("q0", "> 0")),
        ([QUANTIZE], {**Q8, "s": np.float32(np.nan)}, ("q0", "finite")),
        ([QUANTIZE], {**Q8, "z": np.zeros(3, np.uint8)}, ("zero point",)),
        ([QUANTIZE], {**Q8, "z": np.int64(3)}, ("zero point", "int64")),
        ([node("QuantizeLinear", "x x z", "y", "q0")], Q8, ("q0", "constant")),
        ([node("DequantizeLinear", "x s", "y", "d0")], Q8, ("d0", "float32")),
        ([node("DynamicQuantizeLinear", "x", "q a b", "d0"), node("Cast", "q", "y", to=1)], {}, ("d0", "quantize_dynamic")),
        (PRODUCT, {**W, "w": np.zeros((4, 3), np.float32)}, ("m0", "weights")),
        (PRODUCT, {**W, "w": np.zeros((4, 3), np.int8), "t": rand(2, low=0.1), "u": np.zeros(2, np.int8)}, ("m0", "2")),
        (PRODUCT, {**W, "w": np.zeros((4, 3), np.int8), "u": np.uint8(9)}, ("m0", "uint8")),
        (PRODUCT, {**W, "w": np.zeros((5, 3), np.int8)}, ("m0", "5")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    nodes: list[Any], constants: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    refused(model(nodes, {"x": ("N", 4)}, constants), tmp_path, *words)


@pytest.mark.parametrize(
    ("parts", "attrs", "words"),
    [
        ({"B": np.zeros((3, 2, 8), np.uint8)}, {}, ("uint8 weights",)),
        ({"scales": np.ones(5, np.float32)}, {}, ("scales",)),
        ({}, {"bits": 3}, ("bits",)),
        ({}, {"block_size": 24}, ("block",)),
        ({}, {"K": 2**20, "N": 2**20}, ("too large",)),
        ({}, {"K": -4}, ("expected",)),
    ],
)
def test_matmul_nbits_c_sizes_are_checked(
    parts: dict[str, Any], attrs: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    constants = {"B": np.zeros((3, 2, 16), np.uint8), "scales": np.ones(6, np.float32), **parts}
    fields = {"K": 64, "N": 3, "bits": 4, "block_size": 32, **attrs}
    proto = model([node("MatMulNBits", "x B scales", "y", "n0", domain="com.microsoft", **fields)], {"x": ("N", 64)}, constants)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    refused(proto, tmp_path, "n0", *words)


def test_fused_attention_is_refused_by_name(tmp_path: Path) -> None:
    proto = model([node("QAttention", "x", "y", "a0", domain="com.microsoft")], {"x": ("N", 4)})
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    refused(proto, tmp_path, "a0", "QAttention", "without fusing")


# -- QONNX ---------------------------------------------------------------------------------------------------------------------


def qonnx_model(nodes: list[Any], shape: tuple[Any, ...], constants: dict[str, Any]) -> onnx.ModelProto:
    proto = model(nodes, {"x": shape}, constants, opset=16)
    proto.opset_import.append(helper.make_opsetid(QONNX, 1))
    return proto


def outputs(proto: onnx.ModelProto, x: Array, folder: Path) -> Array:
    """Return the outputs of the reference, after the target gave the same."""
    graph = load(proto, folder)
    assert graph.is_quantized
    (want,) = run_reference(graph, {"x": x}).values()
    (got,) = emulate(graph, x, PROFILE).values()
    np.testing.assert_array_equal(got, want)
    return want


def awkward(scale: float, seed: int, shape: tuple[int, ...] = (6, 64)) -> Array:
    """Return numbers, among them ties and what is far outside."""
    x = rand(*shape, seed=seed, low=-40, high=40) * np.float32(scale)
    x[0] = np.round(x[0] / np.float32(scale / 2)) * np.float32(scale / 2)
    x[1] *= 100
    return x.astype(np.float32)


@pytest.mark.parametrize("mode", ["ROUND", "HALF_EVEN", "CEIL", "FLOOR", "ROUND_TO_ZERO", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
@pytest.mark.parametrize(
    ("bits", "signed", "narrow", "zero"),
    [
        (1, 1, 0, 0),
        (2, 1, 1, 0),
        (3, 1, 0, 0),
        (3, 0, 0, 0),
        (4, 0, 1, 5),
        (5, 1, 1, -3),
        (8, 1, 0, 1),
        (8, 0, 0, 128),
        (11, 0, 0, 7),
        (16, 1, 1, 0),
    ],
)
def test_quant_equals_its_definition(mode: str, bits: int, signed: int, narrow: int, zero: int, tmp_path: Path) -> None:
    scale = 0.25 if bits % 2 else 0.0931
    constants = {"s": np.float32(scale), "z": np.float32(zero), "b": np.float32(bits)}
    quant = node("Quant", "x s z b", "y", "quant", domain=QONNX, signed=signed, narrow=narrow, rounding_mode=mode)
    x = awkward(scale, bits)
    got = outputs(qonnx_model([quant], ("N", 64), constants), x, tmp_path)
    want = qonnx.quant(x, constants["s"], constants["z"], bits, bool(signed), bool(narrow), mode)
    np.testing.assert_array_equal(got, want)


def test_bipolar_and_trunc_equal_their_definitions(tmp_path: Path) -> None:
    x = awkward(0.25, 1)
    x[2, :4] = 0
    got = outputs(qonnx_model([node("BipolarQuant", "x s", "y", domain=QONNX)], ("N", 64), {"s": np.float32(0.7)}), x, tmp_path)
    np.testing.assert_array_equal(got, qonnx.bipolar(x, np.float32(0.7)))
    for mode in ("FLOOR", "ROUND", "CEIL"):
        constants = {"s": np.float32(0.25), "z": np.float32(0), "i": np.float32(8), "o": np.float32(4), "t": np.float32(1.0)}
        first = node("Trunc", "x s z i o", "y", domain=QONNX, rounding_mode=mode)
        got = outputs(qonnx_model([first], ("N", 64), constants), x, tmp_path)
        np.testing.assert_array_equal(got, qonnx.trunc(x, constants["s"], constants["z"], 8, 4, mode))
        second = node("Trunc", "x s z i t o", "y", domain=QONNX, rounding_mode=mode, signed=1, narrow=0)
        got = outputs(qonnx_model([second], ("N", 64), constants), x, tmp_path)
        np.testing.assert_array_equal(
            got, qonnx.trunc_to(x, constants["s"], constants["z"], constants["t"], 4, True, False, mode)
        )


def test_network_of_few_bits_equals_its_definition(tmp_path: Path) -> None:
    """Weights of 3 bits with a scale per channel, activations of 4 bits: exact sums of a few small integers times powers of two."""
    w = rand(5, 3, 3, 3, seed=1)
    scale = np.float32(2.0) ** -np.arange(2, 7, dtype=np.float32).reshape(5, 1, 1, 1)
    constants = {
        "w": w, "ws": scale, "zero": np.float32(0), "three": np.float32(3), "four": np.float32(4), "s": np.float32(0.125),
        "r": np.float32(0.25), "f": rand(4, 5, seed=2), "fs": np.float32(0.25),
    }  # fmt: skip
    nodes = [
        node("Quant", "x s zero four", "a", "in", domain=QONNX, signed=1, narrow=0),
        node("Quant", "w ws zero three", "q", "weights", domain=QONNX, signed=1, narrow=1),
        node("Conv", "a q", "c", "conv", pads=[1, 1, 1, 1]), node("Relu", "c", "r0"),
        node("Quant", "r0 r zero four", "b", "mid", domain=QONNX, signed=0, narrow=0, rounding_mode="FLOOR"),
        node("GlobalMaxPool", "b", "p"), node("Flatten", "p", "v"), node("BipolarQuant", "f fs", "g", domain=QONNX),
        node("Gemm", "v g", "y", "fc", transB=1),
    ]  # fmt: skip
    x = rand(4, 3, 6, 6, seed=5)
    got = outputs(qonnx_model(nodes, ("N", 3, 6, 6), constants), x, tmp_path)
    a = qonnx.quant(x, constants["s"], np.float32(0), 4, True, False, "ROUND")
    q = qonnx.quant(w, scale, np.float32(0), 3, True, True, "ROUND")
    padded = np.pad(a, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    c = np.einsum("nchwij,ocij->nohw", windows.astype(np.float64), q.astype(np.float64)).astype(np.float32)
    b = qonnx.quant(np.maximum(c, 0), constants["r"], np.float32(0), 4, False, False, "FLOOR")
    want = b.max(axis=(2, 3)) @ qonnx.bipolar(constants["f"], constants["fs"]).T
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("constants", "attrs", "words"),
    [
        ({"b": np.float32(17)}, {}, ("17 bits",)),
        ({"b": np.float32(2.5)}, {}, ("2.5 bits",)),
        ({"s": rand(4, low=0.1)}, {}, ("scale", "per tensor")),
        ({"s": np.float32(0)}, {}, ("> 0",)),
        ({"z": np.float32(0.5)}, {}, ("zero point",)),
        ({}, {"rounding_mode": "SIDEWAYS"}, ("SIDEWAYS",)),
        ({"z": np.float32(1e6)}, {}, ("grid",)),
    ],
)
def test_grids_that_do_not_fit_are_refused(
    constants: dict[str, Any], attrs: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    whole = {"s": np.float32(0.1), "z": np.float32(0), "b": np.float32(4), **constants}
    refused(
        qonnx_model([node("Quant", "x s z b", "y", "q0", domain=QONNX, signed=1, narrow=0, **attrs)], ("N", 4), whole),
        tmp_path,
        "q0",
        *words,
    )


def test_names_of_constants_do_not_meet(tmp_path: Path) -> None:
    """One tensor of weights read with two scales is two constants."""
    constants = {
        **Q8,
        "w": np.arange(16, dtype=np.int8).reshape(4, 4),
        "a": np.float32(0.1),
        "b": np.float32(0.3),
        "n": np.int8(0),
        "shape": ints(-1, 4),
    }
    nodes = [
        node("QuantizeLinear", "x s z", "q"), node("QLinearMatMul", "q s z w a n s z", "m", "m0"),
        node("QLinearMatMul", "m s z w b n s z", "o", "m1"), node("DequantizeLinear", "o s z", "y"),
    ]  # fmt: skip
    _, got, want = both(model(nodes, {"x": ("N", 4)}, constants), tmp_path)
    np.testing.assert_array_equal(got, want)
