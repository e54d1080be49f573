"""The sums of one operator as layers: one of most operators, one per output phase of transpose_conv2d, two of lstm.

A transposed convolution is an ordinary one for every output phase (`ops/_phases`). The gates of an LSTM are two matrix products, of the
input and of the hidden state, each in a register of its own; the hidden state may hold every integer of its type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from workbench.graph.ir import Array, Tensor
from workbench.kernels.load import Window
from workbench.ops._linear import SUBBYTE, bias_of
from workbench.ops._packed import Accumulator
from workbench.ops._phases import POINT, cover, phase_weights, phase_window
from workbench.ops.base import Site
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs, arithmetic_of, infer_shape, lines
from workbench.overflow.activations import Range
from workbench.overflow.layer import INTEGERS, Layer, convolution, layer_of
from workbench.tensor import RANGES


def parts_of(site: Site, found: Mapping[str, Range]) -> tuple[Layer, ...]:
    """Return the layers of a site, none when it has no integer accumulator. found: range of every activation."""
    if site.x.dtype not in INTEGERS:
        return ()
    if site.op == "transpose_conv2d":
        return tuple(_phases(site, found[site.x.name]))
    if site.op == "lstm":
        return _gates(site, found[site.x.name])
    layer = layer_of(site, found)
    return () if layer is None else (layer,)


def _phases(site: Site, x: Range) -> Iterator[Layer]:
    """Yield the convolutions that make the outputs; last, where some outputs read no input, one of zeros: the bias alone."""
    attrs: TransposeConv2dAttrs = site.attrs
    w = np.asarray(site.input(1).data)
    ((_, height, width, _),) = infer_shape(attrs, [site.x.shape, w.shape])
    rows, columns = lines(attrs, w.shape, (height, width))
    for row in rows:
        for column in columns:
            yield _phase(site, phase_weights(w, row, column), phase_window(row, column), x)
    if not (cover(rows, height) and cover(columns, width)):
        yield _phase(site, np.zeros((len(w), 1, 1, w.shape[3]), w.dtype), POINT, x)


def _phase(site: Site, w: Array, window: Window, x: Range) -> Layer:
    attrs: TransposeConv2dAttrs = site.attrs
    rules, weights = arithmetic_of(site), site.input(1)
    subbyte = rules.requantize_subbyte if weights.dtype in SUBBYTE else None
    dilation = (window.dilation_h, window.dilation_w)
    same = replace(
        site, op="conv2d", attrs=Conv2dAttrs(dilation=dilation, groups=attrs.groups, activation=attrs.activation),
        inputs=(site.x, replace(weights, data=w, shape=w.shape), *site.inputs[2:]),
        arithmetic=replace(rules, requantize_grouped=subbyte or rules.requantize),
    )  # fmt: skip
    return convolution(same, window, x)


def _gates(site: Site, x: Range) -> tuple[Layer, ...]:
    """Return the products with the input, whose sums have the bias, and with the hidden state, in the quantization of y."""
    wide = site.x.dtype == "int16"
    accumulator = Accumulator(wide, 64 if wide else 32, "wrap")
    rows = site.input(1).shape[0]

    def product(entering: Tensor, weights: Tensor, bias: tuple[int, ...], ends: Range) -> Layer:
        w = np.asarray(weights.data).astype(np.int64)
        inner = replace(site, op="fully_connected", inputs=(entering, weights))
        return Layer(inner, accumulator, w, bias, ends, (np.ones(w.shape[1], np.bool_),), alone=False)

    return (
        product(site.x, site.input(1), tuple(bias_of(site, rows).tolist()), x),
        product(site.y, site.input(3), (0,) * rows, RANGES[site.y.dtype]),
    )
