"""dilate: a value filled in between the elements of every dimension (TFLite DILATE, StableHLO interior padding).

y[i * step] = x[i], the value elsewhere; size (d - 1) * step + 1. Elements are copied as they are.
Constraints: (C1) one step >= 1 per dimension, 1 for the batch keeps samples apart, (C2) the value is one element of the same type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class DilateAttrs:
    """steps: distance of neighbours afterwards, per dimension."""

    steps: tuple[int, ...]


def _infer(attrs: DilateAttrs, shapes: list[Shape]) -> list[Shape]:
    x, value = shapes
    if len(attrs.steps) != len(x) or any(s < 1 for s in attrs.steps) or any(d != 1 for d in value):
        raise ModelError(f"dilate: steps {attrs.steps} and a value {value} do not fit {x}: one step >= 1 each, one element.")
    return [tuple(max(d - 1, 0) * s + 1 if s > 1 else d for d, s in zip(x, attrs.steps, strict=True))]


def _reference(attrs: DilateAttrs, args: list[Array]) -> list[Array]:
    x, value = args
    y = np.full(_infer(attrs, [x.shape, value.shape])[0], value.reshape(()), x.dtype)
    y[tuple(slice(None, None, s) for s in attrs.steps)] = x
    return [y]


DILATE = register(
    OpSpec(
        name="dilate", attrs=DilateAttrs, infer_shape=_infer, reference=_reference, prepare=copying(_infer, _reference, (0, 1)),
        count=count_outputs, output_quant="shared", plain=True, summary="a value filled in between elements",
    )
)  # fmt: skip
