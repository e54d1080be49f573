"""Elements of a scaled format: small floats and symmetric integers under one pair of functions. Values are in units of the scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.float_formats import FORMATS
from workbench.numerics.small_floats import Rounding, code_values, decode_floats, encode_floats, largest_code

Array = npt.NDArray[Any]

INTEGERS = {"int8": 8, "int4": 4}
"""Integer elements -> their width: two's complement, the lowest integer is not used."""


def element_bits(name: str) -> int:
    """Return the width of an element: a key of `float_formats.FORMATS` or of INTEGERS."""
    return INTEGERS.get(name) or FORMATS[name].bits


def largest_element(name: str) -> float:
    """Return the largest value: 448 for e4m3, 6 for e2m1, 127 for int8."""
    return float((1 << (INTEGERS[name] - 1)) - 1) if name in INTEGERS else float(code_values(name)[largest_code(name)])


def encode_elements(x: Array, name: str, rounding: Rounding = "half_even") -> npt.NDArray[np.uint8]:
    """Return float32 values (any shape) as codes, rounded once and saturated."""
    if name not in INTEGERS:
        return encode_floats(x, name, rounding, saturate=True).astype(np.uint8, copy=False)
    most = largest_element(name)
    q = np.clip(round_integer(x, rounding), -most, most).astype(np.int8)
    codes: Array = q.view(np.uint8) & np.uint8((1 << INTEGERS[name]) - 1)
    return codes


def decode_elements(codes: Array, name: str) -> npt.NDArray[np.float32]:
    """Return the values of codes (uint8, any shape): exact."""
    if name not in INTEGERS:
        return decode_floats(codes, name)
    sign = 1 << (INTEGERS[name] - 1)
    return ((codes ^ np.uint8(sign)).astype(np.int32) - sign).astype(np.float32)


def round_integer(x: Array, rounding: Rounding) -> npt.NDArray[Any]:
    """Return float32 values rounded to integers, exactly (the half is added in float64)."""
    if rounding == "half_even":
        return np.rint(x)
    magnitude = np.abs(x).astype(np.float64)
    if rounding == "half_away":
        rounded = np.floor(magnitude + 0.5)
    else:
        rounded = np.ceil(magnitude - 0.5) if rounding == "half_toward_zero" else np.floor(magnitude)
    return np.copysign(rounded, x)
