"""Slow twin of the conversions between types, in Python Fractions, written from their rules. Imports nothing of ours.

A float type is (significant bits, smallest exponent, largest finite value). Every rounding is to nearest, ties to even.
"""

from __future__ import annotations

from fractions import Fraction

FLOATS = {
    "float32": (24, -126, Fraction(2) ** 128 - Fraction(2) ** 104),
    "tfloat32": (24, -126, Fraction(2) ** 128 - Fraction(2) ** 104),  # stored so; only matrix products read fewer bits
    "float16": (11, -14, Fraction(65504)),
    "bfloat16": (8, -126, Fraction(2) ** 128 - Fraction(2) ** 120),
    "float8_e4m3": (4, -6, Fraction(448)),
    "float8_e5m2": (3, -14, Fraction(57344)),
}
INT8 = (-128, 127)


def round_to(value: Fraction, dtype: str) -> Fraction:
    """Return a value as a float type holds it; it must lie in the range of the type."""
    bits, lowest, largest = FLOATS[dtype]
    if value == 0:
        return value
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, lowest) - bits + 1)
    rounded = round(value / unit) * unit
    assert abs(rounded) <= largest, "out of range"
    return rounded


def real_of(value: Fraction, quant: tuple[Fraction, int] | None) -> Fraction:
    """Return the float32 number that a stored value stands for."""
    return value if quant is None else round_to(quant[0] * (value - quant[1]), "float32")


def convert(value: Fraction, quant: tuple[Fraction, int] | None, dtype: str, target: tuple[Fraction, int] | None) -> Fraction:
    """Return a stored value in another type: float32 number, float32 quotient, one rounding into the type, saturated.

    value: as stored. quant, target: (scale, zero point), or None for floats without a scale.
    """
    real = real_of(value, quant)
    if target is None:
        return round_to(real, dtype)
    ratio = round_to(real / target[0], "float32")
    if dtype == "int8":
        return Fraction(min(max(round(ratio) + target[1], INT8[0]), INT8[1]))
    largest = FLOATS[dtype][2]
    return round_to(min(max(ratio, -largest), largest), dtype)
