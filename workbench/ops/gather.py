"""gather: rows of `params` along an axis, chosen by integers; elements are copied as they are.

y[b..., outer..., i..., inner...] = params[b..., outer..., indices[b..., i...], inner...]
Source: TFLite gather.cc, ONNX Gather. Constraints: (C1) batch_dims <= axis, the first batch_dims dimensions agree, (C2) every index
is inside of the dimension: checked for every batch, InputError otherwise (the runtimes refuse it too).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.ops._elementwise import normal_axis
from workbench.ops._moves import checked_indices, copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class GatherAttrs:
    """axis: of params (negative: from the end). batch_dims: leading dimensions of both. from_end: negative indices count back."""

    axis: int
    batch_dims: int = 0
    from_end: bool = True


def _shape(attrs: GatherAttrs, params: Shape, indices: Shape) -> Shape:
    axis, b = normal_axis(attrs.axis, len(params), "gather"), attrs.batch_dims
    if not 0 <= b <= min(axis, len(indices)) or params[:b] != indices[:b]:
        raise ModelError(f"gather: {b} batch dimensions do not fit shapes {params} and {indices} along axis {axis}.")
    return (*params[:axis], *indices[b:], *params[axis + 1 :])


def _infer(attrs: GatherAttrs, shapes: list[Shape]) -> list[Shape]:
    return [_shape(attrs, *shapes)]


def _reference(attrs: GatherAttrs, args: list[Array]) -> list[Array]:
    params, indices = args
    if indices.dtype.kind not in "iu":
        raise InputError(f"gather: indices of type {indices.dtype}; expected integers.")
    shape = _shape(attrs, params.shape, indices.shape)
    axis, b = attrs.axis % params.ndim, attrs.batch_dims
    at = checked_indices(indices, params.shape[axis], attrs.from_end, "gather")
    if b == 0:
        return [np.take(params, at, axis)]
    batch, inner = math.prod(params.shape[:b]), math.prod(params.shape[axis + 1 :])
    outer = math.prod(params.shape[b:axis])
    rows = params.reshape(batch, outer, params.shape[axis], inner)
    picked = rows[np.arange(batch)[:, None], :, at.reshape(batch, -1)]  # [batch, indices, outer, inner]
    return [picked.transpose(0, 2, 1, 3).reshape(shape)]


GATHER = register(
    OpSpec(
        name="gather", attrs=GatherAttrs, infer_shape=_infer, reference=_reference, prepare=copying(_infer, _reference),
        count=count_outputs, output_quant="input", plain=True, summary="rows chosen by indices",
    )
)  # fmt: skip
