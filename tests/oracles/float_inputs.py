"""Bit patterns that are hard for a dot product: random bits, subnormals, cancellation, wide exponents, sparse, largest sums."""

from __future__ import annotations

import numpy as np

KINDS = ("bits", "subnormal", "normal", "cancel", "wide", "sparse", "finite", "ones", "peak")
WIDTHS = {"fp16": (5, 10), "bf16": (8, 7), "tf32": (8, 23), "e4m3": (4, 3), "e5m2": (5, 2), "fp32": (8, 23)}


def patterns(rng: np.random.Generator, shape: tuple[int, int], kind: str, name: str = "fp16") -> np.ndarray:
    """Return int64 patterns [rows, K] of a format; 'cancel' pairs equal values of the first with the second half of K."""
    exponent_bits, fraction_bits = WIDTHS[name]
    total, top = exponent_bits + fraction_bits, 2**exponent_bits
    sign = rng.integers(0, 2, shape) << total
    fraction = rng.integers(0, 2**fraction_bits, shape)
    near_one = (top // 2 - 1 + rng.integers(-2, 2, shape)) << fraction_bits
    if kind == "bits":
        return rng.integers(0, 2 ** (total + 1), shape)
    if kind == "subnormal":
        return sign | (rng.integers(0, 3, shape) << fraction_bits) | fraction
    if kind == "finite":
        return sign | (rng.integers(0, top - 1, shape) << fraction_bits) | fraction
    if kind == "wide":
        return sign | (np.clip(top // 2 + rng.integers(-top // 3, top // 3, shape), 0, top - 2) << fraction_bits) | fraction
    if kind == "sparse":
        return np.where(rng.random(shape) < 0.7, sign, sign | near_one | fraction)
    if kind == "peak":  # products of nearly 4 and one sign: the largest sums
        return np.full(shape, ((top // 2) << fraction_bits) - 1) - (rng.random(shape) < 0.1)
    if kind == "ones":
        return sign | ((top - 2) << fraction_bits) | (2**fraction_bits - 1)
    out = sign | near_one | fraction
    if kind == "cancel":
        half = shape[1] // 2
        out[:, half : 2 * half] = out[:, :half]
    return out


def opposite_halves(b: np.ndarray, name: str = "fp16") -> np.ndarray:
    """Return b with the second half of K equal to the first with flipped signs: against equal halves everything cancels."""
    half = b.shape[1] // 2
    out = b.copy()
    out[:, half : 2 * half] = b[:, :half] ^ (1 << sum(WIDTHS[name]))
    return out
