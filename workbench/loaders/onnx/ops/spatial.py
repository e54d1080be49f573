"""Translators of convolutions and pools: geometry (auto_pad, ceil_mode, 1-D as 2-D with height 1) and weights as OHWI."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.loaders.onnx.call import Call, onnx_op
from workbench.loaders.onnx.inputs import MAX_ELEMENTS
from workbench.loaders.onnx.values import Value, channels_last

Pair = tuple[int, int]
Quad = tuple[int, int, int, int]


@dataclass(frozen=True)
class Geometry:
    """A 2-D window. pads: top, left, bottom, right. extra: end pads (bottom, right) that only ceil_mode asks for."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    pads: Quad
    extra: Pair


def geometry(call: Call, x: Value, kernel: tuple[int, ...], ceil_mode: bool = False) -> Geometry:
    """Return the window of a convolution or pool over the spatial axes 2 and on."""
    count = x.rank - 2
    stride = call.integers("strides", count, 1, 1)
    dilation = call.integers("dilations", count, 1, 1)
    given = call.integers("pads", 2 * count, 0, 0)
    auto = call.text("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise call.b.error(f"auto_pad is '{auto:.40}'; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER.")
    before, after, extra = [], [], []
    for i, size in enumerate(x.shape[2:]):
        span = (kernel[i] - 1) * dilation[i] + 1
        start, end = given[i], given[i + count]
        if auto.startswith("SAME"):
            total = max((-(-size // stride[i]) - 1) * stride[i] + span - size, 0)
            start, end = (total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2)
        elif auto == "VALID":
            start = end = 0
        if size + start + end < span:
            raise call.b.error(f"has a window of {span} over {size} elements with pads {start} and {end}; nothing is left.")
        more = _ceil_extra(size + start, end, span, stride[i]) if ceil_mode and not auto.startswith("SAME") else 0
        before.append(start)
        after.append(end + more)
        extra.append(more)

    pads = (*two(before, 0), *two(after, 0))
    return Geometry(two(kernel, 1), two(stride, 1), two(dilation, 1), pads, two(extra, 0))


def two(items: Sequence[int], fill: int) -> Pair:
    """Return one number per spatial axis as (height, width); a 1-D picture has height 1, which gets `fill`."""
    return (items[0], items[1]) if len(items) == 2 else (fill, items[0])


def _ceil_extra(started: int, end: int, span: int, stride: int) -> int:
    """Return the end padding that rounds the output size up; a window that would start in the end padding does not count."""
    outputs = -(-(started + end - span) // stride) + 1
    if (outputs - 1) * stride >= started:
        outputs -= 1
    return max((outputs - 1) * stride + span - started - end, 0)


def check_rank(call: Call, x: Value) -> None:
    """Refuse what is no 1-D or 2-D picture."""
    if x.rank not in (3, 4):
        raise call.b.error(f"works on {max(x.rank - 2, 0)} spatial axes; only 1-D and 2-D ones are supported.")


@onnx_op("Conv")
def translate_conv(call: Call) -> list[Value]:
    """Conv with constant weights -> depthwise_conv2d when each input channel is its own group, else conv2d (with groups)."""
    x, w, bias = call.value(0), call.const(1), call.const(2)
    check_rank(call, x)
    if w is None or w.array.ndim != x.rank or not w.array.size:
        raise call.b.error(f"needs constant weights with {x.rank} axes.")
    groups = call.integer("group", 1)
    out_channels, per_group, *kernel = w.array.shape
    if groups < 1 or per_group * groups != x.shape[1] or out_channels % groups:
        raise call.b.error(f"weights {list(w.array.shape)} and {groups} groups do not fit {x.shape[1]} input channels.")
    if call.integers("kernel_shape", len(kernel), 0, 0) not in (tuple(kernel), (0,) * len(kernel)):
        raise call.b.error(f"kernel_shape {call.node.attrs['kernel_shape']} differs from the weights {list(w.array.shape)}.")
    if bias is not None and bias.array.shape != (out_channels,):
        raise call.b.error(f"bias has shape {list(bias.array.shape)}; expected [{out_channels}].")
    g = geometry(call, x, tuple(kernel))
    wide = w.array if x.rank == 4 else w.array[:, :, None, :]
    layout = channels_last(x.rank)
    fields: dict[str, Any] = {"stride": g.stride, "dilation": g.dilation, "pads": g.pads}
    b_key = None if bias is None else call.b.constant(bias, bias.array, "bias")
    if groups == x.shape[1] and groups > 1:
        w_key = call.b.constant(w, wide[:, 0].transpose(1, 2, 0)[None], "depthwise")
        out = call.b.emit("depthwise_conv2d", [call.b.store(x, layout), w_key, b_key], **fields)
    else:
        w_key = call.b.constant(w, wide.transpose(0, 2, 3, 1), "conv")
        out = call.b.emit("conv2d", [call.b.store(x, layout), w_key, b_key], groups=groups, **fields)
    return [call.b.value(out, layout, 0 if x.batch == 0 else None)]


@onnx_op("ConvTranspose")
def translate_conv_transpose(call: Call) -> list[Value]:
    """ConvTranspose with constant weights [C, O / group, ...] -> transpose_conv2d."""
    x, w, bias = call.value(0), call.const(1), call.const(2)
    check_rank(call, x)
    groups = call.integer("group", 1)
    if w is None or w.array.ndim != x.rank or not w.array.size:
        raise call.b.error(f"needs constant weights with {x.rank} axes.")
    channels, per_group, *kernel = w.array.shape
    if channels != x.shape[1] or groups < 1 or channels % groups:
        raise call.b.error(f"weights {list(w.array.shape)} and {groups} groups do not fit {x.shape[1]} input channels.")
    if bias is not None and bias.array.shape != (groups * per_group,):
        raise call.b.error(f"bias has shape {list(bias.array.shape)}; expected [{groups * per_group}].")
    if call.integers("kernel_shape", len(kernel), 0, 0) not in (tuple(kernel), (0,) * len(kernel)):
        raise call.b.error(f"kernel_shape {call.node.attrs['kernel_shape']} differs from the weights {list(w.array.shape)}.")
    wide = w.array if x.rank == 4 else w.array[:, :, None, :]
    ohwi = wide.reshape(groups, channels // groups, per_group, *wide.shape[2:]).transpose(0, 2, 3, 4, 1)
    w_key = call.b.constant(w, ohwi.reshape(groups * per_group, *wide.shape[2:], channels // groups), "transposed convolution")
    b_key = None if bias is None else call.b.constant(bias, bias.array, "bias")
    layout = channels_last(x.rank)
    fields = _transposed_geometry(call, x, tuple(kernel))
    out = call.b.emit("transpose_conv2d", [call.b.store(x, layout), w_key, b_key], groups=groups, **fields)
    return [call.b.value(out, layout, 0 if x.batch == 0 else None)]


def _transposed_geometry(call: Call, x: Value, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Return stride, dilation, pads and output padding: pads are given, or follow from the output's shape."""
    count = x.rank - 2
    stride, dilation = call.integers("strides", count, 1, 1), call.integers("dilations", count, 1, 1)
    given, extra = call.integers("pads", 2 * count, 0, 0), list(call.integers("output_padding", count, 0, 0))
    auto, shape = call.text("auto_pad", "NOTSET"), call.integers("output_shape", count, 0, 0)
    if auto not in ("NOTSET", "", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise call.b.error(f"auto_pad is '{auto:.40}'; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER.")
    before, after = [], []
    for i, size in enumerate(x.shape[2:]):
        start, end = (0, 0) if auto == "VALID" else (given[i], given[i + count])
        want = shape[i] or (size * stride[i] if auto.startswith("SAME") else 0)
        if want:
            total = (size - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 + extra[i] - want
            if total < 0:  # what the kernel does not reach is filled up at the end
                extra[i], total = extra[i] - total, 0
                if extra[i] >= max(stride[i], dilation[i]):
                    raise call.b.error(f"has an output of {want} elements from {size}, more than the kernel reaches.")
            start, end = (total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2)
        before.append(start)
        after.append(end)
    reach = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x.shape[2:], stride, kernel, dilation, strict=True)]
    if math.prod(reach) > MAX_ELEMENTS:
        raise call.b.error(f"reaches {' x '.join(map(str, reach))} outputs before pads cut them; at most {MAX_ELEMENTS} fit.")
    return {
        "stride": two(stride, 1), "dilation": two(dilation, 1), "pads": (*two(before, 0), *two(after, 0)),
        "output_padding": two(extra, 0),
    }  # fmt: skip
