"""float32 -> int8 or int16: flat arrays of equal size in and out. NaN becomes the zero point, infinity a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.int32 import add32, clip32
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]

FAR = np.float32(2.0**20)
"""Beyond every limit and zero point, and small enough that float32 still has three fraction bits."""


@inline
def near(value: Any) -> Any:
    """Return value within +-FAR, 0 for NaN."""
    value = value if value == value else np.float32(0.0)
    return min(max(value, -FAR), FAR)


@kernel
def quantize_divide(x: Array, scale: Any, zero: int, low: int, high: int, y: Array) -> None:
    """y = clip(round_half_away(x / scale) + zero), the quotient in the type of x and scale (float32, or float64 for tails)."""
    for i in range(y.size):
        quotient = near(x[i] / scale)
        whole = np.int32(quotient)
        rest = quotient - np.float32(whole)
        nearest = add32(whole, np.int32(rest >= 0.5) - np.int32(rest <= -0.5))
        y[i] = clip32(add32(nearest, zero), low, high)


@kernel
def quantize_reciprocal(x: Array, inverse: Any, zero: int, low: int, high: int, y: Array) -> None:
    """y = clip(rint(x * inverse) + zero), ties to even, the product in float32. inverse: float32."""
    for i in range(y.size):
        y[i] = clip32(add32(np.int32(np.rint(near(x[i] * inverse))), zero), low, high)


@kernel
def quantize_divide_even(x: Array, scale: Any, zero: int, low: int, high: int, y: Array) -> None:
    """y = clip(rint(x / scale) + zero), ties to even, the quotient in float32; NaN the lowest integer. scale: float32."""
    for i in range(y.size):
        quotient = x[i] / scale
        whole = np.int32(np.rint(near(quotient)))
        y[i] = clip32(add32(whole, zero), low, high) if quotient == quotient else low
