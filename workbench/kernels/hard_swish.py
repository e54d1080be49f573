"""int8 hard swish in 16-bit fixed point."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from workbench.numerics.fixed_point import (
    rounding_divide_by_pot,
    saturate_to_bits,
    srdhm16,
    truncating_high_mul16,
    wrap_to_bits,
)
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


@kernel
def hard_swish_s8(x: Array, multiplier: int, right: int, relu_multiplier: int, relu_shift: int, zero: int, y: Array) -> None:
    """y = x * clip(x + 3, 0, 6) / 6 as TFLite computes it.

    x: int32 in [-255, 255], zero point subtracted. (multiplier, right): 16-bit multiplier of sx / 128 / sy and its right shift.
    (relu_multiplier, relu_shift): of sx / 128 / (3 / 32768), shift > 0 = left. The left shift is split (all but one bit before
    the product) so that saturation happens in the last step only. Constraint: |x| * 128 fits an int16.
    """
    for i in range(x.size):
        high = x[i] * 128
        pre = srdhm16(high, multiplier)
        r = high
        if relu_shift > 0:
            r = saturate_to_bits(r << (relu_shift - 1), 16)
        r = srdhm16(r, relu_multiplier)
        if relu_shift > 0:
            r = saturate_to_bits(r << 1, 16)
        if relu_shift < 0:
            r = rounding_divide_by_pot(r, -relu_shift)
        r = (r + (1 << 15)) >> 1
        v = rounding_divide_by_pot(truncating_high_mul16(r, pre), right)
        y[i] = saturate_to_bits(wrap_to_bits(v + zero, 16), 8)
