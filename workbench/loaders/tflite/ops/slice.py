"""Translators of slices, of stacks, and of the arithmetic of shapes.

Networks exported with a free batch compute shapes as they run (SHAPE, STRIDED_SLICE, PACK, RESHAPE); with the declared shape
all of that is constant, and only the RESHAPE remains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.ops.moves import check_move, join, normal_axes
from workbench.loaders.tflite.tensor import MAX_RANK
from workbench.ops.strided_slice import StridedSliceAttrs

MASKS = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")


def emit_slice(call: Call, x: Tensor, ranges: Sequence[range], shrink: Sequence[int] = (), output: int = 0) -> None:
    """Emit the slice that keeps `ranges` of the dimensions, those of `shrink` (one element each) dropped.

    A range that keeps the whole declared batch does so of any other; the only sample of one may be named with any step.
    """
    whole = ranges[0] == range(x.shape[0]) and 0 not in shrink and not x.is_constant
    begin = [r.start for r in ranges]
    end = [None if (i == 0 and whole) or r.stop < 0 else r.stop for i, r in enumerate(ranges)]
    steps = [1 if i == 0 and whole else r.step for i, r in enumerate(ranges)]
    attrs = StridedSliceAttrs(tuple(begin), tuple(end), tuple(steps), tuple(shrink))
    call.emit("strided_slice", [x], attrs, mixes=not whole, outputs=(output,))


@translates("STRIDED_SLICE", (4, 4), "StridedSliceOptions")
def _strided_slice(call: Call) -> None:
    """Entries of begin, end and strides stand for dimensions one by one, but for a new one and for the ellipsis, which is the rest."""
    x = call.input(0)
    check_move(call, x)
    begins, ends, strides = (call.numbers(i, what, MAX_RANK) for i, what in ((1, "begin"), (2, "end"), (3, "strides")))
    count = len(begins)
    masks = {name: int(call.options.get(name, 0)) for name in MASKS}
    ellipsis = [i for i in range(count) if masks["EllipsisMask"] >> i & 1]
    new = [i for i in range(count) if masks["NewAxisMask"] >> i & 1 and i not in ellipsis]
    missing = len(x.shape) - (count - len(ellipsis) - len(new))
    if (
        not count == len(ends) == len(strides)
        or missing < len(ellipsis)
        or len(ellipsis) > 1
        or len(x.shape) + len(new) > MAX_RANK
    ):
        raise call.error(f"begin {begins}, end {ends} and strides {strides} do not fit {len(x.shape)} dimensions.")
    entries: list[int | None] = []  # which entry each dimension has; None: kept whole
    shape: list[int] = []
    sizes = iter(x.shape)
    for i in (*range(count), *([count] if not ellipsis else [])):
        if i == count or i in ellipsis:
            entries += [None] * missing
            shape += [next(sizes) for _ in range(missing)]
        else:
            entries.append(None if i in new else i)
            shape.append(1 if i in new else next(sizes))
    x = call.reshaped(x, tuple(shape)) if new else x
    ranges = [
        range(d) if i is None else _range(call, d, begins[i], ends[i], strides[i], i, masks)
        for d, i in zip(shape, entries, strict=True)
    ]
    emit_slice(call, x, ranges, [j for j, i in enumerate(entries) if i is not None and masks["ShrinkAxisMask"] >> i & 1])


def _range(call: Call, size: int, begin: int, end: int, stride: int, i: int, masks: dict[str, int]) -> range:
    """Return what entry i keeps of a dimension: masks, negative numbers and sizes beyond the end resolved.

    Source: TFLite reference/strided_slice.h, StridedSliceParams.
    """
    shrinks = bool(masks["ShrinkAxisMask"] >> i & 1)
    if stride == 0 or (shrinks and stride < 0):
        raise call.error(
            f"stride {stride} of entry {i}: expected {'> 0 where the dimension is dropped' if shrinks else 'not 0'}."
        )
    low, high = (0, size) if stride > 0 else (-1, size - 1)
    start = (low if stride > 0 else high) if masks["BeginMask"] >> i & 1 else _clamped(begin, size, low, high)
    if call.options.get("Offset", False):
        end += start
    stop = (high if stride > 0 else low) if masks["EndMask"] >> i & 1 else _clamped(end, size, low, high)
    kept = range(start, start + 1 if shrinks else stop, stride)
    if not kept or not 0 <= start < size:
        raise call.error(f"keeps nothing of entry {i}: ({begin}, {end}, {stride}) of size {size}.")
    return kept


def _clamped(value: int, size: int, low: int, high: int) -> int:
    return min(max(value + size if value < 0 else value, low), high)


@translates("SLICE", (3, 3), "SliceOptions")
def _slice(call: Call) -> None:
    x, begins, sizes = call.input(0), call.numbers(1, "begin", MAX_RANK), call.numbers(2, "size", MAX_RANK)
    check_move(call, x)
    if not len(begins) == len(sizes) == len(x.shape):
        raise call.error(f"begin {begins} and size {sizes} do not fit {list(x.shape)}.")
    ends = [d if size == -1 else begin + size for d, begin, size in zip(x.shape, begins, sizes, strict=True)]
    if not all(0 <= begin < end <= d for d, begin, end in zip(x.shape, begins, ends, strict=True)):
        raise call.error(f"begin {begins} and size {sizes} are outside of {list(x.shape)}, or keep nothing.")
    emit_slice(call, x, [range(begin, end) for begin, end in zip(begins, ends, strict=True)])


@translates("SPLIT", (2, 2), "SplitOptions", (1, 1_000))
def _split(call: Call) -> None:
    x, axis = call.input(1), call.numbers(0, "the axis", 1)
    count = len(call.outputs)
    at = normal_axes(call, axis, len(x.shape))
    if len(at) != 1 or x.shape[at[0]] % count or call.options.get("NumSplits", count) != count:
        raise call.error(
            f"splits {list(x.shape)} along axis {axis} into {count} outputs, {call.options.get('NumSplits', 0)} by its options."
        )
    _parts(call, x, at[0], [x.shape[at[0]] // count] * count)


@translates("SPLIT_V", (3, 3), "SplitVOptions", (1, 1_000))
def _split_v(call: Call) -> None:
    x, sizes, axis = call.input(0), call.numbers(1, "the sizes", 1_000), call.numbers(2, "the axis", 1)
    at = normal_axes(call, axis, len(x.shape))
    free = [i for i, size in enumerate(sizes) if size == -1]
    if len(at) == 1 and len(free) == 1:
        sizes[free[0]] = x.shape[at[0]] - sum(sizes) - 1
    if len(at) != 1 or len(sizes) != len(call.outputs) or any(s < 1 for s in sizes) or sum(sizes) != x.shape[at[0]]:
        raise call.error(f"splits {list(x.shape)} along axis {axis} into sizes {sizes[:64]} for {len(call.outputs)} outputs.")
    _parts(call, x, at[0], sizes)


def _parts(call: Call, x: Tensor, axis: int, sizes: list[int], drop: bool = False) -> None:
    """Emit one slice per output, one after the other along an axis."""
    start = 0
    for i, size in enumerate(sizes):
        if call.outputs[i].dtype != x.dtype or call.outputs[i].is_plain != call.output.is_plain:
            raise call.error(f"output {i} is {call.outputs[i].dtype}, the input {x.dtype}; expected one type.")
        check_move(call, x)
        ranges = [range(d) for d in x.shape]
        ranges[axis] = range(start, start + size)
        emit_slice(call, x, ranges, (axis,) if drop else (), i)
        start += size


@translates("UNPACK", (1, 1), "UnpackOptions", (1, 1_000))
def _unpack(call: Call) -> None:
    x, count = call.input(0), len(call.outputs)
    axis = normal_axes(call, [call.options.get("Axis", 0)], len(x.shape))[0]
    if x.shape[axis] != count or call.options.get("Num", count) != count:
        raise call.error(
            f"unpacks dimension {axis} of {list(x.shape)} into {count} outputs, {call.options.get('Num', 0)} by its options."
        )
    _parts(call, x, axis, [1] * count, drop=True)


@translates("PACK", (1, 1000), "PackOptions")
def _pack(call: Call) -> None:
    parts = [call.input(i) for i in range(len(call.operator.inputs))]
    shape = parts[0].shape
    if any(t.shape != shape for t in parts):
        raise call.error(f"stacks shapes {', '.join(str(list(t.shape)) for t in parts[:8])}; expected one shape.")
    axis = normal_axes(call, [call.options.get("Axis", 0)], len(shape) + 1)[0]
    join(call, [call.reshaped(t, (*shape[:axis], 1, *shape[axis:])) for t in parts], axis)


# -- shapes: constants ------------------------------------------------------------------------------------------------------------


@translates("SHAPE", (1, 1), "ShapeOptions")
def _shape(call: Call) -> None:
    _constant(call, np.array(call.input(0).shape, np.int64), ("int32", "int64"))


@translates("RANK", (1, 1), "RankOptions")
def _rank(call: Call) -> None:
    _constant(call, np.array(len(call.input(0).shape)), ("int32", "int64"))


def _constant(call: Call, value: np.ndarray[tuple[int, ...], np.dtype[np.int64]], types: tuple[str, ...]) -> None:
    if call.output.dtype not in types:
        raise call.error(f"makes {call.output.dtype}; expected {' or '.join(types)}.")
    call.constant(value.astype(call.output.dtype))


@translates("BROADCAST_ARGS", (2, 2))
def _broadcast_args(call: Call) -> None:
    a, b = call.numbers(0, "a shape", MAX_RANK), call.numbers(1, "a shape", MAX_RANK)
    size = max(len(a), len(b))
    pairs = list(zip([1] * (size - len(a)) + a, [1] * (size - len(b)) + b, strict=True))
    if any(p != q and 1 not in (p, q) for p, q in pairs):
        raise call.error(f"shapes {a} and {b} cannot be broadcast.")
    _constant(call, np.array([q if p == 1 else p for p, q in pairs], np.int64), ("int32", "int64"))


@translates("RANGE", (3, 3), "RangeOptions")
def _range_of(call: Call) -> None:
    ends = [call.input(i) for i in range(3)]
    if any(t.data is None or t.data.size != 1 or t.dtype != call.output.dtype for t in ends) or call.output.quant is not None:
        raise call.error(
            "counts between numbers that the network computes, or of other types; only constants of one type are supported."
        )
    start, limit, step = (t.data.reshape(-1)[0] for t in ends if t.data is not None)
    if not all(map(np.isfinite, (start, limit, step))) or step == 0:
        raise call.error(f"counts from {start} to {limit} by {step}; expected finite numbers and a step other than 0.")
    count = (
        math.ceil((float(limit) - float(start)) / float(step))
        if start.dtype.kind == "f"
        else -((int(start) - int(limit)) // int(step))
    )
    _bounded(call, (count,))
    with np.errstate(all="ignore"):
        call.constant((np.arange(count).astype(start.dtype) * step + start).astype(start.dtype))


def _bounded(call: Call, shape: Sequence[int]) -> None:
    """Refuse a constant that is empty or large before it is made."""
    if any(d < 1 for d in shape) or math.prod(shape) > 2**24:
        raise call.error(f"makes a constant of shape {list(shape)}; expected 1 to {2**24} elements.")


@translates("FILL", (2, 2), "FillOptions")
def _fill(call: Call) -> None:
    shape, value = call.numbers(0, "the shape", MAX_RANK), call.input(1)
    if value.data is None or value.data.size != 1 or value.dtype != call.output.dtype:
        raise call.error(f"fills with {value.dtype} '{value.name[:80]}'; expected one constant {call.output.dtype}.")
    _bounded(call, shape)
    call.constant(np.full(shape, value.data.reshape(()), value.data.dtype))


@translates("ZEROS_LIKE", (1, 1), "ZerosLikeOptions")
def _zeros_like(call: Call) -> None:
    x = call.input(0)
    if x.dtype != call.output.dtype or x.dtype not in ("float32", "int32", "int64"):
        raise call.error(f"types {x.dtype} -> {call.output.dtype}; expected float32, int32 or int64 on both sides.")
    _bounded(call, x.shape)
    call.constant(np.zeros(x.shape, x.dtype))
