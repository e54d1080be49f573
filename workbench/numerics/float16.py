"""float16 and bfloat16 as bit patterns: Numba has no half type, so kernels carry uint16 and compute in float32.

Each format has a scalar rule (readable, for kernels) and an array twin (for everybody else).
Source: IEEE 754-2019 sections 3.4 and 4.3.1 (binary16, roundTiesToEven); bfloat16 = the upper half of a float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.jit import inline, kernel

F16_CANONICAL_NAN = 0x7FFF
F32_CANONICAL_NAN = 0x7FFF_FFFF
"""What an NVIDIA unit writes for every NaN result, whatever the payloads that came in (PTX ISA, `cvt` and `mma`)."""


@inline
def f16_to_f32(bits: int) -> Any:
    """Return the float32 value of a float16 pattern: exact for every code; NaN payloads move to the top bits.

    0x3C00 -> 1.0, 0x0001 -> 2**-24, 0xFC00 -> -inf.
    """
    sign = np.uint32(bits & 0x8000) << np.uint32(16)
    magnitude = np.uint32(bits & 0x7FFF)
    if magnitude >= np.uint32(0x7C00):
        wide = np.uint32(0x7F80_0000) | ((magnitude & np.uint32(0x3FF)) << np.uint32(13))
        return np.uint32(sign | wide).view(np.float32)
    # Shift into place, then rescale by the difference of the biases (127 - 15): subnormals come out right as well.
    value = np.uint32(magnitude << np.uint32(13)).view(np.float32) * np.float32(2.0**112)
    return np.uint32(sign | np.float32(value).view(np.uint32)).view(np.float32)


@inline
def f32_to_f16(value: Any) -> Any:
    """Return the float16 pattern of a float32, to nearest even; >= 65520 becomes infinity, NaN keeps its top payload (quiet).

    1.0 -> 0x3C00, 65519.996 -> 0x7BFF, 2**-25 -> 0x0000 (a tie to even), -2**-24 -> 0x8001.
    """
    bits = np.float32(value).view(np.uint32)
    sign = (bits >> np.uint32(16)) & np.uint32(0x8000)
    magnitude = np.int64(bits & np.uint32(0x7FFF_FFFF))
    if magnitude > 0x7F80_0000:
        return np.uint16(sign | np.uint32(0x7E00) | np.uint32((magnitude >> 13) & 0x3FF))
    exponent: Any = (magnitude >> 23) - 127
    if exponent > 15:
        return np.uint16(sign | np.uint32(0x7C00))
    if exponent < -25:
        return np.uint16(sign)
    significand = (magnitude & 0x7F_FFFF) | 0x80_0000
    shift = 13 if exponent >= -14 else -1 - exponent
    rounded = (significand + (1 << (shift - 1)) - 1 + ((significand >> shift) & 1)) >> shift
    biased = max(exponent, -14) + 14  # the hidden bit in `rounded` adds the missing 1; a carry runs into the exponent
    return np.uint16(sign | np.uint32((biased << 10) + rounded))


@inline
def f32_to_bf16(value: Any) -> Any:
    """Return the bfloat16 pattern of a float32, to nearest even; NaN becomes 0x7FC0 with its sign."""
    bits = np.int64(np.float32(value).view(np.uint32))
    if (bits & 0x7FFF_FFFF) > 0x7F80_0000:
        return np.uint16(((bits >> 16) & 0x8000) | 0x7FC0)
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


@kernel
def _widen(bits: Any, out: Any) -> None:
    for i in range(bits.size):
        out[i] = f16_to_f32(bits[i])


@kernel
def _narrow(values: Any, out: Any) -> None:
    for i in range(values.size):
        out[i] = f32_to_f16(values[i])


@kernel
def _narrow_bf16(values: Any, out: Any) -> None:
    for i in range(values.size):
        out[i] = f32_to_bf16(values[i])


def f16_to_f32_array(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Return the float32 values of float16 patterns (uint16, any shape)."""
    out = np.empty(bits.shape, np.float32)
    _widen(np.ascontiguousarray(bits).reshape(-1), out.reshape(-1))
    return out


def f32_to_f16_array(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Return the float16 patterns of float32 values (any shape), to nearest even."""
    out = np.empty(values.shape, np.uint16)
    _narrow(np.ascontiguousarray(values).reshape(-1), out.reshape(-1))
    return out


def f32_to_bf16_array(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Return the bfloat16 patterns of float32 values (any shape), to nearest even."""
    out = np.empty(values.shape, np.uint16)
    _narrow_bf16(np.ascontiguousarray(values).reshape(-1), out.reshape(-1))
    return out


def bf16_to_f32_array(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Return the float32 values of bfloat16 patterns (any shape): exact, a shift."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
