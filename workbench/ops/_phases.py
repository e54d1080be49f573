"""A transposed convolution as ordinary ones of stride 1: one for every output position modulo the stride (a *phase*).

    y[oh] = sum over kh of x[(oh + top - kh * dilation) / stride] * w[kh]      where the division is exact

All outputs with the same (oh + top) % stride read the same kernel rows, and their inputs follow one another. So phase r is a
convolution of stride 1 with these rows in reverse order; its dilation is dilation / gcd(dilation, stride). There are as many phases as
kernel rows that differ modulo the stride, however large the stride is; outputs of no phase are the bias alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np

from workbench.kernels.load import Window
from workbench.ops._windows import padded_size
from workbench.ops.base import Array, Shape

Pair = tuple[int, int]
POINT = Window(1, 1, 1, 1, 1, 1, 0, 0, 1, 1)
"""One window of one input."""


@dataclass(frozen=True)
class Line:
    """One phase along one axis.

    taps: kernel rows in the order of their inputs. dilation: inputs from one to the next. padding: of the input before its start;
    negative where outputs begin inside of it. first: the first output; outputs: how many, `stride` apart.
    """

    taps: tuple[int, ...]
    dilation: int
    padding: int
    first: int
    outputs: int


def lines_of(kernel: int, stride: int, dilation: int, before: int, size: int) -> list[Line]:
    """Return the phases of one axis that have taps and outputs. before: outputs cut off at the start. size: of the output."""
    taps: dict[int, list[int]] = {}
    for k in range(kernel):
        taps.setdefault(k * dilation % stride, []).append(k)
    found = []
    for r, rows in taps.items():
        first = (r - before) % stride
        if first < size:
            padding = (rows[-1] * dilation - r) // stride - (first + before - r) // stride
            apart = dilation // gcd(dilation, stride)
            found.append(Line(tuple(reversed(rows)), apart, padding, first, -(-(size - first) // stride)))
    return found


def cover(lines: Sequence[Line], size: int) -> bool:
    """Return whether every output of an axis belongs to a phase."""
    return sum(line.outputs for line in lines) == size


@dataclass(frozen=True)
class Merged:
    """All phases of the width as channels of one convolution: column q * stride + j of its outputs is output q * stride + j + first.

    padding, outputs: of that convolution. skip: columns to leave out at the start.
    """

    kernel: int
    padding: int
    outputs: int
    skip: int


def merged(kernel: int, stride: int, before: int, size: int) -> Merged:
    """Return the phases of an axis without dilation, all at once."""
    taps = -(-kernel // stride)
    start = before // stride
    outputs = (before + size - 1) // stride - start + 1
    return Merged(taps, taps - 1 - start, outputs, before - start * stride)


def merged_weights(w: Array, stride: int) -> Array:
    """Return w [O, KH, KW, C] as [stride * O, KH, ceil(KW / stride), C]: one phase of the width after the other, filled with zeros."""
    outputs, kernel_h, kernel_w, depth = w.shape
    taps = -(-kernel_w // stride)
    padded = np.zeros((outputs, kernel_h, taps * stride, depth), w.dtype)
    padded[:, :, :kernel_w] = w
    phases = padded.reshape(outputs, kernel_h, taps, stride, depth)[:, :, ::-1]
    return np.ascontiguousarray(phases.transpose(3, 0, 1, 2, 4)).reshape(stride * outputs, kernel_h, taps, depth)


def line_weights(w: Array, axis: int, line: Line) -> Array:
    """Return the kernel rows (axis 1) or columns (axis 2) of a phase of w [O, KH, KW, C]."""
    return np.ascontiguousarray(np.take(w, line.taps, axis=axis))


def phase_weights(w: Array, row: Line, column: Line) -> Array:
    """Return the kernel of a phase of height and width."""
    return line_weights(line_weights(w, 1, row), 2, column)


def phase_window(row: Line, column: Line) -> Window:
    """Return the windows of a phase of height and width."""
    return Window(
        len(row.taps),
        len(column.taps),
        1,
        1,
        row.dilation,
        column.dilation,
        row.padding,
        column.padding,
        row.outputs,
        column.outputs,
    )


def input_cut(window: Window, x: Shape) -> Pair | None:
    """Return (height, width) of the part of the input that the windows read, None where the drivers can take the input itself.

    They want windows that begin before the input, by less than all of them cover.
    """
    height, width = padded_size(window)
    whole = window.top >= 0 and 0 <= window.left < width
    return None if whole else (height, width)


def input_part(x: Array, window: Window, size: Pair, fill: int) -> Array:
    """Return the part [N, *size, C] of x that begins at (-top, -left), `fill` where it is outside of x."""
    part = np.full((len(x), *size, x.shape[3]), fill, x.dtype)
    inside = []
    for start, length, have in ((-window.top, size[0], x.shape[1]), (-window.left, size[1], x.shape[2])):
        low, high = max(start, 0), min(start + length, have)
        inside.append((slice(low - start, max(high, low) - start), slice(low, max(high, low))))
    (to_h, from_h), (to_w, from_w) = inside
    part[:, to_h, to_w] = x[:, from_h, from_w]
    return part
