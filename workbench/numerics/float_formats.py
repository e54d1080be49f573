"""Binary float formats as data, and numbers taken apart into integers: the input side of every exact dot product."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError, nearest

Array = npt.NDArray[Any]
_ZERO = -1000  # exponent of a zero: below every other, so that it never is the maximum


class FloatFormat(NamedTuple):
    """A binary format, as its patterns are stored.

    has_infinity: the top exponent means infinity or NaN (IEEE); otherwise `nan` says which pattern is the only NaN.
    dropped_bits: low bits of the pattern that the unit does not read (tf32 lives in a float32).
    nan: of formats without infinity: the pattern of all ones but the sign ("fn"), that of -0 ("fnuz", which has no -0), or none.
    bias_shift: exponent bias beyond 2**(exponent_bits - 1) - 1. signed: False = no sign, no zero and no subnormals (e8m0).
    """

    storage: type[np.unsignedinteger[Any]]
    exponent_bits: int
    fraction_bits: int
    has_infinity: bool = True
    dropped_bits: int = 0
    nan: Literal["all_ones", "negative_zero", "none"] = "all_ones"
    bias_shift: int = 0
    signed: bool = True

    @property
    def bias(self) -> int:
        """Exponent bias."""
        return (1 << (self.exponent_bits - 1)) - 1 + self.bias_shift

    @property
    def bits(self) -> int:
        """Width of a pattern."""
        return self.signed + self.exponent_bits + self.fraction_bits


FORMATS: dict[str, FloatFormat] = {
    "fp16": FloatFormat(np.uint16, 5, 10),
    "bf16": FloatFormat(np.uint16, 8, 7),
    "tf32": FloatFormat(np.uint32, 8, 10, dropped_bits=13),
    "e4m3": FloatFormat(np.uint8, 4, 3, has_infinity=False),
    "e5m2": FloatFormat(np.uint8, 5, 2),
    "e4m3fnuz": FloatFormat(np.uint8, 4, 3, False, nan="negative_zero", bias_shift=1),
    "e5m2fnuz": FloatFormat(np.uint8, 5, 2, False, nan="negative_zero", bias_shift=1),
    "e4m3b11fnuz": FloatFormat(np.uint8, 4, 3, False, nan="negative_zero", bias_shift=4),
    "e3m4": FloatFormat(np.uint8, 3, 4),
    "e3m2": FloatFormat(np.uint8, 3, 2, False, nan="none"),
    "e2m3": FloatFormat(np.uint8, 2, 3, False, nan="none"),
    "e2m1": FloatFormat(np.uint8, 2, 1, False, nan="none"),
    "e8m0": FloatFormat(np.uint8, 8, 0, False, signed=False),
}
"""Formats. Source: IEEE 754-2019 (binary16); OCP 8-bit floating point 1.0 (e4m3 without infinity, e5m2); OCP microscaling formats 1.0
(e3m2, e2m3, e2m1 without infinity and NaN; e8m0, a scale); NVIDIA (bf16, tf32); Noune et al. 2022, as in AMD CDNA3 (fnuz); the
description of ml_dtypes (e3m4, e4m3b11fnuz)."""


class Decoded(NamedTuple):
    """Numbers taken apart: value = significand * 2**(exponent - fraction_bits). All arrays have the shape of the input.

    significand: int32, signed, 0 for zeros; +-1 for infinities. exponent: int32, -1000 for zeros.
    special: uint8, 0 finite, 1 infinity, 2 NaN.
    """

    significand: Array
    exponent: Array
    special: Array
    fraction_bits: int


def decode(patterns: Array, name: str) -> Decoded:
    """Take patterns of a format (a key of FORMATS) apart; InputError for an unknown format or the wrong storage type."""
    if name not in FORMATS:
        raise InputError(f"unknown float format '{name}'.{nearest(name, FORMATS)}\nFormats: {', '.join(FORMATS)}.")
    form = FORMATS[name]
    if patterns.dtype != form.storage:
        raise InputError(f"{name} patterns are stored as {np.dtype(form.storage)}, not {patterns.dtype}.")
    code = (patterns >> patterns.dtype.type(form.dropped_bits)).astype(np.int32)
    fraction = code & ((1 << form.fraction_bits) - 1)
    biased = (code >> form.fraction_bits) & ((1 << form.exponent_bits) - 1)
    magnitude = np.where(biased == 0, fraction, fraction | (1 << form.fraction_bits))
    top = biased == (1 << form.exponent_bits) - 1
    special = np.zeros(code.shape, np.uint8)
    if form.has_infinity:
        special = np.where(top, np.where(fraction == 0, 1, 2), 0).astype(np.uint8)
        magnitude = np.where(special == 1, 1, magnitude)
    elif form.nan == "all_ones":
        special = np.where(top & (fraction == (1 << form.fraction_bits) - 1), 2, 0).astype(np.uint8)
    elif form.nan == "negative_zero":
        special = np.where(code == 1 << (form.bits - 1), 2, 0).astype(np.uint8)
    exponent = np.where(magnitude == 0, _ZERO, np.maximum(biased, 1) - form.bias)
    if not form.signed:
        return Decoded(np.ones_like(code), biased - form.bias, special, form.fraction_bits)
    negative = (code >> (form.fraction_bits + form.exponent_bits)) & 1
    signed = np.where(negative == 1, -magnitude, magnitude)
    return Decoded(signed.astype(np.int32), exponent.astype(np.int32), special, form.fraction_bits)
