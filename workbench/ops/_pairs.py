"""int8 operators of two inputs as a table over all pairs of values, with a line where one fits: see `kernels/pairs.py`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from workbench.kernels.pairs import BLOCK, Line, pair_guarded, pair_line, pair_table
from workbench.ops._broadcast import Compute
from workbench.ops.base import Array

CODES = np.arange(65536)
PAIR_A, PAIR_B = (CODES >> 8).astype(np.uint8).view(np.int8), CODES.astype(np.uint8).view(np.int8)
"""Both values of every pair, in the order of the table."""
LEAST_SHIFT = 12
"""Fewer fraction bits than this leave more pairs near a tie than the line is worth."""
INFLATION = (0.0, 2.0**-20)
"""Factors (less one) of both slopes that are tried: the second makes ties go away from zero, as the sign of the sum says."""
MOST = 65536 // (4 * BLOCK)
"""Pairs that the window may hold: a block of random pairs is then looked up once in four times at most."""


_TABLES: WeakValueDictionary[bytes, npt.NDArray[np.int8]] = WeakValueDictionary()
"""By content, while some operator reads them: layers and plans with the same parameters share 64 KiB."""


def tabulate(exact: Compute) -> npt.NDArray[np.int8]:
    """Return the table of a function of two int8 values."""
    table = np.empty(65536, np.int8)
    exact(PAIR_A, PAIR_B, table)
    return _TABLES.setdefault(hashlib.sha256(table.tobytes()).digest(), table)


def fit_line(
    table: npt.NDArray[np.int8], ratios: Sequence[float], zeros: Sequence[int], zero: int, limits: tuple[int, int]
) -> Line | None:
    """Return the line through (a - zeros[0]) * ratios[0] + (b - zeros[1]) * ratios[1] + zero with its window, or None.

    limits: (q_min, q_max) of the table. None: the window would hold too many pairs, or the ratios too large for 32 bits.
    """
    reach = 1.0 + sum(abs(r) * max(z + 128, 127 - z) for r, z in zip(ratios, zeros, strict=True))
    shift = min(30, math.floor(30.99 - math.log2(reach)))
    if shift < LEAST_SHIFT:
        return None
    low, high = limits[0] - zero, limits[1] - zero
    best: Line | None = None
    fewest = MOST + 1
    for inflation in INFLATION:
        ma, mb = (round(r * 2.0**shift * (1.0 + inflation)) for r in ratios)
        bias = (1 << (shift - 1)) - ma * zeros[0] - mb * zeros[1]
        total = PAIR_A * np.int32(ma) + PAIR_B * np.int32(mb) + np.int32(bias)
        wrong = np.clip(total >> shift, low, high) + zero != table
        if not wrong.any():
            return ma, mb, bias, shift, zero, low, high, 0, 0
        # Fractions as signed numbers: those of wrong pairs lie around a tie, where the sum passes an integer.
        fraction = (total[wrong] << (32 - shift)) >> (32 - shift)
        first, last = int(fraction.min()), int(fraction.max())
        width = last - first + 1
        inside = int(np.count_nonzero(((total - np.int32(first)) & np.int32((1 << shift) - 1)) < width))
        if inside < fewest:
            best, fewest = (ma, mb, bias, shift, zero, low, high, -first, width), inside
    return best


def pair_compute(table: npt.NDArray[np.int8], line: Line | None) -> Compute:
    """Return the fastest computation of the table."""
    if line is None:
        return lambda a, b, y: pair_table(a, b, table, y)
    if line[8] == 0:
        return lambda a, b, y: pair_line(a, b, line, y)

    def compute(a: Array, b: Array, y: Array) -> None:
        pair_guarded(a, b, line, table, y)

    return compute
