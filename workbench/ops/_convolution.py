"""Integer convolutions as arguments of the drivers in `kernels/convolve`: which driver, and the layer turned so that it is quick.

A convolution may be computed as another one with the same memory: a column of pixels is a row; 8 channels of two neighbouring
positions are 16 channels of one. The accumulators are the same sums, so the bits are too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.kernels.convolve import convolve_lines, convolve_windows
from workbench.kernels.load import Band, Window
from workbench.kernels.pack import cut, line_quads, panels_of, row_quads, step_offsets, window_segments
from workbench.numerics.cpu import PATH
from workbench.numerics.requantize import Requantizer
from workbench.numerics.simd import LANES
from workbench.ops._linear import TILE_ROWS, narrow_rows, tile_rows
from workbench.ops._packed import Accumulator, operands_of, pack
from workbench.ops._windows import band_lines, float_windows, padded_size
from workbench.ops.base import Array
from workbench.tensor import RANGES

BAND_BYTES = 48 * 1024
"""Loaded lines at a time: with weights and outputs well inside of a second-level cache."""

Driver = Callable[[Array, Array], None]
"""(x [N, H, W, C], y [N, OH, OW, O] to fill)."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """An integer convolution. w: [O, KH, KW, C / groups]; bias: int64 [O]; channels: C; dtype: of the activations.

    repeat: how often the requantizer's channels come, one after the other, in the O channels of w.
    """

    w: Array
    bias: npt.NDArray[np.int64]
    requantize: Requantizer
    accumulator: Accumulator
    zero_point: int
    channels: int
    dtype: str
    groups: int = 1
    repeat: int = 1


def make_convolution(layer: Convolution, window: Window, width: int) -> Driver:
    """Return the driver of a layer. width: of the input."""
    if not layer.accumulator.vector:
        return _one_by_one(layer, window)
    if width == window.out_w == window.kernel_w == 1 and window.left == 0:
        return _turned(layer, window)
    if _pairs_fit(layer, window):
        return _paired(layer, window, width)
    return _windows(layer, window)


def _turned(layer: Convolution, window: Window) -> Driver:
    """A column of pixels is a row: kernel rows then lie together in memory."""
    w = np.ascontiguousarray(layer.w.transpose(0, 2, 1, 3))
    driver = _windows(replace(layer, w=w), turned(window))
    return lambda x, y: driver(x.transpose(0, 2, 1, 3), y.transpose(0, 2, 1, 3))


def turned(window: Window) -> Window:
    """Return the window with height and width exchanged."""
    return Window(
        window.kernel_w, window.kernel_h, window.stride_w, window.stride_h, window.dilation_w, window.dilation_h, window.left,
        window.top, window.out_w, window.out_h,
    )  # fmt: skip


def _pairs_fit(layer: Convolution, window: Window) -> bool:
    half = window._replace(out_w=window.out_w // 2)
    same_sums = not layer.accumulator.pairs and layer.groups == 1 and window.dilation_w == 1
    return same_sums and len(layer.w) == LANES // 2 and window.out_w % 2 == 0 and not _gathers(half, 1)


def _paired(layer: Convolution, window: Window, width: int) -> Driver:
    """Two neighbouring positions of 8 channels fill a panel: a kernel wider by one stride, once from its start, once to its end."""
    outputs, kernel_h, kernel_w, depth = layer.w.shape
    w = np.zeros((2, outputs, kernel_h, kernel_w + window.stride_w, depth), layer.w.dtype)
    w[0, :, :, :kernel_w] = layer.w
    w[1, :, :, window.stride_w :] = layer.w
    wider = window._replace(kernel_w=kernel_w + window.stride_w, stride_w=2 * window.stride_w, out_w=window.out_w // 2)
    both = replace(layer, w=w.reshape(2 * outputs, kernel_h, -1, depth), bias=np.tile(layer.bias, 2), repeat=2 * layer.repeat)
    driver = _windows(both, wider)
    return lambda x, y: driver(x, y.reshape(*y.shape[:2], wider.out_w, 2 * outputs))


def _windows(layer: Convolution, window: Window) -> Driver:
    """Return the convolution from padded lines, or from gathered windows where lines are too short for quads."""
    groups, channels = layer.groups, layer.channels
    operands = operands_of(layer.accumulator, layer.dtype, layer.zero_point, layer.w)
    height, width = padded_size(window)
    line = width * channels
    outputs = len(layer.w) // groups
    pairs = layer.accumulator.pairs and operands.size == 1
    if pairs:  # neighbours in (kh, kw, c) order are added: steps do not care for kernel rows
        steps = cut(layer.w.reshape(groups, outputs, 1, -1), operands.taps)
        starts = _element_taps(window, channels, groups, line, steps.shape[2] * operands.taps)
    else:
        segments, starts = window_segments(layer.w, window, channels, groups, line)
        steps = cut(segments, operands.taps)
        offsets = step_offsets(starts, segments.shape[3], operands.size)
    gathered = pairs or _gathers(window, panels_of(outputs))
    depth = 4 * steps.shape[2]
    row = groups * depth if gathered else window.stride_w * channels * operands.size
    group = depth if gathered else channels // groups * operands.size
    packed = pack(
        operands, layer.accumulator, steps, layer.bias, layer.zero_point, layer.requantize, RANGES[layer.dtype], row, group,
        repeat=layer.repeat,
    )  # fmt: skip
    padding = layer.zero_point - operands.shift
    if not gathered:
        lines = band_lines(window, line * operands.size, BAND_BYTES)
        band = Band(lines, band_height(window, lines), width, operands.shift, padding)
        geometry, bands = tuple(window), tuple(band)
        quads = line_quads(lines, window.out_w, window.stride_h * line * operands.size, row)
        return lambda x, y: convolve_lines(
            packed.product, x, geometry, bands, quads, offsets, packed.weights, packed.sizes, packed.constants, packed.loaded, y
        )
    whole = Band(window.out_h, height, width, operands.shift, padding)
    geometry, bands = tuple(window), tuple(whole)
    tile = min(tile_rows(row), -(-window.out_h * window.out_w // TILE_ROWS) * TILE_ROWS)
    quads, inner = row_quads(tile, row), np.arange(0, depth, 4)
    taps = starts if pairs else np.concatenate([offsets + g * (channels // groups) * operands.size for g in range(groups)])
    return lambda x, y: convolve_windows(
        packed.product, x, geometry, bands, tile, taps, pairs, quads, inner, packed.weights, packed.sizes, packed.constants,
        packed.loaded, y,
    )  # fmt: skip


def band_height(window: Window, lines: int) -> int:
    """Return the input lines under `lines` output lines."""
    return (lines - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1


def _gathers(window: Window, panels: int) -> bool:
    """Return whether copying the windows costs less than the positions that a line lacks to whole quads.

    A copied step costs about one product of a 512-bit register, a missing position one product for each panel.
    """
    missing = -window.out_w % 4
    return missing * panels * (LANES // (PATH.byte_dot or 4)) > window.out_w


def _element_taps(window: Window, channels: int, groups: int, line: int, length: int) -> npt.NDArray[np.int64]:
    """Return the element of every tap of a window, in (kh, kw, c) order, group after group, each padded to `length`."""
    rows = np.arange(window.kernel_h)[:, None, None] * (window.dilation_h * line)
    columns = np.arange(window.kernel_w)[:, None] * (window.dilation_w * channels)
    depth = channels // groups
    taps = (rows + columns + np.arange(depth)).reshape(-1)
    padded = np.concatenate([taps, np.zeros(length - taps.size, np.int64)])
    return np.concatenate([padded + g * depth for g in range(groups)])


def _one_by_one(layer: Convolution, window: Window) -> Driver:
    """Return the convolution in an accumulator that the vector kernels do not have: explicit windows, one product at a time."""
    per_in, per_out = layer.w.shape[3], len(layer.w) // layer.groups

    def run(x: Array, y: Array) -> None:
        shifted = (x.astype(np.int64) - layer.zero_point).astype(np.int16)
        for g in range(layer.groups):
            columns = slice(g * per_out, (g + 1) * per_out)
            w, bias = layer.w[columns].reshape(per_out, -1), layer.bias[columns]
            for samples, views in float_windows(shifted[..., g * per_in : (g + 1) * per_in], window):
                out = y[samples].reshape(-1, len(layer.w))
                narrow_rows(views.reshape(len(out), -1), w, bias, layer.accumulator, layer.requantize, out, columns.start)

    return run
