"""Fixed-point scalars: rounding high multiplications, rounding shifts, and multiplication by a real scale.

A real scale is stored as `multiplier * 2**(shift - 31)`, multiplier in [2**30, 2**31) or 0, shift > 0 = left. Every function
takes and returns ordinary integers (int64 inside kernels, Python integers outside: both give the same bits) and states the
legal range of each. "wraps" means two's complement, as the C code of the runtimes does on every target in use.
Sources: gemmlowp fixedpoint.h, TensorFlow Lite kernels/internal/common.h and quantization_util.cc, CMSIS-NN
arm_nnsupportfunctions.h.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.numerics.jit import inline

INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)


@inline
def wrap32(value: int) -> int:
    """Return value modulo 2**32 in [-2**31, 2**31): what an int32 register keeps."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@inline
def wrap_to_bits(value: int, bits: int) -> int:
    """Return value modulo 2**bits, signed. bits in [2, 63]; value: any int64 with |value| < 2**62."""
    half = 1 << (bits - 1)
    return ((value + half) & ((half << 1) - 1)) - half


@inline
def saturate_to_bits(value: int, bits: int) -> int:
    """Return value clipped to the signed range of `bits` bits. bits in [2, 63]."""
    half = 1 << (bits - 1)
    return min(max(value, -half), half - 1)


@inline
def srdhm32(a: int, b: int) -> int:
    """Return round(a * b / 2**31), ties toward +infinity, saturated: gemmlowp SaturatingRoundingDoublingHighMul.

    a, b: int32. Result: int32; only INT_MIN * INT_MIN saturates. Instruction: VQRDMULH.S32.
    gemmlowp writes it as a truncating division of a*b plus a nudge of 2**30 or 1 - 2**30; that is this floor.
    """
    if a == INT32_MIN and b == INT32_MIN:
        return INT32_MAX
    return (a * b + (1 << 30)) >> 31


@inline
def srdhm16(a: int, b: int) -> int:
    """Return round(a * b / 2**15), ties toward +infinity, saturated. a, b, result: int16. Instruction: VQRDMULH.S16."""
    if a == -32768 and b == -32768:
        return 32767
    return (a * b + (1 << 14)) >> 15


@inline
def truncating_high_mul16(a: int, b: int) -> int:
    """Return a * b / 2**15 rounded toward zero, saturated: SaturatingDoublingHighMul of hard_swish. a, b, result: int16."""
    if a == -32768 and b == -32768:
        return 32767
    product = a * b
    return product >> 15 if product >= 0 else -((-product) >> 15)


@inline
def rounding_divide_by_pot(x: int, exponent: int) -> int:
    """Return x / 2**exponent, ties AWAY from zero: gemmlowp RoundingDivideByPOT.

    x: any int64, exponent in [0, 31]. 3, 1 -> 2;  -3, 1 -> -2. Not what VRSHL does: that rounds half up.
    """
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


@inline
def rounding_shift_right_half_up(x: int, exponent: int) -> int:
    """Return floor(x / 2**exponent + 1/2), ties toward +infinity. exponent in [0, 62]. 3, 1 -> 2; -3, 1 -> -1. VRSHL."""
    return (x + ((1 << exponent) >> 1)) >> exponent


@inline
def multiply_by_quantized_multiplier(x: int, multiplier: int, shift: int) -> int:
    """Return x * multiplier * 2**(shift - 31) by rule `double`: SRDHM, then rounding shift, half away from zero.

    x: int32 (x << shift wraps when shift > 0), multiplier in {0} | [2**30, 2**31), shift in [-31, 30]. Result: int32.
    -1992, 2**30, -3 -> -125. TFLM, CMSIS-NN (default), LiteRT reference kernels.
    """
    left = shift if shift > 0 else 0
    right = -shift if shift < 0 else 0
    return rounding_divide_by_pot(srdhm32(wrap32(x << left), multiplier), right)


@inline
def multiply_double_half_up(x: int, multiplier: int, shift: int) -> int:
    """As `multiply_by_quantized_multiplier`, but the second rounding is half UP (rule `double_half_up`).

    -1992, 2**30, -3 -> -124. VQRDMULH then VRSHL: LiteRT's optimised kernels.
    """
    left = shift if shift > 0 else 0
    right = -shift if shift < 0 else 0
    return rounding_shift_right_half_up(srdhm32(wrap32(x << left), multiplier), right)


@inline
def multiply_single(x: int, multiplier: int, shift: int) -> int:
    """Return x * multiplier * 2**(shift - 31) by rule `single`: one 64-bit product, one rounding, half up; wraps to int32.

    x: int32, multiplier in {0} | [2**30, 2**31), shift in [-31, 30]. CMSIS_NN_USE_SINGLE_ROUNDING, TOSA SINGLE_ROUND.
    """
    return wrap32((x * multiplier + (1 << (30 - shift))) >> (31 - shift))


@inline
def multiply_wide(x: int, reduced: int, shift: int) -> int:
    """Return x * reduced * 2**(shift - 15), half up: TFLite MultiplyByQuantizedMultiplier(int64).

    x: int64 with |x| < 2**47 (beyond, the product wraps at 64 bits), reduced = `reduce_multiplier(M)` in [0, 2**15),
    shift in [-31, 14]. Result: wraps to int32.
    """
    return wrap32((x * reduced + (1 << (14 - shift))) >> (15 - shift))


@inline
def shift_half_up(x: int, left: int, right: int) -> int:
    """Return floor(x * 2**(left - right) + 1/2), saturated to int32 where the shift is to the left.

    One of left in [0, 30], right in [0, 62] is 0; |x| < 2**47 when left is at most 14, else int32. 3, 0, 1 -> 2; -3, 0, 1 -> -1.
    Without a left shift this is `multiply_single` by the same scale. MAX78000, ESP-DL on ESP32-S3 (shift_and_round_half_up).
    """
    if left > 0:
        return min(max(x << left, INT32_MIN), INT32_MAX)
    return rounding_shift_right_half_up(x, right)


@inline
def shift_half_even(x: int, left: int, right: int) -> int:
    """As `shift_half_up`, ties to the even integer. 1, 0, 1 -> 0; 3, 0, 1 -> 2. ESP-DL on ESP32-P4 (shift_and_round_half_even)."""
    if left > 0:
        return min(max(x << left, INT32_MIN), INT32_MAX)
    if right == 0:
        return x
    return (x + (1 << (right - 1)) - 1 + ((x >> right) & 1)) >> right


@inline
def high_word_floor(x: int, multiplier: int, shift: int) -> int:
    """Return x * multiplier * 2**(shift - 31) rounded down: the high word of a 64-bit product, shifted.

    x: int32 (x << (shift + 1) wraps when shift >= 0), multiplier in {0} | [2**30, 2**31), shift in [-31, 30]. Result: int32.
    -1, 2**30, -1 -> -1. Instruction: SMULL, then ASR. CMix-NN `icn`.
    """
    left = shift + 1 if shift >= 0 else 0
    right = 0 if shift >= 0 else -shift - 1
    return ((wrap32(x << left) * multiplier) >> 32) >> right


@inline
def round_half_away(value: float) -> float:
    """Return value rounded to an integer, ties away from zero, as C `round` (exact also next to 0.5)."""
    whole = float(np.trunc(value))
    if abs(value - whole) >= 0.5:
        whole += 1.0 if value > 0 else -1.0
    return whole


def quantize_multiplier(scale: npt.ArrayLike) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return (multiplier, shift) with scale ~ multiplier * 2**(shift - 31): TFLite QuantizeMultiplier.

    scale: float64, any shape, finite and >= 0. multiplier: int32 in {0} | [2**30, 2**31); shift: int32, > 0 = left. A scale
    below 2**-32 becomes (0, 0). The mantissa is rounded half away from zero; 1.0 after rounding becomes 0.5 and one more shift.
    0.375 -> (3 << 29, -1).
    """
    fraction, exponent = np.frexp(np.asarray(scale, np.float64))
    # The fraction has 53 bits, so fraction * 2**31 is exact and floor(. + 0.5) is round-half-away for these positive values.
    mantissa = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    carry = mantissa == 2**31
    mantissa = np.where(carry, 2**30, mantissa)
    shift = exponent.astype(np.int64) + carry
    tiny = shift < -31
    return np.where(tiny, 0, mantissa).astype(np.int32), np.where(tiny, 0, shift).astype(np.int32)


def power_of_two_shift(scale: npt.ArrayLike) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return (left, right) of scales that are powers of two: scale = 2**(left - right), one of them 0; right at most 62.

    Raises ValueError for the first other scale. 0.25 -> (0, 2); 8.0 -> (3, 0).
    """
    values = np.asarray(scale, np.float64)
    fraction, exponent = np.frexp(values)
    if not (fraction == 0.5).all():
        raise ValueError(f"{values[fraction != 0.5].flat[0]:.12g} is no power of two")
    power = exponent.astype(np.int32) - 1
    return np.maximum(power, 0), np.minimum(np.maximum(-power, 0), 62)


def floor_multiplier(scale: npt.ArrayLike, bits: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return (m, d) with scale ~ m * 2**-d, rounded down: m < 2**(bits - 1) as large as fits, d in [0, 31].

    scale: float64 in (0, 2**(bits - 1)). m loses bits, down to 0, where d would be above 31. 0.375, 16 -> (24576, 16).
    """
    fraction, exponent = np.frexp(np.asarray(scale, np.float64))
    shift = bits - 1 - exponent
    over = np.maximum(shift - 31, 0)
    m = np.floor(np.ldexp(fraction, bits - 1 - over)).astype(np.int32)
    return m, np.minimum(shift, 31).astype(np.int32)


def mantissa_shift(scale: npt.ArrayLike) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return (m, s) with float32(scale) = m * 2**-s exactly, m in [2**23, 2**24). scale: positive and normal in float32."""
    fraction, exponent = np.frexp(np.asarray(scale, np.float32))
    return np.ldexp(fraction, 24).astype(np.int32), (24 - exponent).astype(np.int32)


def reduce_multiplier(multiplier: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Return the 16-bit multiplier of 64-bit accumulators: (M + 2**15) >> 16, or 0x7FFF from M = 0x7FFF0000 on.

    multiplier: int32 in {0} | [2**30, 2**31), any shape. Result in [0, 2**15). TFLite MultiplyByQuantizedMultiplier(int64).
    """
    m = np.asarray(multiplier, np.int64)
    return np.where(m < 0x7FFF0000, (m + (1 << 15)) >> 16, 0x7FFF).astype(np.int32)
