"""dynamic_update_slice: `update` written over `x` from `start` on; elements are copied as they are.

A start that would go over the edge is moved inside: clamp(start, 0, size of x - size of update), as TFLite and XLA do.
Source: TFLite dynamic_update_slice.cc. Constraints: (C1) equal ranks, the update is not larger, one start per dimension.
"""

from __future__ import annotations

import numpy as np

from workbench.errors import ModelError
from workbench.ops._moves import copying
from workbench.ops.base import Array, NoAttrs, OpSpec, Shape, count_outputs, register


def _infer(attrs: NoAttrs, shapes: list[Shape]) -> list[Shape]:
    x, update, start = shapes
    if len(update) != len(x) or start != (len(x),) or any(u > d for u, d in zip(update, x, strict=True)):
        raise ModelError(f"dynamic_update_slice: an update {update} at {start} numbers does not fit {x}.")
    return [x]


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    x, update, start = args
    _infer(attrs, [x.shape, update.shape, start.shape])
    at = [min(max(int(s), 0), d - u) for s, d, u in zip(start, x.shape, update.shape, strict=True)]
    y = np.array(x)
    y[tuple(slice(s, s + u) for s, u in zip(at, update.shape, strict=True))] = update
    return [y]


DYNAMIC_UPDATE_SLICE = register(
    OpSpec(
        name="dynamic_update_slice", attrs=NoAttrs, infer_shape=_infer, reference=_reference,
        prepare=copying(_infer, _reference, (0, 1)), count=count_outputs, output_quant="shared", plain=True,
        summary="a block written over a tensor",
    )
)  # fmt: skip
