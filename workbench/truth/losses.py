"""Losses of many plans on many samples in one or two bytes each.

The outputs of an integer network are few numbers (an int8 softmax has 256), hence so are its losses: a table of *levels* and a number
per loss keep them exactly. Where there are more than 65,536 different ones, levels are spread evenly in the logarithm: with 12 decades
between the smallest and the largest, a loss is then off by at most 0.021 % of itself. Means are kept apart, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

MOST_LEVELS = 65536
"""What two bytes tell apart."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Losses [P, N] as positions (uint8 or uint16) in `levels` (float64, ascending). exact: nothing was rounded."""

    codes: npt.NDArray[np.unsignedinteger[Any]]
    levels: F64
    exact: bool

    def values(self, rows: Indices | slice, samples: Indices | None = None) -> F64:
        """Return the losses of some plans on all samples, or on those given: float64 [P', n]."""
        codes = self.codes[rows]
        return np.asarray(self.levels[codes if samples is None else codes[:, samples]])

    def take(self, rows: Indices) -> Losses:
        """Return the losses of some plans."""
        return replace(self, codes=self.codes[rows])


def find_levels(blocks: Iterable[F64]) -> tuple[F64, bool]:
    """Return the levels of losses that come in blocks, and whether they are all the values there are."""
    distinct = np.empty(0)
    low, high = np.inf, 0.0
    for block in blocks:
        if len(distinct) <= MOST_LEVELS:
            distinct = np.union1d(distinct, block)
        usable = block[(block > 0.0) & np.isfinite(block)]
        low, high = min(low, usable.min(initial=np.inf)), max(high, usable.max(initial=0.0))
    if len(distinct) <= MOST_LEVELS:
        return distinct, True
    return np.concatenate(([0.0], np.geomspace(low, high, MOST_LEVELS - 3), [np.inf, np.nan])), False


def encode(values: F64, levels: F64, exact: bool) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Return the position of the level of every value: its own, or the nearest in the logarithm (nothing below 0 occurs)."""
    kind = np.uint8 if len(levels) <= 256 else np.uint16
    if exact:
        return np.searchsorted(levels, values).astype(kind)  # NaN is sorted last, by both
    low, high = np.log(levels[1]), np.log(levels[-3])
    inside = (values > 0.0) & np.isfinite(values)
    steps = (np.log(np.where(inside, values, levels[1])) - low) * ((len(levels) - 4) / (high - low))
    found = np.where(inside, 1.0 + np.rint(steps), 0.0)
    found[np.isposinf(values)], found[np.isnan(values)] = len(levels) - 2, len(levels) - 1
    return found.astype(kind)
