"""Binary float formats as data, and numbers taken apart into integers: the input side of every exact dot product."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError, nearest

Array = npt.NDArray[Any]
_ZERO = -1000  # exponent of a zero: below every other, so that it never is the maximum


class FloatFormat(NamedTuple):
    """A binary format, as its patterns are stored.

    has_infinity: the top exponent means infinity or NaN (IEEE); otherwise only the all-ones pattern is NaN ("fn" formats).
    dropped_bits: low bits of the pattern that the unit does not read (tf32 lives in a float32).
    """

    storage: type[np.unsignedinteger[Any]]
    exponent_bits: int
    fraction_bits: int
    has_infinity: bool = True
    dropped_bits: int = 0

    @property
    def bias(self) -> int:
        """Exponent bias."""
        return (1 << (self.exponent_bits - 1)) - 1


FORMATS: dict[str, FloatFormat] = {
    "fp16": FloatFormat(np.uint16, 5, 10),
    "bf16": FloatFormat(np.uint16, 8, 7),
    "tf32": FloatFormat(np.uint32, 8, 10, dropped_bits=13),
    "e4m3": FloatFormat(np.uint8, 4, 3, has_infinity=False),
    "e5m2": FloatFormat(np.uint8, 5, 2),
}
"""Input formats. Source: IEEE 754-2019 (binary16); OCP 8-bit floating point 1.0 (e4m3, e5m2); NVIDIA (bf16, tf32)."""


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
    if form.has_infinity:
        special = np.where(top, np.where(fraction == 0, 1, 2), 0).astype(np.uint8)
        magnitude = np.where(special == 1, 1, magnitude)
    else:
        special = np.where(top & (fraction == (1 << form.fraction_bits) - 1), 2, 0).astype(np.uint8)
    exponent = np.where(magnitude == 0, _ZERO, np.maximum(biased, 1) - form.bias)
    negative = (code >> (form.fraction_bits + form.exponent_bits)) & 1
    signed = np.where(negative == 1, -magnitude, magnitude)
    return Decoded(signed.astype(np.int32), exponent.astype(np.int32), special, form.fraction_bits)
