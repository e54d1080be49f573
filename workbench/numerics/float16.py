"""float16 and bfloat16 as bit patterns: Numba has no half type, so kernels carry uint16 and compute in float32.

Each format has a scalar rule (readable, for kernels) and an array twin (for everybody else).
Source: IEEE 754-2019 sections 3.4 and 4.3.1 (binary16, roundTiesToEven); bfloat16 = the upper half of a float32.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from workbench.numerics.jit import inline, kernel

F16_CANONICAL_NAN = 0x7FFF
F32_CANONICAL_NAN = 0x7FFF_FFFF
"""What an NVIDIA unit writes for every NaN result, whatever the payloads that came in (PTX ISA, `cvt` and `mma`)."""

NARROW: dict[str, type[np.generic]] = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
"""Name of a type of 16 bits -> NumPy's type, whose own casts take 20 times as long as these."""


@inline
def f16_to_f32(bits: int) -> Any:
    """Return the float32 value of a float16 pattern: exact for every code; NaN payloads move to the top bits.

    0x3C00 -> 1.0, 0x0001 -> 2**-24, 0xFC00 -> -inf.
    """
    sign = np.uint32(bits & 0x8000) << np.uint32(16)
    magnitude = np.uint32(bits & 0x7FFF)
    # Shift into place, then rescale by the difference of the biases (127 - 15): subnormals come out right as well.
    value = np.float32(np.uint32(magnitude << np.uint32(13)).view(np.float32) * np.float32(2.0**112)).view(np.uint32)
    special = np.uint32(0x7F80_0000) | np.uint32((magnitude & np.uint32(0x3FF)) << np.uint32(13))
    return np.uint32(sign | (special if magnitude >= np.uint32(0x7C00) else value)).view(np.float32)


@inline
def f32_to_f16(value: Any) -> Any:
    """Return the float16 pattern of a float32, to nearest even; >= 65520 becomes infinity, NaN keeps its top payload (quiet).

    1.0 -> 0x3C00, 65519.996 -> 0x7BFF, 2**-25 -> 0x0000 (a tie to even), -2**-24 -> 0x8001. Without branches, so that LLVM
    vectorizes loops over it: adding 1.5 * 2**13 units of the exponent leaves 10 fraction bits, rounded as IEEE additions are.
    """
    bits = np.float32(value).view(np.uint32)
    sign = np.uint32(bits >> np.uint32(16)) & np.uint32(0x8000)
    magnitude = np.uint32(bits & np.uint32(0x7FFF_FFFF))
    size = np.uint32(min(magnitude, np.uint32(0x4780_0000))).view(np.float32)  # 65536: infinity
    exponent = max(np.uint32(np.float32(size).view(np.uint32) & np.uint32(0x7F80_0000)), np.uint32((127 - 14) << 23))
    magic = np.uint32(np.uint32(exponent + np.uint32(13 << 23)) | np.uint32(1 << 22)).view(np.float32)
    rounded = np.float32(np.float32(size + magic) - magic)
    normal = np.uint32(np.uint32(rounded.view(np.uint32) >> np.uint32(13)) - np.uint32(112 << 10))
    subnormal = np.uint32(np.int32(rounded * np.float32(2.0**24)))
    found = subnormal if rounded < np.float32(2.0**-14) else normal
    quiet = np.uint32(0x7E00) | np.uint32(np.uint32(magnitude >> np.uint32(13)) & np.uint32(0x3FF))
    return np.uint16(sign | (quiet if magnitude > np.uint32(0x7F80_0000) else found))


@inline
def f32_to_bf16(value: Any) -> Any:
    """Return the bfloat16 pattern of a float32, to nearest even; NaN becomes 0x7FC0 with its sign."""
    bits = np.float32(value).view(np.uint32)
    top = np.uint32(bits >> np.uint32(16))
    quiet = np.uint32(top & np.uint32(0x8000)) | np.uint32(0x7FC0)
    rounded = np.uint32(np.uint32(bits + np.uint32(0x7FFF)) + np.uint32(top & np.uint32(1))) >> np.uint32(16)
    return np.uint16(quiet if np.uint32(bits & np.uint32(0x7FFF_FFFF)) > np.uint32(0x7F80_0000) else rounded)


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
    return (np.ascontiguousarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def widen(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return float16, bfloat16, float8 or float32 numbers as float32: exact."""
    if values.dtype == np.float16:
        return f16_to_f32_array(values.view(np.uint16))
    if values.dtype == NARROW["bfloat16"]:
        return bf16_to_f32_array(values.view(np.uint16))
    return values.astype(np.float32, copy=False)


def narrow(values: npt.NDArray[np.float32], dtype: str) -> npt.NDArray[Any]:
    """Return float32 numbers as `dtype` ('float16', 'bfloat16', or another name for float32), rounded once to nearest even."""
    if dtype == "float16":
        return f32_to_f16_array(values).view(np.float16)
    if dtype == "bfloat16":
        return f32_to_bf16_array(values).view(NARROW[dtype])
    return values
