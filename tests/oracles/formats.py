"""Small floats, MX blocks and NF4 in plain Python integers and Fractions, written from the specifications."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

FORMS = {
    # name: (exponent bits, fraction bits, bias, kind)
    "fp16": (5, 10, 15, "ieee"), "bf16": (8, 7, 127, "ieee"), "e5m2": (5, 2, 15, "ieee"), "e3m4": (3, 4, 3, "ieee"),
    "e4m3": (4, 3, 7, "all_ones"), "e4m3fnuz": (4, 3, 8, "minus_zero"), "e5m2fnuz": (5, 2, 16, "minus_zero"),
    "e4m3b11fnuz": (4, 3, 11, "minus_zero"), "e3m2": (3, 2, 3, "none"), "e2m3": (2, 3, 1, "none"), "e2m1": (2, 1, 1, "none"),
}  # fmt: skip


def decode(code: int, name: str) -> Fraction | str:
    """Return the value of a pattern, or 'nan', 'inf', '-inf'."""
    exponent_bits, fraction_bits, bias, kind = FORMS[name]
    fraction = code & ((1 << fraction_bits) - 1)
    exponent = code >> fraction_bits & ((1 << exponent_bits) - 1)
    negative = code >> (fraction_bits + exponent_bits)
    top = exponent == (1 << exponent_bits) - 1
    if kind == "ieee" and top:
        return "nan" if fraction else ("-inf" if negative else "inf")
    if kind == "all_ones" and top and fraction == (1 << fraction_bits) - 1:
        return "nan"
    if kind == "minus_zero" and negative and exponent == 0 and fraction == 0:
        return "nan"
    significand = Fraction(fraction, 1 << fraction_bits) + (1 if exponent else 0)
    value = significand * Fraction(2) ** (max(exponent, 1) - bias)
    return -value if negative else value


def magnitudes(name: str) -> list[Fraction]:
    """Return the finite values of the patterns without a sign, in the order of the patterns (ascending)."""
    exponent_bits, fraction_bits = FORMS[name][:2]
    values = (decode(code, name) for code in range(1 << (exponent_bits + fraction_bits)))
    return [v for v in values if isinstance(v, Fraction)]


def nearest_code(x: Fraction, values: list[Fraction], tie: str) -> int:
    """Return the index of the nearest of ascending values to x >= 0, saturated. tie: 'even', 'up', 'down'; 'floor' = the one below."""
    if tie == "floor":
        return max(i for i, v in enumerate(values) if v <= x)
    distance = min(abs(v - x) for v in values)
    best = [i for i, v in enumerate(values) if abs(v - x) == distance]
    if len(best) == 1 or tie == "down":
        return best[0]
    return best[1] if tie == "up" or best[1] % 2 == 0 else best[0]


def floor_log2(x: Fraction) -> int:
    """Return the largest e with 2**e <= x."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def mx_block(block: list[Fraction], values: list[Fraction], tie: str) -> list[Fraction]:
    """Return a block as it comes back: OCP microscaling 1.0, section 6.3. values: the magnitudes of an element, ascending."""
    peak = max(abs(x) for x in block)
    if peak == 0:
        return [Fraction(0)] * len(block)
    scale = Fraction(2) ** min(max(floor_log2(peak) - floor_log2(values[-1]), -127), 127)
    return [(-1 if x < 0 else 1) * values[nearest_code(abs(x) / scale, values, tie)] * scale for x in block]


NF4 = [Fraction(text) for text in (
    "-1", "-0.6961928009986877", "-0.5250730514526367", "-0.39491748809814453", "-0.28444138169288635", "-0.18477343022823334",
    "-0.09105003625154495", "0", "0.07958029955625534", "0.16093020141124725", "0.24611230194568634", "0.33791524171829224",
    "0.44070982933044434", "0.5626170039176941", "0.7229568362236023", "1",
)]  # fmt: skip
"""QLoRA (Dettmers et al., 2023), appendix E."""


def nf4_code(x: Fraction, peak: Fraction) -> tuple[int, Fraction]:
    """Return the nearest code to x / peak, and how far that quotient is from the next middle between two codes."""
    ratio = x / peak
    middles = [(a + b) / 2 for a, b in pairwise(NF4)]
    return sum(ratio > m for m in middles), min(abs(ratio - m) for m in middles)
