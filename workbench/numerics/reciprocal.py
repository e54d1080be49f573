"""1 / n as a small integer and a shift: how ESP-DL averages on processors whose accumulators only take products of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def reciprocals(most: int, bits: int) -> tuple[Array, Array]:
    """Return (factor, shift) int64 [most + 1] with factor[n] ~ 2**shift[n] / n; entry 0 is not used. most < 2**16.

    bits 6: shift is the largest with 2**shift < 64 * n, the factor is rounded down (ESP32-S3). bits 7: 2**shift < 127 * n, rounded half
    to even (ESP32-P4). 9, 6 -> (56, 9); 9, 7 -> (114, 10). Source: ESP-DL dl_tool.hpp calculate_exponent, dl_base_pool2d.hpp.
    """
    n = np.arange(1, most + 1, dtype=np.int64)
    limit = (64 if bits == 6 else 127) * n
    shift = np.frexp((limit - 1).astype(np.float64))[1].astype(np.int64) - 1
    whole = np.int64(1) << shift
    factor = (
        whole // n if bits == 6 else np.rint(np.float32(1.0) / n.astype(np.float32) * whole.astype(np.float32)).astype(np.int64)
    )
    nothing = np.zeros(1, np.int64)
    return np.concatenate([nothing, factor]), np.concatenate([nothing, shift])
