"""float32 fused multiply-add in ordinary float64 arithmetic: one rounding, the same bits on every CPU, with the instruction or not.

The product of two float32 is exact in float64. Their sum with c is rounded *to odd* there (its last bit is set when it is inexact), so
that rounding it once more to float32 rounds the exact sum: 53 >= 24 + 2 bits.
Source: Boldo and Melquiond, Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd, 2008.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.numerics.jit import inline


@inline
def fused_multiply_add(a: Any, b: Any, c: Any) -> Any:
    """Return float32(a * b + c) of float32 numbers, rounded once to nearest even; subnormals, infinities and NaN as IEEE 754 says."""
    product, addend = np.float64(a) * np.float64(b), np.float64(c)
    total = np.float64(product + addend)
    back = np.float64(total - product)
    error = np.float64(np.float64(product - np.float64(total - back)) + np.float64(addend - back))
    bits = np.float64(total).view(np.int64)
    toward_zero = (error > 0) != (total > 0)  # the exact sum lies on that side of the rounded one
    odd = np.int64(bits | np.int64(1)) if not toward_zero else np.int64(np.int64(bits - np.int64(1)) | np.int64(1))
    inexact = error != 0 and abs(total) < np.inf
    return np.float32(np.int64(odd if inexact else bits).view(np.float64))
