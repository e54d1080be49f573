"""Integer matrix products that `kernels/linear` does not have: two int16 operands in int64, exotic accumulators, and what sums reach.

acc[m, n] = sum over k of a[m, k] * b[n, k]. Arrays in, arrays out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.int32 import mul32
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]

FINAL, RUNNING, TILES = range(3)
"""Which sums `sum_ends` looks at."""
NOTHING = 2**62
"""No sum is as large: smaller and larger than it say that nothing was seen."""


@kernel
def gemm_s64(a: Array, b: Array, block: int, acc: Array) -> None:
    """Multiply int16 by int16 into int64, exactly: int32 sums of `block` products at a time, then int64.

    a: int16 [M, K], b: int16 [N, K], acc: int64 [M, N] (overwritten). block: products whose sum cannot leave int32:
    256 when b holds 8-bit values (256 * 2**15 * 2**7 = 2**30), 1 for two full int16 operands.
    """
    columns = a.shape[1]
    for m in range(a.shape[0]):
        for n in range(b.shape[0]):
            total = np.int64(0)
            for start in range(0, columns, block):
                left = a[m, start : start + block]  # slices from 0 on: the inner loop then vectorizes
                right = b[n, start : start + block]
                part = np.int32(0)
                for k in range(left.size):
                    part = np.int32(part + np.int32(left[k]) * np.int32(right[k]))
                total += np.int64(part)
            acc[m, n] = total


@kernel
def gemm_narrow(a: Array, b: Array, start: Array, tile: int, low: int, high: int, acc: Array) -> None:
    """Multiply int16 by int16 into an accumulator that saturates to [low, high] after every `tile` products.

    a: int16 [M, K], b: int16 [K, N] (columns are neighbours: they fill the vectors), start: int64 [N] (the bias, first in the
    accumulator), tile >= 1, acc: int64 [M, N] (overwritten). Products are added in the order of k, which is part of the result; those
    of one tile are summed exactly, at most 2**63.
    """
    part = np.empty(start.size, np.int64)
    for m in range(a.shape[0]):
        total = acc[m]
        for n in range(start.size):
            total[n] = min(max(start[n], low), high)
        for first in range(0, a.shape[1], tile):
            if tile == 1:
                x, row = a[m, first], b[first]
                for n in range(start.size):
                    total[n] = min(max(total[n] + np.int64(mul32(x, row[n])), low), high)
                continue
            part[:] = 0
            for k in range(first, min(first + tile, a.shape[1])):
                x, row = a[m, k], b[k]
                for n in range(start.size):
                    part[n] += np.int64(mul32(x, row[n]))
            for n in range(start.size):
                total[n] = min(max(total[n] + part[n], low), high)


@kernel
def sum_ends(a: Array, b: Array, start: Array, tile: int, kind: int, limits: tuple[int, int], ends: Array) -> int:
    """Return how many of the M x N sums leave [low, high] = limits somewhere, and widen `ends` to what was seen; nothing saturates.

    a, b, start, tile: as in `gemm_narrow`. kind: FINAL = the whole sums, RUNNING = the start and the sums after every tile,
    TILES = the sum of every tile by itself, without the start. ends: int64 [2], smallest and largest, in and out.
    """
    low, high = limits
    size = start.size
    total, part = np.empty(size, np.int64), np.empty(size, np.int64)
    least, most = np.empty(size, np.int64), np.empty(size, np.int64)
    beyond = 0
    for m in range(a.shape[0]):
        for n in range(size):
            total[n] = start[n]
            least[n] = start[n] if kind == RUNNING else NOTHING
            most[n] = start[n] if kind == RUNNING else -NOTHING
        for first in range(0, a.shape[1], tile):
            part[:] = 0
            for k in range(first, min(first + tile, a.shape[1])):
                x, row = a[m, k], b[k]
                for n in range(size):
                    part[n] += np.int64(mul32(x, row[n]))
            if kind == TILES:
                total[:] = 0
            for n in range(size):
                total[n] += part[n]
            if kind != FINAL:
                for n in range(size):
                    least[n], most[n] = min(least[n], total[n]), max(most[n], total[n])
        if kind == FINAL:
            least[:] = total
            most[:] = total
        for n in range(size):
            beyond += least[n] < low or most[n] > high
            ends[0], ends[1] = min(ends[0], least[n]), max(ends[1], most[n])
    return beyond
