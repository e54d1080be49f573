"""float16 linear layers on matrix units: conv2d, depthwise_conv2d and fully_connected with float16 tensors.

Convolutions and matrix products: `kernels/gemm_f16` (exact steps of the target's dot-product rule, k in (kh, kw, c) order, one
product per group), then bias, clamp and one rounding. The order over k of a real library's convolution is an assumption
(implicit GEMM over NHWC: taps outside, channels inside); so is that K is not split over thread blocks.
Depthwise: no matrix unit is used for it, so it is a float32 fused multiply-add chain in (kh, kw) order from +0; a product of
two float16 is exact in float32, hence fused or not is the same. Also an assumption, about the order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.kernels.gemm_f16 import epilogue_f16, gemm_f16
from workbench.kernels.load import Window
from workbench.numerics.activation import fused_limits
from workbench.numerics.tensor_core import rule_of
from workbench.ops._windows import float_windows
from workbench.ops.base import Array, Run, Site, checked


def prepare_float16(site: Site, window: Window, groups: int) -> Run:
    """Return the float16 convolution of NHWC by constant weights [O, KH, KW, C / groups]."""
    w = _weights(site)
    rows = np.ascontiguousarray(w.reshape(groups, w.shape[0] // groups, -1)).view(np.uint16)
    bias, clamp, rule = _bias(site, w.shape[0]), fused_limits(site.attrs.activation), rule_of(site.arithmetic)
    per_in, per_out = w.shape[3], w.shape[0] // groups

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x).view(np.uint16)
        y = np.empty((x.shape[0], window.out_h, window.out_w, w.shape[0]), np.uint16)
        for g in range(groups):
            columns = slice(g * per_out, (g + 1) * per_out)
            addend = None if bias is None else bias[columns]
            for samples, views in float_windows(x[..., g * per_in : (g + 1) * per_in], window):
                out = gemm_f16(views.reshape(-1, rows.shape[2]), rows[g], rule, bias=addend, clamp=clamp)
                y[samples, :, :, columns] = out.reshape(-1, window.out_h, window.out_w, per_out)
        return [y.view(np.float16)]

    return run


def depthwise_float16(site: Site, sums: Callable[[Array, Array], Array]) -> Run:
    """Return the float16 depthwise convolution.

    sums: (x float32 [N, H, W, C], w float32 [1, KH, KW, O]) -> float32 [N, OH, OW, O], taps added one by one from +0 in
    (kh, kw) order, without bias and activation.
    """
    w = _weights(site).astype(np.float32)
    bias, clamp = _bias(site, w.shape[3]), fused_limits(site.attrs.activation)

    def run(args: Sequence[Array]) -> list[Array]:
        with np.errstate(over="ignore", invalid="ignore"):
            acc = sums(checked(site, args[0], site.x).astype(np.float32), w)
        y = epilogue_f16(acc.reshape(-1, acc.shape[-1]), bias, clamp)
        return [y.reshape(acc.shape).view(np.float16)]

    return run


def float16_rows(site: Site) -> Run:
    """Return the float16 fully connected layer: x [..., I] by constant weights [O, I]."""
    w = np.ascontiguousarray(_weights(site)).view(np.uint16)
    bias, clamp, rule = _bias(site, w.shape[0]), fused_limits(site.attrs.activation), rule_of(site.arithmetic)

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x).view(np.uint16)
        y = gemm_f16(x.reshape(-1, x.shape[-1]), w, rule, bias=bias, clamp=clamp)
        return [y.reshape(*x.shape[:-1], w.shape[0]).view(np.float16)]

    return run


def _weights(site: Site) -> Array:
    """Return the constant float16 weights after checking the types of the site."""
    w = site.input(1)
    if w.dtype != "float16" or site.y.dtype != "float16":
        raise site.unsupported("a float16 layer needs float16 weights and output.")
    if w.data is None or w.data.dtype != np.float16 or w.data.size == 0:
        raise site.unsupported("the weights must be a float16 constant that is not empty.")
    return w.data


def _bias(site: Site, channels: int) -> Array | None:
    """Return the bias as float32 [channels] or None."""
    bias = site.optional(2)
    if bias is None:
        return None
    if bias.data is None or bias.data.dtype not in (np.float16, np.float32) or bias.data.size != channels:
        shape = None if bias.data is None else bias.data.shape
        raise site.unsupported(f"the bias must be a constant float16 or float32 [{channels}], it is {bias.dtype} {shape}.")
    return bias.data.reshape(-1).astype(np.float32)
