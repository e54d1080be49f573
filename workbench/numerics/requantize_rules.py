"""Accumulators -> output integers: one small kernel per rule, and the table `REQUANTIZE` that picks it.

y = clip(rule((acc + bias) * scale[c]) + zero_point, q_min, q_max), scale[c] ~ sx * sw[c] / sy.
What differs between targets is only how the product is rounded (docs/arithmetic.md, section 0). All kernels have one signature:

    kernel(acc, bias, first, second, zero_point, q_min, q_max, out, column)

acc: int32 (int64 for the wide rules) [M, >= N]. bias: int64 [N]; acc + bias wraps to int32 (wide rules: to int64).
first, second: per-channel parameters [N]: (multiplier int32, shift int32), (left, right) for powers of two, or (scale, scale) for the
float rules.
out: int8, int16 or int32 [M, >= column + N], written in columns column .. column + N.
Limits: zero_point, q_min, q_max within the type of `out`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.fixed_point import (
    high_word_floor,
    multiply_by_quantized_multiplier,
    multiply_double_half_up,
    multiply_single,
    multiply_wide,
    round_half_away,
    shift_half_even,
    shift_half_up,
    wrap32,
)
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]
RequantizeKernel = Callable[[Array, Array, Array, Array, int, int, int, Array, int], None]


@kernel
def requantize_double(
    acc: Array, bias: Array, multiplier: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `double`: SRDHM then a rounding shift, half away from zero. TFLM, CMSIS-NN (default), LiteRT reference."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = multiply_by_quantized_multiplier(wrap32(acc[m, c] + bias[c]), int(multiplier[c]), int(shift[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_double_half_up(
    acc: Array, bias: Array, multiplier: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `double_half_up`: SRDHM then a rounding shift, half up. LiteRT optimised kernels (ruy on x86)."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = multiply_double_half_up(wrap32(acc[m, c] + bias[c]), int(multiplier[c]), int(shift[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_single(
    acc: Array, bias: Array, multiplier: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `single`: one 64-bit product, one rounding, half up. CMSIS_NN_USE_SINGLE_ROUNDING."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = multiply_single(wrap32(acc[m, c] + bias[c]), int(multiplier[c]), int(shift[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_float32(
    acc: Array, bias: Array, scale: Array, _: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `float32_half_even`: rint(float32(acc) * scale), clamped before the zero point is added. XNNPACK, ONNX Runtime.

    scale: float32. Both roundings (int32 -> float32, product) are to nearest even. Clamping to integers before rint gives the
    same integer and keeps the conversion in range.
    """
    low = np.float32(q_min - zero_point)
    high = np.float32(q_max - zero_point)
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = np.float32(np.int32(wrap32(acc[m, c] + bias[c]))) * scale[c]
            out[m, column + c] = np.int32(np.rint(min(max(v, low), high))) + zero_point


@kernel
def requantize_float64(
    acc: Array, bias: Array, scale: Array, _: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `float64_half_away`, int32 accumulators: round_half_away(double(acc) * scale). LiteRT reference FULLY_CONNECTED."""
    low, high = np.float64(q_min - zero_point), np.float64(q_max - zero_point)
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = round_half_away(np.float64(wrap32(acc[m, c] + bias[c])) * scale[c])
            out[m, column + c] = np.int64(min(max(v, low), high)) + zero_point


@kernel
def requantize_wide_reduced(
    acc: Array, bias: Array, reduced: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Wide rule `reduced_multiplier`: int64 accumulators, 15-bit multiplier, half up. TFLite 16x8, CMSIS-NN s16."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = multiply_wide(acc[m, c] + bias[c], int(reduced[c]), int(shift[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_wide_float64(
    acc: Array, bias: Array, scale: Array, _: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Wide rule `float64_half_away`: round_half_away(double(acc64) * scale). LiteRT FULLY_CONNECTED 16x8."""
    low, high = np.float64(q_min - zero_point), np.float64(q_max - zero_point)
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = round_half_away(np.float64(acc[m, c] + bias[c]) * scale[c])
            out[m, column + c] = np.int64(min(max(v, low), high)) + zero_point


@kernel
def requantize_float32_truncate(
    acc: Array, bias: Array, scale: Array, _: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `float32_truncate`: float32(acc) * scale toward zero, as a C conversion to int. TinyEngine."""
    low = np.float32(q_min - zero_point)
    high = np.float32(q_max - zero_point)
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = np.float32(np.int32(wrap32(acc[m, c] + bias[c]))) * scale[c]
            out[m, column + c] = np.int32(np.trunc(min(max(v, low), high))) + zero_point


@kernel
def requantize_rndnu(
    acc: Array, bias: Array, mantissa: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `rndnu`: (acc * m + 2**(s - 1)) >> s, m of 24 bits, s in [16, 55]; beyond int32 it saturates. XNNPACK on Arm (VRSHL)."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = (wrap32(acc[m, c] + bias[c]) * int(mantissa[c]) + (1 << (int(shift[c]) - 1))) >> int(shift[c])
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_icn(
    acc: Array, bias: Array, multiplier: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `icn`: high word of a 64-bit product, rounded down; the zero point is added before the clip. CMix-NN."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = high_word_floor(wrap32(acc[m, c] + bias[c]), int(multiplier[c]), int(shift[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_multiplier_floor(
    acc: Array, bias: Array, multiplier: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `multiplier_floor` with a 64-bit product: acc * m >> d. PULP-NN, 64 bits."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = (wrap32(acc[m, c] + bias[c]) * int(multiplier[c])) >> int(shift[c])
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_multiplier_floor32(
    acc: Array, bias: Array, multiplier: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `multiplier_floor` with a product that wraps at 32 bits. PULP-NN, 32 bits."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = wrap32(wrap32(acc[m, c] + bias[c]) * int(multiplier[c])) >> int(shift[c])
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_power_of_two_half_up(
    acc: Array, bias: Array, left: Array, right: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `power_of_two_half_up`, int32 accumulators. MAX78000, ESP32-S3."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = shift_half_up(wrap32(acc[m, c] + bias[c]), int(left[c]), int(right[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_power_of_two_half_even(
    acc: Array, bias: Array, left: Array, right: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `power_of_two_half_even`, int32 accumulators. ESP32-P4."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = shift_half_even(wrap32(acc[m, c] + bias[c]), int(left[c]), int(right[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_wide_power_of_two_half_up(
    acc: Array, bias: Array, left: Array, right: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Wide rule `power_of_two_half_up`: int64 accumulators, |acc| < 2**47. ESP-DL, int16."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = shift_half_up(acc[m, c] + bias[c], int(left[c]), int(right[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_wide_power_of_two_half_even(
    acc: Array, bias: Array, left: Array, right: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Wide rule `power_of_two_half_even`: int64 accumulators, |acc| < 2**47. ESP-DL, int16."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = shift_half_even(acc[m, c] + bias[c], int(left[c]), int(right[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


REQUANTIZE: dict[str, RequantizeKernel] = {
    "double": requantize_double,
    "double_half_up": requantize_double_half_up,
    "single": requantize_single,
    "float32_half_even": requantize_float32,
    "float64_half_away": requantize_float64,
    "float32_truncate": requantize_float32_truncate,
    "rndnu": requantize_rndnu,
    "icn": requantize_icn,
    "multiplier_floor": requantize_multiplier_floor,
    "multiplier_floor32": requantize_multiplier_floor32,
    "power_of_two_half_up": requantize_power_of_two_half_up,
    "power_of_two_half_even": requantize_power_of_two_half_even,
}
"""Rule of `Arithmetic.requantize` -> kernel for int32 accumulators (`multiplier_floor32`: with `product_bits` 32)."""

REQUANTIZE_WIDE: dict[str, RequantizeKernel] = {
    "reduced_multiplier": requantize_wide_reduced,
    "float64_half_away": requantize_wide_float64,
    "power_of_two_half_up": requantize_wide_power_of_two_half_up,
    "power_of_two_half_even": requantize_wide_power_of_two_half_even,
}
"""Rule of `Arithmetic.requantize_wide` -> kernel for int64 accumulators."""
