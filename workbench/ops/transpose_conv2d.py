"""transpose_conv2d: NHWC by OHWI, every input spread over its kernel's outputs. The rule of conv2d for accumulators and requantization.

    acc[oh, ow, o] = bias[o] + sum over (kh, kw, c) of (x[ih, iw, c] - zx) * w[o, kh, kw, c],  ih * stride + kh * dilation = oh + top

It runs as convolutions of stride 1 by output phase (`_phases`), the phases of the width merged into channels where accumulators wrap:
the order of additions then does not show. Other accumulators add in (kh, kw, c) order of the reversed kernel.
Bit-exact with TFLM and LiteRT under their profiles. Source: TFLite transpose_conv.cc, reference/integer_ops/transpose_conv.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.kernels.load import Window
from workbench.ops._convolution import Convolution, Driver, make_convolution
from workbench.ops._linear import (
    accumulator_of,
    bias_of,
    check_integer,
    fuse,
    real_constants,
    requantizer_of,
    zero_point_of,
)
from workbench.ops._linear_float import INPUT_FORMATS, prepare_convolution
from workbench.ops._phases import Line, line_weights, lines_of, merged, merged_weights
from workbench.ops.base import DTYPES, Array, Counts, OpSpec, Run, Shape, Site, Weights, checked, register

Pair = tuple[int, int]


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
    reach = (height - 1) * stride_h + (kernel_h - 1) * dilation_h + 1, (width - 1) * stride_w + (kernel_w - 1) * dilation_w + 1
    full = np.zeros((n, max(reach[0], top + out_h), max(reach[1], left + out_w), outputs), np.float32)
    per_out = outputs // attrs.groups
    for g in range(attrs.groups):
        rows = np.ascontiguousarray(x[..., g * per_in : (g + 1) * per_in].reshape(-1, per_in), np.float32)
        columns = slice(g * per_out, (g + 1) * per_out)
        for i in range(kernel_h):
            for j in range(kernel_w):
                product = gemm_f32(rows, np.ascontiguousarray(w[columns, i, j].T, np.float32))
                h, v = slice(i * dilation_h, None, stride_h), slice(j * dilation_w, None, stride_w)
                full[:, h, v, columns][:, :height, :width] += product.reshape(n, height, width, per_out)
    y = np.ascontiguousarray(full[:, top : top + out_h, left : left + out_w])
    return [fuse(y if bias is None else y + bias, attrs.activation)]


def prepare(site: Site) -> Run:
    """Return the target's transposed convolution."""
    size = _output(site.attrs, site.x.shape, site.input(1).shape)
    if site.x.dtype == "float32":
        return lambda args: reference(site.attrs, real_constants(site, args))
    if site.x.dtype in INPUT_FORMATS:
        return _prepare_float(site, size)
    w = check_integer(site)
    bias = site.optional(2)
    if site.arithmetic.int16_bias == "int64" and site.x.dtype == "int16" and bias is not None and bias.dtype != "int64":
        raise site.unsupported("the runtime reads the bias as int64, whatever it is; give it that type.")
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
    rule = site.arithmetic.requantize_small_kernel
    if rule is not None and attrs.same and (w.shape[1] < attrs.stride[0] or w.shape[2] < attrs.stride[1]):
        site = replace(site, arithmetic=replace(site.arithmetic, requantize=rule))
    layer = Convolution(
        w, bias_of(site, len(w)), requantizer_of(site, len(w), attrs.activation), accumulator_of(site), zero_point_of(site),
        site.x.shape[3], site.x.dtype, attrs.groups,
    )  # fmt: skip
    rows = lines_of(w.shape[1], attrs.stride[0], attrs.dilation[0], attrs.pads[0], size[0])
    if attrs.groups == 1 and attrs.dilation[1] == 1 and layer.accumulator.native:
        for row in rows:
            yield _merged_phases(layer, attrs, row, site.x.shape, size)
        return
    for row in rows:
        for column in lines_of(w.shape[2], attrs.stride[1], attrs.dilation[1], attrs.pads[1], size[1]):
            yield _one_phase(layer, attrs, row, column, site.x.shape)


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
    w = line_weights(line_weights(layer.w, 1, row), 2, column)
    window = _window(row, column)
    convolve = _convolve(replace(layer, w=w), window, x)

    def fill(x: Array, y: Array) -> None:
        made = np.empty((len(x), row.outputs, column.outputs, len(w)), y.dtype)
        convolve(x, made)
        y[:, row.first :: attrs.stride[0], column.first :: attrs.stride[1]] = made

    return fill


def _window(row: Line, column: Line) -> Window:
    return Window(
        max(len(row.taps), 1), max(len(column.taps), 1), 1, 1, row.dilation, column.dilation, row.padding, column.padding,
        row.outputs, column.outputs,
    )  # fmt: skip


def _convolve(layer: Convolution, window: Window, x: Shape) -> Driver:
    """Return the convolution of a window that may begin inside of the input or beyond its end: drivers want it to begin before."""
    cut = _cut(window, x)
    if cut is None:
        return make_convolution(layer, window, x[2])
    driver = make_convolution(layer, window._replace(top=0, left=0), cut[1])
    return lambda x, y: driver(_part(x, window, cut, layer.zero_point), y)


def _cut(window: Window, x: Shape) -> Pair | None:
    """Return (height, width) of the part of the input that the windows read, None where the drivers can take the input itself."""
    height = window.out_h + (window.kernel_h - 1) * window.dilation_h
    width = window.out_w + (window.kernel_w - 1) * window.dilation_w
    whole = window.top >= 0 and 0 <= window.left < width
    return None if whole else (height, width)


def _part(x: Array, window: Window, size: Pair, fill: int) -> Array:
    """Return the part [N, *size, C] of x that begins at (-top, -left), `fill` where it is outside of x."""
    part = np.full((len(x), *size, x.shape[3]), fill, x.dtype)
    inside = []
    for start, length, have in ((-window.top, size[0], x.shape[1]), (-window.left, size[1], x.shape[2])):
        low, high = max(start, 0), min(start + length, have)
        inside.append((slice(low - start, max(high, low) - start), slice(low, max(high, low))))
    (to_h, from_h), (to_w, from_w) = inside
    part[:, to_h, to_w] = x[:, from_h, from_w]
    return part


def _prepare_float(site: Site, size: Pair) -> Run:
    """Floats by phases: each is a product of the matrix unit over its own taps (an assumption: libraries may do otherwise)."""
    attrs: TransposeConv2dAttrs = site.attrs
    weights = site.input(1)
    if weights.data is None:
        raise site.unsupported("the weights must be a constant.")
    phases: list[tuple[Callable[[Array], Array], Line, Line]] = []
    for row in lines_of(weights.shape[1], attrs.stride[0], attrs.dilation[0], attrs.pads[0], size[0]):
        for column in lines_of(weights.shape[2], attrs.stride[1], attrs.dilation[1], attrs.pads[1], size[1]):
            phases.append((_float_phase(site, weights.data, row, column), row, column))

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        y = np.empty((len(x), *size, weights.shape[0]), DTYPES[site.y.dtype])
        for phase, row, column in phases:
            y[:, row.first :: attrs.stride[0], column.first :: attrs.stride[1]] = phase(x)
        return [y]

    return run


def _float_phase(site: Site, weights: Array, row: Line, column: Line) -> Callable[[Array], Array]:
    window = _window(row, column)
    cut = _cut(window, site.x.shape)
    w = line_weights(line_weights(weights, 1, row), 2, column)
    x = site.x if cut is None else replace(site.x, shape=(site.x.shape[0], *cut, site.x.shape[3]))
    inner = replace(site, inputs=(x, replace(site.input(1), data=w, shape=w.shape), *site.inputs[2:]))
    at = window if cut is None else window._replace(top=0, left=0)
    run = prepare_convolution(inner, at, site.attrs.groups)
    return lambda x: run([x if cut is None else _part(x, window, cut, 0)])[0]


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
