"""Average and maximum pooling of int8 or int16 NHWC.

Windows are separable: first all rows of the windows of one output row are joined, element by element over whole image rows (long
vector loops that the windows share), then the columns of each window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.kernels.mean import add_row
from workbench.numerics.fixed_point import shift_half_even, shift_half_up
from workbench.numerics.int32 import Int32, add32, clip32, max32, min32, sub32
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]

HALF_AWAY, TRUNCATE, HALF_UP, HALF_EVEN, NEAREST_UP = range(5)
"""How a sum becomes an average."""


@inline
def divide_half_away(total: Int32, count: int) -> Int32:
    """Return total / count rounded half away from zero (C division of total +- count / 2). |total| + count < 2**31, count > 0.

    In float64 by the reciprocal: n = |total| + count // 2 is an integer, so (n + 0.5) / count is at least 0.5 / count away from the
    next integer, and the two roundings move it by less than (n + 0.5) / count * 2**-52.
    """
    size = max32(total, sub32(0, total))
    quotient = np.int32((np.float64(size) + ((count >> 1) + 0.5)) * (1.0 / count))
    return quotient if total > 0 else sub32(0, quotient)


@inline
def divide_truncating(total: Int32, count: int) -> Int32:
    """Return total / count rounded toward zero. |total| < 2**31, count > 0; by the reciprocal, as in `divide_half_away`."""
    size = max32(total, sub32(0, total))
    quotient = np.int32((np.float64(size) + 0.5) * (1.0 / count))
    return quotient if total > 0 else sub32(0, quotient)


@inline
def divide_half_up(total: Int32, count: int) -> Int32:
    """Return total / count rounded to the nearest integer, ties up: as `divide_half_away`, of sums of any sign."""
    return np.int32(np.floor((np.float64(total) + ((count >> 1) + 0.5)) * (1.0 / count)))


@inline
def max_row(x: Array, largest: Array) -> None:
    """largest = max(largest, x), in the type of both: 64 int8 in a 512-bit register."""
    for i in range(largest.size):
        v, w = x[i], largest[i]
        largest[i] = v if v > w else w


@kernel
def average_pool(
    x: Array, filter_h: int, filter_w: int, stride_h: int, stride_w: int, top: int, left: int,
    padding: int, whole: bool, rule: int, factors: Array, shifts: Array, q_min: int, q_max: int, y: Array,
) -> None:  # fmt: skip
    """y = clip(sum / n): n = valid positions; input and output share the quantization.

    x: [N, H, W, C]; y: [N, H', W', C], same type. whole: n = filter size and padded positions count as `padding` (the zero
    point). rule: HALF_AWAY, NEAREST_UP and TRUNCATE divide, the last one x - zero point; HALF_UP and HALF_EVEN multiply by factors[n],
    then round at shifts[n] bits (int64 [filter + 1], else empty). Sums fit an int32: |x| * filter < 2**31. Constraint: every window has
    a valid position, or `whole`.
    """
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    lines = x.reshape((x.shape[0], height, width * channels))
    columns = np.empty(width * channels, np.int32)
    acc = np.empty(channels, np.int32)
    for n in range(y.shape[0]):
        for oy in range(y.shape[1]):
            y0 = oy * stride_h - top
            y1 = min(y0 + filter_h, height)
            y0 = max(y0, 0)
            columns[:] = 0
            for iy in range(y0, y1):
                add_row(lines[n, iy], columns)
            for ox in range(y.shape[2]):
                x0 = ox * stride_w - left
                x1 = min(x0 + filter_w, width)
                x0 = max(x0, 0)
                valid = (y1 - y0) * (x1 - x0)
                count = filter_h * filter_w if whole else valid
                acc[:] = (count - valid) * padding
                for ix in range(x0, x1):
                    add_row(columns[ix * channels : (ix + 1) * channels], acc)
                out = y[n, oy, ox]
                if rule == HALF_AWAY:
                    for c in range(channels):
                        out[c] = clip32(divide_half_away(acc[c], count), q_min, q_max)
                elif rule == NEAREST_UP:
                    for c in range(channels):
                        out[c] = clip32(divide_half_up(acc[c], count), q_min, q_max)
                elif rule == TRUNCATE:
                    for c in range(channels):
                        quotient = divide_truncating(sub32(acc[c], count * padding), count)
                        out[c] = clip32(add32(quotient, padding), q_min, q_max)
                elif rule == HALF_UP:
                    for c in range(channels):
                        out[c] = min(max(shift_half_up(acc[c] * factors[count], 0, shifts[count]), q_min), q_max)
                else:
                    for c in range(channels):
                        out[c] = min(max(shift_half_even(acc[c] * factors[count], 0, shifts[count]), q_min), q_max)


@kernel
def average_pool_float32(
    x: Array, real: Array, filter_h: int, filter_w: int, stride_h: int, stride_w: int, top: int, left: int,
    whole: bool, scale: Any, zero: Any, lift: int, q_min: int, q_max: int, y: Array,
) -> None:  # fmt: skip
    """y = clip(rint(sum / n / scale + zero) - lift), every step in float32, the sum in (h, w) order; padding is 0.

    x, y: int8 [N, H, W, C]. real: float32 [256], the number of every int8, lowest first. scale, zero: float32; zero is that of the
    byte that the runtime stores, `lift` (0, or 128 for an unsigned one) above that of y. Constraint: every window has a valid position.
    """
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    total = np.empty(channels, np.float32)
    for n in range(y.shape[0]):
        for oy in range(y.shape[1]):
            y0, y1 = max(oy * stride_h - top, 0), min(oy * stride_h - top + filter_h, height)
            for ox in range(y.shape[2]):
                x0, x1 = max(ox * stride_w - left, 0), min(ox * stride_w - left + filter_w, width)
                total[:] = 0
                for iy in range(y0, y1):
                    for ix in range(x0, x1):
                        row = x[n, iy, ix]
                        for c in range(channels):
                            total[c] += real[np.intp(row[c]) + 128]
                count = np.float32(filter_h * filter_w if whole else (y1 - y0) * (x1 - x0))
                out = y[n, oy, ox]
                for c in range(channels):
                    byte = np.rint(np.float32(np.float32(np.float32(total[c] / count) / scale) + zero))
                    out[c] = min(max(np.int32(byte) - lift, q_min), q_max)


@kernel
def max_pool(
    x: Array, filter_h: int, filter_w: int, stride_h: int, stride_w: int, top: int, left: int, q_min: int, q_max: int, y: Array
) -> None:
    """y = clip(max over the valid positions). Shapes and constraint as `average_pool`."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    lines = x.reshape((x.shape[0], height, width * channels))
    columns = np.empty(width * channels, x.dtype)
    for n in range(y.shape[0]):
        for oy in range(y.shape[1]):
            y0 = oy * stride_h - top
            columns[:] = q_min
            for iy in range(max(y0, 0), min(y0 + filter_h, height)):
                max_row(lines[n, iy], columns)
            for ox in range(y.shape[2]):
                x0 = ox * stride_w - left
                out = y[n, oy, ox]
                out[:] = q_min
                for ix in range(max(x0, 0), min(x0 + filter_w, width)):
                    max_row(columns[ix * channels : (ix + 1) * channels], out)
                for c in range(channels):
                    out[c] = min32(out[c], q_max)
