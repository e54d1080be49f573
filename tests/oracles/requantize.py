"""Requantization rules in exact arithmetic: integers and Fractions, written from the rules, not from the kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

HALF = Fraction(1, 2)


def wrap(value: int, bits: int) -> int:
    """Two's complement of `bits` bits."""
    value %= 1 << bits
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def saturate(value: int, bits: int) -> int:
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


def truncate(value: Fraction) -> int:
    """Toward zero, as C division."""
    return math.floor(value) if value >= 0 else math.ceil(value)


def half_up(value: Fraction) -> int:
    return math.floor(value + HALF)


def half_away(value: Fraction) -> int:
    return math.floor(value + HALF) if value >= 0 else math.ceil(value - HALF)


def half_even(value: Fraction) -> int:
    return round(value)


def srdhm(a: int, b: int, bits: int = 32) -> int:
    """gemmlowp SaturatingRoundingDoublingHighMul: a nudge by the sign of the product, then a truncating division."""
    if a == b == -(1 << (bits - 1)):
        return (1 << (bits - 1)) - 1
    product = a * b
    nudge = 1 << (bits - 2) if product >= 0 else 1 - (1 << (bits - 2))
    return truncate(Fraction(product + nudge, 1 << (bits - 1)))


def double(acc: int, multiplier: int, shift: int) -> int:
    high = srdhm(wrap(acc << max(shift, 0), 32), multiplier)
    return half_away(Fraction(high, 1 << max(-shift, 0)))


def double_half_up(acc: int, multiplier: int, shift: int) -> int:
    high = srdhm(wrap(acc << max(shift, 0), 32), multiplier)
    return half_up(Fraction(high, 1 << max(-shift, 0)))


def single(acc: int, multiplier: int, shift: int) -> int:
    return wrap(half_up(Fraction(acc * multiplier) * Fraction(2) ** (shift - 31)), 32)


def wide(acc: int, reduced: int, shift: int) -> int:
    return wrap(half_up(Fraction(wrap(acc * reduced, 64)) * Fraction(2) ** (shift - 15)), 32)


def to_float32(value: Fraction) -> Fraction:
    """Nearest float32 (normal range), ties to even."""
    if value == 0:
        return value
    exponent = math.floor(math.log2(abs(value)))
    while Fraction(2) ** exponent > abs(value):
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= abs(value):
        exponent += 1
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    return half_even(value / unit) * unit


def float32_half_even(acc: int, scale: Fraction) -> int:
    return half_even(to_float32(to_float32(Fraction(acc)) * scale))


def float64_half_away(acc: int, scale: float) -> int:
    return half_away(Fraction(float(acc) * scale))


def quantize_multiplier(scale: float) -> tuple[int, int]:
    """TFLite QuantizeMultiplier."""
    if scale == 0:
        return 0, 0
    fraction, shift = math.frexp(scale)
    multiplier = half_away(Fraction(fraction) * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def reduce_multiplier(multiplier: int) -> int:
    return (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF


def power_of_two(acc: int, exponent: int, rounding: Callable[[Fraction], int]) -> int:
    """Times 2**exponent: to the left in an int32 that saturates, to the right rounded."""
    return saturate(acc << exponent, 32) if exponent > 0 else rounding(Fraction(acc, 1 << -exponent))


def icn(acc: int, multiplier: int, shift: int) -> int:
    """CMix-NN: the high word of (acc << n1) * m0, shifted right by n2, both rounded down; one of n1, n2 is 0."""
    left, right = max(shift + 1, 0), max(-shift - 1, 0)
    return math.floor(Fraction(math.floor(Fraction(wrap(acc << left, 32) * multiplier, 1 << 32)), 1 << right))


def rndnu(acc: int, scale: Fraction) -> int:
    """XNNPACK: the product with a float32 scale is exact in integers; one rounding, half up."""
    return half_up(acc * scale)


def floor_multiplier(scale: float, bits: int) -> tuple[int, int]:
    """PULP-NN: the largest m = floor(scale * 2**d) that fits a signed integer of `bits` bits, d at most 31."""
    d = 31
    while math.floor(Fraction(scale) * 2**d) >= 1 << (bits - 1):
        d -= 1
    return math.floor(Fraction(scale) * 2**d), d


def multiplier_floor(acc: int, scale: float, bits: int, product_bits: int) -> int:
    m, d = floor_multiplier(scale, bits)
    return math.floor(Fraction(wrap(acc * m, product_bits), 1 << d))


def float32_truncate(acc: int, scale: Fraction) -> int:
    """TinyEngine: a float32 product, converted to an integer as C does."""
    return truncate(to_float32(to_float32(Fraction(acc)) * scale))


def by_rule(rule: str, acc: int, scale: float, channel: int = 0, channels: int = 0) -> int:
    """Requantize an int32 accumulator by the name of a rule. `double_half_up_simd8` depends on the channel's place."""
    if rule.startswith("power_of_two"):
        return power_of_two(acc, math.frexp(scale)[1] - 1, half_even if rule.endswith("even") else half_up)
    if rule == "rndnu":
        return rndnu(acc, Fraction(scale))
    if rule.startswith("multiplier_floor"):
        return multiplier_floor(acc, scale, 16, 32 if rule.endswith("32") else 64)
    if rule == "float32_truncate":
        return float32_truncate(acc, Fraction(scale))
    if rule == "float32_half_even":
        return float32_half_even(acc, Fraction(scale))
    if rule == "float64_half_away":
        return float64_half_away(acc, scale)
    if rule == "double_half_up_simd8":
        rule = "double_half_up" if channel < channels // 8 * 8 else "double"
    return {"double": double, "double_half_up": double_half_up, "single": single, "icn": icn}[rule](
        acc, *quantize_multiplier(scale)
    )


def by_wide_rule(rule: str, acc: int, scale: float) -> int:
    """Requantize an int64 accumulator by the name of a wide rule."""
    if rule == "float64_half_away":
        return float64_half_away(acc, scale)
    if rule.startswith("power_of_two"):
        return power_of_two(acc, math.frexp(scale)[1] - 1, half_even if rule.endswith("even") else half_up)
    multiplier, shift = quantize_multiplier(scale)
    return wide(acc, reduce_multiplier(multiplier), shift)


def finish(value: int, zero_point: int, q_min: int, q_max: int) -> int:
    return max(q_min, min(q_max, value + zero_point))
