"""strided_slice: x[begin:end:stride] in every dimension; integers are copied as they are.

begin, end and strides are already resolved by the loader (no masks); dimension 0 is the whole batch, (0, None, 1).
Constraints: (C1) one entry per dimension, stride != 0, (C2) begin inside of the dimension, end in [-1, size] or None (= to the
end in the direction of the stride), (C3) shrunk axes have exactly one element; dropping dimension 0 takes one sample out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._elementwise import move_run
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, count_outputs, register


@dataclass(frozen=True)
class StridedSliceAttrs:
    """One entry per dimension. end: None (or -1 with a negative stride) runs to the end. shrink_axes: dropped afterwards."""

    begin: tuple[int, ...]
    end: tuple[int | None, ...]
    strides: tuple[int, ...]
    shrink_axes: tuple[int, ...] = ()


def _slices(attrs: StridedSliceAttrs, shape: Shape) -> tuple[slice | int, ...]:
    rank = len(shape)
    if not len(attrs.begin) == len(attrs.end) == len(attrs.strides) == rank or not all(
        0 <= a < rank for a in attrs.shrink_axes
    ):
        raise ModelError(f"strided_slice: {attrs} does not fit the shape {shape}: one entry per dimension.")
    found: list[slice | int] = []
    for i, (size, begin, end, stride) in enumerate(zip(shape, attrs.begin, attrs.end, attrs.strides, strict=True)):
        if stride == 0 or not (0 <= begin < max(size, 1)) or (end is not None and not -1 <= end <= size):
            raise ModelError(f"strided_slice: dimension {i}: ({begin}, {end}, {stride}) is outside of size {size}.")
        stop = None if end == -1 and stride < 0 else end
        part = slice(begin, stop, stride)
        if i in attrs.shrink_axes:
            if len(range(*part.indices(size))) != 1:
                raise ModelError(f"strided_slice: axis {i} cannot be dropped: ({begin}, {end}, {stride}) is not one element.")
            found.append(begin)
        else:
            found.append(part)
    return tuple(found)


def _infer(attrs: StridedSliceAttrs, shapes: list[Shape]) -> list[Shape]:
    slices = _slices(attrs, shapes[0])
    sizes = zip(shapes[0], slices, strict=True)
    return [tuple(len(range(*s.indices(size))) for size, s in sizes if isinstance(s, slice))]


def _reference(attrs: StridedSliceAttrs, args: list[Array]) -> list[Array]:
    return [args[0][_slices(attrs, args[0].shape)]]


def _prepare(site: Site) -> Run:
    if site.x.dtype != site.y.dtype:
        raise site.unsupported("input and output must have the same type.")
    _infer(site.attrs, [site.x.shape])
    return move_run(site, lambda args: np.array(_reference(site.attrs, args)[0]))  # a view would keep all of x alive


STRIDED_SLICE = register(
    OpSpec(
        name="strided_slice", attrs=StridedSliceAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare,
        count=count_outputs, output_quant="input", plain=True, summary="begin:end:stride in every dimension",
    )
)  # fmt: skip
