"""Integer depthwise convolutions of as many input as output channels, as arguments of `kernels/convolve.convolve_depthwise`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.kernels.convolve import convolve_depthwise
from workbench.kernels.load import Band, Window
from workbench.kernels.pack import line_quads, panels_of, row_quads, spread_weights
from workbench.numerics.requantize import Requantizer
from workbench.numerics.simd import LANES
from workbench.ops._convolution import band_height, turned
from workbench.ops._linear import narrow_rows
from workbench.ops._packed import Accumulator, operands_of, pack
from workbench.ops._windows import band_lines, float_windows, padded_size
from workbench.ops.base import Array
from workbench.tensor import RANGES

BAND_BYTES = 48 * 1024
"""Taps side by side at a time: most of a first-level cache and its next."""

Driver = Callable[[Array, Array], None]
"""(x [N, H, W, C], y [N, OH, OW, C] to fill)."""


@dataclass(frozen=True, eq=False)
class Depthwise:
    """A layer. w: [KH, KW, C]; bias: int64 [C]; dtype: of the activations."""

    w: Array
    bias: npt.NDArray[np.int64]
    requantize: Requantizer
    accumulator: Accumulator
    zero_point: int
    dtype: str


def make_depthwise(layer: Depthwise, window: Window, width: int) -> Driver:
    """Return the driver of a layer. width: of the input."""
    if not layer.accumulator.vector:
        return _one_by_one(layer, window)
    if width == window.out_w == window.kernel_w == 1 and window.left == 0:  # a column of pixels is a row
        driver = _vector(replace(layer, w=layer.w.transpose(1, 0, 2)), turned(window))
        return lambda x, y: driver(x.transpose(0, 2, 1, 3), y.transpose(0, 2, 1, 3))
    return _vector(layer, window)


def _vector(layer: Depthwise, window: Window) -> Driver:
    channels, line_width = layer.w.shape[2], padded_size(window)[1]
    merged = _merged(window, channels)
    w, bias = np.tile(layer.w, merged), np.tile(layer.bias, merged)
    if merged > 1:
        window = window._replace(stride_w=merged, out_w=window.out_w // merged)
    operands = operands_of(layer.accumulator, layer.dtype, layer.zero_point, layer.w, depthwise=True)
    parts = -(-window.kernel_w // operands.taps)
    tap_row = panels_of(w.shape[2]) * 64
    position = parts * tap_row
    packed = pack(
        operands, layer.accumulator, spread_weights(w, operands.taps), bias, layer.zero_point, layer.requantize,
        RANGES[layer.dtype], position, 0, 64, merged,
    )  # fmt: skip
    lines = band_lines(window, window.out_w * position, BAND_BYTES)
    band = Band(lines, band_height(window, lines), line_width, operands.shift, layer.zero_point - operands.shift)
    geometry, bands = tuple(window), tuple(band)
    rows = np.arange(window.kernel_h, dtype=np.int64)[:, None] * (window.dilation_h * window.out_w * position)
    offsets = np.ascontiguousarray((rows + np.arange(parts) * tap_row).reshape(-1))
    if window.stride_h == 1:  # the lines follow one another: quads may go over their ends
        quads = row_quads(-(-lines * window.out_w // 4) * 4, position)
    else:
        quads = line_quads(lines, window.out_w, window.stride_h * window.out_w * position, position)
    return lambda x, y: convolve_depthwise(
        packed.product, x, geometry, bands, parts, quads, offsets, packed.weights, packed.sizes, packed.constants, packed.loaded,
        y.reshape(*y.shape[:2], window.out_w, len(bias)),
    )  # fmt: skip


def _merged(window: Window, channels: int) -> int:
    """Return how many neighbouring positions fill a panel together: they lie together in memory, one stride apart."""
    if window.stride_w > 1:
        return 1
    return max(n for n in range(1, max(LANES // channels, 1) + 1) if window.out_w % n == 0)


def _one_by_one(layer: Depthwise, window: Window) -> Driver:
    """Return the convolution in an accumulator that the vector kernels do not have: channel by channel."""

    def run(x: Array, y: Array) -> None:
        shifted = (x.astype(np.int64) - layer.zero_point).astype(np.int16)
        for c in range(layer.w.shape[2]):
            for samples, views in float_windows(shifted[..., c : c + 1], window):
                out = y[samples].reshape(-1, layer.w.shape[2])
                rows, w = views.reshape(len(out), -1), layer.w[:, :, c].reshape(1, -1)
                narrow_rows(rows, w, layer.bias[c : c + 1], layer.accumulator, layer.requantize, out, c)

    return run
