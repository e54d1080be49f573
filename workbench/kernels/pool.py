"""Average and maximum pooling of int8 or int16 NHWC."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]


@inline
def divide_half_away(total: int, count: int) -> int:
    """Return total / count rounded half away from zero (C division of total +- count / 2). count > 0."""
    half = count >> 1
    return (total + half) // count if total > 0 else -((half - total) // count)


@kernel
def average_pool(
    x: Array, filter_h: int, filter_w: int, stride_h: int, stride_w: int, top: int, left: int,
    padding: int, whole: bool, q_min: int, q_max: int, y: Array,
) -> None:  # fmt: skip
    """y = clip(sum / n): n = valid positions; no zero point arithmetic, as input and output share the quantization.

    x: [N, H, W, C]; y: [N, H', W', C], same type. whole: n = filter size and padded positions count as `padding` (the zero
    point). Sums fit an int32: |x| * filter < 2**31. Constraint: every window has a valid position, or `whole`.
    """
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    acc = np.empty(channels, np.int64)
    for n in range(y.shape[0]):
        for oy in range(y.shape[1]):
            y0 = oy * stride_h - top
            for ox in range(y.shape[2]):
                x0 = ox * stride_w - left
                acc[:] = 0
                valid = 0
                for iy in range(max(y0, 0), min(y0 + filter_h, height)):
                    for ix in range(max(x0, 0), min(x0 + filter_w, width)):
                        valid += 1
                        for c in range(channels):
                            acc[c] += x[n, iy, ix, c]
                count = filter_h * filter_w if whole else valid
                extra = (count - valid) * padding
                for c in range(channels):
                    y[n, oy, ox, c] = min(max(divide_half_away(acc[c] + extra, count), q_min), q_max)


@kernel
def max_pool(
    x: Array, filter_h: int, filter_w: int, stride_h: int, stride_w: int, top: int, left: int, q_min: int, q_max: int, y: Array
) -> None:
    """y = clip(max over the valid positions). Shapes and constraint as `average_pool`."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    for n in range(y.shape[0]):
        for oy in range(y.shape[1]):
            y0 = oy * stride_h - top
            for ox in range(y.shape[2]):
                x0 = ox * stride_w - left
                for c in range(channels):
                    y[n, oy, ox, c] = q_min
                for iy in range(max(y0, 0), min(y0 + filter_h, height)):
                    for ix in range(max(x0, 0), min(x0 + filter_w, width)):
                        for c in range(channels):
                            y[n, oy, ox, c] = max(y[n, oy, ox, c], x[n, iy, ix, c])
                for c in range(channels):
                    y[n, oy, ox, c] = min(y[n, oy, ox, c], q_max)
