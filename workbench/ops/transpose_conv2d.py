"""transpose_conv2d: NHWC by OHWI, every input spread over its kernel's outputs. The rule of conv2d for accumulators and requantization.

    acc[oh, ow, o] = bias[o] + sum over (kh, kw, c) of (x[ih, iw, c] - zx) * w[o, kh, kw, c],  ih * stride + kh * dilation = oh + top

It runs as convolutions of stride 1 by output phase (`_phases`), the phases of the width merged into channels where accumulators wrap:
the order of additions then does not show. Other accumulators add in (kh, kw, c) order of the reversed kernel.
Bit-exact with TFLM and LiteRT under their profiles. Source: TFLite transpose_conv.cc, reference/integer_ops/transpose_conv.h.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.kernels.load import Window
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops._convolution import Convolution, Driver, make_convolution
from workbench.ops._hybrid import is_hybrid, prepare_spread
from workbench.ops._linear import (
    accumulator_of,
    bias_of,
    check_integer,
    fuse,
    real_constants,
    requantizer_of,
    zero_point_of,
)
from workbench.ops._linear_float import INPUT_FORMATS
from workbench.ops._phases import (
    POINT,
    Line,
    Pair,
    cover,
    input_cut,
    input_part,
    line_weights,
    lines_of,
    merged,
    merged_weights,
    phase_weights,
    phase_window,
)
from workbench.ops._phases_float import prepare_phases
from workbench.ops._tables import tail_positions
from workbench.ops.base import DTYPES, Array, Counts, OpSpec, Run, Shape, Site, Weights, checked, register

RUN_BLOCK = 16
"""Outputs that a vector loop over the whole output requantizes at a time (`double_half_up_run16`)."""
MAX_PHASES = 1024
"""Output phases with a kernel of their own: each is a convolution that is prepared."""


@dataclass(frozen=True)
class TransposeConv2dAttrs:
    """stride, dilation: (height, width). pads: outputs cut off (top, left, bottom, right). output_padding: outputs added at the end
    (height, width). groups: of channels. activation: fused. same: the file says SAME padding (XNNPACK chooses its kernels by it).
    """

    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    output_padding: Pair = (0, 0)
    groups: int = 1
    activation: str = "none"
    same: bool = False


def _output(attrs: TransposeConv2dAttrs, x: Shape, w: Shape) -> Pair:
    """Return (OH, OW); ModelError when attributes and shapes do not fit."""
    if len(x) != 4 or len(w) != 4:
        raise ModelError(f"transpose_conv2d: input {x} and weights {w} must be [N, H, W, C] and [O, KH, KW, I / groups].")
    if min(*attrs.stride, *attrs.dilation, *w[1:3]) < 1 or min(*attrs.pads, *attrs.output_padding) < 0:
        raise ModelError(
            f"transpose_conv2d: kernel {w[1:3]}, stride {attrs.stride}, dilation {attrs.dilation} must be >= 1, pads {attrs.pads} and "
            f"output padding {attrs.output_padding} >= 0."
        )
    if attrs.groups < 1 or w[3] * attrs.groups != x[3] or w[0] % attrs.groups:
        raise ModelError(f"transpose_conv2d: {x[3]} input channels, weights {w} and {attrs.groups} groups do not fit.")
    top, left, bottom, right = attrs.pads
    height, width = (
        (x[i + 1] - 1) * attrs.stride[i] + (w[i + 1] - 1) * attrs.dilation[i] + 1 - cut + attrs.output_padding[i]
        for i, cut in enumerate((top + bottom, left + right))
    )
    if height < 1 or width < 1:
        raise ModelError(f"transpose_conv2d: pads {attrs.pads} leave an output of {height} x {width}.")
    phases = min(w[1], attrs.stride[0]) * min(w[2], attrs.stride[1])
    if phases > MAX_PHASES:
        raise ModelError(
            f"transpose_conv2d: stride {attrs.stride} splits kernel {w[1:3]} into {phases} phases; {MAX_PHASES} fit."
        )
    return height, width


def infer_shape(attrs: TransposeConv2dAttrs, shapes: list[Shape]) -> list[Shape]:
    """Return [N, OH, OW, O]."""
    return [(shapes[0][0], *_output(attrs, shapes[0], shapes[1]), shapes[1][0])]


def reference(attrs: TransposeConv2dAttrs, arrays: list[Array]) -> list[Array]:
    """Spread in float32; the taps of the kernel are added in (kh, kw) order."""
    x, w, bias = arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None
    (n, height, width, _), (outputs, kernel_h, kernel_w, per_in) = x.shape, w.shape
    out_h, out_w = _output(attrs, x.shape, w.shape)
    (stride_h, stride_w), (dilation_h, dilation_w), (top, left, _, _) = attrs.stride, attrs.dilation, attrs.pads
    y = np.zeros((n, out_h, out_w, outputs), np.float32)
    per_out = outputs // attrs.groups
    for g in range(attrs.groups):
        rows = np.ascontiguousarray(x[..., g * per_in : (g + 1) * per_in].reshape(-1, per_in), np.float32)
        columns = slice(g * per_out, (g + 1) * per_out)
        for i in range(kernel_h):
            for j in range(kernel_w):
                product = gemm_f32(rows, np.ascontiguousarray(w[columns, i, j].T, np.float32))
                from_h, to_h = _hits(height, stride_h, i * dilation_h - top, out_h)
                from_w, to_w = _hits(width, stride_w, j * dilation_w - left, out_w)
                y[:, to_h, to_w, columns] += product.reshape(n, height, width, per_out)[:, from_h, from_w]
    return [fuse(y if bias is None else y + bias, attrs.activation)]


def _hits(inputs: int, stride: int, shift: int, size: int) -> tuple[slice, slice]:
    """Return the inputs i whose output i * stride + shift is one of 0 .. size - 1, and those outputs."""
    low = min(max(-(shift // stride), 0), inputs)
    high = max(min(-((shift - size) // stride), inputs), low)
    first = low * stride + shift
    return slice(low, high), slice(first, first + (high - low - 1) * stride + 1, stride) if high > low else slice(0, 0)


def prepare(site: Site) -> Run:
    """Return the target's transposed convolution."""
    size = _output(site.attrs, site.x.shape, site.input(1).shape)
    if is_hybrid(site):
        start = (-site.attrs.pads[0], -site.attrs.pads[1])
        return prepare_spread(site, start, size, lambda inner, w: _prepare_integer(inner, w, size))
    if site.x.dtype == "float32":
        return lambda args: reference(site.attrs, real_constants(site, args))
    if site.x.dtype in INPUT_FORMATS:
        return prepare_phases(site, *lines(site.attrs, site.input(1).shape, size), size)
    w = check_integer(site)
    bias = site.optional(2)
    if site.x.dtype == "int16" and bias is not None and bias.dtype != "int64" and site.arithmetic.int16_bias == "int64":
        raise site.unsupported("the runtime reads the bias as int64, whatever it is; give it that type.")
    site = replace(site, arithmetic=arithmetic_of(site))
    if site.arithmetic.requantize != "double_half_up_run16":
        return _prepare_integer(site, w, size)
    run, other = (
        _prepare_integer(replace(site, arithmetic=replace(site.arithmetic, requantize=rule)), w, size)
        for rule in ("double_half_up", "double")
    )
    inference = math.prod(site.y.shape)
    if not inference % RUN_BLOCK:
        return run

    def with_tail(args: Sequence[Array]) -> list[Array]:
        y, tail = run(args)[0], other(args)[0]
        at = tail_positions(y.size, inference, RUN_BLOCK)
        y.reshape(-1)[at] = tail.reshape(-1)[at]
        return [y]

    return with_tail


def _prepare_integer(site: Site, w: Array, size: Pair) -> Run:
    """Return the run of one rule of requantization."""
    drivers = list(_drivers(site, w, size))

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        y = np.empty((len(x), *size, len(w)), DTYPES[site.y.dtype])
        for fill in drivers:
            fill(x, y)
        return [y]

    return run


def _drivers(site: Site, w: Array, size: Pair) -> Iterator[Driver]:
    """Yield functions that each write some phases of y [N, OH, OW, O]."""
    attrs: TransposeConv2dAttrs = site.attrs
    site = replace(site, arithmetic=arithmetic_of(site))
    layer = Convolution(
        w, bias_of(site, len(w)), requantizer_of(site, len(w), attrs.activation), accumulator_of(site), zero_point_of(site),
        site.x.shape[3], site.x.dtype, attrs.groups,
    )  # fmt: skip
    rows, columns = lines(attrs, w.shape, size)
    if not (cover(rows, size[0]) and cover(columns, size[1])):
        yield _without_taps(layer)
    # A stride beyond the kernel leaves phases without taps: merged they would be channels of zeros, without limit.
    if attrs.groups == 1 and attrs.dilation[1] == 1 and attrs.stride[1] <= w.shape[2] and layer.accumulator.native:
        for row in rows:
            yield _merged_phases(layer, attrs, row, site.x.shape, size)
        return
    for row in rows:
        for column in columns:
            yield _one_phase(layer, attrs, row, column, site.x.shape)


def arithmetic_of(site: Site) -> Arithmetic:
    """Return the target's rules for this layer: a runtime may have another kernel for SAME padding and small kernels."""
    attrs: TransposeConv2dAttrs = site.attrs
    rule, kernel = site.arithmetic.requantize_small_kernel, site.input(1).shape[1:3]
    small = attrs.same and (kernel[0] < attrs.stride[0] or kernel[1] < attrs.stride[1])
    if rule is None or not small:
        return replace(site.arithmetic, requantize_small_kernel=None)
    return replace(site.arithmetic, requantize=rule, requantize_small_kernel=None)


def lines(attrs: TransposeConv2dAttrs, w: Shape, size: Pair) -> tuple[list[Line], list[Line]]:
    """Return the phases of the height and of the width. w: shape of the weights. size: of the output."""
    rows, columns = (lines_of(w[i + 1], attrs.stride[i], attrs.dilation[i], attrs.pads[i], size[i]) for i in (0, 1))
    return rows, columns


def _without_taps(layer: Convolution) -> Driver:
    """Return what fills the output with that of the bias alone."""
    outputs, _, _, depth = layer.w.shape
    none = replace(layer, w=np.zeros((outputs, 1, 1, depth), layer.w.dtype))
    convolve = make_convolution(none, POINT, 1)
    x = np.full((1, 1, 1, layer.channels), layer.zero_point, DTYPES[layer.dtype])

    def fill(_: Array, y: Array) -> None:
        made = np.empty((1, 1, 1, outputs), y.dtype)
        convolve(x, made)
        y[:] = made

    return fill


def _merged_phases(layer: Convolution, attrs: TransposeConv2dAttrs, row: Line, x: Shape, size: Pair) -> Driver:
    """Return what writes the outputs of one phase of the height, all phases of the width as channels of one convolution."""
    stride_h, stride_w = attrs.stride
    columns = merged(layer.w.shape[2], stride_w, attrs.pads[1], size[1])
    w = merged_weights(line_weights(layer.w, 1, row), stride_w)
    wide = replace(layer, w=w, bias=np.tile(layer.bias, stride_w), repeat=stride_w)
    window = Window(w.shape[1], w.shape[2], 1, 1, row.dilation, 1, row.padding, columns.padding, row.outputs, columns.outputs)
    convolve = _convolve(wide, window, x)
    outputs = len(layer.w)

    def fill(x: Array, y: Array) -> None:
        made = np.empty((len(x), row.outputs, columns.outputs, len(w)), y.dtype)
        convolve(x, made)
        pixels = made.reshape(len(x), row.outputs, columns.outputs * stride_w, outputs)
        y[:, row.first :: stride_h] = pixels[:, :, columns.skip : columns.skip + size[1]]

    return fill


def _one_phase(layer: Convolution, attrs: TransposeConv2dAttrs, row: Line, column: Line, x: Shape) -> Driver:
    """Return what writes the outputs of one phase of height and width."""
    w = phase_weights(layer.w, row, column)
    convolve = _convolve(replace(layer, w=w), phase_window(row, column), x)

    def fill(x: Array, y: Array) -> None:
        made = np.empty((len(x), row.outputs, column.outputs, len(w)), y.dtype)
        convolve(x, made)
        y[:, row.first :: attrs.stride[0], column.first :: attrs.stride[1]] = made

    return fill


def _convolve(layer: Convolution, window: Window, x: Shape) -> Driver:
    """Return the convolution of a window that may begin inside of the input or beyond its end: drivers want it to begin before."""
    cut = input_cut(window, x)
    if cut is None:
        return make_convolution(layer, window, x[2])
    driver = make_convolution(layer, window._replace(top=0, left=0), cut[1])
    return lambda x, y: driver(input_part(x, window, cut, layer.zero_point), y)


def count(attrs: TransposeConv2dAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count o * kh * kw products per input element of a group (those that land outside of the output too)."""
    macs = int(np.prod(inputs[0][1:3], dtype=np.int64)) * int(np.prod(inputs[1], dtype=np.int64))
    return Counts(macs=macs, elements=int(np.prod(outputs[0][1:], dtype=np.int64)))


TRANSPOSE_CONV2D = register(
    OpSpec(
        name="transpose_conv2d", attrs=TransposeConv2dAttrs, infer_shape=infer_shape, reference=reference, prepare=prepare,
        count=count, weights=Weights(), summary="2-D transposed convolution, NHWC by [O, KH, KW, I / groups], fused activation",
    )
)  # fmt: skip
