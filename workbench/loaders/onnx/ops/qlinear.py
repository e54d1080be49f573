"""Translators of ONNX Runtime's and ONNX's QLinear operators without weights, and what the QDQ rules make of float ones.

Inputs: (x, scale, zero point) for each operand, then scale and zero point of the result.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import TRANSLATORS, Call, Operand, binary, onnx_op
from workbench.loaders.onnx.file import CONTRIB
from workbench.loaders.onnx.integers import activation, params_of
from workbench.loaders.onnx.qdq_select import OWN
from workbench.loaders.onnx.values import Const, Value, identity
from workbench.ops._float32 import first_is_scalar
from workbench.tensor import RANGES, STORAGE, QuantParams

FLOAT_TWINS = {
    "QLinearAveragePool": "AveragePool", "QLinearGlobalAveragePool": "GlobalAveragePool", "QLinearLeakyRelu": "LeakyRelu",
    "QLinearSigmoid": "Sigmoid", "QLinearSoftmax": "Softmax", "Relu": "Relu", "Clip": "Clip",
}  # fmt: skip
"""Integer operator of one input -> the float operator that it computes."""


@onnx_op(*(f"{CONTRIB}.{op}" for op in FLOAT_TWINS if op.startswith("QLinear")), f"{OWN}.Relu", f"{OWN}.Clip")
def translate_unary(call: Call) -> list[Operand]:
    """(x, scale, zero point, scale, zero point of the result): the float operator's translation on integers."""
    if call.integer("channels_last", 0):
        raise call.b.error("has channels_last = 1, which is not supported. Quantize the model as ONNX has it: channels first.")
    x = activation(call, 0, 1, 2)
    if isinstance(x, Const):
        raise call.b.error("works on a constant; expected a value that depends on the model's input.")
    dtype, quant, kind = params_of(call, 3, 4, _kind(call))
    op = FLOAT_TWINS[call.node.op]
    attrs = {k: v for k, v in call.node.attrs.items() if k not in ("channels_last", "opset")}
    if op == "GlobalAveragePool":  # the same rule as that of a window over the whole image
        op, attrs = "AveragePool", {"kernel_shape": list(x.shape[2:])}
    if op == "AveragePool" and kind == "int8":
        attrs["signed_bytes"] = 1
    node = replace(call.node, op=op, domain="", attrs=attrs)
    made = TRANSLATORS[op](replace(call, node=node, args=[x, *call.args[5:]], opset=call.integer("opset", call.opset)))[0]
    if not isinstance(made, Value) or made.key == x.key:
        return [_requantized(call, x, dtype, quant)]
    return [call.b.retype(made, dtype, quant)]


def _kind(call: Call) -> str:
    """Return the type of integers where an operator leaves out its zero points."""
    x = call.optional(0)
    return "int8" if isinstance(x, Const) and x.array.dtype == np.int8 else "uint8"


@onnx_op(f"{CONTRIB}.QLinearAdd", f"{CONTRIB}.QLinearMul")
def translate_pair(call: Call) -> list[Operand]:
    """QLinearAdd, QLinearMul with broadcasting -> add, mul."""
    a, b = activation(call, 0, 1, 2), activation(call, 3, 4, 5)
    dtype, quant, kind = params_of(call, 6, 7, _kind(call))
    op = call.node.op.removeprefix("QLinear").lower()
    if op == "add":
        a, b = _ordered(call, a, b)
    return [call.b.retype(binary(call, op, a, b, signed_bytes=kind == "int8"), dtype, quant)]


def _ordered(call: Call, a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """Return the operands so that the one that ONNX Runtime's loop has as a scalar, if any, is second: the order of its roundings.

    The graph may store axes in another order, in which another operand would be the scalar: such values are stored as ONNX has them.
    """
    shapes = [x.shape if isinstance(x, Value) else x.array.shape for x in (a, b)]
    rank = max(map(len, shapes))
    wide = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    inner = [i for i in range(rank) if not wide[0][i] == wide[1][i] == 1]
    if [wide[0][i] for i in inner] == [wide[1][i] for i in inner]:
        return a, b
    if inner and wide[0][inner[-1]] == 1:
        a, b, wide = b, a, wide[::-1]
    stored = [x if isinstance(x, Const) or x.rank < rank else call.b.put(x, identity(rank)) for x in (a, b)]
    plain = [tuple(call.b.shape(x.key)) if isinstance(x, Value) else w for x, w in zip((a, b), wide, strict=True)]
    return (stored[0], stored[1]) if first_is_scalar(*plain) else (a, b)


@onnx_op(f"{CONTRIB}.QLinearConcat")
def translate_concat(call: Call) -> list[Operand]:
    """QLinearConcat: every part in the scale of the result, then concat."""
    if len(call.args) < 5 or (len(call.args) - 2) % 3:
        raise call.b.error(f"has {len(call.args)} inputs; expected scale and zero point, then three for each part.")
    dtype, quant, _ = params_of(call, 0, 1)
    parts = [activation(call, i, i + 1, i + 2) for i in range(2, len(call.args), 3)]
    same = [_constant(p, dtype, quant) if isinstance(p, Const) else _requantized(call, p, dtype, quant) for p in parts]
    node = replace(call.node, op="Concat", domain="")
    return list(TRANSLATORS["Concat"](replace(call, node=node, args=same)))


def _requantized(call: Call, x: Value, dtype: str, quant: QuantParams) -> Value:
    if call.b.tensors[x.key].quant == quant:
        return x
    return replace(x, key=call.b.emit("quantize", [x.key], main=False, dtype=dtype, quant=quant))


def _constant(x: Const, dtype: str, quant: QuantParams) -> Const:
    """Return quantized integers in another scale: rint(sx * (x - zx) / sy) + zy, as ONNX Runtime's table."""
    assert x.quant is not None
    real: Array = x.quant.scale[0] * (x.array.astype(np.int32) - np.int32(x.quant.zero_point[0])).astype(np.float32)
    low, high = RANGES[dtype]
    with np.errstate(over="ignore"):
        q = np.clip(np.rint(real / quant.scale[0]) + int(quant.zero_point[0]), low, high).astype(STORAGE[dtype])
    return Const(f"{x.name}:{float(quant.scale[0]):g}", q, quant, dtype)


@onnx_op(f"{CONTRIB}.QLinearWhere")
def translate_where(call: Call) -> list[Operand]:
    """QLinearWhere: what a Where between DequantizeLinear and QuantizeLinear gives."""
    parts = [call.make("DequantizeLinear", *(call.optional(i + k) for k in range(3))) for i in (1, 4)]
    return [call.make("QuantizeLinear", call.make("Where", call.operand(0), *parts), call.optional(7), call.optional(8))]
