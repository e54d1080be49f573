"""conv2d: NHWC by OHWI, with groups. Bit-exact with TFLM, CMSIS-NN and LiteRT under their profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.kernels.load import Window
from workbench.ops._convolution import Convolution, make_convolution
from workbench.ops._float_output import prepare_float_output, writes_float
from workbench.ops._hybrid import is_hybrid, prepare_samples
from workbench.ops._linear import (
    accumulator_of,
    bias_of,
    check_integer,
    fuse,
    prepare_rows,
    real_constants,
    requantizer_of,
    zero_point_of,
)
from workbench.ops._linear_float import INPUT_FORMATS, prepare_convolution
from workbench.ops._windows import float_windows, padded_size, window_of
from workbench.ops.base import DTYPES, Array, Counts, OpSpec, Run, Shape, Site, Weights, checked, register


@dataclass(frozen=True)
class Conv2dAttrs:
    """stride, dilation: (height, width). pads: (top, left, bottom, right). groups: of channels. activation: fused."""

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    activation: str = "none"


def _geometry(attrs: Conv2dAttrs, x: Shape, w: Shape) -> Window:
    if len(w) != 4:
        raise ModelError(f"conv2d: weights must be [O, KH, KW, I / groups], they are {w}.")
    window = window_of(attrs, x, (w[1], w[2]), "conv2d")
    if attrs.groups < 1 or w[3] * attrs.groups != x[3] or w[0] % attrs.groups:
        raise ModelError(f"conv2d: {x[3]} input channels, weights {w} and {attrs.groups} groups do not fit.")
    return window


def infer_shape(attrs: Conv2dAttrs, shapes: list[Shape]) -> list[Shape]:
    """Return [N, OH, OW, O]."""
    window = _geometry(attrs, shapes[0], shapes[1])
    return [(shapes[0][0], window.out_h, window.out_w, shapes[1][0])]


def reference(attrs: Conv2dAttrs, arrays: list[Array]) -> list[Array]:
    """Convolve in float32; sums in (kh, kw, c) order."""
    x, w, bias = arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None
    window = _geometry(attrs, x.shape, w.shape)
    y = np.empty((x.shape[0], window.out_h, window.out_w, w.shape[0]), np.float32)
    per_out, per_in = w.shape[0] // attrs.groups, w.shape[3]
    for g in range(attrs.groups):
        columns = slice(g * per_out, (g + 1) * per_out)
        matrix = np.ascontiguousarray(w[columns].reshape(per_out, -1).T, np.float32)
        for samples, views in float_windows(x[..., g * per_in : (g + 1) * per_in], window):
            rows = views.reshape(-1, matrix.shape[0])
            y[samples, :, :, columns] = gemm_f32(rows, matrix).reshape(-1, window.out_h, window.out_w, per_out)
    return [fuse(y if bias is None else y + bias, attrs.activation)]


def prepare(site: Site) -> Run:
    """Return the target's convolution."""
    attrs: Conv2dAttrs = site.attrs
    w = site.input(1)
    window = _geometry(attrs, site.x.shape, w.shape)
    if is_hybrid(site):
        return prepare_samples(site, lambda inner, w: _prepare_integer(inner, w, window), attrs.groups)
    if site.x.dtype == "float32":
        return lambda args: reference(attrs, real_constants(site, args))
    if site.x.dtype in INPUT_FORMATS:
        return prepare_convolution(site, window, attrs.groups)
    if writes_float(site):
        return prepare_float_output(site, prepare)
    run = _prepare_integer(site, check_integer(site), window)
    return lambda args: run([checked(site, args[0], site.x)])


def _prepare_integer(site: Site, w: Array, window: Window) -> Run:
    attrs: Conv2dAttrs = site.attrs
    height, width = padded_size(window)
    unpadded = (height, width) == site.x.shape[1:3] and not any(attrs.pads)
    if attrs.groups == 1 and unpadded and window[:4] == (1, 1, 1, 1):  # the pixels are the rows
        return prepare_rows(site, w.reshape(w.shape[0], -1), attrs.activation)
    if attrs.groups == 1 and unpadded and w.shape[1:3] == (height, width):  # one window: the image is the row
        rows = prepare_rows(site, w.reshape(w.shape[0], -1), attrs.activation)
        return lambda args: [rows([args[0].reshape(len(args[0]), w[0].size)])[0].reshape(-1, 1, 1, w.shape[0])]
    layer = Convolution(
        w, bias_of(site, w.shape[0]), requantizer_of(site, w.shape[0], attrs.activation, attrs.groups > 1), accumulator_of(site),
        zero_point_of(site), site.x.shape[3], site.x.dtype, attrs.groups,
    )  # fmt: skip
    driver = make_convolution(layer, window, site.x.shape[2])

    def run(args: Sequence[Array]) -> list[Array]:
        y = np.empty((len(args[0]), window.out_h, window.out_w, w.shape[0]), DTYPES[site.y.dtype])
        driver(args[0], y)
        return [y]

    return run


def count(attrs: Conv2dAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count kh * kw * (c / groups) products per output element."""
    elements = int(np.prod(outputs[0][1:], dtype=np.int64))
    return Counts(macs=elements * int(np.prod(inputs[1][1:], dtype=np.int64)), elements=elements)


CONV2D = register(
    OpSpec(
        name="conv2d", attrs=Conv2dAttrs, infer_shape=infer_shape, reference=reference, prepare=prepare, count=count,
        weights=Weights(), summary="2-D convolution, NHWC by [O, KH, KW, I / groups], fused activation",
    )
)  # fmt: skip
