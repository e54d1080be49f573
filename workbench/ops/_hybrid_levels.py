"""How groups of float32 activations become integers as a layer runs: scale and zero point from their smallest and largest.

`symmetric`, `asymmetric`: LiteRT on x86, whose Neon code runs as SSE: blocks of 8 round by adding a half in float32 and cutting off,
what is left rounds half away from zero. The two part at 0.49999997 alone. `symmetric_float64`: its kernel for 4-bit weights.
`reciprocal`: XNNPACK. `unsigned_divide`: ONNX Runtime.
Source: LiteRT kernels/internal/optimized/{neon_tensor_utils,4bit/sse_fully_connected}.cc; XNNPACK src/xnnpack/quantization.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.ops.base import Array

F32 = npt.NDArray[np.float32]

BLOCK = 8
"""Activations that LiteRT's vector code rounds at a time."""


class Levels(NamedTuple):
    """values: integers less their zero point, int16, as many and in the shape of the activations. scale, zero: float32 [N]."""

    values: Array
    scale: F32
    zero: F32


def quantize_groups(x: F32, levels: str) -> Levels:
    """Return x [N, ...] quantized by a key of LEVELS; every entry of dimension 0 is a group."""
    with np.errstate(all="ignore"):
        found = LEVELS[levels](x.reshape(len(x), -1))
    return found._replace(values=found.values.reshape(x.shape))


def round_away(x: Array) -> Array:
    """Round half away from zero. x: float32, widened so that adding a half is exact."""
    wide = x.astype(np.float64)
    return np.trunc(wide + np.copysign(0.5, wide))


def _round_blocks(x: F32) -> Array:
    """Round as the vector code along dimension 1, and what is left half away from zero."""
    whole = x.shape[1] // BLOCK * BLOCK
    body = np.trunc(x[:, :whole] + np.copysign(np.float32(0.5), x[:, :whole]))
    return np.concatenate([body, round_away(x[:, whole:])], axis=1)


def _symmetric(x: F32) -> Levels:
    """[-127, 127], one product by 127 / range in float32."""
    top = np.abs(x).max(axis=1)
    live = top > 0
    safe = np.where(live, top, np.float32(1))
    inverse = np.where(live, np.float32(127) / safe, np.float32(0))
    q = np.clip(_round_blocks(x * inverse[:, None]), -127, 127)
    return Levels(q.astype(np.int16), np.where(live, safe / np.float32(127), np.float32(1)), np.zeros_like(safe))


def _symmetric_float64(x: F32) -> Levels:
    """[-127, 127] with both quotients in float64."""
    top = np.abs(x).max(axis=1).astype(np.float64)
    top[top == 0] = 127.0
    q = np.clip(round_away(x * (127.0 / top).astype(np.float32)[:, None]), -128, 127)
    return Levels(q.astype(np.int16), (top / 127.0).astype(np.float32), np.zeros(len(x), np.float32))


def _asymmetric(x: F32) -> Levels:
    """[-128, 127] around a zero point from the end whose error is smaller, in float64; the range and products in float32."""
    low, high = np.minimum(x.min(axis=1), np.float32(0)), np.maximum(x.max(axis=1), np.float32(0))
    live = low != high
    wide = np.where(live, (high - low).astype(np.float64) / 255.0, 1.0)
    below, above = low / wide, high / wide
    zero = np.where(128.0 + np.abs(below) < 127.0 + np.abs(above), -128.0 - below, 127.0 - above)
    zero = np.where(live, round_away(np.clip(zero, -128, 127)), 0.0)
    scale = wide.astype(np.float32)
    inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    q = np.clip(_round_blocks(x * inverse[:, None]) + zero[:, None], -128, 127)
    return Levels((q - zero[:, None]).astype(np.int16), scale, zero.astype(np.float32))


def _reciprocal(x: F32) -> Levels:
    """[-128, 127] by 255 / (largest - smallest), all in float32, half to even; the scale is the inverse of that."""
    low, high = np.minimum(x.min(axis=1), np.float32(0)), np.maximum(x.max(axis=1), np.float32(0))
    live = low != high
    inverse = np.where(live, np.float32(255) / np.where(live, high - low, np.float32(1)), np.float32(1))
    below, above = low * inverse, high * inverse
    low_nearer = (np.float32(-128) + below) + (np.float32(127) + above) > 0
    zero = np.rint(np.clip(np.where(low_nearer, np.float32(-128) - below, np.float32(127) - above), -128, 127))
    q = np.clip(np.rint(np.minimum(x * inverse[:, None], np.float32(32767))) + zero[:, None], -128, 127)
    return Levels((q - zero[:, None]).astype(np.int16), np.asarray(np.float32(1) / inverse, np.float32), zero)


def _unsigned_divide(x: F32) -> Levels:
    """[0, 255] by (largest - smallest) / 255, all in float32, half to even; the zero point from the smallest (ONNX Runtime)."""
    low, high = np.minimum(x.min(axis=1), np.float32(0)), np.maximum(x.max(axis=1), np.float32(0))
    scale = np.where(low == high, np.float32(1), (high - low) / np.float32(255))
    zero = np.rint(np.clip(np.float32(0) - low / scale, 0, 255)).astype(np.float32)
    q = np.clip(np.rint(x / scale[:, None]) + zero[:, None], 0, 255)
    return Levels((q - zero[:, None]).astype(np.int16), scale.astype(np.float32), zero)


LEVELS: dict[str, Callable[[F32], Levels]] = {
    "symmetric": _symmetric, "symmetric_float64": _symmetric_float64, "asymmetric": _asymmetric, "reciprocal": _reciprocal,
    "unsigned_divide": _unsigned_divide,
}  # fmt: skip
"""Name -> how groups of activations float32 [N, K] are quantized."""
