"""GGUF block formats that are only read: Q2_K .. Q6_K, IQ4_NL, IQ4_XS, NVFP4. Their encoders search, and are no rule of numbers.

A super-block of 256 values has float16 scales and, for each 16 or 32 values, a scale of a few bits:

    Q2_K, Q4_K, Q5_K   value = (d * scale) * code - (dmin * minimum)
    Q3_K, Q6_K, IQ4_XS value = (d * scale) * code, codes signed (IQ4_XS: out of 16 fixed numbers, as in IQ4_NL)
    NVFP4              64 values, for each 16 of them an unsigned e4m3 scale; elements e2m1

uint8 [n, size] -> float32 [n, block], every product and difference rounded to float32 once, in that order.
Source: gguf 0.19.0 (llama.cpp, `ggml-quants.c`); `validate golden`, file gguf_quant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.numerics.bit_pack import split_planes
from workbench.numerics.gguf_blocks import float16_values
from workbench.numerics.small_floats import decode_floats

Array = npt.NDArray[Any]

NONLINEAR = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
"""Codes of IQ4_NL and IQ4_XS. Source: `kvalues_iq4nl`."""

_PAIRS, _NIBBLES, _BITS = (0, 2, 4, 6), (0, 4), tuple(range(8))


class ReadFormat(NamedTuple):
    """A block format that is only decoded. block: values. size: bytes. decode: uint8 [n, size] -> float32 [n, block]."""

    block: int
    size: int
    decode: Callable[[Array], Array]


def split_fields(packed: Array, *sizes: int) -> list[Array]:
    """Return the fields of blocks [n, size], by their bytes; the last one is what remains."""
    return np.split(packed, np.cumsum(sizes), axis=1)


def times_scales(scales: Array, codes: Array, minimum: Array | None = None) -> Array:
    """Return scales [n, g] * codes [n, g * w] (- minimum [n, g]) as float32 [n, g * w]."""
    grouped = scales[..., None] * codes.astype(np.float32).reshape(*scales.shape, -1)
    return (grouped if minimum is None else grouped - minimum[..., None]).reshape(len(codes), -1)


def _q2_k(packed: Array) -> Array:
    scales, codes, halves = split_fields(packed, 16, 64)
    d = float16_values(halves)
    low, high = (scales & 15).astype(np.float32), (scales >> 4).astype(np.float32)
    return times_scales(d[:, :1] * low, split_planes(codes, 32, _PAIRS, 2), d[:, 1:] * high)


def _q3_k(packed: Array) -> Array:
    """A code is 2 bits, minus 4 unless its bit in the mask is set; a scale is 6 bits minus 32: four low ones, two high ones."""
    mask, codes, scales, half = split_fields(packed, 32, 64, 12)
    six = split_planes(scales[:, :8], 8, _NIBBLES, 4) | split_planes(scales[:, 8:], 4, _PAIRS, 2) << 4
    signed = split_planes(codes, 32, _PAIRS, 2).astype(np.int8) - (1 - split_planes(mask, 32, _BITS, 1).astype(np.int8)) * 4
    return times_scales(float16_values(half) * (six.astype(np.float32) - 32), signed)


def _six_bits(packed: Array) -> tuple[Array, Array]:
    """Return 8 scales and 8 minima of 6 bits out of 12 bytes: the first four of each whole, the others as 4 and 2 bits."""
    first, second, low = split_fields(packed, 4, 4)
    scales = np.concatenate([first & 63, (low & 15) | (first >> 2) & 48], axis=1)
    minima = np.concatenate([second & 63, (low >> 4) | (second >> 2) & 48], axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _q4_k(packed: Array) -> Array:
    halves, six, codes = split_fields(packed, 4, 12)
    d, (scales, minima) = float16_values(halves), _six_bits(six)
    return times_scales(d[:, :1] * scales, split_planes(codes, 32, _NIBBLES, 4), d[:, 1:] * minima)


def _q5_k(packed: Array) -> Array:
    halves, six, fifth, codes = split_fields(packed, 4, 12, 32)
    d, (scales, minima) = float16_values(halves), _six_bits(six)
    five = split_planes(codes, 32, _NIBBLES, 4) | split_planes(fifth, 32, _BITS, 1) << 4
    return times_scales(d[:, :1] * scales, five, d[:, 1:] * minima)


def _q6_k(packed: Array) -> Array:
    low, high, scales, half = split_fields(packed, 128, 64, 16)
    six = split_planes(low, 64, _NIBBLES, 4) | split_planes(high, 32, _PAIRS, 2) << 4
    return times_scales(float16_values(half) * scales.view(np.int8).astype(np.float32), six.astype(np.int8) - np.int8(32))


def _iq4_nl(packed: Array) -> Array:
    return float16_values(packed[:, :2]) * NONLINEAR[split_planes(packed[:, 2:], 16, _NIBBLES, 4)]


def _iq4_xs(packed: Array) -> Array:
    half, high, low, codes = split_fields(packed, 2, 2, 4)
    four = np.stack([low & 15, low >> 4], axis=-1).reshape(len(packed), 8)
    two = (np.ascontiguousarray(high).view("<u2") >> np.arange(0, 16, 2, dtype=np.uint16)) & 3
    scales = (four | two << 4).astype(np.float32) - 32
    return times_scales(float16_values(half) * scales, NONLINEAR[split_planes(codes, 16, _NIBBLES, 4)])


def _nvfp4(packed: Array) -> Array:
    """Scales: the highest bit is not read, except that the pattern 0x7F (NaN as e4m3) means 0 and 0xFF does not (480)."""
    scales, codes = split_fields(packed, 4)
    exponent, fraction = (scales >> 3).astype(np.int32) & 15, (scales & 7).astype(np.float32)
    normal = np.ldexp(1 + fraction / 8, exponent - 7)
    real = np.where(exponent == 0, np.ldexp(fraction, -9), normal).astype(np.float32)
    real = np.where(scales == 0x7F, np.float32(0), real)
    elements = decode_floats(split_planes(codes, 8, _NIBBLES, 4), "e2m1") + np.float32(0)  # -0 reads as +0
    return times_scales(real, elements)


GGUF_READ: dict[str, ReadFormat] = {
    "Q2_K": ReadFormat(256, 84, _q2_k),
    "Q3_K": ReadFormat(256, 110, _q3_k),
    "Q4_K": ReadFormat(256, 144, _q4_k),
    "Q5_K": ReadFormat(256, 176, _q5_k),
    "Q6_K": ReadFormat(256, 210, _q6_k),
    "IQ4_NL": ReadFormat(32, 18, _iq4_nl),
    "IQ4_XS": ReadFormat(256, 136, _iq4_xs),
    "NVFP4": ReadFormat(64, 36, _nvfp4),
}
"""llama.cpp's name -> how it is read."""
