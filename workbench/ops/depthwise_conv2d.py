"""depthwise_conv2d: every input channel by itself, `multiplier` outputs each. Bit-exact with TFLM, CMSIS-NN and LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.convolve import convolve_depthwise
from workbench.kernels.load import Band, Window
from workbench.kernels.pack import line_quads, panels_of, row_quads, spread_weights
from workbench.numerics.requantize import Requantizer
from workbench.ops._linear import (
    accumulator_of,
    bias_of,
    check_integer,
    checked,
    fuse,
    narrow_rows,
    real_constants,
    requantizer_of,
    zero_point_of,
)
from workbench.ops._linear_float16 import depthwise_float16
from workbench.ops._packed import Accumulator, operands_of, pack
from workbench.ops._windows import band_lines, float_windows, padded_size, window_of
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, Weights, register

BAND_BYTES = 48 * 1024
"""Taps side by side at a time: most of a first-level cache and its next."""


@dataclass(frozen=True)
class DepthwiseConv2dAttrs:
    """stride, dilation: (height, width). pads: (top, left, bottom, right). activation: fused.

    Weights are [1, KH, KW, O]; the depth multiplier is O / C and output channel = input channel * multiplier + m.
    """

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    activation: str = "none"


def _geometry(attrs: DepthwiseConv2dAttrs, x: Shape, w: Shape) -> tuple[Window, int]:
    if len(w) != 4 or w[0] != 1:
        raise ModelError(f"depthwise_conv2d: weights must be [1, KH, KW, O], they are {w}.")
    window = window_of(attrs, x, (w[1], w[2]), "depthwise_conv2d")
    if x[3] < 1 or w[3] < 1 or w[3] % x[3]:
        raise ModelError(f"depthwise_conv2d: {w[3]} output channels are not a multiple of {x[3]} input channels.")
    return window, w[3] // x[3]


def infer_shape(attrs: DepthwiseConv2dAttrs, shapes: list[Shape]) -> list[Shape]:
    """Return [N, OH, OW, O]."""
    window, _ = _geometry(attrs, shapes[0], shapes[1])
    return [(shapes[0][0], window.out_h, window.out_w, shapes[1][3])]


def reference(attrs: DepthwiseConv2dAttrs, arrays: list[Array]) -> list[Array]:
    """Convolve in float32; taps are added in (kh, kw) order, so the bits do not depend on the batch."""
    x, w, bias = arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None
    window, multiplier = _geometry(attrs, x.shape, w.shape)
    height, width = padded_size(window)
    size = (max(height, window.top + x.shape[1]), max(width, window.left + x.shape[2]))
    padded = np.zeros((x.shape[0], *size, w.shape[3]), np.float32)
    inside = (slice(None), slice(window.top, window.top + x.shape[1]), slice(window.left, window.left + x.shape[2]))
    padded[inside] = np.repeat(x, multiplier, axis=3)
    y = np.zeros((x.shape[0], window.out_h, window.out_w, w.shape[3]), np.float32)
    for kh in range(window.kernel_h):
        for kw in range(window.kernel_w):
            rows = slice(
                kh * window.dilation_h, kh * window.dilation_h + (window.out_h - 1) * window.stride_h + 1, window.stride_h
            )
            columns = slice(
                kw * window.dilation_w, kw * window.dilation_w + (window.out_w - 1) * window.stride_w + 1, window.stride_w
            )
            y += padded[:, rows, columns] * w[0, kh, kw].astype(np.float32)
    return [fuse(y if bias is None else y + bias, attrs.activation)]


def prepare(site: Site) -> Run:
    """Return the target's depthwise convolution."""
    attrs: DepthwiseConv2dAttrs = site.attrs
    shape = site.input(1).shape
    window, multiplier = _geometry(attrs, site.x.shape, shape)
    if site.x.dtype == "float32":
        return lambda args: reference(attrs, real_constants(site, args))
    if site.x.dtype == "float16":
        plain = replace(attrs, activation="none")
        return depthwise_float16(site, lambda x, w: reference(plain, [x, w])[0])
    declared = site.optional(2)
    if site.x.dtype == "int16" and declared is not None and declared.dtype != "int64":
        raise site.unsupported("TFLite's int16 depthwise reads an int64 bias (specification 16x8); convert the bias to int64.")
    run = _prepare_integer(site, check_integer(site)[0], window)

    def repeated(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        # Output channel = input channel * multiplier + m: repeating the input makes it one to one.
        return run([np.repeat(x, multiplier, axis=3) if multiplier > 1 else x])

    return repeated


def _prepare_integer(site: Site, w: Array, window: Window) -> Run:
    """Return the convolution of as many input as output channels. w: [KH, KW, C]."""
    zero_point, accumulator, channels = zero_point_of(site), accumulator_of(site), w.shape[2]
    bias, requantize = bias_of(site, channels), requantizer_of(site, channels, site.attrs.activation)
    if not accumulator.vector:
        return _prepare_narrow(w, window, zero_point, accumulator, bias, requantize)
    operands = operands_of(accumulator, site.x.dtype, zero_point, depthwise=True)
    width = padded_size(window)[1]
    parts, panels = -(-window.kernel_w // operands.taps), panels_of(channels)
    position = parts * panels * 64
    packed = pack(
        operands, accumulator, spread_weights(w, operands.taps), bias, zero_point, requantize, site.x.dtype == "int8", position,
        0, 64,
    )  # fmt: skip
    lines = band_lines(window, window.out_w * position, BAND_BYTES)
    height = (lines - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1
    band = Band(lines, height, width, operands.shift, zero_point - operands.shift)
    rows = np.arange(window.kernel_h, dtype=np.int64)[:, None] * (window.dilation_h * window.out_w * position)
    offsets = np.ascontiguousarray((rows + np.arange(parts) * (panels * 64)).reshape(-1))
    if window.stride_h == 1:  # the lines follow one another: quads may go over their ends
        quads = row_quads(-(-lines * window.out_w // 4) * 4, position)
    else:
        quads = line_quads(lines, window.out_w, window.stride_h * window.out_w * position, position)

    def run(args: Sequence[Array]) -> list[Array]:
        y = np.empty((len(args[0]), window.out_h, window.out_w, channels), args[0].dtype)
        convolve_depthwise(
            packed.product, args[0], window, band, parts, quads, offsets, packed.weights, packed.sizes, packed.constants,
            packed.loaded, y,
        )  # fmt: skip
        return [y]

    return run


def _prepare_narrow(
    w: Array, window: Window, zero_point: int, accumulator: Accumulator, bias: Array, requantize: Requantizer
) -> Run:
    """Return the convolution in an accumulator that the vector kernels do not have: channel by channel."""

    def run(args: Sequence[Array]) -> list[Array]:
        x = (args[0].astype(np.int64) - zero_point).astype(np.int16)
        y = np.empty((len(x), window.out_h, window.out_w, w.shape[2]), args[0].dtype)
        for c in range(w.shape[2]):
            for samples, views in float_windows(x[..., c : c + 1], window):
                out = y[samples].reshape(-1, w.shape[2])
                rows = views.reshape(len(out), -1)
                narrow_rows(rows, w[:, :, c].reshape(1, -1), bias[c : c + 1], accumulator, requantize, out, c)
        return [y]

    return run


def count(attrs: DepthwiseConv2dAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count kh * kw products per output element."""
    elements = int(np.prod(outputs[0][1:], dtype=np.int64))
    return Counts(macs=elements * inputs[1][1] * inputs[1][2], elements=elements)


DEPTHWISE_CONV2D = register(
    OpSpec(
        name="depthwise_conv2d", attrs=DepthwiseConv2dAttrs, infer_shape=infer_shape, reference=reference, prepare=prepare,
        count=count, weights=Weights(channel_axis=3), summary="depthwise 2-D convolution, [1, KH, KW, O], fused activation",
    )
)  # fmt: skip
