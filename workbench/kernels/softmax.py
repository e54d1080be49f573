"""Integer softmax over the rows of a matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.gemmlowp import exp_on_negative_values, high_mul, newton_reciprocal
from workbench.numerics.int32 import (
    add32,
    clip32,
    divide_by_pot32,
    high_mul32,
    leading_zeros32,
    min32,
    mul32,
    shift_left32,
    shift_right32,
)
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]

ROWS = 64
"""Rows whose sums are inverted together, in vector lanes."""
reciprocal = inline(newton_reciprocal)


@inline
def largest_of(x: Array) -> Any:
    """Return the maximum of int8 or int16 values."""
    largest = x[0]
    for i in range(1, x.size):
        v = x[i]
        largest = v if v > largest else largest
    return np.int64(largest)


def exp_table_s8(multiplier: int, shift: int) -> npt.NDArray[np.int32]:
    """Return exp of the differences 0, -1, ..., -255 in Q0.31, 0 where TFLite leaves the sum alone.

    Input in Q5.26: SRDHM(difference << shift, multiplier). Differences below -(31 << 26) >> shift are left out.
    """
    difference = -np.arange(min(((31 << 26) >> shift) + 1, 256), dtype=np.int64)
    table = np.zeros(256, np.int32)
    table[: difference.size] = exp_on_negative_values(high_mul(difference << shift, multiplier, 32), 5, 32)
    return table


@kernel
def softmax_s8(x: Array, table: Array, terms: Array, bits: int, y: Array) -> None:
    """int8 rows -> int8 (bits 8) or int16 (bits 16) with zero point at the lowest value. TFLM, CMSIS-NN, LiteRT reference.

    x: int8 [R, C], C in [1, 4095]. table: int32 [256] of `exp_table_s8`; terms: the same in Q12.19 (divided by 2**12, half away).
    1 / sum by Newton on the normalised sum, one rounding shift per output. Everything is >= 0, so half away is half up.
    """
    low = -(1 << (bits - 1))
    largest, total = np.empty(ROWS, np.int64), np.empty(ROWS, np.int64)
    scale, shift = np.empty(ROWS, np.int64), np.empty(ROWS, np.int64)
    for first in range(0, x.shape[0], ROWS):
        rows = min(ROWS, x.shape[0] - first)
        for r in range(rows):
            row = x[first + r]
            top = largest_of(row)
            terms_sum = 0
            for c in range(row.size):
                terms_sum += terms[np.uint64(top - row[c])]
            largest[r], total[r] = top, terms_sum
        for r in range(rows):
            headroom = leading_zeros32(total[r])
            scale[r] = min(reciprocal((total[r] << headroom) - (1 << 31), 32) << 1, (1 << 31) - 1)
            shift[r] = 12 - headroom + 31 - bits
        for r in range(rows):
            row, out, top = x[first + r], y[first + r], largest[r]
            factor, right, half = scale[r], shift[r], 1 << (shift[r] - 1)
            for c in range(row.size):
                e = (factor * table[np.uint64(top - row[c])] + (1 << 30)) >> 31
                out[c] = min(((e + half) >> right) + low, -low - 1)


@inline
def sum_looked_up(row: Array, table: Array, largest: Any) -> Any:
    """Return the float32 sum of table[largest - x] over a row, in order."""
    total = np.float32(0.0)
    for c in range(row.size):
        total = np.float32(total + table[np.uint64(largest - row[c])])
    return total


@kernel
def softmax_float_table(x: Array, table: Array, scale: float, zero: int, low: int, high: int, y: Array) -> None:
    """int8 rows -> int8 or int16 in float32: table of exp, sum in order, one reciprocal. LiteRT optimised kernels.

    table: float32 [256], table[k] = exp of difference -k. Outputs are >= 0 before the zero point, so that adding 1/2 in float64
    (exact) and cutting rounds them half away from zero.
    """
    for r in range(x.shape[0]):
        row, out = x[r], y[r]
        largest = largest_of(row)
        total = sum_looked_up(row, table, largest)
        inverse = np.float32(np.float32(1.0) / np.float32(total * np.float32(scale)))
        for c in range(row.size):
            q = np.int32(np.float64(np.float32(table[np.uint64(largest - row[c])] * inverse)) + 0.5)
            out[c] = clip32(add32(q, zero), low, high)


def rising_exp_table(scale: float, classes: int) -> npt.NDArray[np.float32]:
    """Return exp of the differences 0, -1, ..., -255, times what keeps the sum of `classes` of them a factor e**5 below infinity."""
    largest = float(np.finfo(np.float32).max / np.float32(classes))
    rise = max(0.0, math.log(largest) - 5.0) / scale
    with np.errstate(under="ignore"):
        return np.exp((rise - np.arange(256.0)) * scale).astype(np.float32)


@kernel
def softmax_float_quotient(x: Array, table: Array, factor: Any, zero: int, y: Array) -> None:
    """int8 rows -> int8: rint(e * factor / sum) + zero, the sum in order. ONNX Runtime's QLinearSoftmax of unsigned bytes.

    table: float32 [256] of `rising_exp_table`. factor: float32, 1 / output scale rounded down. zero: of y, 128 less than the byte's.
    """
    for r in range(x.shape[0]):
        row, out = x[r], y[r]
        largest = largest_of(row)
        total = sum_looked_up(row, table, largest)
        for c in range(row.size):
            q = np.int32(np.rint(np.float32(np.float32(table[np.uint64(largest - row[c])] * factor) / total)))
            out[c] = min32(add32(q, np.int32(zero)), np.int32(127))


@inline
def interpolate_s16(x: Any, table: Array) -> Any:
    """Return the value at x (int16) of a table of 513 entries: 7 fraction bits, rounded half up."""
    k = np.uint64(256 + (x >> 7))
    base = np.int32(table[k])
    step = np.int32(table[k + np.uint64(1)]) - base
    return base + ((step * (x & 127) + 64) >> 7)


@kernel
def softmax_s16(x: Array, multiplier: int, shift: int, exp: Array, reciprocal: Array, y: Array) -> None:
    """int16 rows -> int16 (scale 2**-15) with two interpolated tables. TFLM, CMSIS-NN, LiteRT.

    Differences are scaled so that -65535 is -10; the sum of exponentials (Q16.15) is normalised to [1, 2) for 1 / (1 + x).
    shift in [-31, 14]. Products of two outputs of the tables stay below 2**30.
    """
    left, right_d = max(shift, 0), max(-shift, 0)
    for r in range(x.shape[0]):
        row, out = x[r], y[r]
        largest = largest_of(row)
        total = 0
        for c in range(row.size):
            d = divide_by_pot32(high_mul32(shift_left32(row[c] - largest, left), multiplier), right_d)
            e = interpolate_s16(np.int64(clip32(add32(d, 32767), -32768, 32767)), exp)
            out[c] = e
            total += e
        headroom = leading_zeros32(total)
        normalised = ((total << (headroom - 1)) + (1 << 13)) >> 14
        scale = interpolate_s16(min(max(normalised - (1 << 15) - (1 << 16), -32768), 32767), reciprocal)
        right = 31 - headroom
        for c in range(row.size):
            out[c] = clip32(shift_right32(add32(mul32(out[c], scale), 1 << (right - 1)), right), 0, 32767)
