"""Unsigned bytes with a scale (converters before 2019): every operator that a runtime has for them, and conversions to other types."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import LITERT, Case, rng

Quant = tuple[float, int]
SAMPLES = 2
"""Declared batches that every case feeds."""


def bytes_of(shape: Sequence[int], name: str, quant: Quant, dtype: Any = np.uint8) -> T:
    """Return an activation of integers with a scale."""
    return T(shape, dtype, name, scale=[quant[0]], zero=[quant[1]])


def feed(*shapes: Sequence[int], seed: str, dtype: Any = np.uint8) -> Any:
    """Return what makes random integers of a type, SAMPLES declared batches of every shape; floats of a normal distribution."""

    def feeds() -> list[np.ndarray]:
        r = rng(seed)
        made = []
        for shape in shapes:
            full = (SAMPLES * shape[0], *shape[1:])
            if np.dtype(dtype).kind == "f":
                made.append((3 * r.standard_normal(full)).astype(dtype))
            else:
                ends = np.iinfo(dtype)
                made.append(r.integers(ends.min, ends.max + 1, full).astype(dtype))
        return made

    return feeds


def op_case(
    kind: str, name: str, inputs: Sequence[T], y: T, options: tuple[str, dict[str, Any]] | None = None,
    oracles: tuple[str, ...] = LITERT, types: str = "uint8",
) -> Case:  # fmt: skip
    """Return a case of one operator; constants among the inputs stay constants."""
    fed = [i for i, t in enumerate(inputs) if t.data is None and t.raw is None]

    def model() -> bytes:
        op = Op(kind, list(range(len(inputs))), [len(inputs)], options)
        return Net([*inputs, y], [op], inputs=fed).bytes()

    feeds = [feed(inputs[i].shape, seed=f"{kind}{name}{i}", dtype=inputs[i].dtype) for i in fed]
    return Case(kind, "tflite", types, name, model, lambda: [f()[0] for f in feeds], oracles)


def cases() -> Iterator[Case]:
    yield from linear()
    yield from pools()
    yield from pairs()
    yield from single()
    yield from moves()
    yield from conversions()
    yield from networks()


# -- layers with weights ------------------------------------------------------------------------------------------------------


def weights(shape: Sequence[int], seed: str, zero: int, scale: float, low: int = 0, high: int = 256) -> T:
    """Return asymmetric weights."""
    return const(rng(seed).integers(low, high, shape), np.uint8, name="w", scale=[scale], zero=[zero])


def bias(channels: int, seed: str, scale: float) -> T:
    """Return an int32 bias."""
    return const(rng(seed, 1).integers(-3000, 3000, channels), np.int32, name="b", scale=[scale], zero=[0])


def linear() -> Iterator[Case]:
    sx, sy = 0.0235, 0.047
    convs = [  # input, kernel, outputs, stride, padding, dilation, zero points of x, w, y; activation
        ((1, 6, 7, 3), (3, 3), 8, 2, 0, 1, 128, 121, 0, 3), ((2, 5, 5, 4), (1, 1), 10, 1, 1, 1, 3, 140, 77, 0),
        ((1, 7, 9, 5), (3, 2), 17, 1, 0, 2, 120, 255, 150, 1), ((1, 4, 4, 3), (4, 4), 6, 1, 1, 1, 100, 128, 128, 0),
        ((1, 9, 1, 2), (3, 1), 5, 1, 0, 1, 0, 0, 10, 0), ((1, 5, 6, 16), (3, 3), 16, 1, 0, 1, 120, 100, 0, 1),
    ]  # fmt: skip
    for x, k, o, stride, padding, dilation, zx, zw, zy, act in convs:
        sw = 0.011 / math.sqrt(k[0] * k[1] * x[3])
        out = tuple(
            math.ceil(d / stride) if padding == 0 else (d - (f - 1) * dilation - 1) // stride + 1
            for d, f in zip(x[1:3], k, strict=True)
        )
        name = f"{x[1]}x{x[2]}x{x[3]} kernel {k[0]}x{k[1]} zero point {zw}"
        options = {
            "Padding": padding, "StrideH": stride, "StrideW": stride, "DilationHFactor": dilation, "DilationWFactor": dilation,
            "FusedActivationFunction": act,
        }  # fmt: skip
        w, b = weights((o, *k, x[3]), name, zw, sw), bias(o, name, sx * sw)
        yield op_case(
            "CONV_2D",
            name,
            [bytes_of(x, "x", (sx, zx)), w, b],
            bytes_of((x[0], *out, o), "y", (sy, zy)),
            ("Conv2DOptions", options),
        )
    for x, k, m, stride, padding, zw in [
        ((1, 7, 6, 8), (3, 3), 1, 1, 0, 118), ((2, 5, 5, 3), (3, 3), 2, 2, 0, 140), ((1, 6, 6, 5), (2, 3), 1, 1, 1, 0),
        ((1, 5, 5, 19), (3, 3), 1, 1, 0, 255), ((1, 5, 4, 1), (3, 3), 8, 1, 0, 77), ((1, 4, 5, 16), (1, 1), 1, 1, 1, 128),
    ]:  # fmt: skip
        sw, o = 0.02 / math.sqrt(k[0] * k[1]), m * x[3]
        out = tuple(math.ceil(d / stride) if padding == 0 else (d - f) // stride + 1 for d, f in zip(x[1:3], k, strict=True))
        name = f"{x[1]}x{x[2]}x{x[3]} by {m} kernel {k[0]}x{k[1]} stride {stride} zero point {zw}"
        options = {"Padding": padding, "StrideH": stride, "StrideW": stride, "DepthMultiplier": m, "FusedActivationFunction": 0}
        w, b = weights((1, *k, o), name, zw, sw), bias(o, name, sx * sw)
        yield op_case(
            "DEPTHWISE_CONV_2D", name, [bytes_of(x, "x", (sx, 110)), w, b], bytes_of((x[0], *out, o), "y", (sy, 120)),
            ("DepthwiseConv2DOptions", options),
        )  # fmt: skip
    for rows, depth, o, zw, act, biased in [
        (1, 33, 10, 127, 0, True), (4, 64, 16, 90, 1, True), (3, 5, 1, 255, 0, False), (1, 200, 3, 128, 3, True),
    ]:  # fmt: skip
        sw, name = 0.02 / math.sqrt(depth), f"{rows}x{depth} to {o} zero point {zw}{'' if biased else ' without bias'}"
        constants = [weights((o, depth), name, zw, sw), *([bias(o, name, sx * sw)] if biased else [])]
        yield op_case(
            "FULLY_CONNECTED", name, [bytes_of((rows, depth), "x", (sx, 90)), *constants], bytes_of((rows, o), "y", (sy, 131)),
            ("FullyConnectedOptions", {"FusedActivationFunction": act}),
        )  # fmt: skip
    for x, k, o, stride, padding, zw in [
        ((1, 4, 5, 3), (3, 3), 6, 2, 0, 120),
        ((2, 3, 3, 4), (2, 2), 8, 2, 1, 99),
        ((1, 3, 4, 2), (4, 3), 3, 1, 1, 255),
    ]:
        sw = 0.02 / math.sqrt(k[0] * k[1] * x[3])
        out = tuple(d * stride if padding == 0 else (d - 1) * stride + f for d, f in zip(x[1:3], k, strict=True))
        name = f"{x[1]}x{x[2]}x{x[3]} kernel {k[0]}x{k[1]} stride {stride} zero point {zw}"
        shape = const([x[0], *out, o], np.int32, name="shape")
        yield op_case(
            "TRANSPOSE_CONV", name, [shape, weights((o, *k, x[3]), name, zw, sw), bytes_of(x, "x", (sx, 140))],
            bytes_of((x[0], *out, o), "y", (sy, 125)),
            ("TransposeConvOptions", {"Padding": padding, "StrideH": stride, "StrideW": stride}),
        )  # fmt: skip


def pools() -> Iterator[Case]:
    for x, f, stride, padding, act in [
        ((1, 6, 7, 3), (2, 2), 2, 1, 0),
        ((2, 5, 5, 17), (3, 3), 2, 0, 1),
        ((1, 7, 7, 8), (7, 7), 1, 1, 3),
        ((1, 5, 6, 4), (3, 2), 1, 0, 0),
    ]:
        out = tuple(math.ceil(d / stride) if padding == 0 else (d - k) // stride + 1 for d, k in zip(x[1:3], f, strict=True))
        options = {
            "Padding": padding, "StrideH": stride, "StrideW": stride, "FilterHeight": f[0], "FilterWidth": f[1],
            "FusedActivationFunction": act,
        }  # fmt: skip
        for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            q = (0.03, 60)
            yield op_case(
                kind,
                f"{x[1]}x{x[2]} filter {f[0]}x{f[1]} stride {stride}",
                [bytes_of(x, "x", q)],
                bytes_of((x[0], *out, x[3]), "y", q),
                ("Pool2DOptions", options),
            )
    for shape, axes, keep, qx, qy in [
        ((1, 5, 7, 20), (1, 2), True, (0.03, 60), (0.03, 60)), ((1, 6, 5, 9), (1, 2), True, (0.05, 140), (0.02, 90)),
        ((2, 4, 6), (2,), False, (0.05, 0), (0.03, 10)), ((1, 4, 4, 8), (1, 2), False, (0.05, 255), (0.05, 255)),
    ]:  # fmt: skip
        out = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
        name = f"{'x'.join(map(str, shape))} over {axes} {'kept' if keep else 'gone'}"
        count = math.prod(shape[a] for a in axes)
        for kind, scale in (("MEAN", qy[0]), ("SUM", qy[0] * count)):
            yield op_case(
                kind,
                name,
                [bytes_of(shape, "x", qx), const(axes, np.int32)],
                bytes_of(out, "y", (scale, qy[1])),
                ("ReducerOptions", {"KeepDims": keep}),
            )
    few = [bytes_of((2, 5, 2), "x", (0.05, 120)), const((2,), np.int32)]
    yield op_case("SUM", "one scale", few, bytes_of((2, 5), "y", (0.05, 120)), ("ReducerOptions", {"KeepDims": False}))


def pairs() -> Iterator[Case]:
    shapes = [((1, 3, 5, 7), (1, 3, 5, 7)), ((2, 4, 3), (2, 1, 3)), ((1, 2, 3, 8), (1, 1, 1, 1)), ((1, 33), (1, 33))]
    for kind, options in [("ADD", "AddOptions"), ("SUB", "SubOptions"), ("MUL", "MulOptions")]:
        for k, (a, b) in enumerate(shapes):
            out = np.broadcast_shapes(a, b)
            qy = (0.004, 100) if kind == "MUL" else (0.08, 120)
            yield op_case(
                kind, f"{'x'.join(map(str, a))} with {'x'.join(map(str, b))}",
                [bytes_of(a, "a", (0.03, 128 + k)), bytes_of(b, "b", (0.05, 7))], bytes_of(out, "y", qy),
                (options, {"FusedActivationFunction": k % 2}),
            )  # fmt: skip
    for k, zero in enumerate((0, 255)):  # no divisor is zero
        divisor = const(rng("div", k).integers(1, 255, (1, 5, 7)), np.uint8, name="b", scale=[0.02], zero=[zero])
        yield op_case(
            "DIV",
            f"by a constant, zero point {zero}",
            [bytes_of((2, 5, 7), "a", (0.05, 100)), divisor],
            bytes_of((2, 5, 7), "y", (0.08, 120)),
            ("DivOptions", {}),
        )
    for kind in ("MAXIMUM", "MINIMUM"):
        q = (0.04, 9)
        yield op_case(
            kind,
            "3x5 with 1x5",
            [bytes_of((2, 3, 5), "a", q), bytes_of((2, 1, 5), "b", q)],
            bytes_of((2, 3, 5), "y", q),
            ("MaximumMinimumOptions", {}),
        )


def single() -> Iterator[Case]:
    for shape in ((1, 3, 5, 7), (2, 16)):
        what, x = "x".join(map(str, shape)), lambda q, shape=shape: bytes_of(shape, "x", q)
        yield op_case("RELU", what, [x((0.05, 131))], bytes_of(shape, "y", (0.03, 10)))
        yield op_case("RELU6", what, [x((0.05, 131))], bytes_of(shape, "y", (6 / 255, 0)))
        yield op_case("RELU_N1_TO_1", what, [x((0.02, 131))], bytes_of(shape, "y", (0.02, 131)))
        yield op_case(
            "LEAKY_RELU", what, [x((0.05, 131))], bytes_of(shape, "y", (0.04, 100)), ("LeakyReluOptions", {"Alpha": 0.125})
        )
        yield op_case("HARD_SWISH", what, [x((0.05, 131))], bytes_of(shape, "y", (0.04, 20)))
        yield op_case("LOGISTIC", what, [x((0.05, 131))], bytes_of(shape, "y", (1 / 256, 0)))
        yield op_case("TANH", what, [x((0.03, 121))], bytes_of(shape, "y", (1 / 128, 128)))
        yield op_case("SOFTMAX", what, [x((0.1, 131))], bytes_of(shape, "y", (1 / 256, 0)), ("SoftmaxOptions", {"Beta": 1.0}))
        yield op_case(
            "SOFTMAX", what + " beta", [x((0.02, 0))], bytes_of(shape, "y", (1 / 256, 0)), ("SoftmaxOptions", {"Beta": 2.5})
        )
        yield op_case("LOG_SOFTMAX", what, [x((0.1, 131))], bytes_of(shape, "y", (16 / 256, 255)))
        yield op_case("L2_NORMALIZATION", what, [x((0.1, 131))], bytes_of(shape, "y", (1 / 128, 128)), ("L2NormOptions", {}))
        alpha = const(rng(what).integers(0, 256, shape[-1:]), np.uint8, name="alpha", scale=[0.01], zero=[100])
        yield op_case("PRELU", what, [x((0.05, 131)), alpha], bytes_of(shape, "y", (0.06, 120)))


def moves() -> Iterator[Case]:
    q = (0.05, 131)
    x = bytes_of((2, 4, 6, 4), "x", q)
    yield op_case("RESHAPE", "to rows", [x, const([2, 96], np.int32)], bytes_of((2, 96), "y", q))
    yield op_case("TRANSPOSE", "swap", [x, const([0, 2, 1, 3], np.int32)], bytes_of((2, 6, 4, 4), "y", q))
    yield op_case("PAD", "uneven", [x, const([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)], bytes_of((2, 7, 7, 4), "y", q))
    yield op_case(
        "SQUEEZE", "one", [bytes_of((2, 1, 5), "x", q)], bytes_of((2, 5), "y", q), ("SqueezeOptions", {"SqueezeDims": [1]})
    )
    options = {"BeginMask": 0, "EndMask": 0, "EllipsisMask": 0, "NewAxisMask": 0, "ShrinkAxisMask": 0}
    ends = [const(v, np.int32) for v in ([0, 1, 0, 0], [2, 4, 6, 3], [1, 1, 2, 1])]
    yield op_case("STRIDED_SLICE", "steps", [x, *ends], bytes_of((2, 3, 3, 3), "y", q), ("StridedSliceOptions", options))
    yield op_case(
        "SLICE", "box", [x, const([0, 1, 2, 0], np.int32), const([2, 2, 3, 4], np.int32)], bytes_of((2, 2, 3, 4), "y", q)
    )
    yield op_case("SPACE_TO_DEPTH", "block 2", [x], bytes_of((2, 2, 3, 16), "y", q), ("SpaceToDepthOptions", {"BlockSize": 2}))
    yield op_case("DEPTH_TO_SPACE", "block 2", [x], bytes_of((2, 8, 12, 1), "y", q), ("DepthToSpaceOptions", {"BlockSize": 2}))
    yield op_case(
        "GATHER", "rows", [x, const([3, 0, 2], np.int32)], bytes_of((2, 3, 6, 4), "y", q), ("GatherOptions", {"Axis": 1})
    )
    yield op_case("TILE", "columns", [x, const([1, 1, 2, 1], np.int32)], bytes_of((2, 4, 12, 4), "y", q))
    yield op_case(
        "MIRROR_PAD",
        "reflect",
        [x, const([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)],
        bytes_of((2, 7, 7, 4), "y", q),
        ("MirrorPadOptions", {"Mode": 0}),
    )
    fill = const([9], np.uint8, name="fill", scale=[q[0]], zero=[q[1]])
    yield op_case(
        "PADV2", "a value", [x, const([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32), fill], bytes_of((2, 7, 7, 4), "y", q)
    )
    yield op_case(
        "PACK",
        "two",
        [bytes_of((2, 3), "a", q), bytes_of((2, 3), "b", q)],
        bytes_of((2, 2, 3), "y", q),
        ("PackOptions", {"ValuesCount": 2, "Axis": 1}),
    )
    yield op_case(
        "ARG_MAX",
        "channels",
        [x, const(3, np.int32)],
        T((2, 4, 6), np.int64, "y"),
        ("ArgMaxOptions", {"OutputType": 4}),
        types="uint8 to int64",
    )
    for kind in ("REDUCE_MAX", "REDUCE_MIN"):
        yield op_case(
            kind, "image", [x, const([1, 2], np.int32)], bytes_of((2, 4), "y", q), ("ReducerOptions", {"KeepDims": False})
        )
    for kind, union in (("GREATER", "GreaterOptions"), ("LESS_EQUAL", "LessEqualOptions"), ("EQUAL", "EqualOptions")):
        pair = [bytes_of((2, 30, 50), "a", q), bytes_of((2, 30, 50), "b", (0.03, 20))]
        yield op_case(kind, "two scales", pair, T((2, 30, 50), np.bool_, "y"), (union, {}), types="uint8 to bool")
    for name, other in [("one scale", q), ("other scale", (0.03, 20)), ("wider scale", (0.09, 250))]:
        parts = [bytes_of((2, 3, 5), "a", q), bytes_of((2, 3, 7), "b", other)]
        yield op_case("CONCATENATION", name, parts, bytes_of((2, 3, 12), "y", q), ("ConcatenationOptions", {"Axis": 2}))


def conversions() -> Iterator[Case]:
    for shape in ((1, 3, 5, 7), (2, 16)):
        what = "x".join(map(str, shape))
        for name, x, y in [
            ("uint8 to int8, same scale", (np.uint8, (0.05, 128)), (np.int8, (0.05, 0))),
            ("uint8 to int8, other zero point", (np.uint8, (0.05, 10)), (np.int8, (0.05, 3))),
            ("uint8 to int8, other scale", (np.uint8, (0.05, 10)), (np.int8, (0.031, 3))),
            ("int8 to uint8, same scale", (np.int8, (0.05, 0)), (np.uint8, (0.05, 128))),
            ("int8 to uint8, other scale", (np.int8, (0.05, 3)), (np.uint8, (0.077, 20))),
            ("uint8 to uint8", (np.uint8, (0.05, 13)), (np.uint8, (0.077, 20))),
            ("uint8 to uint8, finer", (np.uint8, (0.05, 13)), (np.uint8, (0.02, 100))),
            ("float32 to uint8", (np.float32, None), (np.uint8, (0.031, 100))),
        ]:
            tensors = [
                T(shape, d, n, **({} if q is None else {"scale": [q[0]], "zero": [q[1]]})) for (d, q), n in ((x, "x"), (y, "y"))
            ]
            yield op_case("QUANTIZE", f"{what} {name}", [tensors[0]], tensors[1])
        yield op_case(
            "DEQUANTIZE", what, [bytes_of(shape, "x", (0.031, 100))], T(shape, np.float32, "y"), types="uint8 to float32"
        )


def networks() -> Iterator[Case]:
    """A small network of the 2018 kind: conv, depthwise, conv, average, fully connected, softmax."""

    def model() -> bytes:
        quants = [(0.0078, 128), (0.0235, 0), (0.0235, 0), (0.0235, 0), (0.0235, 0), (0.11, 77), (1 / 256, 0)]
        shapes = [(1, 12, 12, 3), (1, 6, 6, 8), (1, 6, 6, 8), (1, 6, 6, 16), (1, 1, 1, 16), (1, 5), (1, 5)]
        acts = [bytes_of(s, f"t{i}", q) for i, (s, q) in enumerate(zip(shapes, quants, strict=True))]
        layers = [((8, 3, 3, 3), 120, 0.01), ((1, 3, 3, 8), 101, 0.02), ((16, 1, 1, 8), 140, 0.02), ((5, 16), 133, 0.03)]
        constants: list[T] = []
        for i, ((shape, zero, sw), at) in enumerate(zip(layers, (0, 1, 2, 4), strict=True)):
            channels = shape[3] if i == 1 else shape[0]
            constants += [weights(shape, f"layer {i}", zero, sw), bias(channels, f"layer {i}", quants[at][0] * sw)]
        same = {"Padding": 0, "StrideH": 1, "StrideW": 1, "FusedActivationFunction": 3}
        pool = {"Padding": 1, "StrideH": 6, "StrideW": 6, "FilterHeight": 6, "FilterWidth": 6}
        ops = [
            Op("CONV_2D", [0, 7, 8], [1], ("Conv2DOptions", {**same, "StrideH": 2, "StrideW": 2})),
            Op("DEPTHWISE_CONV_2D", [1, 9, 10], [2], ("DepthwiseConv2DOptions", {**same, "DepthMultiplier": 1})),
            Op("CONV_2D", [2, 11, 12], [3], ("Conv2DOptions", same)), Op("AVERAGE_POOL_2D", [3], [4], ("Pool2DOptions", pool)),
            Op("FULLY_CONNECTED", [4, 13, 14], [5], ("FullyConnectedOptions", {})),
            Op("SOFTMAX", [5], [6], ("SoftmaxOptions", {"Beta": 1.0})),
        ]  # fmt: skip
        return Net([*acts, *constants], ops, inputs=[0], outputs=[5, 6]).bytes()

    yield Case("network", "tflite", "uint8", "MobileNetV1 in small", model, feed((1, 12, 12, 3), seed="net"), LITERT)
