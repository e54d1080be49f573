"""broadcast_to: dimensions of one element repeated to a shape (TFLite BROADCAST_TO, ONNX Expand).

Constraints: (C1) every dimension, counted from the last, is 1 or the target's, (C2) -1 only in dimension 0: the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class BroadcastToAttrs:
    """shape: the whole target shape; -1 in dimension 0 is the batch of the input."""

    shape: tuple[int, ...]


def _target(attrs: BroadcastToAttrs, shape: Shape) -> Shape:
    target = attrs.shape
    if target[:1] == (-1,) and len(shape) == len(target):
        target = (shape[0], *target[1:])
    fits = len(shape) <= len(target) and all(a in (1, b) for a, b in zip(shape[::-1], target[::-1], strict=False))
    if not fits or any(d < 0 for d in target):
        raise ModelError(f"broadcast_to: {shape} does not spread to {attrs.shape}.")
    return target


def _infer(attrs: BroadcastToAttrs, shapes: list[Shape]) -> list[Shape]:
    return [_target(attrs, shapes[0])]


def _reference(attrs: BroadcastToAttrs, args: list[Array]) -> list[Array]:
    return [np.broadcast_to(args[0], _target(attrs, args[0].shape))]


BROADCAST_TO = register(
    OpSpec(
        name="broadcast_to", attrs=BroadcastToAttrs, infer_shape=_infer, reference=_reference,
        prepare=copying(_infer, _reference), count=count_outputs, output_quant="input", plain=True,
        summary="dimensions of one element repeated",
    )
)  # fmt: skip
