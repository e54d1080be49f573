"""gemmlowp's fixed-point functions: exp, 1/(1+x), logistic, tanh, on raw integers of width 32 or 16.

A raw value `a` with `i` integer bits of a `bits`-wide signed integer is the real number a / 2**(bits - 1 - i) (format Qi).
Products are SaturatingRoundingDoublingHighMul of that width; constants are given for width 32 and rounded for width 16.
Every function works on Python integers and inside kernels (int64) with the same result.
Source: gemmlowp fixedpoint/fixedpoint.h (the functions of the same names).
Bit-exact with: TFLM logistic, tanh and softmax on int8, LiteRT's optimised int16 logistic and tanh.
"""

from __future__ import annotations

from workbench.numerics.fixed_point import rounding_divide_by_pot, saturate_to_bits, srdhm16, srdhm32
from workbench.numerics.jit import inline

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


@inline
def high_mul(a: int, b: int, bits: int) -> int:
    """Return SaturatingRoundingDoublingHighMul of width `bits` (16 or 32)."""
    if bits == 16:
        return srdhm16(a, b)
    return srdhm32(a, b)


@inline
def constant(value: int, bits: int) -> int:
    """Return a width-32 constant at width `bits`, rounded half away from zero."""
    return value if bits == 32 else rounding_divide_by_pot(value, 16)


@inline
def shift_left_saturating(a: int, amount: int, bits: int) -> int:
    """Return a * 2**amount saturated to `bits`: gemmlowp Rescale to fewer integer bits."""
    return saturate_to_bits(a << amount, bits)


@inline
def exp_near_minus_eighth(a: int, bits: int) -> int:
    """Return exp(a) in Q0 for a in Q0, -1/4 <= a < 0: Taylor series of degree 4 around -1/8.

    Only width 16 saturates the last addition (AddSaturatingIf16Bit).
    """
    centre = constant(EXP_MINUS_EIGHTH, bits)
    x = a + (1 << (bits - 4))
    x2 = high_mul(x, x, bits)
    x3 = high_mul(x2, x, bits)
    x4 = high_mul(x2, x2, bits)
    tail = high_mul(rounding_divide_by_pot(x4, 2) + x3, constant(ONE_THIRD, bits), bits)
    series = x + rounding_divide_by_pot(tail + x2, 1)
    result = centre + high_mul(centre, series, bits)
    return saturate_to_bits(result, 16) if bits == 16 else result


@inline
def exp_on_negative_values(a: int, integer_bits: int, bits: int) -> int:
    """Return exp(a) in Q0 for a <= 0 in Q`integer_bits` (3, 4 or 5). exp(0) is the largest value, 1 - 2**(1 - bits).

    The fraction modulo 1/4 goes through the series, each higher bit of -a through one constant exp(-2**k).
    """
    if a == 0:
        return (1 << (bits - 1)) - 1
    fraction = bits - 1 - integer_bits
    quarter = 1 << (fraction - 2)
    residue = (a & (quarter - 1)) - quarter
    result = exp_near_minus_eighth(shift_left_saturating(residue, integer_bits, bits), bits)
    remainder = residue - a
    for k in range(7):
        exponent = k - 2
        if integer_bits > exponent and (remainder & (1 << (fraction + exponent))) != 0:
            result = high_mul(result, constant(EXP_MINUS_POWERS[k], bits), bits)
    return result


@inline
def newton_reciprocal(a: int, bits: int) -> int:
    """Return 2 / (1 + a) in Q2 for a in Q0, 0 <= a < 1: Newton-Raphson, three steps from 48/17 - 32/17 * (1 + a) / 2."""
    half = (a + (1 << (bits - 1))) >> 1
    x = constant(NEWTON_48_17, bits) + high_mul(half, constant(NEWTON_32_17, bits), bits)
    for _ in range(3):
        error = (1 << (bits - 3)) - high_mul(half, x, bits)
        x = x + shift_left_saturating(high_mul(x, error, bits), 2, bits)
    return x


@inline
def one_over_one_plus_x(a: int, bits: int) -> int:
    """Return 1 / (1 + a) in Q0 for a in Q0, 0 <= a < 1."""
    return shift_left_saturating(newton_reciprocal(a, bits), 1, bits)


@inline
def one_minus_x_over_one_plus_x(a: int, bits: int) -> int:
    """Return (1 - a) / (1 + a) in Q0 for a in Q0, 0 < a < 1."""
    return shift_left_saturating(newton_reciprocal(a, bits) - (1 << (bits - 3)), 2, bits)


@inline
def logistic(a: int, integer_bits: int, bits: int) -> int:
    """Return 1 / (1 + exp(-a)) in Q0 for a in Q`integer_bits`. Exactly 1/2 at 0; the negative side is 1 - y."""
    if a == 0:
        return 1 << (bits - 2)
    positive = one_over_one_plus_x(exp_on_negative_values(min(a, -a), integer_bits, bits), bits)
    return positive if a > 0 else (1 << (bits - 1)) - 1 - positive


@inline
def tanh(a: int, integer_bits: int, bits: int) -> int:
    """Return tanh(a) in Q0 for a in Q`integer_bits`. Exactly 0 at 0; odd. Evaluates (1 - e) / (1 + e), e = exp(-2|a|)."""
    if a == 0:
        return 0
    positive = one_minus_x_over_one_plus_x(exp_on_negative_values(min(a, -a), integer_bits + 1, bits), bits)
    return positive if a > 0 else -positive
