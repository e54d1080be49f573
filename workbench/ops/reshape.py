"""reshape: the same elements in another shape; integers are copied as they are (TFLite reshape.cc).

Constraints: (C1) input and output have the same type, (C2) the sizes fit, -1 only in dimension 0: the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.errors import ModelError
from workbench.ops._elementwise import move_run
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, register


@dataclass(frozen=True)
class ReshapeAttrs:
    """shape: the whole target shape; -1 in dimension 0 is the batch."""

    shape: tuple[int, ...]


def _target(attrs: ReshapeAttrs, shape: Shape) -> Shape:
    if any(d < 0 for d in attrs.shape[1:]) or (attrs.shape and attrs.shape[0] < -1):
        raise ModelError(f"reshape: target {attrs.shape} has a negative size.")
    total, rest = math.prod(shape), math.prod(attrs.shape[1:])
    if not attrs.shape or attrs.shape[0] != -1:
        target = attrs.shape
    elif rest == 0:
        target = (shape[0], *attrs.shape[1:])
    else:
        target = (total // rest, *attrs.shape[1:])
    if math.prod(target) != total:
        raise ModelError(f"reshape: {shape} has {total} elements, the target {attrs.shape} does not.")
    return target


def _infer(attrs: ReshapeAttrs, shapes: list[Shape]) -> list[Shape]:
    return [_target(attrs, shapes[0])]


def _reference(attrs: ReshapeAttrs, args: list[Array]) -> list[Array]:
    return [args[0].reshape(_target(attrs, args[0].shape))]


def _prepare(site: Site) -> Run:
    if site.x.dtype != site.y.dtype:
        raise site.unsupported("input and output must have the same type.")
    attrs, size = site.attrs, math.prod(site.x.shape[1:])
    _infer(attrs, [site.x.shape])
    rest = math.prod(attrs.shape[1:])
    if attrs.shape[:1] == (-1,) and rest and size % rest == 0:  # fits for any number of samples: nothing left to check
        return move_run(site, lambda args: args[0].reshape(attrs.shape))
    return move_run(site, lambda args: _reference(attrs, args)[0])


def _count(attrs: ReshapeAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    return Counts()


RESHAPE = register(
    OpSpec(
        name="reshape", attrs=ReshapeAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=_count,
        output_quant="input", plain=True, summary="another shape of the same elements",
    )
)  # fmt: skip
