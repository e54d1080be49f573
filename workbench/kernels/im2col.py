"""Convolution windows as matrix rows, zero point removed: what turns a convolution into a matrix product."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


class Window(NamedTuple):
    """Geometry of a convolution: kernel, stride, dilation, padding before, output size; height, then width."""

    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    top: int
    left: int
    out_h: int
    out_w: int


@kernel
def shift_pad_s16(x: Array, zero_point: int, top: int, left: int, out: Array) -> None:
    """Write x - zero_point into `out` at (top, left); the margin is 0, which is the zero point: it adds nothing to a sum.

    x: int8 or int16 [N, H, W, C], |x - zero_point| < 2**15. out: int16 [N, H', W', C], H' >= top + H, W' >= left + W.
    """
    for n in range(out.shape[0]):
        for h in range(out.shape[1]):
            if h < top or h >= top + x.shape[1]:
                out[n, h] = 0
                continue
            row = out[n, h]
            row[:left] = 0
            row[left + x.shape[2] :] = 0
            for w in range(x.shape[2]):
                source = x[n, h - top, w]
                target = row[left + w]
                for c in range(source.size):
                    target[c] = np.int16(np.int64(source[c]) - zero_point)


@kernel
def im2col_s16(x: Array, window: Window, channel: int, channels: int, first: int, rows: Array) -> None:
    """Copy the windows of output positions first, first + 1, ... into rows, in (kh, kw, c) order.

    x: int16 [N, H, W, C], padded so that every window lies inside. position = (n * out_h + oh) * out_w + ow.
    channel, channels: the slice of C (a group). rows: int16 [R, >= kernel_h * kernel_w * channels]; further columns are kept.
    """
    run = window.kernel_w * channels
    whole = channels == x.shape[3] and window.dilation_w == 1  # then the taps of one kernel row are contiguous in x
    position, ow = divmod(first, window.out_w)
    n, oh = divmod(position, window.out_h)
    for r in range(rows.shape[0]):
        left = ow * window.stride_w
        for kh in range(window.kernel_h):
            line = x[n, oh * window.stride_h + kh * window.dilation_h].reshape(-1)
            target = rows[r, kh * run : (kh + 1) * run]
            if whole:
                source = line[left * channels : left * channels + run]
                for i in range(target.size):
                    target[i] = source[i]
                continue
            for kw in range(window.kernel_w):
                at = (left + kw * window.dilation_w) * x.shape[3] + channel
                source = line[at : at + channels]
                tap = target[kw * channels : (kw + 1) * channels]
                for c in range(tap.size):
                    tap[c] = source[c]
        ow += 1
        if ow == window.out_w:
            ow = 0
            oh += 1
            if oh == window.out_h:
                oh = 0
                n += 1


@kernel
def shift_rows_s16(x: Array, zero_point: int, rows: Array) -> None:
    """Write x - zero_point into the first columns of rows. x: int8 or int16 [R, K]; rows: int16 [R, >= K]."""
    for r in range(x.shape[0]):
        source = x[r]
        target = rows[r]
        for k in range(source.size):
            target[k] = np.int16(np.int64(source[k]) - zero_point)
