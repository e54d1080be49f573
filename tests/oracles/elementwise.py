"""Slow twins of the operators without weights, from the rules, in Python integers and Fractions. Imports nothing of ours.

Reals are Fractions of the stored float32 scales, so that nothing here shares a rounding with the code under test unless the
rule itself rounds. Sources: gemmlowp fixedpoint.h, TFLite reference kernels, XNNPACK microparams-init.c (rules, no code).
"""

from __future__ import annotations

import math
from fractions import Fraction

INT_MAX = {16: 2**15 - 1, 32: 2**31 - 1}


def clip(value: int, low: int, high: int) -> int:
    """Return value within [low, high]."""
    return low if value < low else high if value > high else value


def wrap(value: int, bits: int) -> int:
    """Return the two's complement of the low bits."""
    value %= 2**bits
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def round_away(value: Fraction) -> int:
    """Return the nearest integer, ties away from zero."""
    return math.floor(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def round_up(value: Fraction) -> int:
    """Return the nearest integer, ties toward +infinity."""
    return math.floor(value + Fraction(1, 2))


def high_mul(a: int, b: int, bits: int = 32) -> int:
    """Return a * b / 2**(bits - 1), nearest, ties up, saturated."""
    return min(round_up(Fraction(a * b, 2 ** (bits - 1))), INT_MAX[bits])


def multiplier(scale: Fraction) -> tuple[int, int]:
    """Return (M, s) with scale ~ M * 2**(s - 31), M in [2**30, 2**31) rounded half away; (0, 0) below 2**-32."""
    if scale == 0:
        return 0, 0
    shift = 0
    while scale >= 1:
        scale, shift = scale / 2, shift + 1
    while scale < Fraction(1, 2):
        scale, shift = scale * 2, shift - 1
    m = round_away(scale * 2**31)
    if m == 2**31:
        m, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 else (m, shift)


def rescale(x: int, m: int, s: int, rule: str = "double") -> int:
    """Return x * m * 2**(s - 31) by `double`, `double_half_up` or `single`."""
    if rule == "single":
        return wrap(round_up(Fraction(x * m) * Fraction(2) ** (s - 31)), 32)
    high = high_mul(wrap(x * 2 ** max(s, 0), 32), m)
    return (round_up if rule == "double_half_up" else round_away)(Fraction(high, 2 ** max(-s, 0)))


def add(
    a: int, b: int, sa: Fraction, za: int, sb: Fraction, zb: int, sy: Fraction, zy: int, sign: int, bits: int, rule: str
) -> int:
    """Return TFLite's a +- b before the activation limits."""
    left = 20 if bits == 8 else 15
    twice = 2 * max(sa, sb)
    u = rescale((a - za) << left, *multiplier(sa / twice), rule)
    v = rescale((b - zb) << left, *multiplier(sb / twice), rule)
    return rescale(u + sign * v, *multiplier(twice / (2**left * sy)), rule) + zy


def add_xnnpack(a: int, b: int, ra: Fraction, za: int, rb: Fraction, zb: int, zy: int, sign: int) -> int:
    """Return XNNPACK's a +- b. ra, rb: float32 scale ratios, in [2**-10, 2**8)."""
    shift = 20
    while max(ra, rb) >= Fraction(2) ** (21 - shift):
        shift -= 1
    while max(ra, rb) < Fraction(2) ** (20 - shift):
        shift += 1
    ma, mb = (round(r * 2**shift) for r in (ra, rb))
    return round_up(Fraction((a - za) * ma + sign * (b - zb) * mb, 2**shift)) + zy


def average(values: list[int], count: int, padding: int) -> int:
    """Return the mean over `count` positions, the missing ones being `padding`, half away from zero."""
    return round_away(Fraction(sum(values) + (count - len(values)) * padding, count))


def average_truncated(values: list[int], count: int, zero_point: int) -> int:
    """Return the mean of what is above the zero point, toward zero, as C divides; missing positions hold the zero point."""
    total = sum(v - zero_point for v in values)
    return zero_point + (abs(total) // count) * (1 if total >= 0 else -1)


def reciprocal(count: int, bits: int) -> tuple[int, int]:
    """Return ESP-DL's 1 / count as (factor, shift): found by trying shifts one after the other, as its loops do."""
    if bits == 6:  # ESP32-S3: the last shift at which the quotient is below 64
        shift = 0
        while (1 << (shift + 1)) // count < 64:
            shift += 1
        return (1 << shift) // count, shift
    shift = 6  # ESP32-P4: 127 / 2**shift is still above 1 / count
    while Fraction(127, 1 << (shift + 1)) > Fraction(1, count):
        shift += 1
    return round(Fraction(1 << shift, count)), shift


def average_by_reciprocal(values: list[int], count: int, padding: int, bits: int) -> int:
    """Return the mean by a rounded reciprocal: 6 bits round ties up, 7 bits to even."""
    factor, shift = reciprocal(count, bits)
    exact = Fraction((sum(values) + (count - len(values)) * padding) * factor, 1 << shift)
    return math.floor(exact + Fraction(1, 2)) if bits == 6 else round(exact)


def mean(values: list[int], sx: Fraction, zx: int, sy: Fraction, zy: int) -> int:
    """Return TFLite's mean: 1/N divided into the multiplier after regaining as many bits as fit."""
    m, s = multiplier(sx / sy)
    n = len(values)
    k = min(n.bit_length() - 1, 32, 31 + s)
    return rescale(wrap(sum(values) - zx * n, 32), m * 2**k // n, s - k) + zy


def exp_negative(a: int, integer_bits: int, bits: int) -> int:
    """Return gemmlowp's exp of a <= 0 in Q`integer_bits`, in Q0."""

    def const(value: int) -> int:
        return value if bits == 32 else round_away(Fraction(value, 2**16))

    if a == 0:
        return INT_MAX[bits]
    fraction = bits - 1 - integer_bits
    quarter = 2 ** (fraction - 2)
    residue = a % quarter - quarter
    x = clip(residue * 2**integer_bits, -INT_MAX[bits] - 1, INT_MAX[bits]) + 2 ** (bits - 4)
    x2 = high_mul(x, x, bits)
    x3, x4 = high_mul(x2, x, bits), high_mul(x2, x2, bits)
    third = high_mul(round_away(Fraction(x4, 4)) + x3, const(715827883), bits)
    series = x + round_away(Fraction(third + x2, 2))
    result = const(1895147668) + high_mul(const(1895147668), series, bits)
    if bits == 16:
        result = clip(result, -(2**15), 2**15 - 1)
    steps = (residue - a) // quarter
    for k, value in enumerate((1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)):
        if steps >> k & 1 and k - 2 < integer_bits:
            result = high_mul(result, const(value), bits)
    return result


def newton(a: int, bits: int) -> int:
    """Return gemmlowp's 2 / (1 + a) in Q2, a in Q0."""

    def const(value: int) -> int:
        return value if bits == 32 else round_away(Fraction(value, 2**16))

    half = (a + INT_MAX[bits] + 1) // 2
    x = const(1515870810) + high_mul(half, const(-1010580540), bits)
    for _ in range(3):
        step = high_mul(x, 2 ** (bits - 3) - high_mul(half, x, bits), bits)
        x += clip(step * 4, -INT_MAX[bits] - 1, INT_MAX[bits])
    return x


def logistic(a: int, integer_bits: int, bits: int) -> int:
    """Return gemmlowp's logistic in Q0."""
    if a == 0:
        return 2 ** (bits - 2)
    y = min(2 * newton(exp_negative(-abs(a), integer_bits, bits), bits), INT_MAX[bits])
    return y if a > 0 else INT_MAX[bits] - y


def tanh(a: int, integer_bits: int, bits: int) -> int:
    """Return gemmlowp's tanh in Q0."""
    if a == 0:
        return 0
    x = newton(exp_negative(-abs(a), integer_bits + 1, bits), bits)
    y = min((x - 2 ** (bits - 3)) * 4, INT_MAX[bits])
    return y if a > 0 else -y


def softmax_s8(row: list[int], beta_scale: Fraction, bits: int) -> list[int]:
    """Return TFLite's fixed-point softmax of one int8 row, to int8 or int16."""
    m, s = multiplier(min(beta_scale * 2**26, Fraction(2**31 - 1)))
    diff_min = -((31 * 2**26) // 2**s)
    e = [exp_negative(high_mul((x - max(row)) * 2**s, m), 5, 32) if x - max(row) >= diff_min else 0 for x in row]
    total = sum(round_away(Fraction(v, 2**12)) for v in e)
    headroom = 32 - total.bit_length()
    reciprocal = min(2 * newton((total << headroom) - 2**31, 32), INT_MAX[32])
    low = -(2 ** (bits - 1))
    shift = 12 - headroom + 31 - bits
    return [clip(round_away(Fraction(high_mul(reciprocal, v), 2**shift)) + low, low, -low - 1) for v in e]


def hard_swish(x: int, zx: int, m: int, right: int, relu_m: int, relu_shift: int, zy: int) -> int:
    """Return TFLite's int8 hard swish. m, relu_m: 16-bit multipliers; right: right shift; relu_shift: left when > 0."""
    high = (x - zx) * 128
    pre = high_mul(high, m, 16)
    r = clip(high * 2 ** max(relu_shift - 1, 0), -(2**15), 2**15 - 1)
    r = high_mul(r, relu_m, 16)
    if relu_shift > 0:
        r = clip(2 * r, -(2**15), 2**15 - 1)
    r = round_away(Fraction(r, 2 ** max(-relu_shift, 0)))
    r = (r + 2**15) // 2
    product = Fraction(r * pre, 2**15)
    return clip(round_away(Fraction(math.trunc(product), 2**right)) + zy, -128, 127)


def logistic_tanh_s16(x: int, m: int, shift: int, table: list[int], is_tanh: bool) -> int:
    """Return TFLite's int16 logistic or tanh: linear interpolation in the table of logistic(i / 24), Q0.16."""
    v = round_up(Fraction(x * m, 2**shift))
    unit = 256 if is_tanh else 512
    k, rest = divmod(abs(v), unit)
    end = 0xFFFF * 256 if is_tanh else 0x7FFF * 1024
    r = end if k >= 255 else table[k] * unit + rest * (table[k + 1] - table[k])
    if is_tanh:
        return (r - 2**23 + 128) // 256 if v >= 0 else (2**23 - r + 127) // 256
    return (r + 512) // 1024 if v >= 0 else (2**25 - r + 511) // 1024
