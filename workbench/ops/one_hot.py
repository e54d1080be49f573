"""one_hot: `on` at the position that an index names along a new axis, `off` elsewhere; elements are copied as they are.

Source: TFLite one_hot.cc (an index outside of [0, depth) gives a row of `off`), ONNX OneHot (negative ones count from the end).
Constraints: (C1) on and off are one element each, of the output's type, (C2) depth >= 1, the axis is not the batch's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.ops._elementwise import normal_axis
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class OneHotAttrs:
    """depth: size of the new dimension. axis: where it comes (negative: from the end of the output). from_end: negative count back."""

    depth: int
    axis: int = -1
    from_end: bool = True


def _infer(attrs: OneHotAttrs, shapes: list[Shape]) -> list[Shape]:
    indices = shapes[0]
    axis = normal_axis(attrs.axis, len(indices) + 1, "one_hot")
    if attrs.depth < 1 or any(int(np.prod(s, dtype=np.int64)) != 1 for s in shapes[1:]):
        raise ModelError(f"one_hot: depth {attrs.depth}, on and off {shapes[1:]}; expected depth >= 1 and one element each.")
    return [(*indices[:axis], attrs.depth, *indices[axis:])]


def _reference(attrs: OneHotAttrs, args: list[Array]) -> list[Array]:
    indices, on, off = args
    if indices.dtype.kind not in "iuf":
        raise InputError(f"one_hot: indices of type {indices.dtype}; expected integers.")
    axis = attrs.axis % (indices.ndim + 1)
    at = indices.astype(np.int64)
    if attrs.from_end:
        at = np.where(at < 0, at + attrs.depth, at)
    shape = [1] * (indices.ndim + 1)
    shape[axis] = attrs.depth
    hot = np.expand_dims(at, axis) == np.arange(attrs.depth).reshape(shape)
    return [np.where(hot, on.reshape(()), off.reshape(()))]


ONE_HOT = register(
    OpSpec(
        name="one_hot", attrs=OneHotAttrs, infer_shape=_infer, reference=_reference, prepare=copying(_infer, _reference, (1, 2)),
        count=count_outputs, output_quant="shared", plain=True, summary="one value at an index, another elsewhere",
    )
)  # fmt: skip
