"""Integer softmax over the rows of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.fixed_point import (
    multiply_by_quantized_multiplier,
    round_half_away,
    rounding_divide_by_pot,
    saturate_to_bits,
    srdhm32,
)
from workbench.numerics.gemmlowp import exp_on_negative_values, one_over_one_plus_x
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]


@inline
def leading_zeros32(x: int) -> int:
    """Return the leading zero bits of a 32-bit x in [1, 2**32)."""
    n = 0
    while x < (1 << (31 - n)):
        n += 1
    return n


@kernel
def exp_table_s8(multiplier: int, shift: int, diff_min: int, table: Array) -> None:
    """table[k] = exp of difference -k in Q0.31 (input in Q5.26 by SRDHM), 0 where -k < diff_min. table: int32 [256]."""
    for k in range(table.size):
        if -k >= diff_min:
            table[k] = exp_on_negative_values(srdhm32((-k) << shift, multiplier), 5, 32)


@kernel
def softmax_s8(x: Array, table: Array, bits: int, y: Array) -> None:
    """int8 rows -> int8 (bits 8) or int16 (bits 16) with zero point at the lowest value. TFLM, CMSIS-NN, LiteRT reference.

    x: int8 [R, C], C in [1, 4095]. Sum in Q12.19, 1/sum by Newton on the normalised sum, one rounding shift per output.
    """
    low = -(1 << (bits - 1))
    for r in range(x.shape[0]):
        largest: int = 0 + x[r, 0]
        for c in range(x.shape[1]):
            largest = max(largest, x[r, c])
        total = 0
        for c in range(x.shape[1]):
            total += rounding_divide_by_pot(table[largest - x[r, c]], 12)
        headroom = leading_zeros32(total)
        scale = one_over_one_plus_x((total << headroom) - (1 << 31), 32)
        exponent = 12 - headroom + 31 - bits
        for c in range(x.shape[1]):
            e = srdhm32(scale, table[largest - x[r, c]])
            y[r, c] = saturate_to_bits(rounding_divide_by_pot(e, exponent) + low, bits)


@kernel
def softmax_float_table(x: Array, table: Array, scale: float, zero: int, low: int, high: int, y: Array) -> None:
    """int8 rows -> int8 or int16 in float32: table of exp, sum in order, one reciprocal. LiteRT optimised kernels.

    table: float32 [256], table[k] = exp of difference -k.
    """
    for r in range(x.shape[0]):
        largest: int = 0 + x[r, 0]
        for c in range(x.shape[1]):
            largest = max(largest, x[r, c])
        total = np.float32(0.0)
        for c in range(x.shape[1]):
            total = np.float32(total + table[largest - x[r, c]])
        inverse = np.float32(np.float32(1.0) / np.float32(total * np.float32(scale)))
        for c in range(x.shape[1]):
            q = np.int64(round_half_away(np.float64(np.float32(table[largest - x[r, c]] * inverse))))
            y[r, c] = min(max(q + zero, low), high)


@inline
def interpolate_s16(x: int, table: Array) -> int:
    """Return the value at x (int16) of a table of 513 entries: 7 fraction bits, rounded half up."""
    k = 256 + (x >> 7)
    base: int = 0 + table[k]
    step: int = table[k + 1] - base
    return base + ((step * (x & 127) + 64) >> 7)


@kernel
def softmax_s16(x: Array, multiplier: int, shift: int, exp: Array, reciprocal: Array, y: Array) -> None:
    """int16 rows -> int16 (scale 2**-15) with two interpolated tables. TFLM, CMSIS-NN, LiteRT.

    Differences are scaled so that -65535 is -10; the sum of exponentials (Q16.15) is normalised to [1, 2) for 1 / (1 + x).
    """
    for r in range(x.shape[0]):
        largest: int = 0 + x[r, 0]
        for c in range(x.shape[1]):
            largest = max(largest, x[r, c])
        total = 0
        for c in range(x.shape[1]):
            d = multiply_by_quantized_multiplier(x[r, c] - largest, multiplier, shift)
            y[r, c] = interpolate_s16(saturate_to_bits(d + 32767, 16), exp)
            total += y[r, c]
        headroom = leading_zeros32(total)
        normalised = ((total << (headroom - 1)) + (1 << 13)) >> 14
        scale = interpolate_s16(saturate_to_bits(normalised - (1 << 15) - (1 << 16), 16), reciprocal)
        right = 31 - headroom
        for c in range(x.shape[1]):
            y[r, c] = min(max((y[r, c] * scale + (1 << (right - 1))) >> right, 0), 32767)
