"""gather_nd: slices of `params` at index vectors; elements are copied as they are.

y[b..., i..., rest...] = params[b..., indices[b..., i..., 0], ..., indices[b..., i..., k - 1], rest...]
Source: TFLite gather_nd.cc, ONNX GatherND. Constraints: (C1) k + batch_dims <= dimensions of params, the first batch_dims dimensions
agree, (C2) every index is inside of its dimension: checked for every batch, InputError otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.ops._moves import checked_indices, copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class GatherNdAttrs:
    """batch_dims: leading dimensions that both share. from_end: negative indices count back."""

    batch_dims: int = 0
    from_end: bool = True


def _shape(attrs: GatherNdAttrs, params: Shape, indices: Shape) -> Shape:
    b = attrs.batch_dims
    if not 0 <= b < len(indices) or params[:b] != indices[:b] or not 1 <= indices[-1] <= len(params) - b:
        raise ModelError(f"gather_nd: indices {indices} do not fit {params} with {b} batch dimensions.")
    return (*indices[:-1], *params[b + indices[-1] :])


def _infer(attrs: GatherNdAttrs, shapes: list[Shape]) -> list[Shape]:
    return [_shape(attrs, *shapes)]


def _reference(attrs: GatherNdAttrs, args: list[Array]) -> list[Array]:
    params, indices = args
    if indices.dtype.kind not in "iu":
        raise InputError(f"gather_nd: indices of type {indices.dtype}; expected integers.")
    _shape(attrs, params.shape, indices.shape)
    b, lead = attrs.batch_dims, indices.shape[:-1]
    batch = [np.arange(d).reshape(-1, *(1,) * (len(lead) - i - 1)) for i, d in enumerate(params.shape[:b])]
    at = [checked_indices(indices[..., k], params.shape[b + k], attrs.from_end, "gather_nd") for k in range(indices.shape[-1])]
    return [params[(*batch, *at)]]


GATHER_ND = register(
    OpSpec(
        name="gather_nd", attrs=GatherNdAttrs, infer_shape=_infer, reference=_reference, prepare=copying(_infer, _reference),
        count=count_outputs, output_quant="input", plain=True, summary="slices at index vectors",
    )
)  # fmt: skip
