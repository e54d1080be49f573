"""TFLite's own fixed-point functions on top of gemmlowp's: 1 / sqrt(x) as multiplier and shift, and log(x).

Raw values as in `gemmlowp`: `a` with `i` integer bits of an int32 is the real number a / 2**(31 - i).
Every function takes a Python integer or an int64 array, unless it says otherwise.
Source: TFLite kernels/internal/common.h (GetInvSqrtQuantizedMultiplierExp, log_x_for_x_greater_than_or_equal_to_1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.numerics.gemmlowp import divide_by_pot, high_mul, one_over_one_plus_x

HALF_SQRT_2 = 1518500250
"""sqrt(1/2) in Q0.31."""
QUARTER_ROOT_HALF = 1805811301
"""(1/2)**(1/4) in Q0.31."""
LOG_2 = 1488522236
"""log(2) in Q0.31."""
ALPHA_N, ALPHA_D, ALPHA_I, ALPHA_F = 117049297, 127690142, 1057819769, 638450708
"""Coefficients of the rational approximation of log around 2**(-1/4), Q0.31: 11/240 * 2**(1/4), 1/20 * 2**(1/4),
2 / 2**(1/4) - 2**(1/4), 1/4 * 2**(1/4)."""

Raw = Any
INT32_MAX = 2**31 - 1


def shift_right(a: Raw, exponent: Raw) -> Raw:
    """Return a / 2**exponent, ties away from zero: RoundingDivideByPOT. a: int64 array; exponent: in [0, 62], one or an array."""
    nudge = np.where(exponent > 0, (np.int64(1) << np.maximum(exponent - 1, 0)) - (a < 0), 0)
    return np.asarray((a + nudge) >> exponent)


def multiply(a: Raw, multiplier: Raw, shift: Raw) -> Raw:
    """Return a * multiplier * 2**(shift - 31) by rule `double`: MultiplyByQuantizedMultiplier.

    a: int64 array that fits int32 after a left shift. multiplier, shift: one for all, or arrays that are broadcast to a.
    """
    left, right = np.maximum(shift, 0), np.maximum(np.negative(shift), 0)
    return shift_right(high_mul(a << left, multiplier, 32), right)


def inverse_sqrt(value: Raw) -> tuple[Raw, Raw]:
    """Return (multiplier, shift) with 1 / sqrt(value) ~ multiplier * 2**(shift - 31). value: int64 array, in [1, 2**27).

    Newton-Raphson from 1, five steps, in Q3.28 on value normalised by powers of 4 to [2**27, 2**29).
    """
    value = np.asarray(value, np.int64)
    length = np.frexp(value.astype(np.float64))[1].astype(np.int64)  # bits of value
    pairs = (31 - length) // 2 - 1
    x_in = (value << (2 * pairs)) >> 1
    half = divide_by_pot(x_in, 1)
    x = np.full(value.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = high_mul(high_mul(x, x, 32), x, 32) << 6
        x = (high_mul(3 << 27, x, 32) - high_mul(half, np.minimum(cube, INT32_MAX), 32)) << 3
    x = high_mul(x, HALF_SQRT_2, 32)
    shift = 11 - pairs
    multiplier = np.where(shift < 0, x << np.maximum(-shift, 0), x)
    one = value <= 1  # the general computation would overflow there
    return np.where(one, INT32_MAX, multiplier), np.where(one, 0, -np.maximum(shift, 0))


def log_q12(value: int) -> int:
    """Return log(value) in Q5.26 of one value >= 1 in Q12.19: a rational function around 2**(-1/4), plus multiples of log 2.

    Two candidates for the power of two are a quarter off in both directions; the one that leaves the smaller rest counts.
    """
    headroom = 32 - value.bit_length()
    quarter = 1 << 23  # 1/4 in Q6.25
    rest_a = high_mul(value << (headroom - 1), HALF_SQRT_2, 32) << 1
    power_a = min(((12 - headroom) << 25) + quarter, INT32_MAX)
    scaled = high_mul(value, HALF_SQRT_2, 32)
    headroom_b = 31 - int(scaled).bit_length()
    rest_b = min(value << headroom_b, INT32_MAX)
    power_b = ((12 - headroom_b) << 25) - quarter
    rest, power = min(rest_a, rest_b), max(power_a, power_b)
    p = (rest + QUARTER_ROOT_HALF + 1) >> 1
    q = 2 * (rest - QUARTER_ROOT_HALF)
    square = high_mul(q, q, 32)
    numerator = high_mul(q, rest, 32) + high_mul(high_mul(q, square, 32), ALPHA_N, 32)
    denominator = high_mul(p, ALPHA_I + q + high_mul(ALPHA_D, square, 32), 32) + high_mul(ALPHA_F, q, 32)
    quotient = high_mul(divide_by_pot(numerator, 6), one_over_one_plus_x(denominator, 32), 32)
    return int(min((high_mul(power, LOG_2, 32) + quotient) << 1, INT32_MAX))
