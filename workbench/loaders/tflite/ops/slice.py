"""Translators of slices and of the arithmetic of shapes.

Networks exported with a free batch compute shapes as they run (SHAPE, STRIDED_SLICE, PACK, RESHAPE); with the declared shape
all of that is constant, and only the RESHAPE remains.
"""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.ops.moves import check_move, normal_axes
from workbench.loaders.tflite.tensor import MAX_RANK
from workbench.ops.strided_slice import StridedSliceAttrs

_STORED = ("float32", "int8", "int16", "int32", "int64")


@translates("STRIDED_SLICE", (4, 4), "StridedSliceOptions")
def _strided_slice(call: Call) -> None:
    x = call.input(0)
    check_move(call, x)
    if call.options.get("EllipsisMask") or call.options.get("NewAxisMask"):
        raise call.error(
            "uses an ellipsis or a new axis, which is not supported.\nWrite the slice with one entry per dimension."
        )
    ranges, shrink = _ranges(call, x)
    if x.is_constant:
        assert x.data is not None
        index = tuple(
            r.start if i in shrink else slice(r.start, r.stop if r.stop >= 0 else None, r.step) for i, r in enumerate(ranges)
        )
        call.constant(np.array(x.data[index]), quant=x.quant)
        return
    whole = len(ranges[0]) == x.shape[0] and (ranges[0].step == 1 or x.shape[0] == 1) and ranges[0].start == 0
    begin = [0 if i == 0 and whole else r.start for i, r in enumerate(ranges)]
    end = [None if (i == 0 and whole) or r.stop < 0 else r.stop for i, r in enumerate(ranges)]
    strides = [1 if i == 0 and whole else r.step for i, r in enumerate(ranges)]
    if 0 not in shrink:
        call.emit("strided_slice", [x], StridedSliceAttrs(tuple(begin), tuple(end), tuple(strides), shrink), mixes=not whole)
        return
    raise call.error("takes one sample out of the batch (dimension 0 is dropped), which is not supported.")


def _ranges(call: Call, x: Tensor) -> tuple[list[range], tuple[int, ...]]:
    """Return what each dimension keeps, and which are dropped: masks, negative numbers and sizes beyond the end resolved.

    Source: TFLite reference/strided_slice.h, StridedSliceParams; dimensions that are not named are kept whole.
    """
    begins, ends, strides = (call.numbers(i, what, MAX_RANK) for i, what in ((1, "begin"), (2, "end"), (3, "strides")))
    if not len(begins) == len(ends) == len(strides) <= len(x.shape):
        raise call.error(f"begin {begins}, end {ends} and strides {strides} do not fit {len(x.shape)} dimensions.")
    masks = {name: int(call.options.get(name, 0)) for name in ("BeginMask", "EndMask", "ShrinkAxisMask")}
    found: list[range] = []
    for i, size in enumerate(x.shape):
        if i >= len(begins):
            found.append(range(size))
            continue
        begin, end, stride = begins[i], ends[i], strides[i]
        shrinks = bool(masks["ShrinkAxisMask"] >> i & 1)
        if stride == 0 or (shrinks and stride < 0):
            raise call.error(
                f"stride {stride} of dimension {i}: expected {'> 0 where the dimension is dropped' if shrinks else 'not 0'}."
            )
        low, high = (0, size) if stride > 0 else (-1, size - 1)
        start = (low if stride > 0 else high) if masks["BeginMask"] >> i & 1 else _clamped(begin, size, low, high)
        if call.options.get("Offset", False):
            end += start
        stop = (high if stride > 0 else low) if masks["EndMask"] >> i & 1 else _clamped(end, size, low, high)
        if shrinks:
            stop = start + 1
        kept = range(start, stop, stride)
        if not kept or not 0 <= start < size:
            raise call.error(f"keeps nothing of dimension {i}: ({begin}, {end}, {stride}) of size {size}.")
        found.append(kept)
    return found, tuple(i for i in range(len(begins)) if masks["ShrinkAxisMask"] >> i & 1)


def _clamped(value: int, size: int, low: int, high: int) -> int:
    return min(max(value + size if value < 0 else value, low), high)


@translates("SHAPE", (1, 1), "ShapeOptions")
def _shape(call: Call) -> None:
    if call.output.dtype not in ("int32", "int64"):
        raise call.error(f"makes {call.output.dtype}; expected int32 or int64.")
    call.constant(np.array(call.input(0).shape, call.output.dtype))


@translates("PACK", (1, 1000), "PackOptions")
def _pack(call: Call) -> None:
    parts = [call.input(i) for i in range(len(call.operator.inputs))]
    arrays = [t.data for t in parts if t.data is not None and t.dtype in _STORED]
    if len(arrays) < len(parts) or len({(a.shape, a.dtype) for a in arrays}) > 1 or parts[0].dtype != call.output.dtype:
        raise call.error("stacks activations, or constants that do not fit; only shapes (constants) can be stacked.")
    axis = normal_axes(call, [call.options.get("Axis", 0)], arrays[0].ndim + 1)[0]
    call.constant(np.stack(arrays, axis), quant=parts[0].quant)
