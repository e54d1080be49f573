"""Scales and zero points of a TFLite tensor. real = scale * (q - zero_point)."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.tensor import RANGES, QuantParams

MAX_SCALES = 2**20


def quantization(raw: Any, shape: tuple[int, ...], dtype: str, where: str) -> QuantParams | None:
    """Return the parameters of an integer tensor, or None when it has none.

    raw: a verified `QuantizationParameters` or None. One scale means per tensor; more must be one per channel of the quantized
    dimension. Zero points: as many as scales, or one, or none (then 0).
    """
    if raw is None:
        return None
    if raw.DetailsType() != 0:
        raise ModelError(
            f"{where}: custom or blockwise quantization (type {raw.DetailsType()}) is not supported; use one scale per channel."
        )
    scales, zeros, axis = raw.ScaleLength(), raw.ZeroPointLength(), raw.QuantizedDimension()
    if not scales:
        return None
    if scales > 1:
        if not 0 <= axis < len(shape):
            raise ModelError(f"{where}: quantized dimension {axis} of shape {list(shape)} does not exist.")
        if scales != shape[axis]:
            raise ModelError(
                f"{where}: {scales} scales for {shape[axis]} channels of dimension {axis}; expected 1 or {shape[axis]}."
            )
    if zeros not in (0, 1, scales) or scales > MAX_SCALES:
        raise ModelError(f"{where}: {scales} scales and {zeros} zero points; expected as many of both.")
    scale = np.array(raw.ScaleAsNumpy(), np.float32)
    bad = ~(np.isfinite(scale) & (scale > 0))
    if bad.any():
        raise ModelError(f"{where}: scale {scale[bad][0]} (channel {int(np.argmax(bad))}); every scale must be finite and > 0.")
    zero = np.zeros(scales, np.int64)
    if zeros:
        zero[:] = raw.ZeroPointAsNumpy()
    low, high = RANGES[dtype]
    if (zero < low).any() or (zero > high).any():
        worst = zero[(zero < low) | (zero > high)][0]
        raise ModelError(f"{where}: zero point {worst} is outside of {dtype}: [{low}, {high}].")
    return QuantParams(scale, zero, axis if scales > 1 else None)
