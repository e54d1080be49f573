"""NF4, the 4-bit NormalFloat of QLoRA: blocks of 64 values, their largest magnitude as a float32, each value the nearest of 16 codes.

    code = nearest of CODES to x * float32(1 / absmax), a tie to the lower one      value = CODES[code] * absmax, a float32 product

A block is stored as absmax (little endian) and 32 bytes, the first of two codes in the HIGH nibble. Blocks begin with a row, as in
bitsandbytes where the rows are whole blocks (it cuts the flat tensor). absmax itself is not quantized (no "double quantization").

Source: Dettmers et al., QLoRA (2023), appendix E (codes); bitsandbytes 0.50.2 (reciprocal, midpoints in float32, order of nibbles).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NF4_BLOCK = 64
NF4_SIZE = 4 + NF4_BLOCK // 2

CODES = np.array(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
     -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
     0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0], np.float32,
)  # fmt: skip
"""The 16 quantiles of a normal distribution, scaled to [-1, 1], with an exact zero; every one is a float32."""

_MIDPOINTS = (CODES[:-1] + CODES[1:]) / np.float32(2)
_SMALLEST = np.float32(1e-38)  # bitsandbytes divides by no less


def encode_nf4(x: Array) -> npt.NDArray[np.uint8]:
    """Return float32 [n, 64] as bytes [n, 36]."""
    peak = np.abs(x).max(axis=1, keepdims=True)
    scaled = x * (np.float32(1) / np.maximum(peak, _SMALLEST))
    codes = np.searchsorted(_MIDPOINTS, scaled, side="left").astype(np.uint8)
    return np.concatenate([peak.astype("<f4").view(np.uint8), codes[:, ::2] << 4 | codes[:, 1::2]], axis=1)


def decode_nf4(packed: Array) -> npt.NDArray[np.float32]:
    """Return the values of bytes [n, 36] as float32 [n, 64]."""
    peak = np.ascontiguousarray(packed[:, :4]).view("<f4")
    codes = np.stack([packed[:, 4:] >> 4, packed[:, 4:] & 15], axis=-1).reshape(len(packed), -1)
    values: Array = CODES[codes] * peak
    return values
