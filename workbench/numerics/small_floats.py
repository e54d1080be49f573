"""Every float of at most 16 bits in one rule each way: `encode_floats` (float32 -> codes) and `decode_floats` (codes -> float32).

A format is a record (`float_formats.FORMATS`); nothing here knows one by name. NumPy only: thousands of values at a time, no kernel to
compile. Patterns equal ml_dtypes 0.6.0 over all its small formats (`validate golden`, file fp_formats).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from workbench.numerics.float_formats import FORMATS, FloatFormat, decode

Array = npt.NDArray[Any]

Rounding = Literal["half_even", "half_away", "half_toward_zero", "toward_zero"]


def largest_code(name: str) -> int:
    """Return the pattern of the largest finite number: e4m3 -> 0x7E (448), e5m2 -> 0x7B (57344), e2m1 -> 0x7 (6)."""
    form = FORMATS[name]
    ones = (1 << (form.exponent_bits + form.fraction_bits)) - 1
    if form.has_infinity:
        return ones - (1 << form.fraction_bits)
    return ones - 1 if form.nan == "all_ones" else ones


@lru_cache(maxsize=32)
def code_values(name: str) -> npt.NDArray[np.float32]:
    """Return the value of every pattern of a format, by pattern; NaN is quiet and keeps the sign of its pattern."""
    form = FORMATS[name]
    codes = np.arange(1 << form.bits).astype(form.storage)
    parts = decode(codes, name)
    magnitude = np.where(parts.special == 0, np.abs(parts.significand), 0).astype(np.float32)
    values: Array = np.ldexp(magnitude, parts.exponent - parts.fraction_bits)
    values[parts.special == 1], values[parts.special == 2] = np.inf, np.nan
    if form.signed:
        values = np.copysign(values, 1.0 - 2.0 * (codes >> (form.bits - 1))).astype(np.float32)
    values.flags.writeable = False
    return values


def decode_floats(codes: Array, name: str) -> npt.NDArray[np.float32]:
    """Return the values of patterns (any shape, the storage type of the format): exact."""
    values: Array = code_values(name)[codes]
    return values


def encode_floats(values: Array, name: str, rounding: Rounding = "half_even", saturate: bool = False) -> Array:
    """Return the patterns of float32 values (any shape), rounded once.

    A number beyond the largest becomes infinity, NaN where the format has no infinity, the largest where it has no NaN either, and the
    largest always under `saturate`. NaN becomes the quiet one, with its sign; in a format without NaN a zero of the opposite sign, as
    ml_dtypes does. e8m0 has neither sign nor zero: those become its NaN, and what lies between two powers goes to the nearer one, ties
    up (below 2**-126 anything beyond 2**-127 goes up: the significand is rounded as the float32 stores it).
    """
    form = FORMATS[name]
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    magnitude = (bits & np.uint32(0x7FFF_FFFF)).astype(np.int32)
    negative = (bits >> np.uint32(31)).astype(np.int32)
    biased = magnitude >> 23
    significand = np.where(biased == 0, magnitude, (magnitude & 0x7F_FFFF) | 0x80_0000)
    exponent = np.maximum(biased, 1) - 127
    smallest = 1 - form.bias  # exponent of the smallest normal number
    shift = np.minimum(23 - form.fraction_bits + np.maximum(smallest - exponent, 0), 30)
    codes = _round_shift(significand, shift, rounding)
    codes += np.maximum(exponent - smallest, 0) << form.fraction_bits  # a carry runs into the exponent
    largest = largest_code(name)
    codes = np.where(codes > largest, largest if saturate else _overflow(form, largest), codes)
    is_nan = magnitude > 0x7F80_0000
    if not form.signed:
        return np.where(is_nan | (negative == 1) | (magnitude == 0), largest + 1, codes).astype(form.storage)
    if form.nan == "negative_zero":
        negative = np.where(codes == 0, 0, negative)
    codes |= negative << (form.bits - 1)
    return np.where(is_nan, _nan(form, largest, negative), codes).astype(form.storage)


def _overflow(form: FloatFormat, largest: int) -> int:
    """Return what a magnitude beyond the largest becomes, without its sign: infinity, NaN or the largest itself."""
    if form.has_infinity or form.nan == "all_ones":
        return largest + 1
    return largest if form.nan == "none" else 1 << (form.bits - 1)


def _nan(form: FloatFormat, largest: int, negative: Array) -> Array:
    """Return the pattern of NaN by its sign (1 = negative)."""
    sign = form.bits - 1
    if form.has_infinity:
        return (largest + 1) | (1 << (form.fraction_bits - 1)) | negative << sign
    if form.nan == "all_ones":
        return (largest + 1) | negative << sign
    return np.full_like(negative, 1 << sign) if form.nan == "negative_zero" else (1 - negative) << sign


def _round_shift(value: Array, shift: Array, rounding: Rounding) -> Array:
    """Return value / 2**shift (int32, value in [0, 2**24), shift in [1, 30]) as an integer."""
    half = np.int32(1) << (shift - 1)
    if rounding == "toward_zero":
        add: Array = np.zeros_like(half)
    elif rounding == "half_even":
        add = half - 1 + ((value >> shift) & 1)
    else:
        add = half - (rounding == "half_toward_zero")
    rounded: Array = (value + add) >> shift
    return rounded
