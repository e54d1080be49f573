"""reverse: the elements of some dimensions in the opposite order (TFLite REVERSE_V2). Constraints: (C1) every axis once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._elementwise import normal_axis
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class ReverseAttrs:
    """axes: the dimensions to turn around."""

    axes: tuple[int, ...]


def _infer(attrs: ReverseAttrs, shapes: list[Shape]) -> list[Shape]:
    axes = [normal_axis(a, len(shapes[0]), "reverse") for a in attrs.axes]
    if len(set(axes)) < len(axes):
        raise ModelError(f"reverse: axes {attrs.axes} of {len(shapes[0])} dimensions name one twice.")
    return [shapes[0]]


def _reference(attrs: ReverseAttrs, args: list[Array]) -> list[Array]:
    return [np.flip(args[0], attrs.axes)]


REVERSE = register(
    OpSpec(
        name="reverse", attrs=ReverseAttrs, infer_shape=_infer, reference=_reference, prepare=copying(_infer, _reference),
        count=count_outputs, output_quant="input", plain=True, summary="dimensions in the opposite order",
    )
)  # fmt: skip
