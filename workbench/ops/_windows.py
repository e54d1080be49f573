"""Geometry shared by convolutions: output sizes, checks of attributes, windows of float arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.load import Window
from workbench.ops.base import Array, Shape

WINDOW_BYTES = 1024 * 1024
"""Float windows are made for at most this many bytes of samples at a time, so that they are still in a cache when they are read."""


def output_size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Return floor((size + padding - dilation * (kernel - 1) - 1) / stride) + 1."""
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def window_of(attrs: Any, x: Shape, kernel: tuple[int, int], what: str) -> Window:
    """Return the window geometry of an NHWC shape; ModelError when it is impossible.

    attrs: stride, dilation, pads [top, left, bottom, right]. kernel: (height, width).
    """
    if len(x) != 4:
        raise ModelError(f"{what}: the input must be [N, H, W, C], it is {x}.")
    if min(*attrs.stride, *attrs.dilation, *kernel) < 1 or min(attrs.pads) < 0:
        raise ModelError(
            f"{what}: kernel {kernel}, stride {attrs.stride}, dilation {attrs.dilation} must be >= 1, pads {attrs.pads} >= 0."
        )
    top, left, bottom, right = attrs.pads
    out_h = output_size(x[1], kernel[0], attrs.stride[0], attrs.dilation[0], top + bottom)
    out_w = output_size(x[2], kernel[1], attrs.stride[1], attrs.dilation[1], left + right)
    if out_h < 1 or out_w < 1:
        raise ModelError(f"{what}: the kernel {kernel} with dilation {attrs.dilation} is larger than the padded input {x}.")
    return Window(*kernel, *attrs.stride, *attrs.dilation, top, left, out_h, out_w)  # type: ignore[call-arg]


def padded_size(window: Window) -> tuple[int, int]:
    """Return the height and width that all windows together cover, padding included."""
    return (
        (window.out_h - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1,
        (window.out_w - 1) * window.stride_w + (window.kernel_w - 1) * window.dilation_w + 1,
    )


def band_lines(window: Window, line: int, budget: int) -> int:
    """Return how many output lines are computed at a time: as many as `budget` bytes of input lines of `line` bytes allow."""
    overlap = (window.kernel_h - 1) * window.dilation_h + 1 - window.stride_h
    return max(1, min(window.out_h, (budget // line - overlap) // window.stride_h))


def float_windows(x: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """Yield (samples, windows [n, OH, OW, KH, KW, C]) of an array with zero padding, a few samples at a time.

    The windows are views: reshape copies them.
    """
    height, width = padded_size(window)
    per_sample = window.out_h * window.out_w * window.kernel_h * window.kernel_w * x.shape[3] * x.itemsize
    step = max(1, WINDOW_BYTES // max(per_sample, 1))
    for first in range(0, x.shape[0], step):
        part = x[first : first + step]
        padded = np.zeros(
            (part.shape[0], max(height, window.top + x.shape[1]), max(width, window.left + x.shape[2]), x.shape[3]), x.dtype
        )
        padded[:, window.top : window.top + x.shape[1], window.left : window.left + x.shape[2]] = part
        n, h, w, c = padded.strides
        shape = (part.shape[0], window.out_h, window.out_w, window.kernel_h, window.kernel_w, x.shape[3])
        strides = (n, h * window.stride_h, w * window.stride_w, h * window.dilation_h, w * window.dilation_w, c)
        yield slice(first, first + part.shape[0]), np.lib.stride_tricks.as_strided(padded, shape, strides, writeable=False)


def banded_windows(x: Array, window: Window) -> Iterator[tuple[slice, slice, Array]]:
    """Yield (samples, output lines, windows [n, lines, OW, KH, KW, C]) as `float_windows` does, large samples some lines at a time."""
    per_line = window.out_w * window.kernel_h * window.kernel_w * x.shape[3] * x.itemsize
    lines = max(1, WINDOW_BYTES // max(per_line, 1))
    if lines >= window.out_h:
        for samples, views in float_windows(x, window):
            yield samples, slice(0, window.out_h), views
        return
    reach = (window.kernel_h - 1) * window.dilation_h + 1
    for first in range(0, window.out_h, lines):
        band = slice(first, min(first + lines, window.out_h))
        begin = first * window.stride_h - window.top
        end = (band.stop - 1) * window.stride_h - window.top + reach
        part = x[:, max(begin, 0) : max(end, 0)]
        for samples, views in float_windows(part, window._replace(top=max(-begin, 0), out_h=band.stop - first)):
            yield samples, band, views
