"""Translators of activations: functions of one number with parameters. Those without an operator of their own are put together."""

from __future__ import annotations

import math

from workbench.loaders.onnx.call import Call, Operand, binary, onnx_op, same_everywhere, unary
from workbench.loaders.onnx.values import Value


@onnx_op("Relu")
def translate_relu(call: Call) -> list[Value]:
    """Relu: max(0, x)."""
    return unary(call, "relu", minimum=0.0, maximum=math.inf)


@onnx_op("Sigmoid")
def translate_sigmoid(call: Call) -> list[Value]:
    """Sigmoid -> logistic."""
    return unary(call, "logistic")


@onnx_op("Tanh", "Softplus", "Softsign", "Mish")
def translate_plain(call: Call) -> list[Value]:
    """Activations without a parameter."""
    return unary(call, call.node.op.lower())


@onnx_op("HardSwish")
def translate_hard_swish(call: Call) -> list[Value]:
    """HardSwish: x * clip(x + 3, 0, 6) / 6."""
    return unary(call, "hard_swish")


@onnx_op("Elu", "Celu")
def translate_elu(call: Call) -> list[Value]:
    """Elu: x, or alpha * (exp(x) - 1) below zero; Celu: exp(x / alpha)."""
    return unary(call, call.node.op.lower(), alpha=call.real("alpha", 1.0))


@onnx_op("Selu")
def translate_selu(call: Call) -> list[Value]:
    """Selu: gamma * elu(x, alpha)."""
    return unary(
        call, "selu", alpha=call.real("alpha", 1.67326319217681884765625), gamma=call.real("gamma", 1.05070102214813232421875)
    )


@onnx_op("ThresholdedRelu")
def translate_thresholded_relu(call: Call) -> list[Value]:
    """ThresholdedRelu: x above alpha, else 0."""
    return unary(call, "thresholded_relu", alpha=call.real("alpha", 1.0))


@onnx_op("Shrink")
def translate_shrink(call: Call) -> list[Operand]:
    """Shrink: x + bias below -lambd, x - bias above lambd, else 0."""
    x, bias, limit = call.value(0), call.real("bias", 0.0), call.real("lambd", 0.5)
    high = call.make(
        "Where", call.make("Greater", x, call.number(limit)), call.make("Sub", x, call.number(bias)), call.number(0.0)
    )
    return [call.make("Where", call.make("Less", x, call.number(-limit)), call.make("Add", x, call.number(bias)), high)]


@onnx_op("Swish", "com.microsoft.QuickGelu")
def translate_swish(call: Call) -> list[Operand]:
    """Swish, QuickGelu: x * sigmoid(alpha * x)."""
    x = call.value(0)
    alpha = call.real("alpha", 1.0 if call.node.op == "Swish" else 1.702)
    scaled = x if alpha == 1.0 else call.make("Mul", x, call.number(alpha))
    return [call.make("Mul", x, call.make("Sigmoid", scaled))]


@onnx_op("Gelu", "com.microsoft.Gelu")
def translate_gelu(call: Call) -> list[Value]:
    """Gelu, exact or by tanh."""
    kind = call.text("approximate", "none")
    if kind not in ("none", "tanh"):
        raise call.b.error(f"attribute 'approximate' is '{kind:.40}'; expected none or tanh.")
    return unary(call, "gelu", approximate=kind == "tanh")


@onnx_op("com.microsoft.BiasGelu", "com.microsoft.FastGelu")
def translate_bias_gelu(call: Call) -> list[Operand]:
    """BiasGelu: gelu(x + bias); FastGelu: the same by tanh, its bias may be absent."""
    bias = call.optional(1)
    x = call.value(0) if bias is None else call.make("Add", call.operand(0), bias)
    return [call.make("Gelu", x, approximate="tanh" if call.node.op == "FastGelu" else "none")]


@onnx_op("HardSigmoid")
def translate_hard_sigmoid(call: Call) -> list[Value]:
    """HardSigmoid: clip(alpha * x + beta, 0, 1)."""
    return unary(call, "hard_sigmoid", alpha=call.real("alpha", 0.2), beta=call.real("beta", 0.5))


@onnx_op("LeakyRelu")
def translate_leaky_relu(call: Call) -> list[Value]:
    """LeakyRelu: x, or alpha * x below zero."""
    return unary(call, "leaky_relu", alpha=call.real("alpha", 0.01))


@onnx_op("PRelu")
def translate_prelu(call: Call) -> list[Operand]:
    """PRelu: x, or slope * x below zero; one slope for all is leaky_relu."""
    slope = call.operand(1)
    if isinstance(slope, Value):
        return [
            call.make(
                "Add",
                call.make("Relu", call.operand(0)),
                call.make("Mul", slope, call.make("Min", call.operand(0), call.number(0.0))),
            )
        ]
    if same_everywhere(slope.array) and slope.array.ndim <= call.value(0).rank:
        return list(unary(call, "leaky_relu", alpha=float(slope.array.reshape(-1)[0])))
    return [binary(call, "prelu", call.value(0), slope)]


@onnx_op("Hardmax")
def translate_hardmax(call: Call) -> list[Operand]:
    """Hardmax: 1 where the first maximum of an axis is, else 0 (operator set 13 on)."""
    x = call.value(0)
    axis = call.axis("axis", -1 if call.opset >= 13 else 1, x.rank)
    if call.opset < 13 and any(d != 1 for d in x.shape[axis + 1 :]):
        raise call.b.error("goes over several axes together (operator set 11); export with operator set 13 or later.")
    best = call.make("ArgMax", x, axis=axis, keepdims=0)
    return [call.make("OneHot", best, call.whole(x.shape[axis]), call.number([0.0, 1.0]), axis=axis)]
