"""tile: the whole tensor repeated along every dimension (TFLite TILE, ONNX Tile). Constraints: (C1) one repeat >= 1 per dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class TileAttrs:
    """repeats: how often, per dimension; 1 for the batch keeps samples apart."""

    repeats: tuple[int, ...]


def _infer(attrs: TileAttrs, shapes: list[Shape]) -> list[Shape]:
    if len(attrs.repeats) != len(shapes[0]) or any(r < 1 for r in attrs.repeats):
        raise ModelError(f"tile: repeats {attrs.repeats} do not fit a shape {shapes[0]}: one >= 1 per dimension.")
    return [tuple(d * r for d, r in zip(shapes[0], attrs.repeats, strict=True))]


def _reference(attrs: TileAttrs, args: list[Array]) -> list[Array]:
    return [np.tile(args[0], attrs.repeats)]


TILE = register(
    OpSpec(
        name="tile", attrs=TileAttrs, infer_shape=_infer, reference=_reference, prepare=copying(_infer, _reference),
        count=count_outputs, output_quant="input", plain=True, summary="the tensor repeated",
    )
)  # fmt: skip
