"""Translators of normalizations: over a batch's statistics, over trailing axes, over groups of channels, over a neighbourhood."""

from __future__ import annotations

import math

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, Operand, binary, onnx_op
from workbench.loaders.onnx.values import HIDDEN, Const, Value, channels_last, identity


@onnx_op("BatchNormalization")
def translate_batch_normalization(call: Call) -> list[Value]:
    """BatchNormalization (inference): y = x * a + c per channel; a pass folds both into a preceding layer.

    a = scale / sqrt(var + epsilon), c = bias - mean * a, in float64, stored as float32.
    """
    x = call.value(0)
    parts = [call.const(i) for i in range(1, 5)]
    if call.integer("training_mode", 0) or call.integer("spatial", 1) != 1 or any(n for n in call.node.outputs[1:]):
        raise call.b.error("is in training mode, or not per channel. Export the model for inference (model.eval()).")
    channels = x.shape[1] if x.rank > 1 else 1
    if not x.rank or any(p is None or p.array.shape != (channels,) or p.array.dtype.kind != "f" for p in parts):
        raise call.b.error(f"needs scale, bias, mean and variance of {x.shape[1] if x.rank > 1 else '-'} channels each.")
    scale, bias, mean, variance = (p.array.astype(np.float64) for p in parts if p is not None)
    shifted = variance + call.real("epsilon", 1e-5)
    if not (shifted > 0).all():
        raise call.b.error("has a variance + epsilon that is not positive.")
    factor = scale / np.sqrt(shifted)
    name = call.node.label
    scaled = binary(call, "mul", x, _per_channel(f"{name}.scale", factor, x.rank))
    return [binary(call, "add", scaled, _per_channel(f"{name}.shift", bias - mean * factor, x.rank))]


def _per_channel(name: str, numbers: Array, rank: int) -> Const:
    with np.errstate(over="ignore"):
        return Const(name, numbers.astype(np.float32).reshape(-1, *(1,) * max(rank - 2, 0)))


@onnx_op("LayerNormalization", "com.microsoft.LayerNormalization")
def translate_layer_normalization(call: Call) -> list[Operand]:
    """LayerNormalization over the axes from `axis` on; mean and 1 / deviation where they are read."""
    x, epsilon = call.value(0), call.real("epsilon", 1e-5)
    made = over_trailing(call, "layer_norm", x, call.operand(1), call.optional(2), epsilon)
    if not any(n for n in call.node.outputs[1:]):
        return [made]
    over = call.whole(list(range(call.axis("axis", -1, x.rank), x.rank)))
    mean = call.make("ReduceMean", x, over)
    centred = call.make("Sub", x, mean)
    variance = call.make("ReduceMean", call.make("Mul", centred, centred), over)
    return [made, mean, call.make("Reciprocal", call.make("Sqrt", call.make("Add", variance, call.number(epsilon))))]


@onnx_op("RMSNormalization", "com.microsoft.SimplifiedLayerNormalization")
def translate_rms_normalization(call: Call) -> list[Operand]:
    """RMSNormalization (SimplifiedLayerNormalization): x / sqrt(mean(x^2) + epsilon) * scale."""
    _no_statistics(call)
    return [over_trailing(call, "rms_norm", call.value(0), call.operand(1), None, call.real("epsilon", 1e-5))]


@onnx_op("com.microsoft.SkipLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization")
def translate_skip_layer_normalization(call: Call) -> list[Operand]:
    """SkipLayerNormalization: layer normalization of input + skip (+ bias); output 3 is that sum."""
    simplified = "Simplified" in call.node.op
    if any(n for n in call.node.outputs[1:3]):
        raise call.b.error("gives its mean or variance to other nodes, which is not supported.")
    total = call.make("Add", call.operand(0), call.operand(1))
    bias = call.optional(3 if simplified else 4)
    total = total if bias is None else call.make("Add", total, bias)
    if isinstance(total, Const):
        raise call.b.error("adds constants only.")
    shift = None if simplified else call.optional(3)
    kind = "rms_norm" if simplified else "layer_norm"
    made = over_trailing(call, kind, total, call.operand(2), shift, call.real("epsilon", 1e-12), -1)
    return [made, made, made, total]


def _no_statistics(call: Call) -> None:
    if any(n for n in call.node.outputs[1:]):
        raise call.b.error("gives its mean or deviation to other nodes, which is not supported.")


def over_trailing(
    call: Call, op: str, x: Value, scale: Operand, bias: Operand | None, epsilon: float, axis: int | None = None
) -> Operand:
    """Return x normalized over its axes from `axis` on (None: the attribute), times scale, plus bias: one node where these fit it."""
    b = call.b
    first = call.axis("axis", -1, x.rank) if axis is None else axis % x.rank
    if x.batch is not None and first <= x.batch:
        b.mix_batch()
    whole = (HIDDEN, *identity(x.rank)) if x.batch == HIDDEN else identity(x.rank)
    layout = x.layout if first == x.rank - 1 and x.layout[-1] == first else whole
    key = b.store(x, layout)
    size = x.shape[first:]
    inside = all(isinstance(p, Const) and _spreads(p.array.shape, size) for p in (scale, bias) if p is not None)
    keys: list[int | None] = [key, None, None]
    if inside:
        for i, part in enumerate((scale, bias), 1):
            if isinstance(part, Const):
                keys[i] = b.constant(part, np.broadcast_to(part.array, size).astype(np.float32), f"normal {size}")
    made: Operand = b.value(b.emit(op, keys, axis=len(layout) - len(size), epsilon=epsilon), layout, x.batch)
    if not inside:
        made = call.make("Mul", made, scale)
        made = made if bias is None else call.make("Add", made, bias)
    return made


def _spreads(shape: tuple[int, ...], size: tuple[int, ...]) -> bool:
    return len(shape) <= len(size) and all(a in (1, d) for a, d in zip(shape[::-1], size[::-1], strict=False))


@onnx_op("InstanceNormalization", "GroupNormalization")
def translate_group_normalization(call: Call) -> list[Operand]:
    """GroupNormalization, InstanceNormalization (one channel a group): layer normalization of each group, then per channel.

    GroupNormalization has a scale per channel since operator set 21, one per group before.
    """
    x, scale, bias = call.value(0), call.const(1), call.const(2)
    if x.rank < 3:
        raise call.b.error(f"works on a tensor with {x.rank} axes; expected at least 3.")
    channels = x.shape[1]
    groups = channels if call.node.op == "InstanceNormalization" else call.integer("num_groups", 0)
    if groups < 1 or channels % groups:
        raise call.b.error(f"divides {channels} channels into {groups} groups.")
    if (
        scale is None
        or bias is None
        or scale.array.shape != bias.array.shape
        or scale.array.shape not in ((channels,), (groups,))
    ):
        raise call.b.error(f"needs scale and bias of {channels} channels each.")
    flat = call.b.reshape(x, (x.shape[0], groups, math.prod(x.shape[1:]) // groups))
    if flat.batch != 0:
        call.b.mix_batch()
    flat = call.b.put(flat, identity(3))
    key = call.b.emit("layer_norm", [flat.key, None, None], axis=2, epsilon=call.real("epsilon", 1e-5))
    normal: Operand = call.b.reshape(call.b.value(key, identity(3), flat.batch), x.shape)
    wide = (-1, *(1,) * (x.rank - 2))
    for part, op in ((scale, "Mul"), (bias, "Add")):
        numbers = np.repeat(part.array, channels // len(part.array)).reshape(wide)
        normal = call.make(op, normal, Const(f"{part.name}.channels", numbers))
    return [normal]


@onnx_op("MeanVarianceNormalization")
def translate_mean_variance(call: Call) -> list[Operand]:
    """MeanVarianceNormalization: (x - mean) / (standard deviation + 1e-9) over axes."""
    x = call.value(0)
    axes = call.whole(call.node.attrs.get("axes", [0, 2, 3]))
    centred = call.make("Sub", x, call.make("ReduceMean", x, axes))
    deviation = call.make("Sqrt", call.make("ReduceMean", call.make("Mul", centred, centred), axes))
    return [call.make("Div", centred, call.make("Add", deviation, call.number(1e-9)))]


@onnx_op("LpNormalization")
def translate_lp_normalization(call: Call) -> list[Operand]:
    """LpNormalization: x divided by its norm over one axis; where that is 0, 0."""
    x, p = call.value(0), call.integer("p", 2)
    if p not in (1, 2):
        raise call.b.error(f"attribute 'p' is {p}; expected 1 or 2.")
    axes = call.whole([call.axis("axis", -1, x.rank)])
    norm = call.make(f"ReduceL{p}", x, axes)
    return [call.make("Div", x, call.make("Max", norm, call.number(np.finfo(np.float32).tiny)))]


@onnx_op("LRN")
def translate_local_response(call: Call) -> list[Value]:
    """LRN: x / (bias + alpha / size * sum of squares of `size` neighbouring channels)^beta; odd sizes."""
    x, size = call.value(0), call.integer("size", 0)
    if x.rank not in (3, 4) or size < 1 or size % 2 == 0:
        raise call.b.error(f"has size {size} on {x.rank} axes; an odd size on 1-D or 2-D pictures is supported.")
    layout = channels_last(x.rank)
    key = call.b.emit(
        "local_response_normalization", [call.b.store(x, layout)], radius=size // 2, bias=call.real("bias", 1.0),
        alpha=call.real("alpha", 1e-4) / size, beta=call.real("beta", 0.75),
    )  # fmt: skip
    return [call.b.value(key, layout, 0 if x.batch == 0 else None)]
