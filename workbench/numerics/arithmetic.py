"""`Arithmetic`: a target's number behaviour for one operator, as data.

A profile fills it from YAML (a base, then overrides per operator and per activation type). No code asks a profile for its
name; a new quirk is one field here and one branch in `numerics/` or `kernels/`. Names and rules: docs/arithmetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RequantizeRule = Literal[
    "double", "double_half_up", "double_half_up_simd8", "double_half_up_run16", "single", "float32_half_even", "float64_half_away",
    "float32_truncate", "rndnu", "icn", "multiplier_floor", "power_of_two_half_up", "power_of_two_half_even",
]  # fmt: skip
WideRule = Literal["reduced_multiplier", "float64_half_away", "power_of_two_half_up", "power_of_two_half_even"]
ScalePrecision = Literal["float64", "float32"]
Overflow = Literal["wrap", "saturate", "saturate_tiles", "saturate_int16_pairs"]

REQUANTIZE_CODES: dict[str, int] = {
    "double": 0,
    "double_half_up": 1,
    "single": 2,
    "float32_half_even": 3,
    "float64_half_away": 4,
}
"""Rules of the TFLite family, which take any scale -> a number. Logs of boards are tried against each (`validate/silicon.py`)."""


LIMITS: dict[str, tuple[int, int]] = {
    "accumulator_bits": (2, 32),
    "accumulator_bits_wide": (2, 64),
    "accumulator_tile": (1, 65536),
    "multiplier_bits": (2, 16),
    "scale_exponent_min": (-31, 0),
    "scale_exponent_max": (0, 30),
}
"""Field -> smallest and largest integer that it takes."""


@dataclass(frozen=True)
class Arithmetic:
    """How one operator of one target computes. All fields have the value of TFLM == CMSIS-NN (default rounding).

    requantize: int32 accumulator -> output integer. `double` = SRDHM then rounding shift (half away from zero);
        `double_half_up` = SRDHM then half-up shift; `single` = one 64-bit product and half-up shift;
        `float32_half_even` = rint(float32(acc) * float32(scale)); `float64_half_away` = round(double(acc) * double scale).
        `double_half_up_simd8` = `double_half_up` for whole blocks of 8 channels, `double` for the channels that are left;
        `double_half_up_run16` = `double_half_up` for whole blocks of 16 of an inference's outputs as one run, `double` for what is left
        at its end (LiteRT's transpose_conv2d on unsigned bytes, the only operator that has it);
        `float32_truncate` = float32(acc) * float32(scale) toward zero; `rndnu` = 24-bit mantissa of the float32 scale, half-up shift;
        `icn` = high word of (acc << left) * M, then a shift that rounds down; `multiplier_floor` = acc * m >> d, see `multiplier_bits`;
        `power_of_two_half_up`, `power_of_two_half_even` = shift by a scale that is a power of two, to the left with saturation.
    requantize_subbyte: the rule for weights below 8 bits where a runtime runs those in other kernels (None: the same rule).
    requantize_grouped: the rule for conv2d with groups where a runtime runs those in another kernel (None: the same rule).
    requantize_small_kernel: the rule for transpose_conv2d of SAME padding with a kernel smaller than its stride, where a runtime runs
        those in another kernel (None: the same rule).
    requantize_undelegated: the rule for layers of bytes that a runtime's delegate leaves to other kernels: 4-bit weights of a fully
        connected layer with an odd number of inputs, and biases of convolutions with more than one dimension (XNNPACK; None: the same).
    requantize_wide: the same for 64-bit accumulators (int16 activations with int64 bias).
    scale_precision: precision in which sx * sw / sy is evaluated before it becomes a multiplier.
    product_precision: precision of sx * sw where a layer has one multiplier (fully connected with one weight scale, batch
        matmul) and a fixed-point rule. LiteRT rounds that product to float32 and divides in float64; TFLM does not.
    accumulator_bits, overflow: width of the dot-product accumulator and what happens beyond it: it wraps around, or every
        addition saturates (`saturate`); `saturate_tiles`: `accumulator_tile` products at a time, in (kh, kw, c) order (padding counts),
        are summed exactly, and these sums are added with saturation (an adder tree before the accumulator). The bias comes first.
        `saturate_int16_pairs`: unsigned bytes (x + 128) times weights, products of neighbours in (kh, kw, c) order added with
        int16 saturation, those sums exactly (VPMADDUBSW: u8 x s8 on AVX2 without VNNI); depthwise with one output per input is exact.
    accumulator_bits_wide: the same for int16 activations with int64 bias.
    int16_without_bias: accumulator (and so the rule) of int16 activations when a layer has no bias.
    int16_bias: types of bias that an int16 transpose_conv2d can have (TFLM reads int32 ones as int64: refused).
    layer_output: type that a layer with weights writes: that of its input, any width (a byte layer then also int16, and int32: the
        accumulator itself), or also float32: float32(acc) * (sx * sw) (ONNX Runtime).
    fused_activation: what a fused activation may do to integers: `clamp` anywhere, or only what the output's range does by itself
        (`implied`: ONNX Runtime keeps any other Relu or Clip, and then computes the layer in reals, in an order of its own: refused).
    multiplier_bits, product_bits: of `multiplier_floor`, m is the largest that fits (signed); acc * m wraps at so many bits.
    scale_exponent_min, scale_exponent_max: of `power_of_two_*`, exponents that the shifter has; other scales are refused.
    """

    requantize: RequantizeRule = "double"
    requantize_subbyte: RequantizeRule | None = None
    requantize_grouped: RequantizeRule | None = None
    requantize_small_kernel: RequantizeRule | None = None
    requantize_undelegated: RequantizeRule | None = None
    requantize_wide: WideRule = "reduced_multiplier"
    scale_precision: ScalePrecision = "float64"
    product_precision: ScalePrecision = "float64"
    accumulator_bits: int = 32
    overflow: Overflow = "wrap"
    accumulator_tile: int = 16
    accumulator_bits_wide: int = 64
    int16_without_bias: Literal["int32", "int64"] = "int64"
    int16_bias: Literal["int32_or_int64", "int64"] = "int32_or_int64"
    layer_output: Literal["same_type", "any_width", "or_float32"] = "same_type"
    fused_activation: Literal["clamp", "implied"] = "clamp"
    multiplier_bits: int = 16
    product_bits: Literal[32, 64] = 64
    scale_exponent_min: int = -31
    scale_exponent_max: int = 30
    # Elementwise operators. `simd`: LiteRT's x86 kernels; their vector body (blocks of 16) rounds otherwise than their tail.
    # `xnnpack`: the rule of XNNPACK where it takes the node (type, scale ratios in its range), else as LiteRT without delegate.
    # add/sub: `fixed_point` = both inputs rescaled with a left shift of 20 (int8) or 15 (int16), TFLite; `one_scale` = integers added
    # and clipped, all of one scale (MAX78000, ESP-DL); `multiplier_floor` = (a * ma + b * mb) >> d (PULP-NN);
    # `float32_fma` = unsigned bytes times sa / sy and sb / sy in two fused multiply-adds, half even; sub in reals (ONNX Runtime).
    add: Literal["fixed_point", "fixed_point_simd", "xnnpack", "one_scale", "multiplier_floor", "float32_fma"] = "fixed_point"
    # The flag pot_scale_int16 of int16 add/sub is honoured (LiteRT: shifts only), not ignored (TFLM, CMSIS-NN).
    add_power_of_two: bool = False
    # mul: `float32` = rint(float32(product) * (sa * sb / sy) + zy), zy that of unsigned bytes (ONNX Runtime).
    mul: Literal["rescale", "rescale_simd", "xnnpack", "float32"] = "rescale"
    # mean: `folded` = 1/N divided into the integer multiplier; `float_simd` = float32 scale / N over (H, W), body half up;
    # `average_pool` = over (H, W) in one scale, as avg_pool2d with the image as its window; `float32` = over (H, W),
    # rint(float32(sum) * (sx / (sy * N))) (ONNX Runtime).
    mean: Literal["folded", "float_simd", "xnnpack", "average_pool", "float32"] = "folded"
    # avg_pool2d: sum / n rounded half away from zero; or toward zero (of integers less the zero point); or times a rounded
    # 1/n of 6 bits (ESP-DL on ESP32-S3, half up) or 7 bits (ESP32-P4, half even), see `numerics/reciprocal.py`;
    # or `float32` = real numbers added, divided by n and by the scale,
    # half even; the whole image as `mean: float32` (ONNX Runtime).
    avg_pool: Literal["half_away", "truncate", "reciprocal6_half_up", "reciprocal7_half_even", "float32"] = "half_away"
    # int8 -> int8 by one scale (quantize, leaky_relu): `requantize` = that field; `half_up_simd` = half up in the vector body;
    # `float32` = rint(f(sx * (x - zx)) / sy) + zy, also for relu and hard_swish (ONNX Runtime).
    rescale: Literal["requantize", "half_up_simd", "xnnpack", "float32"] = "requantize"
    # int8 logistic/tanh table: fixed point in Q4.27; float, half away (LiteRT) or half even after the zero point (XNNPACK);
    # `float32` = as in `rescale`. elu, exp, gelu and log have no fixed-point form: all but the last two are half away.
    lut: Literal["gemmlowp", "float_half_away", "float_half_even", "float32"] = "gemmlowp"
    # int16 logistic/tanh: interpolated table; or, for power-of-two scales only, gemmlowp in 16 bits (LiteRT optimised).
    lut_int16: Literal["table", "gemmlowp_power_of_two"] = "table"
    # int8 softmax: fixed-point exp (TFLM, CMSIS-NN, LiteRT reference); or float32 table and float32 sum (LiteRT optimised);
    # `float_quotient` = a table scaled up to the largest floats, one division per output, half even (ONNX Runtime).
    softmax: Literal["fixed_point", "float_table", "float_quotient"] = "fixed_point"
    # int16 softmax: precision in which its two tables are made (TFLM float32, LiteRT float64; two entries differ by one).
    softmax_table_int16: ScalePrecision = "float32"
    # relu6 and others with an upper limit: TFLM clamps the input integers and ignores another output scale.
    bounded_relu: Literal["clamp_only", "rescale"] = "clamp_only"
    # concat: bytes of `one_scale`, or inputs of other scales rescaled (`float32`: round_half_away(f(x * s) + f(-zx * s)) + zy of the
    # stored integers, s = f(sx * f(1 / sy)); LiteRT on unsigned bytes).
    concat: Literal["one_scale", "float32"] = "one_scale"
    # resize_bilinear of integers: `fixed10` = places and weights with 10 fraction bits, half away (TFLite); `q11` = int8 weights with
    # 11 bits, half up (XNNPACK); `float32` = the stored integers in reals, then 1/2 more and cut (LiteRT reference on unsigned bytes);
    # `float32_products` = so with the weights of both axes multiplied first (LiteRT optimised); `float_quotient` = real numbers,
    # divided by the scale, half even (ONNX Runtime). resize_nearest: the place of a pixel in float32, or with 16 fraction bits.
    resize: Literal["fixed10", "q11", "float32", "float32_products", "float_quotient"] = "fixed10"
    resize_nearest: Literal["float32", "fixed_point"] = "float32"
    # float -> integer: `divide_half_away` = round_half_away(x / s) + z; `reciprocal_half_even` = rint(x * (1 / s)) + z;
    # `reciprocal_half_even_simd` = that in blocks of 8, the tail round_half_away(x / s) in float64 (LiteRT optimised);
    # `xnnpack` = `reciprocal_half_even` for int8, which XNNPACK takes, and `reciprocal_half_even_simd` for int16;
    # `divide_half_even` = rint(x / s) + z, NaN the lowest integer (ONNX Runtime).
    quantize: Literal[
        "divide_half_away", "reciprocal_half_even", "reciprocal_half_even_simd", "xnnpack", "divide_half_even"
    ] = "divide_half_away"  # fmt: skip
    # integer -> float: `exact` = float32(s * (q - z)); `multiply_add_simd` = int8 by 8: float32(q * s) + float32(-z * s).
    dequantize: Literal["exact", "multiply_add_simd"] = "exact"
    # elu below zero: exp(x) - 1 (TFLM) or expm1(x) (LiteRT, XNNPACK), each step in float32; they part at input scales below 1e-4.
    elu: Literal["exp_minus_one", "expm1"] = "exp_minus_one"
    # int16 rsqrt: Newton-Raphson in fixed point as for int8 (TFLM), or an interpolated table of 513 entries (LiteRT).
    rsqrt_int16: Literal["fixed_point", "table"] = "fixed_point"
    # sum: `requantize` by the rule of that field (TFLM); `float32` = round_half_away(float32(sum) * s - zx * s * N) + zy, s = sx / sy
    # (LiteRT optimised); `unsigned_bytes` = int8 as by `requantize`, but read as 0 .. 255 and clamped to 0 .. 255 (LiteRT reference);
    # `xnnpack` = int8 as by `mean: xnnpack` without the division: rint(float32(sum) * s + (zy - float32(zx * N) * s)), int16 `float32`.
    sum: Literal["requantize", "float32", "unsigned_bytes", "xnnpack"] = "requantize"
    # lstm: `table` = interpolated logistic and tanh, every product requantized and saturated, hidden state in the scale of the output
    # (TFLM); `table_sum_first` = that, but both gate products added before they saturate (CMSIS-NN); `gemmlowp` = 16-bit fixed-point
    # functions, gate products added so too, products of the cell shifted, hidden state in a scale of its own (LiteRT).
    lstm: Literal["table", "table_sum_first", "gemmlowp"] = "table"
    # Layers with integer weights on float32 activations, quantized as they run (`ops/_hybrid.py`): `none` = the target has none;
    # `tflite` = LiteRT without delegate: fully connected and batch matmul by row, symmetric or as the file says; conv2d by sample,
    # symmetric with one weight scale, asymmetric with several; depthwise and transposed asymmetric by sample; float32(acc) * (sx * sw)
    # + bias, depthwise (acc * sx) * sw + bias, transposed product by product; `tflite_reference` = that with conv2d (acc * sw) * sx +
    # bias and depthwise acc * (sx * sw) + bias; `xnnpack` = asymmetric in float32, half even, fma(acc * sx, sw, bias) where XNNPACK
    # takes the layer (not depthwise, no 4-bit convolutions), else `tflite`;
    # `onnxruntime` = DynamicQuantizeLinear: the whole input of an inference as unsigned bytes, x / scale half even,
    # acc * (sx * sw) + bias.
    dynamic_range: Literal["none", "tflite", "tflite_reference", "xnnpack", "onnxruntime"] = "none"
    # cast of a float to an integer that cannot hold it (undefined in C): the nearest end, NaN 0 (`saturate`: ARM, TFLM) or the
    # largest (`saturate_nan_max`: LiteRT); or `low_bits`: the lowest int32 (int64: int64), of which narrower types keep low bits
    # (ONNX Runtime).
    float_to_int: Literal["saturate", "saturate_nan_max", "low_bits"] = "saturate"
    # depthwise_conv2d of float32: `in_order` = products added in (kh, kw) order, then the bias; `fused_by_column` = a chain of fused
    # multiply-adds from the bias, in (kw, kh) order, for one output per input and at most 25 taps (XNNPACK on a CPU with FMA).
    depthwise_float32: Literal["in_order", "fused_by_column"] = "in_order"
    # Tensor-core dot product (float inputs): products summed per step, fraction bits kept when aligning, result type.
    float_products_per_step: int = 16
    float_fraction_bits: int = 25
    # `float32` truncated to 24 bits a step; `float32_e8m13` truncated to 14 bits (fp8 of Ada, Hopper); `float16` half to even.
    float_accumulator: Literal["float32", "float32_e8m13", "float16"] = "float32"
