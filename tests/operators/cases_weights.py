"""Weights that are stored otherwise than they are used: float16, sparse, shared; and islands of floats and integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import LITERT, TFLITE, Case, rng
from tests.operators.linear_nets import SAME, Array, floats, window_options

KERNELS = ("litert_ref", "litert_opt")
Sparsity = tuple[list[int], list[int], list[Any]]


def cases() -> Iterator[Case]:
    yield from _half()
    yield from _sparse()
    yield from _islands()


def _case(operator: str, types: str, name: str, model: Any, *feeds: Array, oracles: tuple[str, ...] = LITERT) -> Case:
    return Case(operator, "tflite", types, name, model, lambda: [*feeds], oracles)


# -- float16 -------------------------------------------------------------------------------------------------------------------


def _half() -> Iterator[Case]:
    x = floats("half", 4, 6)
    for name, model in [
        ("weights", _half_weights), ("shared by two layers", _half_shared), ("reshaped", partial(_half_moved, "RESHAPE")),
        ("transposed", partial(_half_moved, "TRANSPOSE")),
    ]:  # fmt: skip
        yield _case("DEQUANTIZE", "float16", name, model, x)
    yield _case("DEQUANTIZE", "int8 constant", "weights of a float layer", _dequantized, x)
    yield _case("CONV_2D", "float16", "weights and bias", _half_convolution, floats("half", 2, 5, 5, 3))


def _half_weights() -> bytes:
    w, b = floats("w", 5, 6).astype(np.float16), floats("b", 5).astype(np.float16)
    tensors = [T((2, 6), name="x"), const(w), T((5, 6), name="w"), const(b), T((5,), name="b"), T((2, 5), name="y")]
    ops = [Op("DEQUANTIZE", [1], [2]), Op("DEQUANTIZE", [3], [4]), _dense([0, 2, 4], 5)]
    return Net(tensors, ops).bytes()


def _dense(inputs: list[int], output: int) -> Op:
    return Op("FULLY_CONNECTED", inputs, [output], ("FullyConnectedOptions", {}))


def _half_shared() -> bytes:
    w = floats("w", 6, 6).astype(np.float16)
    tensors = [T((2, 6), name="x"), const(w), T((6, 6), name="w"), T((2, 6), name="h"), T((2, 6), name="y")]
    return Net(tensors, [Op("DEQUANTIZE", [1], [2]), _dense([0, 2, -1], 3), _dense([3, 2, -1], 4)]).bytes()


def _half_moved(kind: str) -> bytes:
    w = floats("w", *((6, 5) if kind == "TRANSPOSE" else (3, 10))).astype(np.float16)
    how, options = (([1, 0], None), ([5, 6], ("ReshapeOptions", {})))[kind == "RESHAPE"]
    tensors = [
        T((2, 6), name="x"),
        const(w),
        T(w.shape, name="wide"),
        const(how, np.int32),
        T((5, 6), name="w"),
        T((2, 5), name="y"),
    ]
    return Net(tensors, [Op("DEQUANTIZE", [1], [2]), Op(kind, [2, 3], [4], options), _dense([0, 4, -1], 5)]).bytes()


def _dequantized() -> bytes:
    w = rng("w").integers(-127, 128, (5, 6)).astype(np.int8)
    stored = const(w, name="stored", scale=rng("s").uniform(0.01, 0.02, 5).tolist())
    tensors = [T((2, 6), name="x"), stored, T((5, 6), name="w"), T((2, 5), name="y")]
    return Net(tensors, [Op("DEQUANTIZE", [1], [2]), _dense([0, 2, -1], 3)]).bytes()


def _half_convolution() -> bytes:
    w, b = floats("w", 4, 3, 3, 3).astype(np.float16), floats("b", 4).astype(np.float16)
    tensors = [
        T((1, 5, 5, 3), name="x"),
        const(w),
        T(w.shape, name="w"),
        const(b),
        T((4,), name="b"),
        T((1, 5, 5, 4), name="y"),
    ]
    convolution = Op("CONV_2D", [0, 2, 4], [5], ("Conv2DOptions", window_options(SAME, 1, 1, 1)))
    return Net(tensors, [Op("DEQUANTIZE", [1], [2]), Op("DEQUANTIZE", [3], [4]), convolution]).bytes()


# -- sparse --------------------------------------------------------------------------------------------------------------------

FORMS: dict[str, tuple[list[int], list[int], list[int], str]] = {
    "rows compressed": ([0, 1], [], [], "ds"), "columns compressed": ([1, 0], [], [], "ds"), "both compressed": ([0, 1], [], [], "ss"),
    "all dense": ([0, 1], [], [], "dd"), "blocks of 1x4": ([0, 1, 2], [1], [4], "dsd"), "blocks of 1x16": ([0, 1, 2], [1], [16], "dsd"),
    "blocks of 2x2": ([0, 1, 2, 3], [0, 1], [2, 2], "dsdd"), "blocks compressed twice": ([0, 1, 2, 3], [0, 1], [2, 4], "ssdd"),
}  # fmt: skip
"""Name -> traversal order, blocked dimensions, sizes of blocks, and a letter per level: dense or sparse."""


def compressed(
    dense: Array, order: list[int], blocks: list[int], sizes: list[int], form: str, kind: Any = np.int32
) -> tuple[Sparsity, Array]:
    """Return how TFLite stores an array, entry by entry, and the values that are kept."""
    rank, shape = dense.ndim, list(dense.shape)
    for block, size in zip(blocks, sizes, strict=True):
        shape[block] //= size
    extents = [(shape + sizes)[d] for d in order]
    entries: list[tuple[int, ...]] = [()]
    levels: list[Any] = []
    for level, extent in enumerate(extents):
        if form[level] == "d":
            levels.append(extent)
            entries = [(*e, i) for e in entries for i in range(extent)]
            continue
        segments, indices, kept = [0], [], []
        for e in entries:
            for i in range(extent):
                if _part(dense, order, blocks, sizes, (*e, i), rank).any():
                    indices.append(i)
                    kept.append((*e, i))
            segments.append(len(indices))
        levels.append((np.array(segments, kind), np.array(indices, kind)))
        entries = kept
    values = [_part(dense, order, blocks, sizes, e, rank).item() for e in entries]
    return (order, blocks, levels), np.array(values, dense.dtype)


def _part(dense: Array, order: list[int], blocks: list[int], sizes: list[int], entry: tuple[int, ...], rank: int) -> Array:
    """Return the elements below an entry: coordinates along the first dimensions of the traversal."""
    at = dict(zip(order, entry, strict=False))
    ranges = []
    for d in range(rank):
        size = sizes[blocks.index(d)] if d in blocks else 1
        outer = [at[d]] if d in at else range(dense.shape[d] // size)
        inside = rank + blocks.index(d) if d in blocks else -1
        inner = [at[inside]] if inside in at else range(size)
        ranges.append([o * size + i for o in outer for i in inner])
    return np.asarray(dense[np.ix_(*ranges)])


def pruned(dtype: Any, block: Sequence[int] = (1, 1)) -> Array:
    """Return [8, 32] weights with many zeros, whole blocks of them and a row of them."""
    source = rng("pruned", *block)
    w = source.integers(1, 100, (8, 32)) * source.choice([-1, 1], (8, 32))
    keep = np.kron(source.random((8 // block[0], 32 // block[1])) < 0.4, np.ones(block))
    keep[2] = 0
    return (w * keep).astype(dtype)


def _sparse() -> Iterator[Case]:
    x = np.eye(32, dtype=np.float32)
    for name, form in FORMS.items():
        kind = (np.int32, np.uint16, np.uint8)[len(name) % 3]
        yield _case("DENSIFY", "float32", name, partial(_densified, form, np.float32, kind), x)
    for name in ("rows compressed", "blocks of 1x4", "blocks of 2x2"):
        yield _case("DENSIFY", "float16", name, partial(_densified, FORMS[name], np.float16, np.int32), x)
        model = partial(_densified, FORMS[name], np.int8, np.int32)
        feed = rng("densify").integers(-128, 128, (8, 32)).astype(np.int8)
        # The default delegate refuses such a network as a whole.
        yield _case("DENSIFY", "int8", name, model, feed, oracles=KERNELS)
        hybrid = partial(model, hybrid=True)
        yield Case("DENSIFY", "tflite", "hybrid int8", name, hybrid, lambda: [floats("x", 8, 32)], KERNELS, tolerance=0.0)
    # The default delegate takes sparse weights that are read as they are for dense ones.
    x = floats("x", 6, 32)
    for name in ("rows compressed", "blocks of 1x4"):
        yield _case("FULLY_CONNECTED", "float32 sparse", name, partial(_direct, FORMS[name]), x, oracles=KERNELS)


def _blocks_of(form: tuple[list[int], list[int], list[int], str]) -> tuple[int, int]:
    sizes = dict(zip(form[1], form[2], strict=True))
    return sizes.get(0, 1), sizes.get(1, 1)


def _densified(form: Any, dtype: Any, kind: Any, hybrid: bool = False) -> bytes:
    layout, values = compressed(pruned(dtype, _blocks_of(form)), *form, kind)
    scale = {"scale": [0.02], "zero": [0]} if dtype == np.int8 else {}
    integers = dtype == np.int8 and not hybrid
    ends = ({"scale": [0.05], "zero": [3]}, {"scale": [3.0], "zero": [-5]}) if integers else ({}, {})
    x, y = (
        T((4, n), np.int8 if integers else np.float32, name, **end) for n, name, end in ((32, "x", ends[0]), (8, "y", ends[1]))
    )
    stored, dense = T((8, 32), dtype, "stored", data=values, sparsity=layout, **scale), T((8, 32), dtype, "dense", **scale)
    ops = [Op("DENSIFY", [1], [2], ("DensifyOptions", {}))]
    if dtype == np.float16:
        ops += [Op("DEQUANTIZE", [2], [4]), _dense([0, 4, -1], 3)]
    else:
        ops += [_dense([0, 2, -1], 3)]
    return Net([x, stored, dense, y, T((8, 32), name="w")], ops, outputs=(3,)).bytes()


def _direct(form: Any) -> bytes:
    layout, values = compressed(pruned(np.float32, _blocks_of(form)), *form)
    tensors = [
        T((3, 32), name="x"),
        T((8, 32), name="w", data=values, sparsity=layout),
        const(floats("b", 8)),
        T((3, 8), name="y"),
    ]
    return Net(tensors, [_dense([0, 1, 2], 3)]).bytes()


# -- islands -------------------------------------------------------------------------------------------------------------------


def _integers(shape: Sequence[int], name: str, dtype: Any = np.int8, scale: float = 0.05, zero: int = 3) -> T:
    return T(shape, dtype, name, scale=[scale], zero=[zero])


def _islands() -> Iterator[Case]:
    x = rng("island").integers(-128, 128, (6, 8)).astype(np.int8)
    yield _case("QUANTIZE", "int8 and float32", "float island between layers", _float_island, x, oracles=TFLITE)
    yield _case("QUANTIZE", "float32 and int8", "int8 island between float layers", _integer_island, floats("island", 6, 8))
    yield _case("QUANTIZE", "int8 and int16", "int8 to int16 to int8", _widened, x, oracles=TFLITE)


def _layer(name: str) -> tuple[T, T]:
    w = rng(name).integers(-127, 128, (8, 8)).astype(np.int8)
    b = rng(name, 1).integers(-500, 500, 8).astype(np.int32)
    return const(w, name=name, scale=[0.01], zero=[0]), const(b, name=f"{name}.b", scale=[0.0005], zero=[0])


def _float_island() -> bytes:
    (w, b), (v, c) = _layer("w"), _layer("v")
    tensors = [
        _integers((2, 8), "x"), w, b, _integers((2, 8), "h", scale=0.1), T((2, 8), name="f"), T((2, 8), name="g"),
        _integers((2, 8), "q"), v, c, _integers((2, 8), "y", scale=0.1),
    ]  # fmt: skip
    ops = [
        _dense([0, 1, 2], 3),
        Op("DEQUANTIZE", [3], [4]),
        Op("RELU", [4], [5]),
        Op("QUANTIZE", [5], [6]),
        _dense([6, 7, 8], 9),
    ]
    return Net(tensors, ops).bytes()


def _integer_island() -> bytes:
    w, b = _layer("w")
    tensors = [T((2, 8), name="x"), _integers((2, 8), "q"), w, b, _integers((2, 8), "h", scale=0.1), T((2, 8), name="y")]
    return Net(tensors, [Op("QUANTIZE", [0], [1]), _dense([1, 2, 3], 4), Op("DEQUANTIZE", [4], [5])]).bytes()


def _widened() -> bytes:
    w, b = _layer("w")
    tensors = [
        _integers((2, 8), "x"), _integers((2, 8), "wide", np.int16, 0.0002, 0), w,
        const(np.asarray(b.data).astype(np.int64), name="b", scale=[0.000002], zero=[0]),
        _integers((2, 8), "h", np.int16, 0.0004, 0), _integers((2, 8), "y", scale=0.1),
    ]  # fmt: skip
    return Net(tensors, [Op("QUANTIZE", [0], [1]), _dense([1, 2, 3], 4), Op("QUANTIZE", [4], [5])]).bytes()
