"""Translators of elementwise operators, activations and normalization."""

from __future__ import annotations

import math

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, Operand, binary, onnx_op, same_everywhere, unary
from workbench.loaders.onnx.layout import Const, Value

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@onnx_op("Add", "Sub", "Mul")
def translate_binary(call: Call) -> list[Value]:
    """Add, Sub, Mul with NumPy broadcasting; either operand may be a constant."""
    return [binary(call, call.node.op.lower(), call.operand(0), call.operand(1))]


@onnx_op("Sum")
def translate_sum(call: Call) -> list[Value]:
    """Sum of any number of operands: a chain of additions, left to right."""
    total: Operand = call.operand(0)
    for i in range(1, len(call.args)):
        other = call.operand(i)
        if isinstance(total, Const) and isinstance(other, Const):
            total = Const(f"{total.name}+{other.name}", total.array + other.array)
        else:
            total = binary(call, "add", total, other)
    if isinstance(total, Const):
        raise call.b.error("sums constants only.")
    return [total]


@onnx_op("Div")
def translate_div(call: Call) -> list[Value]:
    """Divide by a constant: a product with its reciprocal (at most one float32 rounding apart from a division)."""
    divisor = call.optional(1)
    if not isinstance(divisor, Const) or divisor.array.dtype.kind != "f":
        raise call.b.error("divides by a value that depends on the model's input; only constant divisors are supported.")
    with np.errstate(divide="ignore", over="ignore"):
        reciprocal = (1.0 / divisor.array.astype(np.float64)).astype(np.float32)
    return [binary(call, "mul", call.operand(0), Const(f"{divisor.name}.reciprocal", reciprocal))]


@onnx_op("Relu")
def translate_relu(call: Call) -> list[Value]:
    """Relu: max(0, x)."""
    return unary(call, "relu", minimum=0.0, maximum=math.inf)


@onnx_op("Clip")
def translate_clip(call: Call) -> list[Value]:
    """Clip with constant bounds (attributes before operator set 11, inputs since)."""
    low, high = call.scalar(1, "min", -math.inf), call.scalar(2, "max", math.inf)
    low, high = (-math.inf if low <= -_FLOAT32_MAX else low), (math.inf if high >= _FLOAT32_MAX else high)
    if not low <= high:
        raise call.b.error(f"has bounds {low} and {high}; expected min <= max.")
    if math.isinf(low) and math.isinf(high):
        return [call.value(0)]
    return unary(call, "relu", minimum=low, maximum=high)


@onnx_op("Sigmoid")
def translate_sigmoid(call: Call) -> list[Value]:
    """Sigmoid -> logistic."""
    return unary(call, "logistic")


@onnx_op("Tanh")
def translate_tanh(call: Call) -> list[Value]:
    """Tanh."""
    return unary(call, "tanh")


@onnx_op("HardSwish")
def translate_hard_swish(call: Call) -> list[Value]:
    """HardSwish: x * clip(x + 3, 0, 6) / 6."""
    return unary(call, "hard_swish")


@onnx_op("Exp", "Log")
def translate_exp_log(call: Call) -> list[Value]:
    """Exp, Log (natural)."""
    return unary(call, call.node.op.lower())


@onnx_op("Abs")
def translate_abs(call: Call) -> list[Value]:
    """Abs."""
    return unary(call, "abs")


@onnx_op("Elu")
def translate_elu(call: Call) -> list[Value]:
    """Elu: x, or alpha * (exp(x) - 1) below zero."""
    return unary(call, "elu", alpha=call.real("alpha", 1.0))


@onnx_op("Gelu")
def translate_gelu(call: Call) -> list[Value]:
    """Gelu, exact or by tanh."""
    kind = call.text("approximate", "none")
    if kind not in ("none", "tanh"):
        raise call.b.error(f"attribute 'approximate' is '{kind:.40}'; expected none or tanh.")
    return unary(call, "gelu", approximate=kind == "tanh")


@onnx_op("HardSigmoid")
def translate_hard_sigmoid(call: Call) -> list[Value]:
    """HardSigmoid: clip(alpha * x + beta, 0, 1), as three nodes."""
    name = call.node.label
    scaled = binary(call, "mul", call.value(0), _number(f"{name}.alpha", call.real("alpha", 0.2)))
    shifted = binary(call, "add", scaled, _number(f"{name}.beta", call.real("beta", 0.5)))
    return [Value(call.b.emit("relu", [shifted.key], minimum=0.0, maximum=1.0), shifted.shape, shifted.layout, shifted.batch)]


@onnx_op("LeakyRelu")
def translate_leaky_relu(call: Call) -> list[Value]:
    """LeakyRelu: x, or alpha * x below zero."""
    return unary(call, "leaky_relu", alpha=call.real("alpha", 0.01))


@onnx_op("PRelu")
def translate_prelu(call: Call) -> list[Value]:
    """PRelu with one slope for all channels -> leaky_relu."""
    slope = call.const(1)
    if slope is None or not same_everywhere(slope.array):
        raise call.b.error("has a slope per channel, which is not supported; use LeakyRelu or one slope.")
    return unary(call, "leaky_relu", alpha=float(slope.array.reshape(-1)[0]))


@onnx_op("BatchNormalization")
def translate_batch_normalization(call: Call) -> list[Value]:
    """BatchNormalization (inference): y = x * a + c per channel; a pass folds both into a preceding layer.

    a = scale / sqrt(var + epsilon), c = bias - mean * a, in float64, stored as float32.
    """
    x = call.value(0)
    parts = [call.const(i) for i in range(1, 5)]
    if call.integer("training_mode", 0) or call.integer("spatial", 1) != 1 or any(n for n in call.node.outputs[1:]):
        raise call.b.error("is in training mode, or not per channel. Export the model for inference (model.eval()).")
    if x.rank < 2 or any(p is None or p.array.shape != (x.shape[1],) or p.array.dtype.kind != "f" for p in parts):
        raise call.b.error(f"needs scale, bias, mean and variance of {x.shape[1] if x.rank > 1 else '-'} channels each.")
    scale, bias, mean, variance = (p.array.astype(np.float64) for p in parts if p is not None)
    shifted = variance + call.real("epsilon", 1e-5)
    if not (shifted > 0).all():
        raise call.b.error("has a variance + epsilon that is not positive.")
    factor = scale / np.sqrt(shifted)
    name = call.node.label
    scaled = binary(call, "mul", x, _per_channel(f"{name}.scale", factor, x.rank))
    return [binary(call, "add", scaled, _per_channel(f"{name}.shift", bias - mean * factor, x.rank))]


@onnx_op("Identity")
def translate_identity(call: Call) -> list[Value]:
    """Identity: the same tensor."""
    return [call.value(0)]


@onnx_op("Dropout")
def translate_dropout(call: Call) -> list[Value]:
    """Dropout at inference: the same tensor."""
    training = call.const(2)
    if training is not None and training.array.any():
        raise call.b.error("is in training mode. Export the model for inference (model.eval()).")
    if any(n for n in call.node.outputs[1:]):
        raise call.b.error("gives its mask to other nodes, which is not supported. Export the model for inference.")
    return [call.value(0)]


@onnx_op("Cast")
def translate_cast(call: Call) -> list[Value]:
    """Cast to float32 of a float32 value: the same tensor; other types are refused."""
    if call.integer("to", 0) != 1:
        raise call.b.error("casts a value to a type other than float32; only float32 models are read.")
    return [call.value(0)]


def _per_channel(name: str, numbers: Array, rank: int) -> Const:
    with np.errstate(over="ignore"):
        return Const(name, numbers.astype(np.float32).reshape(-1, *(1,) * (rank - 2)))


def _number(name: str, number: float) -> Const:
    return Const(name, np.array([number], np.float32))
