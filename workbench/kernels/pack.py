"""Weights, offsets and quads of the linear drivers, from plain arrays. A *step* is 4 bytes of input and 4 of every weight column.

Packed weights are [group][panel group][step][16 * panels][4 bytes], 64-byte aligned, where panel groups are as wide as the registers
of this CPU path hold; columns beyond the last channel and taps beyond the last of a segment are zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.kernels.load import Window
from workbench.kernels.product import MOST_PANELS
from workbench.numerics.simd import LANES

Array = npt.NDArray[Any]
I64 = npt.NDArray[np.int64]


def panels_of(columns: int) -> int:
    """Return how many panels of 16 hold the columns."""
    return -(-columns // LANES)


def panel_sizes(panels: int) -> I64:
    """Return how the panels are grouped: as wide as the registers hold, without a lonely panel where two pairs do (4 = 2 + 2)."""
    if MOST_PANELS == 1 or panels == 1:
        return np.ones(panels, np.int64)
    threes = panels // MOST_PANELS - (panels % MOST_PANELS == 1)
    twos = (panels - MOST_PANELS * threes) // 2
    return np.array([MOST_PANELS] * threes + [2] * twos, np.int64)


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Return zeroed bytes that start at a multiple of 64."""
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


def pack_columns(w: Array, sizes: I64) -> npt.NDArray[np.uint8]:
    """Pack w [groups, columns, steps, taps] (taps of 4 bytes together: 4 int8 or 2 int16)."""
    groups, columns, steps, taps = w.shape
    width = int(sizes.sum()) * LANES
    padded = np.zeros((groups, width, steps, taps), w.dtype)
    padded[:, :columns] = w
    packed = aligned(groups * width * steps * 4)
    at = 0
    for group in range(groups):
        column = 0
        for panels in sizes.tolist():
            part = padded[group, column : column + LANES * panels].transpose(1, 0, 2)
            size = part.size * part.itemsize
            packed[at : at + size] = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
            at, column = at + size, column + LANES * panels
    return packed


def cut(segments: Array, taps: int) -> Array:
    """Cut segments [..., S, length] into steps: [..., S * ceil(length / taps), taps], zeros at the end of each segment."""
    *lead, count, length = segments.shape
    steps = -(-length // taps)
    padded = np.zeros((*lead, count, steps * taps), segments.dtype)
    padded[..., :length] = segments
    return padded.reshape(*lead, count * steps, taps)


def window_segments(w: Array, window: Window, channels: int, groups: int, line: int) -> tuple[Array, I64]:
    """Return (weights as segments [groups, O / groups, S, length], first element of each segment in the band [S]).

    w: [O, KH, KW, C / groups]. A segment is what lies together in the input: a kernel row, or one tap where taps are apart.
    line: elements of a band's line.
    """
    outputs, kernel_h, kernel_w, depth = w.shape
    rows = np.arange(kernel_h, dtype=np.int64) * (window.dilation_h * line)
    if groups == 1 and (window.dilation_w == 1 or kernel_w == 1):
        return w.reshape(1, outputs, kernel_h, kernel_w * depth), rows
    taps = np.arange(kernel_w, dtype=np.int64) * (window.dilation_w * channels)
    return w.reshape(groups, outputs // groups, kernel_h * kernel_w, depth), (rows[:, None] + taps).reshape(-1)


def step_offsets(starts: I64, length: int, size: int) -> I64:
    """Return the byte offset of every step of segments that start at these elements; size: bytes of an element."""
    steps = -(-length * size // 4)
    return np.ascontiguousarray((starts[:, None] * size + 4 * np.arange(steps, dtype=np.int64)).reshape(-1))


def row_quads(rows: int, pitch: int) -> I64:
    """Return the quads of `rows` (a multiple of 4) rows `pitch` bytes apart: int64 [rows / 4, 3], see `multiply_band`."""
    first = np.arange(0, rows, 4, dtype=np.int64)
    return np.stack([first * pitch, first, np.full_like(first, 4)], axis=1)


def line_quads(lines: int, out_w: int, line: int, position: int) -> I64:
    """Return the quads of output lines: `line` bytes from one output line to the next, `position` from one position to the next."""
    first = np.arange(0, out_w, 4, dtype=np.int64)
    every = np.arange(lines, dtype=np.int64)[:, None]
    columns = [every * line + first * position, every * out_w + first, np.minimum(4, out_w - first) + 0 * every]
    return np.ascontiguousarray(np.stack([c.reshape(-1) for c in columns], axis=1))


def spread_weights(w: Array, taps: int) -> Array:
    """Return depthwise weights [KH, KW, C] as [1, C, KH * parts, taps], for `pack_columns` with panels of one."""
    return cut(np.ascontiguousarray(w.transpose(2, 0, 1))[None], taps)
