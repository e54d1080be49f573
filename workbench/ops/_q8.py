"""XNNPACK's 8-bit rescaling by a multiplier with 8 fraction bits: ((x - zx) * m + 128) >> 8. Source: qs8-vcvt, qs8-vlrelu."""

from __future__ import annotations

import numpy as np

from workbench.ops.base import Array


def fits_q8(scale: np.float32, negative_side: bool = False) -> bool:
    """True when XNNPACK's delegate takes the scale: [2**-8, 2**7], and for a slope its negative down to -127.99609375."""
    if negative_side and scale < 0:
        return bool(-127.99609375 <= scale <= -(2.0**-8))
    return bool(2.0**-8 <= scale <= 128.0)


def q8_scaled(x: Array, scale: np.float32, zero_point: int) -> Array:
    """Return clip(((x * m + 128) >> 8) + zero_point, int8), m = rint(256 * scale). x: int32, zero point already subtracted."""
    multiplier = int(np.rint(np.float32(256.0) * scale))
    rounded = np.clip((x.astype(np.int64) * multiplier + 128) >> 8, -32768, 32767)
    return np.asarray(np.clip(rounded + zero_point, -128, 127))
