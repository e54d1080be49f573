"""What one element was made from: the exact accumulator of a layer with weights, else the inputs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from workbench.execute import Step
from workbench.graph.ir import Array
from workbench.ops.base import Site


def explain(step: Step, args: Sequence[Array | None], index: tuple[int, ...]) -> tuple[str, ...]:
    """Return lines about an element of a step's output.

    Args:
        args: the step's inputs for one sample, [1, ...] (constants whole). index: of the element within the sample.
    """
    site = step.site
    total = accumulator(site, args, index)
    if total is None:
        return () if site.op in _PRODUCTS else _beside(site, args, index)
    x, w, y = site.x.quant, site.input(1).quant, site.y.quant
    assert x is not None and w is not None and y is not None
    channel = index[-1] if len(w.scale) > 1 else 0
    scale = Fraction(float(x.scale[0])) * Fraction(float(w.scale[channel])) / Fraction(float(y.scale[0]))
    zero_point = int(y.zero_point[0])
    exact = total * scale
    return (
        f"exact accumulator {total:,} x scale {float(scale):.9g} = {_digits(exact)}, zero point {zero_point}: "
        f"{_digits(exact + zero_point)} before it is rounded",
    )


def accumulator(site: Site, args: Sequence[Array | None], index: tuple[int, ...]) -> int | None:
    """Return bias + sum((x - zero_point) * w) of an output element as an exact integer; None for other operators and floats."""
    quantized = site.x.quant is not None and site.x.quant.axis is None and site.y.quant is not None
    if site.op not in _PRODUCTS or args[0] is None or not quantized or site.input(1).quant is None:
        return None
    w = np.asarray(args[1])
    if w.dtype.kind != "i" or args[0].dtype.kind != "i":
        return None
    assert site.x.quant is not None
    x = args[0][0].astype(object) - int(site.x.quant.zero_point[0])
    bias = args[2] if len(args) > 2 else None
    return int(_PRODUCTS[site.op](site, x, w.astype(object), index)) + (0 if bias is None else int(bias.reshape(-1)[index[-1]]))


def _fully_connected(site: Site, x: Array, w: Array, index: tuple[int, ...]) -> int:
    return int((x[index[:-1]] * w[index[-1]]).sum())


def _conv2d(site: Site, x: Array, w: Array, index: tuple[int, ...]) -> int:
    row, column, channel = index
    depth = w.shape[3]
    first = channel // (w.shape[0] // site.attrs.groups) * depth
    return sum(
        int((x[i, j, first : first + depth] * w[channel, kh, kw]).sum())
        for (kh, kw), (i, j) in _taps(site, x, w.shape[1:3], row, column)
    )


def _depthwise(site: Site, x: Array, w: Array, index: tuple[int, ...]) -> int:
    row, column, channel = index
    source = channel // (w.shape[3] // x.shape[2])
    return sum(int(x[i, j, source] * w[0, kh, kw, channel]) for (kh, kw), (i, j) in _taps(site, x, w.shape[1:3], row, column))


_PRODUCTS = {"conv2d": _conv2d, "depthwise_conv2d": _depthwise, "fully_connected": _fully_connected}


def _taps(
    site: Site, x: Array, kernel: tuple[int, int], row: int, column: int
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return (position in the kernel, position in the input) of every tap that does not fall on padding."""
    (stride_h, stride_w), (dilation_h, dilation_w), (top, left, *_) = site.attrs.stride, site.attrs.dilation, site.attrs.pads
    found = []
    for kh in range(kernel[0]):
        for kw in range(kernel[1]):
            i, j = row * stride_h + kh * dilation_h - top, column * stride_w + kw * dilation_w - left
            if 0 <= i < x.shape[0] and 0 <= j < x.shape[1]:
                found.append(((kh, kw), (i, j)))
    return found


def _beside(site: Site, args: Sequence[Array | None], index: tuple[int, ...]) -> tuple[str, ...]:
    """Return the inputs at the same index, where an input has the output's shape."""
    found = []
    for tensor, array in zip(site.inputs, args, strict=True):
        if tensor is not None and array is not None and array.shape[1:] == site.y.shape[1:] and not tensor.is_constant:
            found.append(f"input '{tensor.name}' there: {array[(0, *index)].item():.9g}")
    return tuple(found)


def _digits(value: Fraction) -> str:
    """Return a number with as many digits as show on which side of a tie it lies."""
    text = f"{float(value):.6f}"
    half = value - value.__floor__() - Fraction(1, 2)
    if half == 0:
        return f"{text} (a tie)"
    return f"{text} ({float(half):+.2g} from a tie)" if abs(half) < Fraction(1, 1000) else text
