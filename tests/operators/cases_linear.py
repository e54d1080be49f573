"""Integer layers with weights: bias types, granularity, groups, shapes; and products of two matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import tflite

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import LITERT, TFLITE, Case, rng
from tests.operators.linear_nets import (
    SAME,
    VALID,
    Array,
    dense_net,
    floats,
    matrix_net,
    transposed_net,
    weights,
    window_net,
)

SCALES = ("tensor", "channel")
IN: dict[str, tuple[Any, float, int]] = {"int8": (np.int8, 0.05, 3), "int16": (np.int16, 0.001, 0)}
OUT: dict[str, tuple[Any, float, int]] = {"int8": (np.int8, 0.11, -5), "int16": (np.int16, 0.002, 0)}
INT32 = {"QuantizedBiasType": tflite.TensorType.INT32}
"""What a file must say for its int32 bias to be read as such under int16 activations."""


def cases() -> Iterator[Case]:
    yield _one_row("int8")
    yield from _wide_activations()
    yield from _dense()
    yield from _convolutions()
    yield from _matrices()


def _one_row(dtype: str) -> Case:
    """Return y [3] = w [3, 4] x [4], which keeps its one dimension."""
    w = weights((3, 4), 0, "tensor")
    options = ("FullyConnectedOptions", {"KeepNumDims": True})
    tensors = [_input((4,), dtype), w, _bias(w, 3, dtype, np.int32), _end("y", (3,), dtype, OUT)]
    net = Net(tensors, [Op("FULLY_CONNECTED", [0, 1, 2], [3], options, version=4)])
    return _case("FULLY_CONNECTED", dtype, "keeps one dimension", net.bytes, _feed("one row", (8,), dtype))


def _end(name: str, shape: Sequence[int], dtype: str, table: dict[str, tuple[Any, float, int]]) -> T:
    kind, scale, zero = table[dtype]
    return T(shape, kind, name, scale=[scale], zero=[zero])


def _input(shape: Sequence[int], dtype: str) -> T:
    return _end("x", shape, dtype, IN)


def _output(dtype: str) -> T:
    return _end("y", (), dtype, OUT)


def _bias(w: T, channels: int, dtype: str, kind: Any, shape: tuple[int, ...] | None = None) -> T:
    scales = [IN[dtype][1] * s for s in w.scale]
    values = rng("bias", channels).integers(-1000, 1000, channels).astype(kind)
    return const(values.reshape(shape or values.shape), name="b", scale=scales, zero=[0] * len(scales))


def _feed(name: str, shape: tuple[int, ...], dtype: str) -> Array:
    kind = IN[dtype][0]
    info = np.iinfo(kind)
    return rng(name, *shape).integers(info.min, info.max + 1, shape).astype(kind)


def _case(operator: str, types: str, name: str, model: Any, *feeds: Array, oracles: tuple[str, ...] = TFLITE) -> Case:
    return Case(operator, "tflite", types, name, model, lambda: [*feeds], oracles)


def _convolution(
    dtype: str, scales: str, kind: Any, inputs: int = 4, groups: int = 1, bits: int = 8, flat: bool = True, **more: Any
) -> bytes:
    w = weights((6, 3, 3, inputs // groups), 0, scales, bits)
    bias = _bias(w, 6, dtype, kind, None if flat else (1, 1, 1, 6))
    return window_net("CONV_2D", _input((1, 5, 6, inputs), dtype), w, bias, _output(dtype), 3, **{"padding": SAME, **more})


def _depthwise(dtype: str, scales: str, kind: Any, bits: int = 8, multiplier: int = 1, **more: Any) -> bytes:
    w = weights((1, 3, 3, 6 * multiplier), 3, scales, bits)
    bias = _bias(w, 6 * multiplier, dtype, kind)
    return window_net("DEPTHWISE_CONV_2D", _input((1, 5, 6, 6), dtype), w, bias, _output(dtype), 3, SAME, **more)


def _rows(
    dtype: str, scales: str, kind: Any, shape: tuple[int, ...] = (3, 10), inputs: int = 10, bits: int = 8, **more: Any
) -> bytes:
    w = weights((6, inputs), 0, scales, bits)
    return dense_net(_input(shape, dtype), w, None if kind is None else _bias(w, 6, dtype, kind), _output(dtype), **more)


def _transposed(dtype: str, scales: str, kind: Any, padding: int = SAME, **more: Any) -> bytes:
    w = weights((6, 3, 3, 4), 0, scales)
    return transposed_net(_input((1, 4, 4, 4), dtype), w, _bias(w, 6, dtype, kind), _output(dtype), padding, 2, **more)


def _wide_activations() -> Iterator[Case]:
    """int16 activations: the type of the bias decides the accumulator and the rule."""
    image, tile, rows = (
        _feed("wide", (3, 5, 6, 4), "int16"),
        _feed("wide", (2, 4, 4, 4), "int16"),
        _feed("wide", (6, 10), "int16"),
    )
    deep = _feed("wide", (3, 5, 6, 6), "int16")
    for scales in SCALES:
        for kind, name in ((np.int64, "int64 bias"), (np.int32, "int32 bias")):
            flag = INT32 if kind is np.int32 else {}
            code = {"bias_type": tflite.TensorType.INT32} if flag else {}
            where = f"{name} per {scales}"
            yield _case("CONV_2D", "int16", where, partial(_convolution, "int16", scales, kind, **code), image)
            yield _case("FULLY_CONNECTED", "int16", where, partial(_rows, "int16", scales, kind, **flag), rows)
            # tflite-micro reads the bias of a transposed convolution as int64, whatever it is.
            oracles = LITERT if flag else TFLITE
            yield _case(
                "TRANSPOSE_CONV", "int16", where, partial(_transposed, "int16", scales, kind, **flag), tile, oracles=oracles
            )
        where = f"int64 bias per {scales}"
        yield _case("DEPTHWISE_CONV_2D", "int16", where, partial(_depthwise, "int16", scales, np.int64), deep)
        model = partial(_rows, "int16", scales, None)
        yield _case("FULLY_CONNECTED", "int16", f"no bias per {scales}", model, rows)
        model = partial(_rows, "int16", scales, None, bits=4)
        yield _case("FULLY_CONNECTED", "int16 x int4", f"no bias per {scales}", model, rows, oracles=LITERT)


def _dense() -> Iterator[Case]:
    rows, cube, image = _feed("rows", (6, 10), "int8"), _feed("cube", (4, 3, 10), "int8"), _feed("image", (4, 1, 5, 2), "int8")
    for scales in SCALES:
        yield _case("FULLY_CONNECTED", "int8", f"per {scales}", partial(_rows, "int8", scales, np.int32), rows)
        model = partial(_rows, "int8", scales, None, activation=1)
        yield _case("FULLY_CONNECTED", "int8", f"no bias relu per {scales}", model, rows)
        model = partial(_rows, "int8", scales, np.int32, (2, 3, 10), keep=True)
        yield _case("FULLY_CONNECTED", "int8", f"keeps dimensions per {scales}", model, cube)
        model = partial(_rows, "int8", scales, np.int32, (2, 1, 5, 2))
        yield _case("FULLY_CONNECTED", "int8", f"image as rows per {scales}", model, image)
        oracles = TFLITE if scales == "tensor" else LITERT  # tflite-micro has no 4-bit weights per channel here
        model = partial(_rows, "int8", scales, np.int32, bits=4)
        yield _case("FULLY_CONNECTED", "int8 x int4", f"per {scales}", model, rows, oracles=oracles)
        model = partial(_rows, "int8", scales, np.int32, (3, 7), 7, bits=4)
        yield _case("FULLY_CONNECTED", "int8 x int4", f"odd per {scales}", model, _feed("odd", (6, 7), "int8"), oracles=oracles)
    yield Case(
        "FULLY_CONNECTED",
        "tflite",
        "float32",
        "computed weights",
        _computed,
        lambda: [floats("x", 6, 5), floats("w", 6, 5)],
        TFLITE,
    )


def _computed() -> bytes:
    tensors = [T((6, 5), name="x"), T((6, 5), name="w"), const(floats("b", 6), name="b"), T((6, 6), name="y")]
    return Net(tensors, [Op("FULLY_CONNECTED", [0, 1, 2], [3], ("FullyConnectedOptions", {}))], inputs=(0, 1)).bytes()


def _convolutions() -> Iterator[Case]:
    image, wide = _feed("image", (3, 5, 6, 4), "int8"), _feed("image", (3, 5, 6, 4), "int16")
    deep, tile = _feed("image", (3, 5, 6, 6), "int8"), _feed("image", (2, 4, 4, 4), "int8")
    for scales in SCALES:
        for name, more in [
            ("3x3", {}), ("stride 2 valid relu", {"padding": VALID, "stride": 2, "activation": 1}), ("dilated", {"dilation": 2}),
            ("2 groups relu6", {"groups": 2, "activation": 3}),
        ]:  # fmt: skip
            yield _case(
                "CONV_2D", "int8", f"{name} per {scales}", partial(_convolution, "int8", scales, np.int32, **more), image
            )
        yield _case(
            "CONV_2D", "int16", f"2 groups per {scales}", partial(_convolution, "int16", scales, np.int64, groups=2), wide
        )
        yield _case(
            "CONV_2D", "int8 x int4", f"3x3 per {scales}", partial(_convolution, "int8", scales, np.int32, bits=4), image
        )
        yield _case("DEPTHWISE_CONV_2D", "int8", f"3x3 per {scales}", partial(_depthwise, "int8", scales, np.int32), deep)
        model = partial(_depthwise, "int8", scales, np.int32, multiplier=2, stride=2)
        yield _case("DEPTHWISE_CONV_2D", "int8", f"2 outputs each per {scales}", model, deep)
        for padding, how in ((SAME, "same"), (VALID, "valid")):
            model = partial(_transposed, "int8", scales, np.int32, padding)
            yield _case("TRANSPOSE_CONV", "int8", f"{how} per {scales}", model, tile)
    model = partial(_convolution, "int8", "tensor", np.int32, flat=False)
    yield _case("CONV_2D", "int8", "bias of four dimensions", model, _feed("image", (30, 5, 6, 4), "int8"))


def _matrix_ends(dtype: str) -> tuple[T, T, T]:
    kind, scale, zero = IN[dtype]
    wide = 4 if dtype == "int8" else 300  # sums of products of any int16 fit
    x, y, out = (
        T((), kind, n, scale=[s * scale], zero=[z]) for n, s, z in (("x", 1, zero), ("w", 2, -zero), ("y", wide, zero))
    )
    return x, y, out


def _matrix(
    dtype: str, left: tuple[int, ...], right: tuple[int, ...], fixed: str = "", adj: tuple[bool, bool] = (False, False)
) -> bytes:
    x, y, out = _matrix_ends(dtype)
    x.shape, y.shape = left, right
    for tensor in (x, y):
        if tensor.name == fixed:
            tensor.data = _feed("fixed", tuple(tensor.shape), dtype)
    return matrix_net(x, y, out, *adj)


def _matrices() -> Iterator[Case]:
    for dtype in IN:
        for adj in ((False, False), (True, False), (False, True), (True, True)):
            left, right = ((2, 5, 3) if adj[0] else (2, 3, 5)), ((2, 4, 5) if adj[1] else (2, 5, 4))
            name = f"adj_x {adj[0]} adj_y {adj[1]}".lower()
            feeds = [_feed("left", (4, *left[1:]), dtype), _feed("right", (4, *right[1:]), dtype)]
            yield _case("BATCH_MATMUL", dtype, name, partial(_matrix, dtype, left, right, adj=adj), *feeds)
        x = _feed("left", (4, 3, 5), dtype)
        for name, right, adj in [
            ("constant", (2, 5, 4), (False, False)), ("constant for all", (5, 4), (False, False)),
            ("constant adj_y", (2, 4, 5), (False, True)),
        ]:  # fmt: skip
            yield _case("BATCH_MATMUL", dtype, name, partial(_matrix, dtype, (2, 3, 5), right, "w", adj), x)
        model = partial(_matrix, dtype, (2, 3, 5), (2, 5, 4), "x")
        yield _case("BATCH_MATMUL", dtype, "constant first", model, _feed("right", (4, 5, 4), dtype))
        model = partial(_matrix, dtype, (2, 2, 3, 5), (2, 1, 5, 4))
        yield _case(
            "BATCH_MATMUL", dtype, "broadcast", model, _feed("left", (2, 2, 3, 5), dtype), _feed("right", (2, 1, 5, 4), dtype)
        )
