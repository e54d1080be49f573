"""Activations as the dot-product instructions want them: zero point or sign moved away, padding in place, one band at a time.

Loaded values are x - shift: `shift` is -128 for unsigned bytes (x86), 0 for signed bytes (Arm), the zero point for int16 words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

from workbench.numerics.jit import inline
from workbench.numerics.simd import LANES, address, copy4, copy_bytes, copy_widened, copy_words, interleave, interleave_words

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


class Band(NamedTuple):
    """How a convolution is cut. lines: output lines at a time. height: input lines under them. width: padded input positions.

    shift: subtracted on loading. padding: what a padded position holds after that.
    """

    lines: int
    height: int
    width: int
    shift: int
    padding: int


SLACK = 256
"""Elements after a buffer that a load of a whole vector may touch."""


@inline
def slack(window: Window, channels: int) -> int:
    """Return the elements that may be read after the last line: positions and taps that only complete a quad or a step."""
    return 4 * max(window.stride_w, window.dilation_w) * channels + SLACK


@inline
def shift_copy(x: Array, begin: int, count: int, shift: int, out: Array, at: int) -> None:
    """out[at + i] = x[begin + i] - shift for i < count; x: int8 or int16, flat; out: uint8, int8 or int16, flat."""
    target, source = address(out) + at * out.itemsize, address(x) + begin * x.itemsize
    if out.itemsize == 1:
        copy_bytes(target, source, count, shift)
    elif x.itemsize == 1:
        copy_widened(target, source, count, shift)
    else:
        copy_words(target, source, count, shift)


@inline
def fill_lines(images: Array, n: int, first: int, window: Window, band: Band, lines: int, out: Array) -> None:
    """Load input lines first, first + 1, ... of image n of [N, H, W, C] into out, flat, [lines * width * C].

    `out` was full of `band.padding`; its margins are never written, so they still are.
    """
    _, height, columns, channels = images.shape
    line = band.width * channels
    used = min(columns, band.width - window.left) * channels
    source = images.reshape(-1)
    for i in range(lines):
        if window.kernel_h == 1 and i % window.stride_h > 0:
            continue  # no window reads it
        row = first + i
        at = i * line + window.left * channels
        if row < 0 or row >= height:
            for j in range(at, at + used):
                out[j] = band.padding
        else:
            shift_copy(source, (n * height + row) * columns * channels, used, band.shift, out, at)


@inline
def load_band(images: Array, n: int, first: int, window: Window, band: Band, out: Array) -> tuple[int, int]:
    """Load the input lines of the output lines from `first` on of image n; return how many (output, input) lines there are."""
    lines = min(band.lines, window.out_h - first)
    height = (lines - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1
    fill_lines(images, n, first * window.stride_h - window.top, window, band, height, out)
    return lines, height


@inline
def gather_windows(
    band: Array, window: Window, line: int, channels: int, first: int, rows: int, taps: Array, out: Array
) -> None:
    """Copy the windows of output positions first .. first + rows - 1 of a loaded image into rows of 4 * taps.size bytes.

    band: flat, `line` elements per input line. taps: byte offset of each 4 bytes from the first element of the window.
    """
    source, target = address(band), address(out)
    for r in range(first, first + rows):
        oh = r // window.out_w
        origin = source + band.itemsize * (oh * window.stride_h * line + (r - oh * window.out_w) * window.stride_w * channels)
        for k in range(taps.size):
            copy4(target + 4 * k, origin + taps[k])
        target += 4 * taps.size


@inline
def gather_elements(
    band: Array, window: Window, line: int, channels: int, first: int, rows: int, taps: Array, out: Array
) -> None:
    """As `gather_windows` with one element per tap: K is cut into steps without regard to kernel rows."""
    for r in range(first, first + rows):
        oh = r // window.out_w
        origin = oh * window.stride_h * line + (r - oh * window.out_w) * window.stride_w * channels
        target = out[(r - first) * taps.size : (r - first + 1) * taps.size]
        for k in range(taps.size):
            target[k] = band[origin + taps[k]]


@inline
def spread_lines(band: Array, window: Window, line: int, channels: int, lanes: int, lines: int, parts: int, out: Array) -> None:
    """Put the taps of a kernel row side by side for every channel: out [lines][out_w][parts][panels][16][taps of 4 bytes].

    lanes: elements of an output position, the channels of one position or of several that are merged. parts: groups of 4 (bytes) or
    2 (words) horizontal taps. band: flat, with SLACK elements after the last line.
    """
    size = band.itemsize
    taps, panels = 4 // size, (lanes + LANES - 1) // LANES
    step = size * window.dilation_w * channels
    positions, inner, stride = window.out_w, panels, size * window.stride_w * channels
    if parts == 1 and stride == size * panels * LANES:  # all panels of all positions follow one another
        positions, inner = 1, panels * window.out_w
    elif panels == 1 and parts == 1:
        positions, inner = 1, window.out_w
    between = stride if panels == 1 and parts == 1 else size * LANES
    target = address(out)
    for i in range(lines):
        line_at = address(band) + size * i * line
        for position in range(positions):
            for part in range(parts):
                source = line_at + position * stride + part * taps * step
                for j in range(inner):
                    if size == 1:
                        interleave(target + 64 * j, source + j * between, step)
                    else:
                        interleave_words(target + 64 * j, source + j * between, step)
                target += 64 * inner


@inline
def fill_rows(x: Array, first: int, rows: int, pitch: int, shift: int, out: Array) -> None:
    """Load rows first .. first + rows - 1 of x [M, K], `pitch` elements apart; what lies between K and the pitch is kept."""
    flat, depth = x.reshape(-1), x.shape[1]
    if pitch == depth:
        shift_copy(flat, first * depth, rows * depth, shift, out, 0)
        return
    for r in range(rows):
        shift_copy(flat, (first + r) * depth, depth, shift, out, r * pitch)
