"""GGUF formats whose codes point into a codebook: IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S. The codebook is given, not held here.

A code stands for 8 (IQ3: 4) values at once, whose signs are stored beside it (IQ1: ternary values, shifted by +-1/8). The codebooks,
hundreds of entries each, were found by a search and are data of llama.cpp; the package `gguf` carries them.

uint8 [256 values' bytes] -> float32, every product rounded once. Source: gguf 0.19.0 (llama.cpp, `ggml-quants.c`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.numerics.gguf_blocks import float16_values
from workbench.numerics.gguf_super_blocks import split_fields, times_scales

Array = npt.NDArray[Any]

_SEVEN = np.arange(128, dtype=np.uint8)
SIGNS = _SEVEN | np.bitwise_count(_SEVEN) % 2 << 7
"""Seven stored sign bits -> eight: the last one makes the number of negative values even."""


class CodebookFormat(NamedTuple):
    """size: bytes of a block of 256 values. decode: (uint8 [n, size], codebook float32 [entries, 8 or 4]) -> float32 [n, 256]."""

    size: int
    decode: Callable[[Array, Array], Array]


def _signs(eight: Array) -> Array:
    """Return -1 where a bit is set, else 1: uint8 [n, g] -> float32 [n, 8 g]."""
    return 1 - 2 * np.unpackbits(eight, axis=1, bitorder="little").astype(np.float32)


def _entries(codebook: Array, index: Array) -> Array:
    return codebook[index].reshape(len(index), -1)


def _words(packed: Array, kind: str) -> Array:
    return np.ascontiguousarray(packed).view(kind)


def _nibbles(packed: Array) -> Array:
    """Return two 4-bit numbers of each byte, the low one first, as float32."""
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(len(packed), -1).astype(np.float32)


def _shifted(words: Array, shifts: tuple[int, ...], mask: int) -> Array:
    """Return (word >> shift) & mask for every shift: [n, g] -> [n, g * len(shifts)]."""
    parts: Array = (words[..., None] >> np.array(shifts, words.dtype)) & words.dtype.type(mask)
    return parts.reshape(len(words), -1)


def _iq2_xxs(packed: Array, codebook: Array) -> Array:
    half, rest = split_fields(packed, 2)
    words = _words(rest, "<u4").reshape(len(packed), 8, 2)
    index = _shifted(words[..., 0], (0, 8, 16, 24), 255)
    signs = _signs(SIGNS[_shifted(words[..., 1], (0, 7, 14, 21), 127)])
    scales = float16_values(half) * (np.float32(0.5) + (words[..., 1] >> 28).astype(np.float32)) * np.float32(0.25)
    return times_scales(scales, _entries(codebook, index) * signs)


def _iq2_xs(packed: Array, codebook: Array) -> Array:
    half, codes, scales = split_fields(packed, 2, 64)
    words = _words(codes, "<u2")
    real = float16_values(half) * (np.float32(0.5) + _nibbles(scales)) * np.float32(0.25)
    return times_scales(real, _entries(codebook, words & 511) * _signs(SIGNS[words >> 9]))


def _iq2_s(packed: Array, codebook: Array) -> Array:
    half, low, signs, high, scales = split_fields(packed, 2, 32, 32, 8)
    index = low | _shifted(high, (0, 2, 4, 6), 3).astype(np.uint16) << 8
    real = float16_values(half) * (np.float32(0.5) + _nibbles(scales)) * np.float32(0.25)
    return times_scales(real, _entries(codebook, index) * _signs(signs))


def _iq3_xxs(packed: Array, codebook: Array) -> Array:
    half, index, rest = split_fields(packed, 2, 64)
    words = _words(rest, "<u4")
    signs = _signs(SIGNS[_shifted(words, (0, 7, 14, 21), 127)])
    scales = float16_values(half) * (np.float32(0.5) + (words >> 28).astype(np.float32)) * np.float32(0.5)
    return times_scales(scales, _entries(codebook, index) * signs)


def _iq3_s(packed: Array, codebook: Array) -> Array:
    half, low, high, signs, scales = split_fields(packed, 2, 64, 8, 32)
    index = low | np.unpackbits(high, axis=1, bitorder="little").astype(np.uint16) << 8
    real = float16_values(half) * (1 + 2 * _nibbles(scales))
    return times_scales(real, _entries(codebook, index) * _signs(signs))


def _iq1_s(packed: Array, codebook: Array) -> Array:
    half, low, high = split_fields(packed, 2, 32)
    words = _words(high, "<u2")
    index = low | _shifted(words, (0, 3, 6, 9), 7) << 8
    scales = float16_values(half) * (2 * (words >> 12 & 7) + 1).astype(np.float32)
    delta = np.where(words >> 15 == 0, np.float32(0.125), np.float32(-0.125))
    return times_scales(scales, _entries(codebook, index) + np.repeat(delta, 32, axis=1))


def _iq1_m(packed: Array, codebook: Array) -> Array:
    """The float16 scale lies in the highest nibbles of the four words of scales."""
    low, high, scales = split_fields(packed, 32, 16)
    words = _words(scales, "<u2")
    half = np.bitwise_or.reduce((words & 0xF000) >> np.array([12, 8, 4, 0], np.uint16), axis=1)[:, None]
    real = float16_values(half.astype("<u2").view(np.uint8)) * (2 * _shifted(words, (0, 3, 6, 9), 7) + 1).astype(np.float32)
    nibbles = _shifted(high, (0, 4), 15)
    index = low | (nibbles & 7).astype(np.uint16) << 8
    delta = np.where(nibbles & 8 == 0, np.float32(0.125), np.float32(-0.125))
    return times_scales(real, _entries(codebook, index) + np.repeat(delta, 8, axis=1))


GGUF_CODEBOOKS: dict[str, CodebookFormat] = {
    "IQ1_S": CodebookFormat(50, _iq1_s),
    "IQ1_M": CodebookFormat(56, _iq1_m),
    "IQ2_XXS": CodebookFormat(66, _iq2_xxs),
    "IQ2_XS": CodebookFormat(74, _iq2_xs),
    "IQ2_S": CodebookFormat(82, _iq2_s),
    "IQ3_XXS": CodebookFormat(98, _iq3_xxs),
    "IQ3_S": CodebookFormat(110, _iq3_s),
}
"""llama.cpp's name -> how it is read."""
