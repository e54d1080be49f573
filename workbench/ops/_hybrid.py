"""Layers with integer weights on float32 activations (dynamic range): activations are quantized as the layer runs, for every sample.

    q = clip(round(x * (1 / sx)) + zx)        sx and zx from the smallest and largest activation of a group
    acc = sum((q - zx) * w)                   int32, exact; padding contributes 0
    y = clamp(float32(acc) * sx * sw[o] + bias[o])

A group is a row of a fully connected layer or batch matmul, and a sample of a convolution. How it is quantized and in which order the
float part is rounded is the target's `Arithmetic.dynamic_range`.
Source: LiteRT kernels/{conv,depthwise_conv,fully_connected,batch_matmul,transpose_conv}.cc; XNNPACK qd8-f32-qc8w kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.kernels.hybrid import scale_fused, spread
from workbench.numerics.activation import fused_limits
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops._hybrid_levels import F32, quantize_groups
from workbench.ops._linear import prepare_rows as prepare_integer_rows
from workbench.ops.base import Array, Run, Site, checked
from workbench.tensor import RANGES, STORAGE, QuantParams

WEIGHTS = ("int9", "int8", "int4", "int2")
"""Types of weights under float32 activations."""
NIBBLE_ROWS, NIBBLE_DEPTH = 4, 32
"""LiteRT's kernel for 4-bit weights takes fully connected layers of at least so many outputs and inputs."""
NIBBLE_ZERO = 7
"""What that kernel adds to a weight, to multiply without a sign."""


@dataclass(frozen=True)
class Rule:
    """levels: how activations are quantized, a key of LEVELS. order: of the roundings of the float part, see `finish`.

    pixels: every pixel of a convolution is a group, not every sample. whole: all that one inference of the target reads is a group.
    """

    levels: str
    order: str
    pixels: bool = False
    whole: bool = False


def is_hybrid(site: Site) -> bool:
    """True for a float32 layer whose weights are integers with scales."""
    w = site.optional(1)
    return site.x.dtype == "float32" and w is not None and w.quant is not None and w.dtype in WEIGHTS


def rule_of(site: Site, groups: int = 1, asymmetric: bool = False) -> Rule:
    """Return the rule of a layer. asymmetric: what the file wants of a fully connected layer or batch matmul."""
    kind, w = site.arithmetic.dynamic_range, site.input(1)
    if kind == "none":
        raise site.unsupported(
            "this target has no layers with integer weights on float32 activations. Give the layer a format that the target has."
        )
    if w.quant is None or w.dtype not in WEIGHTS or w.quant.zero_point.any():
        raise site.unsupported(f"weights under float32 activations must be symmetric {', '.join(WEIGHTS)}.")
    if kind == "onnxruntime":
        return Rule("unsigned_divide", "scales_first", whole=True)
    if kind == "xnnpack" and _delegated(site):
        return Rule("reciprocal", "fused", site.op == "conv2d" and _is_pointwise(site, groups))
    reference = kind == "tflite_reference"
    channels = w.shape[3 if site.op == "depthwise_conv2d" else 0]
    if len(w.quant.scale) != channels and (site.op == "depthwise_conv2d" or groups > 1):
        raise site.unsupported(f"the runtime wants a weight scale for each of the {channels} channels.")
    if site.op == "depthwise_conv2d":
        if w.dtype != "int8":
            raise site.unsupported("the runtime has no such layer with weights below 8 bits.")
        return Rule("asymmetric", "scales_first" if reference else "weight_first_by4")
    if site.op == "transpose_conv2d":
        return Rule("asymmetric", "every_product")
    if site.op == "conv2d":
        if groups == 1 and len(np.unique(w.quant.scale)) == 1:
            return Rule("symmetric", "scales_first")
        return Rule("asymmetric", "weight_first" if reference or groups > 1 else "scales_first")
    if site.op == "fully_connected" and w.dtype == "int4" and not reference and _nibbles(w.shape):
        return Rule("symmetric_float64", "nibbles")
    return Rule("asymmetric" if asymmetric else "symmetric", "scales_first")


def _delegated(site: Site) -> bool:
    """Return whether XNNPACK takes the layer."""
    w = site.input(1)
    if site.op == "fully_connected":
        return w.shape[1] % {"int4": 2, "int2": 4}.get(w.dtype, 1) == 0
    if site.op == "transpose_conv2d" and site.attrs.same and (np.array(site.attrs.stride) > w.shape[1:3]).any():
        return False
    return w.dtype == "int8" and site.op != "depthwise_conv2d"


def _is_pointwise(site: Site, groups: int) -> bool:
    """Return whether XNNPACK runs a convolution as a fully connected layer of its pixels."""
    w, attrs = site.input(1).shape, site.attrs
    return groups == 1 and w[1:3] == (1, 1) == attrs.stride and not any(attrs.pads) and w[0] + w[3] > 2


def _nibbles(shape: tuple[int, ...]) -> bool:
    return shape[0] >= NIBBLE_ROWS and shape[1] >= NIBBLE_DEPTH and shape[1] % 2 == 0


# -- sums ----------------------------------------------------------------------------------------------------------------------


def sums_site(site: Site) -> Site:
    """Return the integer layer inside: int16 activations less their zero point, int32 sums as they are, no bias, no activation."""
    one = QuantParams.per_tensor(1.0)
    x, y, w = site.x, site.y, site.input(1)
    stored_weights(site)
    arithmetic = Arithmetic(layer_output="any_width", int16_without_bias="int32")
    attrs = replace(site.attrs, activation="none") if hasattr(site.attrs, "activation") else site.attrs
    return replace(
        site, attrs=attrs, inputs=(replace(x, dtype="int16", quant=one), replace(w, quant=one)),
        outputs=(replace(y, dtype="int32", quant=one),), arithmetic=arithmetic,
    )  # fmt: skip


def stored_weights(site: Site) -> Array:
    """Return the integers of the weights, which must be constants within their range."""
    w = site.input(1)
    if w.data is None or w.data.dtype != STORAGE[w.dtype] or w.data.size == 0:
        raise site.unsupported("weights under float32 activations must be a constant that is not empty.")
    low, high = RANGES[w.dtype]
    if w.data.min() < low or w.data.max() > high:
        raise site.unsupported(f"weights outside of {w.dtype} [{low}, {high}].")
    return w.data


# -- floats --------------------------------------------------------------------------------------------------------------------


def scales_of(site: Site, channels: int) -> F32:
    """Return the weight scales as float32 [channels]."""
    w = site.input(1)
    if w.quant is None or len(w.quant.scale) not in (1, channels):
        raise site.unsupported(f"expected 1 or {channels} weight scales.")
    return np.ascontiguousarray(np.broadcast_to(w.quant.scale, (channels,)))


def bias_of(site: Site, channels: int) -> F32:
    """Return the bias as float32 [channels], zeros when there is none."""
    bias = site.optional(2)
    if bias is None:
        return np.zeros(channels, np.float32)
    if bias.dtype != "float32" or bias.data is None or bias.data.size != channels:
        raise site.unsupported(f"the bias must be a constant float32 [{channels}].")
    return bias.data.reshape(-1)


def finish(acc: Array, inputs: F32, weights: F32, bias: F32, order: str, activation: str) -> F32:
    """Return the outputs float32 of sums int32 [N, ..., O]; every operation rounded to float32.

    inputs: scales of the groups [N]. weights: scales [O]. order: scales_first = acc * (sw * sx) + bias; weight_first =
    (acc * sw) * sx + bias; weight_first_by4 = that in blocks of 4 channels, (acc * sx) * sw + bias in those that are left (LiteRT's
    depthwise: Neon code that runs as SSE); fused = fma(acc * sx, sw, bias).
    """
    shape = acc.shape
    acc = acc.reshape(shape[0], -1, shape[-1])
    sx = inputs[:, None, None]
    with np.errstate(all="ignore"):
        if order == "fused":
            y = np.empty(acc.shape, np.float32)
            scale_fused(np.ascontiguousarray(acc), inputs, weights, bias, y)
        elif order.startswith("weight_first"):
            y = acc.astype(np.float32)
            first = acc.shape[2] if order == "weight_first" else acc.shape[2] // 4 * 4
            y[..., :first] = (y[..., :first] * weights[:first]) * sx
            y[..., first:] = (y[..., first:] * sx) * weights[first:]
            y += bias
        else:
            y = acc.astype(np.float32) * (weights * sx) + bias
    return clamp(y, activation).reshape(shape)


def finish_nibbles(acc: Array, sums: Array, inputs: F32, weights: F32, bias: F32, activation: str) -> F32:
    """Return the outputs of LiteRT's 4-bit kernel, whose weights are 7 higher: that share is added to the bias first.

    acc: int32 [N, O], of the weights as they are. sums: int32 [N], of the activations.
    """
    with np.errstate(all="ignore"):
        share = (-NIBBLE_ZERO * sums).astype(np.float32) * inputs
        y = share[:, None] * weights + bias
        y += ((acc + NIBBLE_ZERO * sums[:, None]).astype(np.float32) * inputs[:, None]) * weights
    return clamp(y, activation)


def clamp(y: F32, activation: str) -> F32:
    """Apply a fused activation in place."""
    low, high = fused_limits(activation)
    return y if activation == "none" else np.clip(y, np.float32(low), np.float32(high), out=y)


# -- layers --------------------------------------------------------------------------------------------------------------------


def _inferences(site: Site, x: Array) -> Array:
    """Return x with one entry of dimension 0 for each inference of the target: of as many samples as the graph declares."""
    return x.reshape(len(x) // max(1, site.x.shape[0]), -1)


def prepare_samples(site: Site, sums: Callable[[Site, Array], Run], groups: int = 1) -> Run:
    """Return a convolution; every sample is a group. sums(inner site, weights) -> the run that makes its int32 sums [N, OH, OW, O]."""
    rule = rule_of(site, groups)
    weights, bias = scales_of(site, site.y.shape[3]), bias_of(site, site.y.shape[3])
    run = sums(sums_site(site), stored_weights(site))

    def hybrid(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        groups = _inferences(site, x) if rule.whole else x.reshape(-1, x.shape[3]) if rule.pixels else x
        q, inputs, _ = quantize_groups(groups, rule.levels)
        acc = run([q.reshape(x.shape)])[0]
        y = finish(acc.reshape(len(inputs), -1, acc.shape[3]), inputs, weights, bias, rule.order, site.attrs.activation)
        return [y.reshape(acc.shape)]

    return hybrid


def prepare_rows(site: Site, activation: str, asymmetric: bool) -> Run:
    """Return a fully connected layer: x [..., I] by weights [O, I]; every row is a group."""
    rule, channels = rule_of(site, asymmetric=asymmetric), site.input(1).shape[0]
    weights, bias = scales_of(site, channels), bias_of(site, channels)
    run = prepare_integer_rows(sums_site(site), stored_weights(site), "none")

    def hybrid(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        q, inputs, _ = quantize_groups(_inferences(site, x) if rule.whole else x.reshape(-1, x.shape[-1]), rule.levels)
        acc = run([q.reshape(-1, x.shape[-1])])[0]
        if rule.order == "nibbles":
            y = finish_nibbles(acc, q.sum(axis=1, dtype=np.int32), inputs, weights, bias, activation)
        else:
            y = finish(acc.reshape(len(inputs), -1, channels), inputs, weights, bias, rule.order, activation)
        return [y.reshape(*x.shape[:-1], channels)]

    return hybrid


def prepare_spread(site: Site, start: tuple[int, int], size: tuple[int, int], sums: Callable[[Site, Array], Run]) -> Run:
    """Return a transposed convolution. start: (row, column) of output that tap (0, 0) of pixel (0, 0) reaches. size: of the output."""
    if rule_of(site).order != "every_product":
        return prepare_samples(site, sums)
    channels, taps = site.y.shape[3], np.ascontiguousarray(stored_weights(site))
    weights, bias = scales_of(site, channels), bias_of(site, channels)

    def hybrid(args: Sequence[Array]) -> list[Array]:
        q, inputs, _ = quantize_groups(checked(site, args[0], site.x), "asymmetric")
        y = np.zeros((len(q), *size, channels), np.float32)
        spread(q, taps, inputs, weights, site.attrs.stride, start, y)
        return [clamp(y + bias, site.attrs.activation)]

    return hybrid
