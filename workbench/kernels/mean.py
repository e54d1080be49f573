"""Sums over the middle axis of a [outer, n, inner] array, exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.int32 import Int32, add32
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]

LONG = 256
"""Elements that one vector loop shall have at least: short rows are added several at a time."""


@inline
def add_row(x: Array, acc: Array) -> None:
    """acc += x, wrapping. x: int8, int16 or int32 [C]. acc: int32 [C]."""
    for i in range(acc.size):
        acc[i] = add32(acc[i], x[i])


@kernel
def sum_middle(x: Array, out: Array) -> None:
    """out[o, i] = sum over n of x[o, n, i], wrapped to int32. x: int8 or int16, contiguous. out: int32, zeroed by this kernel."""
    outer, n, inner = x.shape
    if inner == 1:
        for o in range(outer):
            row = x[o, :, 0]
            total: Int32 = np.int32(0)
            for i in range(n):
                total = add32(total, row[i])
            out[o, 0] = total
        return
    together = max(1, min(n, LONG // max(inner, 1)))
    lines = n // together
    acc = np.empty(together * inner, np.int32)
    for o in range(outer):
        flat = x[o].reshape(n * inner)
        acc[:] = 0
        for k in range(lines):
            add_row(flat[k * acc.size : (k + 1) * acc.size], acc)
        out[o] = 0
        for k in range(together):
            add_row(acc[k * inner : (k + 1) * inner], out[o])
        for k in range(lines * together, n):
            add_row(x[o, k], out[o])
