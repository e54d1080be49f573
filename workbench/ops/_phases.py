"""A transposed convolution as ordinary ones of stride 1: one for every output position modulo the stride (a *phase*).

    y[oh] = sum over kh of x[(oh + top - kh * dilation) / stride] * w[kh]      where the division is exact

All outputs with the same (oh + top) % stride read the same kernel rows, and their inputs follow one another. So phase r is a
convolution of stride 1 with these rows in reverse order; its dilation is dilation / gcd(dilation, stride).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from workbench.ops.base import Array


@dataclass(frozen=True)
class Line:
    """One phase along one axis.

    taps: kernel rows in the order of their inputs; none: the outputs read nothing. dilation: inputs from one to the next. padding: of
    the input before its start; negative where outputs begin inside of it. first: the first output; outputs: how many, `stride` apart.
    """

    taps: tuple[int, ...]
    dilation: int
    padding: int
    first: int
    outputs: int


def lines_of(kernel: int, stride: int, dilation: int, before: int, size: int) -> list[Line]:
    """Return the phases of one axis that have outputs. before: outputs cut off at the start. size: of the output."""
    found = []
    for r in range(stride):
        first = (r - before) % stride
        if first >= size:
            continue
        taps = [k for k in range(kernel) if (k * dilation - r) % stride == 0]
        steps = [(k * dilation - r) // stride for k in taps] or [0]
        padding = steps[-1] - (first + before - r) // stride
        apart = dilation // gcd(dilation, stride)
        found.append(Line(tuple(reversed(taps)), apart, padding, first, -(-(size - first) // stride)))
    return found


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
    """Return the kernel rows (axis 1) or columns (axis 2) of a phase of w [O, KH, KW, C]; one of zeros where it has none."""
    if not line.taps:
        shape = list(w.shape)
        shape[axis] = 1
        return np.zeros(shape, w.dtype)
    return np.ascontiguousarray(np.take(w, line.taps, axis=axis))
