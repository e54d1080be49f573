"""Slow twin of the tensor-core rule, in Python integers and Fractions, written from the rule. Imports nothing of ours.

A number is (sign, significand as Fraction, exponent), 'inf', '-inf' or 'nan'. One step:
emax = max(exponents, -126); every term trunc(significand * 2**(F + e - emax)); exact sum; one rounding.
Source: MMA-Sim c785138 (rule), MATLAB-tensor-core b12b5a7 (GPU outputs).
"""

from __future__ import annotations

import math
from fractions import Fraction

INF = "inf"
MINUS_INF = "-inf"
NAN = "nan"
Number = tuple[Fraction, int] | str

FORMATS = {"fp16": (5, 10, True), "bf16": (8, 7, True), "tf32": (8, 10, True), "e4m3": (4, 3, False), "e5m2": (5, 2, True),
           "fp32": (8, 23, True)}  # fmt: skip
"""name -> (exponent bits, fraction bits, has infinity)."""


def decode(bits: int, name: str) -> Number:
    """Return (signed significand, exponent) of a pattern; tf32 patterns are float32 patterns whose low 13 bits are ignored."""
    exponent_bits, fraction_bits, has_infinity = FORMATS[name]
    if name == "tf32":
        bits >>= 13
    fraction = bits % 2**fraction_bits
    field = bits // 2**fraction_bits % 2**exponent_bits
    sign = -1 if bits // 2 ** (fraction_bits + exponent_bits) else 1
    if field == 2**exponent_bits - 1:
        if has_infinity:
            return NAN if fraction else INF if sign > 0 else MINUS_INF
        if fraction == 2**fraction_bits - 1:
            return NAN
    bias = 2 ** (exponent_bits - 1) - 1
    hidden = 1 if field else 0
    return sign * (hidden + Fraction(fraction, 2**fraction_bits)), max(field, 1) - bias


def multiply(a: Number, b: Number) -> Number:
    """Return the product, significand not renormalised."""
    if isinstance(a, str) or isinstance(b, str):
        if NAN in (a, b):
            return NAN
        signs = [(1 if v == INF else -1) if isinstance(v, str) else (v[0] > 0) - (v[0] < 0) for v in (a, b)]
        return NAN if 0 in signs else INF if signs[0] * signs[1] > 0 else MINUS_INF
    return a[0] * b[0], a[1] + b[1]


def step(products: list[Number], c: Number, fraction_bits: int) -> Fraction | str:
    """Return the exact value of the aligned and truncated sum, or a special."""
    terms = [*products, c]
    specials = {t for t in terms if isinstance(t, str)}
    if specials:
        return NAN if NAN in specials or len(specials) == 2 else specials.pop()
    present = [t for t in terms if t[0] != 0]
    e_max = max([-126, *(e for _, e in present)])
    total = sum(math.trunc(s * Fraction(2) ** (fraction_bits + e - e_max)) for s, e in present)
    return total * Fraction(2) ** (e_max - fraction_bits)


def floor_log2(x: Fraction) -> int:
    """Return floor(log2(x)) of a positive Fraction."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def encode(value: Fraction | str, output: str) -> int:
    """Return the pattern: 'f32' truncates to 24 bits, 'e8m13' to 14 (in a float32), 'f16' rounds to nearest even."""
    half = output == "f16"
    if isinstance(value, str):
        infinity = 0x7C00 if half else 0x7F800000
        sign = 0x8000 if half else 0x80000000
        return (0x7FFF if half else 0x7FFFFFFF) if value == NAN else infinity + (sign if value == MINUS_INF else 0)
    magnitude, negative = abs(value), value < 0
    if magnitude == 0:
        return 0
    lowest, kept, stored = (-14, 10, 10) if half else (-126, 13 if output == "e8m13" else 23, 23)
    exponent = max(floor_log2(magnitude), lowest)
    scaled = magnitude / Fraction(2) ** (exponent - kept)
    integer = round(scaled) if half else math.trunc(scaled)  # Python rounds Fractions half to even
    if integer == 0:
        return 0
    if integer == 2 ** (kept + 1):
        integer, exponent = integer // 2, exponent + 1
    if exponent > (15 if half else 127):
        return encode(MINUS_INF if negative else INF, output)
    integer *= 2 ** (stored - kept)
    field = 0 if integer < 2**stored else exponent - lowest + 1
    return (negative << (15 if half else 31)) + (field << stored) + integer % 2**stored


def dot_add(
    a: list[int], b: list[int], c: int, formats: tuple[str, str], per_step: int, fraction_bits: int, output: str
) -> int:
    """Return the accumulator pattern after a chain of steps over the patterns a and b, starting at the pattern c."""
    for start in range(0, len(a), per_step):
        pairs = zip(a[start : start + per_step], b[start : start + per_step], strict=True)
        products = [multiply(decode(x, formats[0]), decode(y, formats[1])) for x, y in pairs]
        c = encode(step(products, decode(c, "fp16" if output == "f16" else "fp32"), fraction_bits), output)
    return c


def round_f32(value: Fraction) -> Fraction | str:
    """Return a value rounded to float32, to nearest even (what one IEEE addition does to its exact result)."""
    if value == 0:
        return value
    quantum = Fraction(2) ** (max(floor_log2(abs(value)), -126) - 23)
    rounded = round(value / quantum) * quantum
    return rounded if abs(rounded) < 2**128 else INF if value > 0 else MINUS_INF


def value_of(bits: int, name: str) -> Fraction | str:
    """Return the exact value of a pattern."""
    number = decode(bits, name)
    return number if isinstance(number, str) else number[0] * Fraction(2) ** number[1]


def fma_f32(a: int, b: int, c: int) -> int:
    """Return the float32 pattern of a * b + c rounded once, of finite float32 patterns (IEEE signs of zero)."""
    x, y, z = (value_of(v, "fp32") for v in (a, b, c))
    assert not isinstance(x, str) and not isinstance(y, str) and not isinstance(z, str)
    exact = x * y + z
    if exact == 0:
        product_negative = (a ^ b) >> 31 == 1
        same = product_negative == (c >> 31 == 1) and x * y == 0
        return 0x80000000 if same and product_negative else 0
    return encode_nearest(exact, "fp32")


def encode_nearest(value: Fraction | str, name: str, negative_zero: bool = False) -> int:
    """Return the pattern of a format with infinity ('fp16', 'bf16', 'fp32'), to nearest even; NaN is the canonical one."""
    exponent_bits, fraction_bits, _ = FORMATS[name]
    infinity = (2**exponent_bits - 1) << fraction_bits
    sign = 2 ** (exponent_bits + fraction_bits)
    if isinstance(value, str):
        return sign - 1 if value == NAN else infinity + (sign if value == MINUS_INF else 0)
    if value == 0:
        return sign if negative_zero else 0
    lowest = 2 - 2 ** (exponent_bits - 1)
    exponent = max(floor_log2(abs(value)), lowest)
    integer = round(abs(value) / Fraction(2) ** (exponent - fraction_bits))
    # The hidden bit adds one to the exponent field; a carry runs into it.
    return min(((exponent - lowest) << fraction_bits) + integer, infinity) + (sign if value < 0 else 0)


def epilogue(acc: int, bias: int | None, output: str, scale: int | None = None) -> int:
    """Return output(acc * scale + bias) of float32 patterns: each step rounded to float32, then once more, to nearest even."""
    total, negative = value_of(acc, "fp32"), acc >> 31 == 1
    if scale is not None and not isinstance(total, str):
        factor = value_of(scale, "fp32")
        assert not isinstance(factor, str)
        total = round_f32(total * factor)
        negative ^= scale >> 31 == 1
    if bias is not None:
        addend = value_of(bias, "fp32")
        specials = {v for v in (total, addend) if isinstance(v, str)}
        special = NAN if NAN in specials or len(specials) == 2 else next(iter(specials), None)
        negative &= bias >> 31 == 1
        total = special or round_f32(total + addend)  # type: ignore[operator]
    negative = total < 0 if not isinstance(total, str) and total != 0 else negative
    return encode_nearest(total, output, negative)
