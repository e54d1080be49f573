"""`Arithmetic`: a target's number behaviour for one operator, as data.

A profile fills it from YAML (a base, then overrides per operator and per activation type). No code asks a profile for its
name; a new quirk is one field here and one branch in `numerics/` or `kernels/`. Names and rules: docs/arithmetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RequantizeRule = Literal["double", "double_half_up", "single", "float32_half_even", "float64_half_away"]
WideRule = Literal["reduced_multiplier", "float64_half_away"]
ScalePrecision = Literal["float64", "float32"]
Overflow = Literal["wrap", "saturate"]

REQUANTIZE_CODES: dict[str, int] = {
    "double": 0,
    "double_half_up": 1,
    "single": 2,
    "float32_half_even": 3,
    "float64_half_away": 4,
}
"""Rule name -> the integer that kernels branch on."""


@dataclass(frozen=True)
class Arithmetic:
    """How one operator of one target computes. All fields have the value of TFLM == CMSIS-NN (default rounding).

    requantize: int32 accumulator -> output integer. `double` = SRDHM then rounding shift (half away from zero);
        `double_half_up` = SRDHM then half-up shift; `single` = one 64-bit product and half-up shift;
        `float32_half_even` = rint(float32(acc) * float32(scale)); `float64_half_away` = round(double(acc) * double scale).
    requantize_wide: the same for 64-bit accumulators (int16 activations with int64 bias).
    scale_precision: precision in which sx * sw / sy is evaluated before it becomes a multiplier.
    accumulator_bits, overflow: width of the dot-product accumulator and what happens beyond it.
    """

    requantize: RequantizeRule = "double"
    requantize_wide: WideRule = "reduced_multiplier"
    scale_precision: ScalePrecision = "float64"
    accumulator_bits: int = 32
    overflow: Overflow = "wrap"
    # elementwise add/sub: `fixed_point` = both inputs rescaled with a left shift of 20 (int8) or 15 (int16), TFLite;
    # `power_of_two_int16` = LiteRT's int16 path when all scales are powers of two.
    add: Literal["fixed_point", "power_of_two_int16", "xnnpack"] = "fixed_point"
    # float -> integer: `divide_half_away` = round_half_away(x / s) + z; `reciprocal_half_even` = rint(x * (1 / s)) + z.
    quantize: Literal["divide_half_away", "reciprocal_half_even"] = "divide_half_away"
    # Tensor-core dot product (float16 inputs): products summed per step, fraction bits kept when aligning, result type.
    float_products_per_step: int = 16
    float_fraction_bits: int = 25
    # `float32` truncated to 24 bits per step; `float32_e8m13` truncated to 14 bits (fp8 of Ada, Hopper); `float16` half to even.
    float_accumulator: Literal["float32", "float32_e8m13", "float16"] = "float32"
