"""Fused activations as integer limits: relu, relu6 and relu_n1_to_1 only clamp."""

from __future__ import annotations

import math

import numpy as np

from workbench.errors import InputError, nearest

FUSED_LIMITS: dict[str, tuple[float, float]] = {
    "none": (-math.inf, math.inf),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}
"""Fused activation -> limits in real units."""


def fused_limits(activation: str) -> tuple[float, float]:
    """Return the real limits of a fused activation; InputError for an unknown name."""
    if activation not in FUSED_LIMITS:
        raise InputError(
            f"unknown fused activation '{activation}'.{nearest(activation, FUSED_LIMITS)}\nKnown: {', '.join(FUSED_LIMITS)}."
        )
    return FUSED_LIMITS[activation]


def quantized_limit(value: float, scale: float, zero_point: int) -> int:
    """Return zero_point + round_half_away(float32(value) / float32(scale)): TFLite CalculateActivationRangeQuantized."""
    ratio = float(np.float32(value) / np.float32(scale))
    return zero_point + math.floor(abs(ratio) + 0.5) * (1 if ratio >= 0 else -1)


def activation_range(activation: str, scale: float, zero_point: int, q_low: int, q_high: int) -> tuple[int, int]:
    """Return (q_min, q_max) of a fused activation within the type's range [q_low, q_high]."""
    low, high = fused_limits(activation)
    q_min = q_low if math.isinf(low) else max(q_low, quantized_limit(low, scale, zero_point))
    q_max = q_high if math.isinf(high) else min(q_high, quantized_limit(high, scale, zero_point))
    return min(q_min, q_high), max(q_max, q_low)
