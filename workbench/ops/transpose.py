"""transpose: dimensions in another order; integers are copied as they are. Constraints: (C1) a permutation, (C2) one type."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import ModelError
from workbench.ops._elementwise import move_run
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, count_outputs, register


@dataclass(frozen=True)
class TransposeAttrs:
    """perm: output dimension i is input dimension perm[i]."""

    perm: tuple[int, ...]


def _infer(attrs: TransposeAttrs, shapes: list[Shape]) -> list[Shape]:
    if sorted(attrs.perm) != list(range(len(shapes[0]))):
        raise ModelError(f"transpose: {attrs.perm} is not a permutation of the {len(shapes[0])} dimensions of {shapes[0]}.")
    return [tuple(shapes[0][i] for i in attrs.perm)]


def _reference(attrs: TransposeAttrs, args: list[Array]) -> list[Array]:
    _infer(attrs, [args[0].shape])
    return [args[0].transpose(attrs.perm)]


def _prepare(site: Site) -> Run:
    if site.x.dtype != site.y.dtype:
        raise site.unsupported("input and output must have the same type.")
    _infer(site.attrs, [site.x.shape])
    return move_run(site, lambda args: _reference(site.attrs, args)[0])


TRANSPOSE = register(
    OpSpec(
        name="transpose", attrs=TransposeAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs,
        output_quant="input", plain=True, summary="dimensions in another order",
    )
)  # fmt: skip
