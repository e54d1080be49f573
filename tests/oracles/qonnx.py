"""QONNX quantizers as their definition says, in NumPy float32. Source: docs/qonnx-custom-ops of the QONNX project."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
F = np.float32


def bounds(signed: bool, narrow: bool, bits: int) -> tuple[int, int]:
    """Return the smallest and largest integer."""
    if signed:
        return -(2 ** (bits - 1)) + (1 if narrow else 0), 2 ** (bits - 1) - 1
    return 0, 2**bits - (2 if narrow else 1)


def rounded(x: Array, mode: str) -> Array:
    """Round as a mode says."""
    if mode in ("ROUND", "HALF_EVEN"):
        return np.round(x)
    if mode in ("CEIL", "FLOOR"):
        return np.ceil(x) if mode == "CEIL" else np.floor(x)
    if mode in ("DOWN", "ROUND_TO_ZERO"):
        return np.fix(x)
    away = {"UP": np.ceil(np.abs(x)), "HALF_UP": np.floor(np.abs(x) + F(0.5)), "HALF_DOWN": np.ceil(np.abs(x) - F(0.5))}
    return np.sign(x) * away[mode]


def quant(x: Array, scale: Array, zero: Array, bits: int, signed: bool, narrow: bool, mode: str) -> Array:
    """Quant: clip(x / scale + zero), rounded, and back."""
    y = x / scale + zero
    grid = rounded(np.clip(y, *map(F, bounds(signed, narrow, bits))), mode)
    y = np.where(y >= 0, F(1), F(-1)) if bits == 1 and signed else grid
    return ((y - zero) * scale).astype(F)


def bipolar(x: Array, scale: Array) -> Array:
    """BipolarQuant."""
    return (np.where(x >= 0, F(1), F(-1)) * scale).astype(F)


def trunc(x: Array, scale: Array, zero: Array, bits: int, out_bits: int, mode: str) -> Array:
    """Trunc, first version: the lowest bits are cut off."""
    y = np.round(x / scale + zero) / F(2.0 ** (bits - out_bits))
    return ((rounded(y, mode) - zero) * scale).astype(F)


def trunc_to(
    x: Array, scale: Array, zero: Array, out_scale: Array, out_bits: int, signed: bool, narrow: bool, mode: str
) -> Array:
    """Trunc, second version: to another scale, a power of two away, and clipped."""
    divisor = F(2.0 ** np.round(np.log2(out_scale / scale)))
    y = np.round(x / scale + zero) / divisor
    y = rounded(np.clip(y, *map(F, bounds(signed, narrow, out_bits))), mode)
    return ((y - zero / divisor) * out_scale).astype(F)
