"""Table lookups: every function of one int8 (256 entries) or int16 (65,536 entries) value is an array made once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.fixed_point import multiply_by_quantized_multiplier, rounding_divide_by_pot, saturate_to_bits
from workbench.numerics.gemmlowp import logistic, tanh
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


@kernel
def lookup(x: Array, table: Array, y: Array) -> None:
    """y[i] = table[x[i]]. x, y: flat, equal sizes. x: uint8 with 256 entries or uint16 with 65,536 (the bits of int8, int16).

    An unsigned index needs no check for a negative one: one load, one lookup, one store.
    """
    for i in range(x.size):
        y[i] = table[x[i]]


@kernel
def logistic_tanh_s8(x: Array, is_tanh: bool, multiplier: int, shift: int, radius: int, y: Array) -> None:
    """int8 logistic (scale 1/256, zero point -128) or tanh (scale 1/128, zero point 0) in Q4.27. TFLM.

    x: int32, zero point already subtracted. Beyond +-radius the result saturates; x == -radius already does.
    """
    for i in range(x.size):
        if x[i] <= -radius:
            y[i] = -128
        elif x[i] >= radius:
            y[i] = 127
        else:
            v = multiply_by_quantized_multiplier(x[i], multiplier, shift)
            q = rounding_divide_by_pot(tanh(v, 4, 32), 24) if is_tanh else rounding_divide_by_pot(logistic(v, 4, 32), 23) - 128
            y[i] = saturate_to_bits(q, 8)


@kernel
def logistic_tanh_s16_table(x: Array, is_tanh: bool, multiplier: int, shift: int, table: Array, y: Array) -> None:
    """int16 logistic or tanh (scale 2**-15) by interpolation in the table of logistic(i / 24). TFLM, LiteRT reference.

    x: int32, zero point 0. (x * multiplier + 2**(shift-1)) >> shift is the input in units of 1 / (3 * 4096).
    tanh(x) = 2 * logistic(2x) - 1 reads the table one bit coarser.
    """
    bits = 8 if is_tanh else 9
    for i in range(x.size):
        v = (x[i] * multiplier + ((1 << shift) >> 1)) >> shift
        a = abs(v)
        k = a >> bits
        if k >= 255:
            r = (0xFFFF << 8) if is_tanh else (0x7FFF << 10)
        else:
            low = np.int64(table[k])
            r = (low << bits) + (a & ((1 << bits) - 1)) * (np.int64(table[k + 1]) - low)
        if is_tanh:
            y[i] = (r - (1 << 23) + 128) >> 8 if v >= 0 else (-r + (1 << 23) + 127) >> 8
        else:
            y[i] = (r + 512) >> 10 if v >= 0 else ((1 << 25) - r + 511) >> 10


@kernel
def logistic_tanh_s16_gemmlowp(x: Array, is_tanh: bool, shift: int, y: Array) -> None:
    """int16 logistic or tanh (scale 2**-15) of a Q3.12 input in 16-bit fixed point. LiteRT optimised, power-of-two scales.

    x: int32. shift: 0, or 1 for tanh of a Q4.11 input (saturating left shift).
    """
    for i in range(x.size):
        v = saturate_to_bits(x[i] << shift, 16)
        y[i] = tanh(v, 3, 16) if is_tanh else logistic(v, 3, 16)
