"""Depthwise convolution sums: every channel by itself, vectorized across channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.kernels.im2col import Window
from workbench.numerics.fixed_point import saturate_to_bits, wrap_to_bits
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


@kernel
def depthwise_sums(x: Array, w: Array, window: Window, zero_point: int, first: int, acc: Array) -> None:
    """Sum (x - zero_point) * w over the window of output positions first, first + 1, ...; padding adds 0.

    x: int8 or int16 [N, H, W, C]. w: int8 [KH, KW, C]. acc: int32 (wraps) or int64 [R, C] (overwritten);
    position = (n * out_h + oh) * out_w + ow.
    """
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    for r in range(acc.shape[0]):
        position, ow = divmod(first + r, window.out_w)
        n, oh = divmod(position, window.out_h)
        for c in range(channels):
            acc[r, c] = 0
        for kh in range(window.kernel_h):
            ih = oh * window.stride_h - window.top + kh * window.dilation_h
            if ih < 0 or ih >= height:
                continue
            for kw in range(window.kernel_w):
                iw = ow * window.stride_w - window.left + kw * window.dilation_w
                if iw < 0 or iw >= width:
                    continue
                for c in range(channels):
                    acc[r, c] += (np.int64(x[n, ih, iw, c]) - zero_point) * np.int64(w[kh, kw, c])


@kernel
def depthwise_narrow(
    x: Array, w: Array, window: Window, zero_point: int, start: Array, bits: int, saturate: bool, first: int, acc: Array
) -> None:
    """As `depthwise_sums`, in an accumulator of `bits` bits that wraps or saturates after every addition.

    start: int64 [C] (the bias, first in the accumulator), bits in [2, 62]. acc: int64 [R, C] (overwritten). Taps are added
    in (kh, kw) order: with saturation the order is part of the result.
    """
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    for r in range(acc.shape[0]):
        position, ow = divmod(first + r, window.out_w)
        n, oh = divmod(position, window.out_h)
        for c in range(channels):
            total = saturate_to_bits(start[c], bits) if saturate else wrap_to_bits(start[c], bits)
            for kh in range(window.kernel_h):
                ih = oh * window.stride_h - window.top + kh * window.dilation_h
                for kw in range(window.kernel_w):
                    iw = ow * window.stride_w - window.left + kw * window.dilation_w
                    if 0 <= ih < height and 0 <= iw < width:
                        total += (int(x[n, ih, iw, c]) - zero_point) * int(w[kh, kw, c])
                        total = saturate_to_bits(total, bits) if saturate else wrap_to_bits(total, bits)
            acc[r, c] = total
