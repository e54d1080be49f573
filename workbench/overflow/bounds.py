"""What the sums of a layer can reach, exactly: integers from the weights, the bias, the zero point and the range of the input.

A sum is an extreme when every activation takes the end of its range that its weight asks for; the activations of one window are
different elements, so that all of them can. Bounds are therefore not estimates: some input reaches each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from workbench.kernels.gemm import RUNNING, TILES
from workbench.overflow.layer import Layer, Sums

I64 = npt.NDArray[np.int64]
ELEMENTS = 1 << 20
"""Products that are looked at at a time."""


def bits_for(low: int, high: int) -> int:
    """Return the fewest bits of a signed integer that holds low and high."""
    return max((max(high, -low - 1)).bit_length() + 1, 1)


@dataclass(frozen=True, eq=False)
class Bounds:
    """Smallest and largest of the sums, per output channel, and the padding pattern of each (an index)."""

    sums: Sums
    low: tuple[int, ...]
    high: tuple[int, ...]
    low_pattern: tuple[int, ...]
    high_pattern: tuple[int, ...]

    @cached_property
    def overflowing(self) -> list[int]:
        """The channels that can overflow, those that go farthest first."""
        reach = [max(high + 1, -low) for low, high in zip(self.low, self.high, strict=True)]
        order = sorted(range(len(reach)), key=lambda c: -reach[c])
        return [c for c in order if reach[c] > self.sums.limits[1] + 1]

    @property
    def needs_bits(self) -> int:
        """Width that all channels fit."""
        return bits_for(min(self.low), max(self.high))

    @property
    def headroom_bits(self) -> int:
        """How many bits narrower the register could be (negative: how many are missing)."""
        return self.sums.bits - self.needs_bits

    @property
    def proof(self) -> bool:
        """True when nothing can overflow."""
        return self.headroom_bits >= 0


def bounds_of(layer: Layer, sums: Sums) -> Bounds:
    """Return what some sums of a layer can reach."""
    channels = len(layer.bias)
    step = max(1, ELEMENTS // max(layer.depth, 1))
    ends: list[list[tuple[int, int, int, int]]] = []
    for i, pattern in enumerate(layer.patterns):
        rows = []
        for first in range(0, channels, step):
            least, most = product_ends(layer, sums, pattern, slice(first, first + step))
            reached = _reached(sums, least, most)
            for low, high, start in zip(*(e.tolist() for e in reached), layer.bias[first : first + step], strict=True):
                bias = 0 if sums.kind == TILES else start
                rows.append((low + bias, high + bias, i, i))
        ends.append(rows)
    best = [_wider(options) for options in zip(*ends, strict=True)]
    low, high, low_pattern, high_pattern = zip(*best, strict=True)
    return Bounds(sums, low, high, low_pattern, high_pattern)


def _wider(options: tuple[tuple[int, int, int, int], ...]) -> tuple[int, int, int, int]:
    low, high = min(options, key=lambda o: o[0]), max(options, key=lambda o: o[1])
    return low[0], high[1], low[2], high[3]


def product_ends(layer: Layer, sums: Sums, pattern: npt.NDArray[np.bool_], channels: slice) -> tuple[I64, I64]:
    """Return the smallest and the largest value of every product, int64 [channels, K]; padding holds the zero point."""
    z = layer.zero_point - sums.shift
    ends = [np.where(pattern, end - sums.shift, z) for end in layer.x]
    if layer.w is None:
        other = [end - right_zero_point(layer) for end in layer.y]
        corners = np.stack([e * o for e in ends for o in other])[:, None]
        return corners.min(axis=0), corners.max(axis=0)
    both = [e * layer.w[channels] for e in ends]
    return np.minimum(*both), np.maximum(*both)


def right_zero_point(layer: Layer) -> int:
    """Return the zero point of the second operand of a matrix product of activations."""
    quant = layer.site.input(1).quant
    assert quant is not None
    return quant.scalar[1]


def tile_sums(products: I64, tile: int) -> I64:
    """Return the sums of every `tile` products [..., K] -> [..., ceil(K / tile)]."""
    return np.asarray(np.add.reduceat(products, np.arange(0, products.shape[-1], tile), axis=-1))


def _reached(sums: Sums, least: I64, most: I64) -> tuple[I64, I64]:
    """Return the smallest and largest sums without the bias, int64 [channels]."""
    low, high = tile_sums(least, sums.tile), tile_sums(most, sums.tile)
    if sums.kind == TILES:
        return low.min(axis=-1), high.max(axis=-1)
    if sums.kind == RUNNING:  # the register holds the bias first
        return np.minimum(low.cumsum(axis=-1).min(axis=-1), 0), np.maximum(high.cumsum(axis=-1).max(axis=-1), 0)
    return low.sum(axis=-1), high.sum(axis=-1)
