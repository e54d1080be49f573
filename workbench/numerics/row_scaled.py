"""One float32 scale for every row (output channel), and elements of 4 to 8 bits: weight-only int8, int4, fp8, fp6, fp4.

    scale = max |row| / (largest element), in float32; 1 for a row of zeros      code = x / scale, half to even, saturated
    value = code * scale, one float32 product

A row is stored as its scale (little endian) and its codes, the first in the lowest bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.bit_pack import pack, unpack
from workbench.numerics.elements import decode_elements, element_bits, encode_elements, largest_element

Array = npt.NDArray[Any]

SCALE_BYTES = 4
_TINY = np.finfo(np.float32).tiny


def encode_rows(x: Array, name: str) -> npt.NDArray[np.uint8]:
    """Return float32 [rows, n] as bytes [rows, 4 + n * bits / 8]; n * bits a multiple of 8."""
    scale = np.abs(x).max(axis=1, keepdims=True) / np.float32(largest_element(name))
    scale = np.where(scale < _TINY, np.float32(1), scale).astype("<f4")
    codes = encode_elements(x / scale, name)
    return np.concatenate([scale.view(np.uint8), pack(codes, element_bits(name))], axis=1)


def decode_rows(packed: Array, name: str) -> npt.NDArray[np.float32]:
    """Return the values of bytes [rows, 4 + ...] as float32 [rows, n]."""
    scale = np.ascontiguousarray(packed[:, :SCALE_BYTES]).view("<f4")
    values: Array = decode_elements(unpack(packed[:, SCALE_BYTES:], element_bits(name)), name) * scale
    return values
