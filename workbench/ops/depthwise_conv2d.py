"""depthwise_conv2d: every input channel by itself, `multiplier` outputs each. Bit-exact with TFLM, CMSIS-NN and LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.depthwise_float import depthwise_float
from workbench.kernels.load import Window
from workbench.ops._convolution import Convolution, make_convolution, turned
from workbench.ops._depthwise import Depthwise, make_depthwise
from workbench.ops._float_output import prepare_float_output, writes_float
from workbench.ops._hybrid import is_hybrid, prepare_samples
from workbench.ops._linear import accumulator_of, bias_of, check_integer, fuse, real_constants, requantizer_of, zero_point_of
from workbench.ops._linear_float import INPUT_FORMATS, prepare_depthwise
from workbench.ops._windows import padded_size, window_of
from workbench.ops.base import DTYPES, Array, Counts, OpSpec, Run, Shape, Site, Weights, checked, register

MOST_TAPS = 25
"""Taps of XNNPACK's largest depthwise kernel; beyond it is another one, whose order is not known here."""


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
    if is_hybrid(site):
        return prepare_samples(site, lambda inner, w: _repeated(inner, w[0], window, multiplier))
    if site.x.dtype == "float32" and _fused(site, window, multiplier):
        return _prepare_fused(site, window)
    if site.x.dtype == "float32":
        return lambda args: reference(attrs, real_constants(site, args))
    if site.x.dtype in INPUT_FORMATS:
        return prepare_depthwise(site, window, multiplier)
    if writes_float(site):
        return prepare_float_output(site, prepare)
    declared = site.optional(2)
    if site.x.dtype == "int16" and declared is not None and declared.dtype != "int64":
        raise site.unsupported("TFLite's int16 depthwise reads an int64 bias (specification 16x8); convert the bias to int64.")
    w = check_integer(site)[0]
    if multiplier > 1 and accumulator_of(site).pairs:
        return _prepare_grouped(site, w, window)
    return _repeated(site, w, window, multiplier)


def _fused(site: Site, window: Window, multiplier: int) -> bool:
    """Return whether the target has a kernel of fused multiply-adds for the layer."""
    constants = all(t is None or t.data is not None for t in site.inputs[1:])
    small = multiplier == 1 and window.kernel_h * window.kernel_w <= MOST_TAPS
    return site.arithmetic.depthwise_float32 == "fused_by_column" and small and constants


def _prepare_fused(site: Site, window: Window) -> Run:
    """Return the float32 convolution in XNNPACK's order: bias, then taps by column, one rounding for each product and its sum."""
    w, bias = site.input(1).data, site.optional(2)
    assert w is not None
    columns = np.ascontiguousarray(w[0].transpose(1, 0, 2), np.float32)
    start = np.zeros(w.shape[3], np.float32) if bias is None or bias.data is None else bias.data.reshape(-1)

    def run(args: Sequence[Array]) -> list[Array]:
        x = np.ascontiguousarray(checked(site, args[0], site.x).transpose(0, 2, 1, 3))
        y = np.empty((len(x), window.out_w, window.out_h, w.shape[3]), np.float32)
        y[:] = start
        depthwise_float(x, columns, tuple(turned(window)), True, y)
        return [fuse(np.ascontiguousarray(y.transpose(0, 2, 1, 3)), site.attrs.activation)]

    return run


def _repeated(site: Site, w: Array, window: Window, multiplier: int) -> Run:
    """Return the convolution of inputs repeated: output channel = input channel * multiplier + m is then one to one."""
    run = _prepare_integer(site, w, window)

    def repeated(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        return run([np.repeat(x, multiplier, axis=3) if multiplier > 1 else x])

    return repeated


def _prepare_integer(site: Site, w: Array, window: Window) -> Run:
    """Return the convolution of as many input as output channels. w: [KH, KW, C]."""
    channels = w.shape[2]
    bias, requantize = bias_of(site, channels), requantizer_of(site, channels, site.attrs.activation)
    layer = Depthwise(w, bias, requantize, accumulator_of(site), zero_point_of(site), site.x.dtype)
    driver = make_depthwise(layer, window, site.x.shape[2])

    def run(args: Sequence[Array]) -> list[Array]:
        y = np.empty((len(args[0]), window.out_h, window.out_w, channels), DTYPES[site.y.dtype])
        driver(args[0], y)
        return [y]

    return run


def _prepare_grouped(site: Site, w: Array, window: Window) -> Run:
    """Return the convolution with a group for every input channel: where pairs saturate, several outputs of one input are a product of
    matrices and saturate as well. w: [KH, KW, O]."""
    channels, outputs = site.x.shape[3], w.shape[2]
    layer = Convolution(
        np.ascontiguousarray(w.transpose(2, 0, 1))[..., None], bias_of(site, outputs),
        requantizer_of(site, outputs, site.attrs.activation), accumulator_of(site), zero_point_of(site), channels, site.x.dtype,
        channels,
    )  # fmt: skip
    driver = make_convolution(layer, window, site.x.shape[2])

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        y = np.empty((len(x), window.out_h, window.out_w, outputs), DTYPES[site.y.dtype])
        driver(x, y)
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
