"""Elementwise add, sub and mul of int8 or int16 arrays: flat arrays of equal size in, flat array out.

Parameters come as NamedTuples of integers; products of scales are (multiplier, shift) as in `numerics/fixed_point.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from workbench.numerics.fixed_point import (
    multiply_by_quantized_multiplier,
    multiply_single,
    rounding_divide_by_pot,
    saturate_to_bits,
    srdhm32,
    wrap32,
    wrap_to_bits,
)
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]


class AddParams(NamedTuple):
    """sign: 1 for a + b, -1 for a - b. left: common left shift. q_min, q_max: activation range. single: rule `single`.

    (multiplier_x, shift_x) rescale each input to twice the larger input scale, (multiplier_y, shift_y) the sum to the output.
    """

    zero_a: int
    multiplier_a: int
    shift_a: int
    zero_b: int
    multiplier_b: int
    shift_b: int
    sign: int
    left: int
    multiplier_y: int
    shift_y: int
    zero_y: int
    q_min: int
    q_max: int
    single: bool


class XnnAddParams(NamedTuple):
    """y = clip(((bias + a * multiplier_a + b * multiplier_b) >> shift) + zero_y). shift in [12, 30]."""

    bias: int
    multiplier_a: int
    multiplier_b: int
    shift: int
    zero_y: int
    q_min: int
    q_max: int


@inline
def rescale(x: int, multiplier: int, shift: int, single: bool) -> int:
    """Return x * multiplier * 2**(shift - 31) by rule `single` or `double`."""
    if single:
        return multiply_single(x, multiplier, shift)
    return multiply_by_quantized_multiplier(x, multiplier, shift)


@kernel
def add_fixed_point(a: Array, b: Array, p: AddParams, y: Array) -> None:
    """y = clip(dbl(dbl((a - za) << left) +- dbl((b - zb) << left)) + zy): TFLite add and sub. CMSIS-NN: also `single`.

    a, b, y: int8 with left 20, or int16 with left 15; the sum fits an int32 because both inputs are scaled below 1/2.
    """
    for i in range(y.size):
        u = rescale((a[i] - p.zero_a) << p.left, p.multiplier_a, p.shift_a, p.single)
        v = rescale((b[i] - p.zero_b) << p.left, p.multiplier_b, p.shift_b, p.single)
        s = rescale(wrap32(u + p.sign * v), p.multiplier_y, p.shift_y, p.single)
        y[i] = min(max(s + p.zero_y, p.q_min), p.q_max)


@inline
def shifted(x: int, amount: int) -> int:
    """Return x << amount, or x >> -amount rounded down (VSHL by a signed amount)."""
    return x << amount if amount >= 0 else x >> min(-amount, 31)


@inline
def scale_in_block(x: int, multiplier: int, shift: int, left: int, scalar: bool) -> int:
    """Rescale one input as LiteRT's vector body does: with a scalar operand the second shift rounds down, else both are one."""
    if scalar:
        return shifted(srdhm32(wrap32(x << left), multiplier), shift)
    return srdhm32(wrap32(shifted(x, left + shift)), multiplier)


@kernel
def add_simd(a: Array, b: Array, p: AddParams, narrow: bool, run: int, scalar: bool, y: Array) -> None:
    """LiteRT add on x86: `scale_in_block` in whole blocks of a run, `add_fixed_point` in its tail.

    run: elements that one call of the vector loop gets, in blocks of 16, or of 8 when one operand is a broadcast scalar.
    narrow: int8, where the block drops to 16 bits by cutting (VMOVN) before the zero point is added with wrap-around.
    """
    block = 8 if scalar else 16
    last = run - run % block
    for i in range(y.size):
        if i % run < last:
            u = scale_in_block(a[i] - p.zero_a, p.multiplier_a, p.shift_a, p.left, scalar)
            v = scale_in_block(b[i] - p.zero_b, p.multiplier_b, p.shift_b, p.left, scalar)
            s = rounding_divide_by_pot(srdhm32(wrap32(u + v), p.multiplier_y), -p.shift_y) + p.zero_y
            if narrow:
                s = wrap_to_bits(s, 16)
        else:
            u = rescale((a[i] - p.zero_a) << p.left, p.multiplier_a, p.shift_a, False)
            v = rescale((b[i] - p.zero_b) << p.left, p.multiplier_b, p.shift_b, False)
            s = rescale(wrap32(u + v), p.multiplier_y, p.shift_y, False) + p.zero_y
        y[i] = min(max(s, p.q_min), p.q_max)


@kernel
def add_power_of_two_s16(a: Array, b: Array, right_a: int, right_b: int, sign: int, q_min: int, q_max: int, y: Array) -> None:
    """y = clip(sat16(a / 2**right_a +- b / 2**right_b)), shifts rounded half away from zero. LiteRT, pot_scale_int16."""
    for i in range(y.size):
        s = rounding_divide_by_pot(a[i], right_a) + sign * rounding_divide_by_pot(b[i], right_b)
        y[i] = min(max(saturate_to_bits(s, 16), q_min), q_max)


@kernel
def add_xnnpack_s8(a: Array, b: Array, p: XnnAddParams, y: Array) -> None:
    """XNNPACK qs8 add: one int32 sum of products with 21-bit multipliers, one shift that rounds half up."""
    for i in range(y.size):
        s = (p.bias + a[i] * p.multiplier_a + b[i] * p.multiplier_b) >> p.shift
        y[i] = min(max(saturate_to_bits(s, 16) + p.zero_y, p.q_min), p.q_max)


@kernel
def multiply_exact(a: Array, b: Array, zero_a: int, zero_b: int, y: Array) -> None:
    """y = (a - zero_a) * (b - zero_b) as int32: at most 255 * 255 for int8, 2**30 for symmetric int16."""
    for i in range(y.size):
        y[i] = (a[i] - zero_a) * (b[i] - zero_b)


@kernel
def wrap_zero_point_s16(rescaled: Array, zero: int, q_min: int, q_max: int, run: int, block: int, y: Array) -> None:
    """LiteRT mul on x86, int8: in whole blocks the rescaled product saturates to int16 and the zero point is added with wrap.

    rescaled: int32, before the zero point. run, block: as in `add_simd`; the tail of a run is exact.
    """
    last = run - run % block
    for i in range(y.size):
        if i % run < last:  # noqa: SIM108 - the long form is the readable one
            v = saturate_to_bits(wrap_to_bits(saturate_to_bits(rescaled[i], 16) + zero, 16), 8)
        else:
            v = rescaled[i] + zero
        y[i] = min(max(v, q_min), q_max)
