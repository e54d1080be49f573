"""What operators work on while a file is read: `Value`, an activation and where each of its ONNX axes is stored, and `Const`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from workbench.graph.ir import Array
from workbench.tensor import QuantParams

Shape = tuple[int, ...]
Layout = tuple[int | None, ...]
HIDDEN = -1
"""Axis of samples that is stored and that ONNX does not have: the file joined the batch, of one sample, with another axis."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Value:
    """An activation.

    key: which stored tensor. shape: as ONNX sees it. layout: stored axis -> ONNX axis, None for a unit axis that ONNX does not have.
    batch: ONNX axis of samples; HIDDEN, which then stands in the layout too; or None.
    """

    key: int
    shape: Shape
    layout: Layout
    batch: int | None = 0

    @property
    def rank(self) -> int:
        """Number of ONNX axes."""
        return len(self.shape)

    def stored(self, axis: int) -> int:
        """Return the stored axis of an ONNX axis."""
        return self.layout.index(axis)

    def per_stored(self, items: Sequence[Item], other: Item) -> tuple[Item, ...]:
        """Return what belongs to each stored axis, given one item per ONNX axis; `other` for axes that ONNX does not have."""
        return tuple(other if axis is None or axis == HIDDEN else items[axis] for axis in self.layout)

    @property
    def samples(self) -> int:
        """Declared number of samples (1 when they are mixed)."""
        return 1 if self.batch is None or self.batch == HIDDEN else self.shape[self.batch]


@dataclass(frozen=True, eq=False)
class Const:
    """A constant, in ONNX's own axes. name: the ONNX tensor.

    quant, dtype: of integers with scales (one, or one per output channel of a layer) and their type in the graph.
    """

    name: str
    array: Array
    quant: QuantParams | None = None
    dtype: str = ""


def first(axis: int, rank: int) -> Layout:
    """Return the layout that stores one axis (which may be HIDDEN) first and the others in order."""
    return (axis, *(a for a in range(rank) if a != axis))


def identity(rank: int) -> Layout:
    """Return the layout that stores what ONNX says."""
    return tuple(range(rank))


def channels_last(rank: int) -> Layout:
    """Return the layout of convolutions and pools: [N, H, W, C]; one spatial axis is stored as [N, 1, W, C]."""
    return (0, None, 2, 1) if rank == 3 else (0, 2, 3, 1)
