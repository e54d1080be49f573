"""MX blocks: some tens of values share one power of two, each keeps a few bits. One rule for float and integer elements.

    shared exponent = floor(log2(max |x|)) - (exponent of the largest element), within -127 .. 127      stored as e8m0
    element         = x / 2**shared, rounded once, saturated

int8 and int4 are fractions of 6 and 2 bits: below 2, symmetric. Source: OCP microscaling formats (MX) 1.0, section 6.3; elements,
roundings and blocks of 16 and 32 equal microxcaling 7bc4195 (`validate golden`, file fp_formats; an integer has one zero, its float
model two). log2 is exact here; in float32, as there, a block whose largest value lies a few units of the last place below a power of
two gets the next exponent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.numerics.bit_pack import pack, unpack
from workbench.numerics.elements import INTEGERS, decode_elements, element_bits, encode_elements, largest_element
from workbench.numerics.small_floats import Rounding

Array = npt.NDArray[Any]

SCALE_NAN = 0xFF


class Blocks(NamedTuple):
    """Codes uint8 [rows, n], and scales uint8 [rows, n / block], patterns of e8m0."""

    codes: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.uint8]


def _fraction_bits(name: str) -> int:
    """Return the binary point of integer elements: one bit before it beside the sign."""
    return INTEGERS[name] - 2 if name in INTEGERS else 0


def encode_mx(x: Array, name: str, block: int = 32, rounding: Rounding = "half_even") -> Blocks:
    """Return float32 [rows, n] (n a multiple of block) as elements of `name` and shared scales.

    A block of zeros has scale code 0; one with an infinity or NaN has the scale NaN, and decodes to NaN as a whole.
    """
    groups = np.ascontiguousarray(x, np.float32).reshape(len(x), -1, block)
    peak = np.abs(groups).max(axis=-1)
    finite = np.isfinite(peak)
    point = _fraction_bits(name)
    top = int(np.frexp(largest_element(name))[1]) - 1 - point
    exponent = np.frexp(np.where(finite, peak, 0))[1] - 1 - top
    shared = np.where(peak == 0, -127, np.clip(exponent, -127, 127))
    scaled = np.ldexp(np.where(finite[..., None], groups, 0), point - shared[..., None])
    codes = encode_elements(scaled, name, rounding).reshape(x.shape)
    return Blocks(codes, np.where(finite, shared + 127, SCALE_NAN).astype(np.uint8))


def decode_mx(blocks: Blocks, name: str) -> npt.NDArray[np.float32]:
    """Return the values of blocks: element * 2**(scale - 127), exact in float32."""
    codes, scales = blocks
    values = decode_elements(codes.reshape(*scales.shape, -1), name)
    real = np.ldexp(values, scales.astype(np.int32)[..., None] - 127 - _fraction_bits(name))
    return np.where(scales[..., None] == SCALE_NAN, np.float32(np.nan), real).reshape(codes.shape)


def pack_mx(blocks: Blocks, name: str) -> npt.NDArray[np.uint8]:
    """Return blocks as bytes [rows, ...]: each block its scale, then its elements, the first in the lowest bits.

    The order of the bytes is ours: the specification leaves it to the implementation.
    """
    grouped = blocks.codes.reshape(*blocks.scales.shape, -1)
    packed = np.concatenate([blocks.scales[..., None], pack(grouped, element_bits(name))], axis=-1)
    return packed.reshape(len(packed), -1)


def unpack_mx(packed: Array, name: str, block: int = 32) -> Blocks:
    """Return the blocks of bytes [rows, ...]: the inverse of `pack_mx`."""
    grouped = packed.reshape(len(packed), -1, 1 + block * element_bits(name) // 8)
    codes = unpack(grouped[..., 1:], element_bits(name))
    return Blocks(codes.reshape(len(packed), -1), np.ascontiguousarray(grouped[..., 0]))
