"""Elementwise add, sub and mul of int8 or int16 arrays, element by element: flat arrays of equal size in, flat array out.

Products of scales are (multiplier, shift) as in `numerics/fixed_point.py`. Loops stay in int32 lanes (`numerics/int32.py`).
int8 operators run these kernels once, over all pairs of inputs, and look the pairs up afterwards (`kernels/pairs.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.numerics.fixed_point import multiply_single, saturate_to_bits, wrap_to_bits
from workbench.numerics.int32 import (
    Int32,
    add32,
    clip32,
    divide_by_pot32,
    high_mul32,
    mul32,
    shift_left32,
    shift_right32,
    sub32,
)
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]


class AddParams(NamedTuple):
    """sign: 1 for a + b, -1 for a - b. left: common left shift. q_min, q_max: activation range. single: rule `single` (0 or 1).

    (multiplier_x, shift_x) rescale each input to twice the larger input scale, (multiplier_y, shift_y) the sum to the output;
    all three are below 1, so no shift is positive. The kernels take it as a plain tuple, which costs a call 2 us less.
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
    single: int


Params = tuple[int, ...]
"""The fields of `AddParams` in their order."""


@inline
def high_mul_left32(x: Int32, left: int, multiplier: int) -> Int32:
    """Return high_mul32(x << left, multiplier) without 64-bit products.

    left 15 with x in [-2**15, 2**15), or left 20 with |x| <= 255; multiplier in {0} | [2**30, 2**31).
    (x * M * 2**left + 2**30) >> 31 is (x * M + 2**(k-1)) >> k with k = 31 - left; the low k bits of M (below 2**16) are multiplied
    apart, so that every product fits an int32.
    """
    k = 31 - left
    low = add32(mul32(x, multiplier & ((1 << k) - 1)), 1 << (k - 1))
    return add32(mul32(x, multiplier >> k), shift_right32(low, k))


@inline
def rescale(x: Int32, left: int, multiplier: int, shift: int, single: int) -> Int32:
    """Return (x << left) * multiplier * 2**(shift - 31) by rule `single` or `double`. shift in [-31, 0]; left 0, 15 or 20."""
    if single:
        return np.int32(multiply_single(int(shift_left32(x, left)), multiplier, shift))
    return divide_by_pot32(high_mul_left32(x, left, multiplier) if left > 0 else high_mul32(x, multiplier), -shift)


@kernel
def add_fixed_point(a: Array, b: Array, p: Params, y: Array) -> None:
    """y = clip(dbl(dbl((a - za) << left) +- dbl((b - zb) << left)) + zy): TFLite add and sub. CMSIS-NN: also `single`.

    a, b, y: int8 with left 20, or int16 with left 15: |u|, |v| <= 2**29, as both inputs are scaled by 1/2 at most.
    """
    (
        zero_a,
        multiplier_a,
        shift_a,
        zero_b,
        multiplier_b,
        shift_b,
        sign,
        left,
        multiplier_y,
        shift_y,
        zero_y,
        q_min,
        q_max,
        single,
    ) = p
    for i in range(y.size):
        u = rescale(sub32(a[i], zero_a), left, multiplier_a, shift_a, single)
        v = rescale(sub32(b[i], zero_b), left, multiplier_b, shift_b, single)
        s = rescale(add32(u, mul32(sign, v)), 0, multiplier_y, shift_y, single)
        y[i] = clip32(add32(s, zero_y), q_min, q_max)


@inline
def shifted(x: Int32, amount: int) -> Int32:
    """Return x << amount, or x >> -amount rounded down (VSHL by a signed amount)."""
    return shift_left32(x, amount) if amount >= 0 else shift_right32(x, min(-amount, 31))


@inline
def scale_in_block(x: Int32, multiplier: int, shift: int, left: int, scalar: bool) -> Int32:
    """Rescale one input as LiteRT's vector body does: with a scalar operand the second shift rounds down, else both are one."""
    if scalar:
        return shifted(high_mul32(shift_left32(x, left), multiplier), shift)
    return high_mul32(shifted(x, left + shift), multiplier)


@kernel
def add_simd(a: Array, b: Array, p: Params, narrow: bool, scalar: bool, lift: int, y: Array) -> None:
    """LiteRT add on x86 in whole vector blocks: `scale_in_block`; the tail of a run is `add_fixed_point`.

    narrow: bytes, where the block drops to 16 bits by cutting (VMOVN) before the zero point is added with wrap-around. lift: 128 where
    y stands for unsigned bytes: what is cut is the stored integer.
    """
    zero_a, multiplier_a, shift_a, zero_b, multiplier_b, shift_b, _, left, multiplier_y, shift_y, zero_y, q_min, q_max, _ = p
    for i in range(y.size):
        u = scale_in_block(sub32(a[i], zero_a), multiplier_a, shift_a, left, scalar)
        v = scale_in_block(sub32(b[i], zero_b), multiplier_b, shift_b, left, scalar)
        s = add32(divide_by_pot32(high_mul32(add32(u, v), multiplier_y), -shift_y), zero_y)
        if narrow:
            s = sub32(shift_right32(shift_left32(add32(s, lift), 16), 16), lift)
        y[i] = clip32(s, q_min, q_max)


@kernel
def add_power_of_two_s16(a: Array, b: Array, right_a: int, right_b: int, sign: int, q_min: int, q_max: int, y: Array) -> None:
    """y = clip(sat16(a / 2**right_a +- b / 2**right_b)), shifts rounded half away from zero. LiteRT, pot_scale_int16."""
    for i in range(y.size):
        s = add32(divide_by_pot32(a[i], right_a), mul32(sign, divide_by_pot32(b[i], right_b)))
        y[i] = clip32(clip32(s, -32768, 32767), q_min, q_max)


@kernel
def multiply_exact(a: Array, b: Array, zero_a: int, zero_b: int, y: Array) -> None:
    """y = (a - zero_a) * (b - zero_b) as int32: at most 255 * 255 for int8, 2**30 for symmetric int16."""
    for i in range(y.size):
        y[i] = mul32(sub32(a[i], zero_a), sub32(b[i], zero_b))


@kernel
def wrap_zero_point_s16(rescaled: Array, zero: int, lift: int, cut: bool, q_min: int, q_max: int, y: Array) -> None:
    """LiteRT mul on x86, bytes, in whole blocks: the rescaled product saturates to int16, the zero point is added with wrap.

    rescaled: int32, before the zero point. lift: 128 where y stands for unsigned bytes: what wraps is the stored integer. cut: the
    product wraps to int16.
    """
    for i in range(y.size):
        narrow = wrap_to_bits(rescaled[i], 16) if cut else saturate_to_bits(rescaled[i], 16)
        v = saturate_to_bits(wrap_to_bits(narrow + zero + lift, 16) - lift, 8)
        y[i] = min(max(v, q_min), q_max)
