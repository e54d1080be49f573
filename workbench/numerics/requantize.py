"""Accumulators -> output integers: one small kernel per rule, and the table `REQUANTIZE` that picks it.

y = clip(rule((acc + bias) * scale[c]) + zero_point, q_min, q_max), scale[c] ~ sx * sw[c] / sy.
What differs between targets is only how the product is rounded (docs/arithmetic.md, section 0). All kernels have one signature:

    kernel(acc, bias, first, second, zero_point, q_min, q_max, out, column)

acc: int32 (int64 for the wide rules) [M, >= N]. bias: int64 [N]; acc + bias wraps to int32 (wide rules: to int64).
first, second: per-channel parameters [N]: (multiplier int32, shift int32), or (scale, scale) for the float rules.
out: int8 or int16 [M, >= column + N], written in columns column .. column + N.
Limits: zero_point, q_min, q_max within the type of `out`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.fixed_point import (
    multiply_by_quantized_multiplier,
    multiply_double_half_up,
    multiply_single,
    multiply_wide,
    quantize_multiplier,
    reduce_multiplier,
    round_half_away,
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
            v = multiply_by_quantized_multiplier(wrap32(acc[m, c] + bias[c]), np.int64(multiplier[c]), np.int64(shift[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_double_half_up(
    acc: Array, bias: Array, multiplier: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `double_half_up`: SRDHM then a rounding shift, half up. LiteRT optimised kernels (ruy on x86)."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = multiply_double_half_up(wrap32(acc[m, c] + bias[c]), np.int64(multiplier[c]), np.int64(shift[c]))
            out[m, column + c] = min(max(v + zero_point, q_min), q_max)


@kernel
def requantize_single(
    acc: Array, bias: Array, multiplier: Array, shift: Array, zero_point: int, q_min: int, q_max: int, out: Array, column: int
) -> None:
    """Rule `single`: one 64-bit product, one rounding, half up. CMSIS_NN_USE_SINGLE_ROUNDING."""
    for m in range(acc.shape[0]):
        for c in range(bias.size):
            v = multiply_single(wrap32(acc[m, c] + bias[c]), np.int64(multiplier[c]), np.int64(shift[c]))
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
            v = multiply_wide(acc[m, c] + bias[c], np.int64(reduced[c]), np.int64(shift[c]))
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


REQUANTIZE: dict[str, RequantizeKernel] = {
    "double": requantize_double,
    "double_half_up": requantize_double_half_up,
    "single": requantize_single,
    "float32_half_even": requantize_float32,
    "float64_half_away": requantize_float64,
}
"""Rule of `Arithmetic.requantize` -> kernel for int32 accumulators."""

REQUANTIZE_WIDE: dict[str, RequantizeKernel] = {
    "reduced_multiplier": requantize_wide_reduced,
    "float64_half_away": requantize_wide_float64,
}
"""Rule of `Arithmetic.requantize_wide` -> kernel for int64 accumulators."""


@dataclass(frozen=True, eq=False)
class Requantizer:
    """A rule with its parameters for N channels, ready to be applied to any number of rows."""

    rule: RequantizeKernel
    first: Array
    second: Array
    zero_point: int
    q_min: int
    q_max: int
    remainder: RequantizeKernel | None = None
    remainder_from: int = 0

    def __call__(self, acc: Array, bias: Array, out: Array, column: int = 0) -> None:
        """Write the requantized columns; shapes as in the module text. Channels column .. column + bias.size are used.

        Channels from `remainder_from` on take the other rule, where there is one.
        """
        last = column + bias.size
        if self.remainder is not None and last > self.remainder_from:
            split = max(self.remainder_from, column)
            self.remainder(
                np.ascontiguousarray(acc[:, split - column :]), bias[split - column :], self.first[split:last], self.second[split:last],
                self.zero_point, self.q_min, self.q_max, out, split,
            )  # fmt: skip
            last = split
            bias = bias[: last - column]
            if last == column:
                return
        self.rule(
            acc, bias, self.first[column:last], self.second[column:last],
            self.zero_point, self.q_min, self.q_max, out, column,
        )  # fmt: skip


def effective_scale(arithmetic: Arithmetic, sx: Any, sw: Any, sy: Any) -> npt.NDArray[np.float64]:
    """Return sx * sw / sy, evaluated in `arithmetic.scale_precision` and in this order, widened to float64.

    sx, sy: float32 scalars; sw: float32 [C] or scalar.
    """
    dtype = np.dtype(arithmetic.scale_precision).type
    with np.errstate(over="ignore", under="ignore"):
        product = dtype(sx) * np.atleast_1d(np.asarray(sw)).astype(dtype)
        return np.asarray(product / dtype(sy), np.float64)


def make_requantizer(
    arithmetic: Arithmetic,
    scale: Array,
    channels: int,
    zero_point: int,
    limits: tuple[int, int],
    wide: bool,
    subbyte: bool = False,
) -> Requantizer:
    """Return the requantizer of one operator.

    scale: float64 [1] or [channels] from `effective_scale`. limits: (q_min, q_max). wide: int64 accumulators. subbyte:
    weights of 4 or 2 bits. Raises InputError when a scale is out of the range in which the rule is defined.
    """
    scale = np.ascontiguousarray(np.broadcast_to(scale, (channels,)))
    rule = arithmetic.requantize_wide if wide else arithmetic.requantize_subbyte if subbyte else arithmetic.requantize
    rule = rule or arithmetic.requantize
    table = REQUANTIZE_WIDE if wide else REQUANTIZE
    remainder, remainder_from = None, 0
    if rule == "double_half_up_simd8":
        rule, remainder, remainder_from = "double_half_up", REQUANTIZE["double"], channels // 8 * 8
    if rule == "float32_half_even":
        first = second = scale.astype(np.float32)
    elif rule == "float64_half_away":
        first = second = scale
    else:
        first, second = quantize_multiplier(scale)
        largest = 14 if wide else 30
        if int(second.max(initial=0)) > largest:
            raise InputError(f"input scale * weight scale / output scale is {scale.max():g}; must be below 2**{largest}")
        first = reduce_multiplier(first) if wide else first
    if not np.isfinite(first).all():
        raise InputError("input scale * weight scale / output scale is not finite")
    return Requantizer(table[rule], first, second, zero_point, *limits, remainder, remainder_from)
