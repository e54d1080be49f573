"""gemmlowp's fixed-point functions: exp, 1/(1+x), logistic, tanh, on raw integers of width 32 or 16.

A raw value `a` with `i` integer bits of a `bits`-wide signed integer is the real number a / 2**(bits - 1 - i) (format Qi).
Products are SaturatingRoundingDoublingHighMul of that width; constants are given for width 32 and rounded for width 16.
Every function takes a Python integer or an int64 array: targets keep what they return in tables, which are made once, in less time
than it takes to compile anything. Where gemmlowp saturates and no legal argument reaches the limit, nothing is said of it here.
Source: gemmlowp fixedpoint/fixedpoint.h (the functions of the same names).
Bit-exact with: TFLM logistic, tanh and softmax on int8, LiteRT's optimised int16 logistic and tanh.
"""

from __future__ import annotations

from typing import Any

import numpy as np

EXP_MINUS_EIGHTH = 1895147668
"""exp(-1/8) in Q0.31."""
ONE_THIRD = 715827883
"""1/3 in Q0.31."""
EXP_MINUS_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-2**k) in Q0.31 for k = -2 .. 4: the steps of the barrel shifter."""
NEWTON_48_17 = 1515870810
"""48/17 in Q2.29."""
NEWTON_32_17 = -1010580540
"""-32/17 in Q2.29."""

Raw = Any
"""int or int64 array."""


def high_mul(a: Raw, b: Raw, bits: int) -> Raw:
    """Return SaturatingRoundingDoublingHighMul of width `bits` (16 or 32): a * b / 2**(bits - 1), ties toward +infinity."""
    return np.minimum((a * b + (1 << (bits - 2))) >> (bits - 1), (1 << (bits - 1)) - 1)


def divide_by_pot(a: Raw, exponent: int) -> Raw:
    """Return a / 2**exponent, ties away from zero: RoundingDivideByPOT. exponent >= 1."""
    return (a + (1 << (exponent - 1)) - (a < 0)) >> exponent


def constant(value: int, bits: int) -> int:
    """Return a width-32 constant at width `bits`, rounded half away from zero."""
    return value if bits == 32 else int(divide_by_pot(value, 16))


NARROW_48_17, NARROW_32_17 = constant(NEWTON_48_17, 16), constant(NEWTON_32_17, 16)


def exp_near_minus_eighth(a: Raw, bits: int) -> Raw:
    """Return exp(a) in Q0 for a in Q0, -1/4 <= a < 0: Taylor series of degree 4 around -1/8.

    Only width 16 saturates the last addition (AddSaturatingIf16Bit).
    """
    centre = constant(EXP_MINUS_EIGHTH, bits)
    x = a + (1 << (bits - 4))
    x2 = high_mul(x, x, bits)
    x3 = high_mul(x2, x, bits)
    x4 = high_mul(x2, x2, bits)
    tail = high_mul(divide_by_pot(x4, 2) + x3, constant(ONE_THIRD, bits), bits)
    series = x + divide_by_pot(tail + x2, 1)
    result = centre + high_mul(centre, series, bits)
    return np.minimum(result, 32767) if bits == 16 else result


def exp_on_negative_values(a: Raw, integer_bits: int, bits: int) -> Raw:
    """Return exp(a) in Q0 for a <= 0 in Q`integer_bits` (3, 4 or 5). exp(0) is the largest value, 1 - 2**(1 - bits).

    The fraction modulo 1/4 goes through the series, each higher bit of -a through one constant exp(-2**k).
    """
    fraction = bits - 1 - integer_bits
    quarter = 1 << (fraction - 2)
    residue = (a & (quarter - 1)) - quarter
    result = exp_near_minus_eighth(residue << integer_bits, bits)
    remainder = residue - a
    for k, factor in enumerate(EXP_MINUS_POWERS):
        exponent = k - 2
        if integer_bits > exponent:
            used = remainder & (1 << (fraction + exponent)) != 0
            result = np.where(used, high_mul(result, constant(factor, bits), bits), result)
    return np.where(a == 0, (1 << (bits - 1)) - 1, result)


def newton_reciprocal(a: Raw, bits: int) -> Raw:
    """Return 2 / (1 + a) in Q2 for a in Q0, 0 <= a < 1: Newton-Raphson, three steps from 48/17 - 32/17 * (1 + a) / 2.

    Operators only, as `kernels/softmax.py` compiles it. Products are `high_mul`, whose limit they do not reach: half > 0.
    """
    first, slope = (NEWTON_48_17, NEWTON_32_17) if bits == 32 else (NARROW_48_17, NARROW_32_17)
    nudge, shift = 1 << (bits - 2), bits - 1
    half = (a + (1 << shift)) >> 1
    x = first + ((half * slope + nudge) >> shift)
    for _ in range(3):
        error = (1 << (bits - 3)) - ((half * x + nudge) >> shift)
        x = x + (((x * error + nudge) >> shift) << 2)
    return x


def one_over_one_plus_x(a: Raw, bits: int) -> Raw:
    """Return 1 / (1 + a) in Q0 for a in Q0, 0 <= a < 1."""
    return np.minimum(newton_reciprocal(a, bits) << 1, (1 << (bits - 1)) - 1)


def one_minus_x_over_one_plus_x(a: Raw, bits: int) -> Raw:
    """Return (1 - a) / (1 + a) in Q0 for a in Q0, 0 < a < 1."""
    return np.minimum((newton_reciprocal(a, bits) - (1 << (bits - 3))) << 2, (1 << (bits - 1)) - 1)


def logistic(a: Raw, integer_bits: int, bits: int) -> Raw:
    """Return 1 / (1 + exp(-a)) in Q0 for a in Q`integer_bits`. Exactly 1/2 at 0; the negative side is 1 - y."""
    positive = one_over_one_plus_x(exp_on_negative_values(-abs(a), integer_bits, bits), bits)
    y = np.where(a > 0, positive, (1 << (bits - 1)) - 1 - positive)
    return np.where(a == 0, 1 << (bits - 2), y)


def tanh(a: Raw, integer_bits: int, bits: int) -> Raw:
    """Return tanh(a) in Q0 for a in Q`integer_bits`. Exactly 0 at 0; odd. Evaluates (1 - e) / (1 + e), e = exp(-2|a|)."""
    positive = one_minus_x_over_one_plus_x(exp_on_negative_values(-abs(a), integer_bits + 1, bits), bits)
    return np.sign(a) * np.where(a == 0, 0, positive)
