"""`Arithmetic`: a target's number behaviour for one operator, as data.

A profile fills it from YAML (a base, then overrides per operator and per activation type). No code asks a profile for its
name; a new quirk is one field here and one branch in `numerics/` or `kernels/`. Names and rules: docs/arithmetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RequantizeRule = Literal["double", "double_half_up", "double_half_up_simd8", "single", "float32_half_even", "float64_half_away"]
WideRule = Literal["reduced_multiplier", "float64_half_away"]
ScalePrecision = Literal["float64", "float32"]
Overflow = Literal["wrap", "saturate", "saturate_int16_pairs"]

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
        `double_half_up_simd8` = `double_half_up` for whole blocks of 8 channels, `double` for the channels that are left.
    requantize_subbyte: the rule for weights below 8 bits where a runtime runs those in other kernels (None: the same rule).
    requantize_grouped: the rule for conv2d with groups where a runtime runs those in another kernel (None: the same rule).
    requantize_wide: the same for 64-bit accumulators (int16 activations with int64 bias).
    scale_precision: precision in which sx * sw / sy is evaluated before it becomes a multiplier.
    product_precision: precision of sx * sw where a layer has one multiplier (fully connected with one weight scale, batch
        matmul) and a fixed-point rule. LiteRT rounds that product to float32 and divides in float64; TFLM does not.
    accumulator_bits, overflow: width of the dot-product accumulator and what happens beyond it after every addition.
        `saturate_int16_pairs`: unsigned bytes (x + 128) times weights, products of neighbours in (kh, kw, c) order added with
        int16 saturation, those sums exactly (VPMADDUBSW: u8 x s8 on AVX2 without VNNI); depthwise is exact.
    accumulator_bits_wide: the same for int16 activations with int64 bias.
    int16_without_bias: accumulator (and so the rule) of int16 activations when a layer has no bias.
    """

    requantize: RequantizeRule = "double"
    requantize_subbyte: RequantizeRule | None = None
    requantize_grouped: RequantizeRule | None = None
    requantize_wide: WideRule = "reduced_multiplier"
    scale_precision: ScalePrecision = "float64"
    product_precision: ScalePrecision = "float64"
    accumulator_bits: int = 32
    overflow: Overflow = "wrap"
    accumulator_bits_wide: int = 64
    int16_without_bias: Literal["int32", "int64"] = "int64"
    # Elementwise operators. `simd`: LiteRT's x86 kernels; their vector body (blocks of 16) rounds otherwise than their tail.
    # `xnnpack`: the rule of XNNPACK where it takes the node (type, scale ratios in its range), else as LiteRT without delegate.
    # add/sub: `fixed_point` = both inputs rescaled with a left shift of 20 (int8) or 15 (int16), TFLite.
    add: Literal["fixed_point", "fixed_point_simd", "xnnpack"] = "fixed_point"
    # The flag pot_scale_int16 of int16 add/sub is honoured (LiteRT: shifts only), not ignored (TFLM, CMSIS-NN).
    add_power_of_two: bool = False
    mul: Literal["rescale", "rescale_simd", "xnnpack"] = "rescale"
    # mean: `folded` = 1/N divided into the integer multiplier; `float_simd` = float32 scale / N over (H, W), body half up.
    mean: Literal["folded", "float_simd", "xnnpack"] = "folded"
    # int8 -> int8 by one scale (quantize, leaky_relu): `requantize` = that field; `half_up_simd` = half up in the vector body.
    rescale: Literal["requantize", "half_up_simd", "xnnpack"] = "requantize"
    # int8 logistic/tanh table: fixed point in Q4.27; float, half away (LiteRT) or half even after the zero point (XNNPACK).
    lut: Literal["gemmlowp", "float_half_away", "float_half_even"] = "gemmlowp"
    # int16 logistic/tanh: interpolated table; or, for power-of-two scales only, gemmlowp in 16 bits (LiteRT optimised).
    lut_int16: Literal["table", "gemmlowp_power_of_two"] = "table"
    # int8 softmax: fixed-point exp (TFLM, CMSIS-NN, LiteRT reference); or float32 table and float32 sum (LiteRT optimised).
    softmax: Literal["fixed_point", "float_table"] = "fixed_point"
    # int16 softmax: precision in which its two tables are made (TFLM float32, LiteRT float64; two entries differ by one).
    softmax_table_int16: ScalePrecision = "float32"
    # relu6 and others with an upper limit: TFLM clamps the input integers and ignores another output scale.
    bounded_relu: Literal["clamp_only", "rescale"] = "clamp_only"
    # float -> integer: `divide_half_away` = round_half_away(x / s) + z; `reciprocal_half_even` = rint(x * (1 / s)) + z;
    # `reciprocal_half_even_simd` = that in blocks of 8, the tail round_half_away(x / s) in float64 (LiteRT optimised);
    # `xnnpack` = `reciprocal_half_even` for int8, which XNNPACK takes, and `reciprocal_half_even_simd` for int16.
    quantize: Literal["divide_half_away", "reciprocal_half_even", "reciprocal_half_even_simd", "xnnpack"] = "divide_half_away"
    # integer -> float: `exact` = float32(s * (q - z)); `multiply_add_simd` = int8 by 8: float32(q * s) + float32(-z * s).
    dequantize: Literal["exact", "multiply_add_simd"] = "exact"
    # Tensor-core dot product (float16 inputs): products summed per step, fraction bits kept when aligning, result type.
    float_products_per_step: int = 16
    float_fraction_bits: int = 25
    # `float32` truncated to 24 bits a step; `float32_e8m13` truncated to 14 bits (fp8 of Ada, Hopper); `float16` half to even.
    float_accumulator: Literal["float32", "float32_e8m13", "float16"] = "float32"
