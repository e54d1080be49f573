"""Translators of arithmetic element by element: sums, products, powers, comparisons, logic, choices, conversions of type."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx

from workbench.loaders.onnx.call import Call, Operand, binary, broadcast, onnx_op, unary
from workbench.loaders.onnx.values import Const, Value

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_COMPARE = {
    "Equal": "equal", "Less": "less", "LessOrEqual": "less_equal", "Greater": "greater", "GreaterOrEqual": "greater_equal",
}  # fmt: skip
_SAME = {
    "Abs": "abs", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Neg": "neg", "Floor": "floor", "Ceil": "ceil", "Round": "round",
    "Sign": "sign", "Sin": "sin", "Cos": "cos", "Erf": "erf", "Reciprocal": "reciprocal", "Not": "logical_not",
}  # fmt: skip
_CASTS: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float32", onnx.TensorProto.BFLOAT16: "float32",
    onnx.TensorProto.DOUBLE: "float32", onnx.TensorProto.INT64: "int64", onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.BOOL: "bool", onnx.TensorProto.UINT8: "uint8",
}  # fmt: skip
"""Element type -> the type of the graph that holds it; every type of floats is float32."""


@onnx_op("Add", "Sub", "Mul")
def translate_binary(call: Call) -> list[Value]:
    """Add, Sub, Mul with NumPy broadcasting; either operand may be a constant."""
    return [binary(call, call.node.op.lower(), call.operand(0), call.operand(1))]


@onnx_op("Pow")
def translate_pow(call: Call) -> list[Operand]:
    """Pow; exponents 1, 2, 0.5, -1 and -0.5 that are constants have operators of their own."""
    x, y = call.operand(0), call.operand(1)
    if isinstance(x, Value) and isinstance(y, Const) and y.array.size == 1 and y.array.ndim <= max(x.rank, 1):
        op = {1.0: "Identity", 2.0: "Square", 0.5: "Sqrt", -1.0: "Reciprocal"}.get(float(y.array.reshape(())))
        if op == "Square" and call.b.dtype(x.key) == "float32":
            return [*unary(call, "square")]
        if op is not None and call.b.dtype(x.key) == "float32":
            return [call.make(op, x)]
    if isinstance(y, Const) and isinstance(x, Value) and call.b.dtype(x.key) == "float32" and y.array.dtype.kind in "iu":
        y = Const(f"{y.name}.float", y.array.astype(np.float32))
    return [binary(call, "pow", x, y)]


@onnx_op("Div")
def translate_div(call: Call) -> list[Value]:
    """Divide; by a float constant: a product with its reciprocal (at most one float32 rounding apart from a division).

    A quantized file keeps the division: a rounding may be the next integer.
    """
    x, divisor = call.operand(0), call.operand(1)
    if call.b.quantized or not isinstance(divisor, Const) or divisor.array.dtype.kind != "f" or not np.all(divisor.array):
        return [binary(call, "div", x, divisor)]
    with np.errstate(divide="ignore", over="ignore"):
        reciprocal = (1.0 / divisor.array.astype(np.float64)).astype(np.float32)
    return [binary(call, "mul", x, Const(f"{divisor.name}.reciprocal", reciprocal))]


@onnx_op("Mod")
def translate_mod(call: Call) -> list[Value]:
    """Mod with the sign of the divisor (fmod=0); the remainder of C (fmod=1) is refused."""
    if call.integer("fmod", 0):
        raise call.b.error("takes the remainder with the sign of the dividend (fmod=1), which is not supported; use fmod=0.")
    return [binary(call, "floor_mod", call.operand(0), call.operand(1))]


def _chain(call: Call, op: str, join: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Operand:
    """Return all operands joined from left to right; constants that meet are computed."""
    total: Operand = call.operand(0)
    for i in range(1, len(call.args)):
        other = call.operand(i)
        if isinstance(total, Const) and isinstance(other, Const):
            total = Const(f"{total.name}+{other.name}", join(total.array, other.array))
        else:
            total = binary(call, op, total, other)
    return total


@onnx_op("Sum")
def translate_sum(call: Call) -> list[Operand]:
    """Sum of any number of operands: a chain of additions, left to right."""
    return [_chain(call, "add", np.add)]


@onnx_op("Mean")
def translate_mean(call: Call) -> list[Operand]:
    """Mean of any number of operands: their sum, times 1 / n."""
    return [call.make("Mul", _chain(call, "add", np.add), call.number(1.0 / len(call.args)))]


@onnx_op("Max", "Min")
def translate_extremes(call: Call) -> list[Operand]:
    """Max, Min of any number of operands."""
    op, join = ("maximum", np.maximum) if call.node.op == "Max" else ("minimum", np.minimum)
    return [_chain(call, op, join)]


@onnx_op(*_COMPARE)
def translate_compare(call: Call) -> list[Value]:
    """Equal, Less, Greater and their kin: bools."""
    return [broadcast(call, "compare", [call.operand(0), call.operand(1)], "bool", kind=_COMPARE[call.node.op])]


@onnx_op("And", "Or", "Xor")
def translate_logic(call: Call) -> list[Value]:
    """And, Or, Xor of bools."""
    return [binary(call, f"logical_{call.node.op.lower()}", call.operand(0), call.operand(1))]


@onnx_op("Where")
def translate_where(call: Call) -> list[Value]:
    """Where: x where the condition holds, else y."""
    condition = call.operand(0)
    kind = condition.array.dtype.name if isinstance(condition, Const) else call.b.dtype(condition.key)
    if kind != "bool":
        raise call.b.error(f"has a condition of type {kind}; expected bool.")
    return [broadcast(call, "select", [condition, call.operand(1), call.operand(2)], kinds=1)]


@onnx_op(*_SAME)
def translate_function(call: Call) -> list[Value]:
    """Functions of one number."""
    return unary(call, _SAME[call.node.op])


@onnx_op("IsNaN")
def translate_is_nan(call: Call) -> list[Value]:
    """IsNaN: what differs from itself."""
    x = call.value(0)
    return [broadcast(call, "compare", [x, x], "bool", kind="not_equal")]


@onnx_op("IsInf")
def translate_is_inf(call: Call) -> list[Operand]:
    """IsInf: equal to an infinity."""
    x, both = call.value(0), (call.integer("detect_positive", 1), call.integer("detect_negative", 1))
    if all(both):
        return [call.make("Equal", call.make("Abs", x), call.number(np.inf))]
    if not any(both):
        return [call.make("Less", x, x)]
    return [call.make("Equal", x, call.number(np.inf if both[0] else -np.inf))]


@onnx_op("Clip")
def translate_clip(call: Call) -> list[Operand]:
    """Clip with constant bounds (attributes before operator set 11, inputs since); computed bounds are a maximum and a minimum."""
    low_given, high_given = call.optional(1), call.optional(2)
    plain = call.b.tensors[call.value(0).key].is_plain
    if plain or isinstance(low_given, Value) or isinstance(high_given, Value):
        x: Operand = call.value(0)
        x = x if low_given is None else call.make("Max", x, low_given)
        return [x if high_given is None else call.make("Min", x, high_given)]
    low, high = call.scalar(1, "min", -math.inf), call.scalar(2, "max", math.inf)
    low, high = (-math.inf if low <= -_FLOAT32_MAX else low), (math.inf if high >= _FLOAT32_MAX else high)
    if not low <= high:
        raise call.b.error(f"has bounds {low} and {high}; expected min <= max.")
    if math.isinf(low) and math.isinf(high):
        return [call.value(0)]
    return list(unary(call, "relu", minimum=low, maximum=high))


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


@onnx_op("Cast", "CastLike")
def translate_cast(call: Call) -> list[Operand]:
    """Cast, CastLike: all floats are float32, among which nothing changes; integers and bools are other types."""
    given = call.operand(0)
    if call.node.op == "CastLike":
        like = call.operand(1)
        kind = call.b.dtype(like.key) if isinstance(like, Value) else like.array.dtype.name
        kind = "float32" if kind == "float64" else kind
        if kind not in _CASTS.values():
            raise call.b.error(f"casts to {kind}; a value can become {', '.join(sorted({*_CASTS.values()}))}.")
    else:
        code = call.integer("to", 0)
        kind = _CASTS.get(code, "")
        if not kind:
            raise call.b.error(
                f"casts to element type {code}; a value can become float32 (any float type), {', '.join(sorted({*_CASTS.values()}))}."
            )
    if isinstance(given, Const):
        return [Const(call.node.outputs[0], given.array.astype(kind))]
    if kind == call.b.dtype(given.key):
        return [given]
    x = given
    return [replace(x, key=call.b.emit("cast", [x.key], dtype=kind, to=kind))]
