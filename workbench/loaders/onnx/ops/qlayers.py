"""Translators of integer operators with weights: QLinearConv, QLinearMatMul, QGemm, and products whose result is float."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import TRANSLATORS, Call, Operand, onnx_op, transposed
from workbench.loaders.onnx.file import CONTRIB
from workbench.loaders.onnx.integers import activation, layer_bias, layer_weights, params_of
from workbench.loaders.onnx.ops.matrix import contract
from workbench.loaders.onnx.qdq_select import OWN
from workbench.loaders.onnx.values import Const, Value


@onnx_op("QLinearConv")
def translate_qlinear_conv(call: Call) -> list[Operand]:
    """QLinearConv (x, sx, zx, w, sw, zw, sy, zy, bias) -> conv2d or depthwise_conv2d of integers."""
    x = activation(call, 0, 1, 2)
    if isinstance(x, Const):
        raise call.b.error("convolves a constant; expected a value that depends on the model's input.")
    stored = call.const(3)
    channels = stored.array.shape[0] if stored is not None and stored.array.ndim else 0
    w = layer_weights(call, 3, 4, 5, channels)
    bias = layer_bias(call, 8, x, w, channels)
    dtype, quant, _ = params_of(call, 6, 7)
    node = replace(call.node, op="Conv", domain="", inputs=call.node.inputs[:3])
    made = TRANSLATORS["Conv"](replace(call, node=node, args=[x, w, bias]))[0]
    assert isinstance(made, Value)
    return [call.b.retype(made, dtype, quant)]


@onnx_op("QLinearMatMul", f"{CONTRIB}.QLinearMatMul")
def translate_qlinear_matmul(call: Call) -> list[Operand]:
    """QLinearMatMul (a, sa, za, b, sb, zb, sy, zy): a constant matrix on the right -> fully_connected, else batch_matmul."""
    dtype, quant, _ = params_of(call, 6, 7)
    return [call.b.retype(_product(call, (0, 1, 2), (3, 4, 5)), dtype, quant)]


@onnx_op(f"{CONTRIB}.MatMulIntegerToFloat")
def translate_matmul_to_float(call: Call) -> list[Operand]:
    """MatMulIntegerToFloat (a, b, sa, sb, za, zb, bias): float32(sum) * (sa * sb), then the bias."""
    made = call.b.retype(_product(call, (0, 2, 4), (1, 3, 5)), "float32", None)
    bias = call.optional(6)
    return [made if bias is None else call.make("Add", made, bias)]


def _product(call: Call, left: tuple[int, int, int], right: tuple[int, int, int]) -> Value:
    """Return the product of two integer operands, each (integers, scale, zero point); its scale is the caller's."""
    a, other = activation(call, *left), call.operand(right[0])
    if isinstance(a, Value) and isinstance(other, Const) and other.array.ndim == 2 and a.rank > 1:
        w = layer_weights(call, *right, other.array.shape[1])
        return contract(call, a, a.rank - 1, w, w.array.T, "transposed")
    b = activation(call, *right)
    if isinstance(a, Const) and isinstance(b, Const):
        raise call.b.error("multiplies constants; expected a value that depends on the model's input.")
    node = replace(call.node, op="MatMul", domain="")
    if any(isinstance(x, Const) and x.array.ndim < 3 for x in (a, b)) or isinstance(a, Const):
        a, b = (replace(x, array=_stacked(x.array)) if isinstance(x, Const) else x for x in (a, b))
    made = TRANSLATORS["MatMul"](replace(call, node=node, args=[a, b]))[0]
    assert isinstance(made, Value)
    return made


def _stacked(array: Array) -> Array:
    return array.reshape((1,) * (3 - array.ndim) + array.shape)


@onnx_op(f"{CONTRIB}.QGemm")
def translate_qgemm(call: Call) -> list[Operand]:
    """QGemm (a, sa, za, b, sb, zb, bias, sy, zy) with constant weights -> fully_connected; without sy its result is float."""
    a, stored = activation(call, 0, 1, 2), call.const(3)
    if isinstance(a, Const) or stored is None or stored.array.ndim != 2 or a.rank < 2:
        raise call.b.error("needs an activation by a constant matrix.")
    if call.real("alpha", 1.0) != 1.0:
        raise call.b.error(f"has alpha {call.real('alpha', 1.0)}; expected 1. Fold it into the weights before quantizing.")
    flipped = bool(call.integer("transB", 0))
    channels = stored.array.shape[0 if flipped else 1]
    w = layer_weights(call, 3, 4, 5, channels)
    bias = layer_bias(call, 6, a, w, channels)
    key = None if bias is None else call.b.constant(bias, bias.array, "bias")
    x = transposed(a, (1, 0)) if call.integer("transA", 0) else a
    matrix = w.array if flipped else w.array.T
    made = contract(call, x, x.rank - 1, w, np.ascontiguousarray(matrix), f"gemm {flipped}", key)
    if call.optional(7) is None:
        return [call.b.retype(made, "float32", None)]
    dtype, quant, _ = params_of(call, 7, 8)
    return [call.b.retype(made, dtype, quant)]


@onnx_op(f"{OWN}.DynamicMatMul")
def translate_dynamic_matmul(call: Call) -> list[Operand]:
    """x float, constant integer weights [.., I, O], scale, zero point -> fully_connected that quantizes x as it runs."""
    x, stored = call.value(0), call.const(1)
    if stored is None or stored.array.ndim != 2 or x.rank < 2:
        raise call.b.error("needs a constant matrix of weights.")
    w = layer_weights(call, 1, 2, 3, stored.array.shape[1])
    _whole(call, x)
    return [contract(call, x, x.rank - 1, w, w.array.T, "transposed")]


@onnx_op(f"{CONTRIB}.DynamicQuantizeMatMul")
def translate_dynamic_quantize_matmul(call: Call) -> list[Operand]:
    """DynamicQuantizeMatMul (x, w, sw, zw, bias)."""
    made, bias = translate_dynamic_matmul(call)[0], call.optional(4)
    return [made if bias is None else call.make("Add", made, bias)]


@onnx_op(f"{OWN}.DynamicConv")
def translate_dynamic_conv(call: Call) -> list[Operand]:
    """x float, constant integer weights, scale, zero point -> a convolution that quantizes x as it runs."""
    x, stored = call.value(0), call.const(1)
    channels = stored.array.shape[0] if stored is not None and stored.array.ndim else 0
    w = layer_weights(call, 1, 2, 3, channels)
    _whole(call, x)
    node = replace(call.node, op="Conv", domain="", inputs=call.node.inputs[:2])
    return list(TRANSLATORS["Conv"](replace(call, node=node, args=[x, w])))


def _whole(call: Call, x: Value) -> None:
    """Several declared samples share one scale: the graph runs on the declared batch."""
    if x.batch is None or x.shape[x.batch] != 1:
        call.b.mix_batch()


@onnx_op("MatMulInteger")
def translate_matmul_integer(call: Call) -> list[Operand]:
    """MatMulInteger (a, b, za, zb) with a constant matrix: the int32 sums."""
    stored = call.const(1)
    if stored is None or stored.array.ndim != 2:
        raise call.b.error("needs a constant matrix of weights.")
    a = _plain(call)
    w = _plain_weights(call, stored, stored.array.shape[1])
    return [call.b.retype(contract(call, a, a.rank - 1, w, w.array.T, "transposed"), "int32", None)]


@onnx_op("ConvInteger")
def translate_conv_integer(call: Call) -> list[Operand]:
    """ConvInteger (x, w, zx, zw) with constant weights: the int32 sums."""
    stored = call.const(1)
    if stored is None or not stored.array.ndim:
        raise call.b.error("needs constant weights.")
    w = _plain_weights(call, stored, stored.array.shape[0])
    node = replace(call.node, op="Conv", domain="", inputs=call.node.inputs[:2])
    made = TRANSLATORS["Conv"](replace(call, node=node, args=[_plain(call), w]))[0]
    assert isinstance(made, Value)
    return [call.b.retype(made, "int32", None)]


def _plain(call: Call) -> Value:
    """Return input 0, integers without a scale, in steps of 1."""
    x = activation(replace(call, args=[*call.args[:1], call.number(1.0), call.optional(2)]), 0, 1, 2)
    if isinstance(x, Const):
        raise call.b.error("works on a constant; expected a value that depends on the model's input.")
    return x


def _plain_weights(call: Call, stored: Const, channels: int) -> Const:
    return layer_weights(replace(call, args=[stored, call.number(1.0), call.optional(3)]), 0, 1, 2, channels)


@onnx_op("DynamicQuantizeLinear")
def refuse_dynamic(call: Call) -> list[Operand]:
    """DynamicQuantizeLinear is part of a layer; alone it has a scale that nothing here holds."""
    raise call.b.error(
        "is read where MatMulInteger or ConvInteger with constant weights follows, then Cast to float and Mul by both scales, as "
        "quantize_dynamic of ONNX Runtime writes it. Here other operators read its integers, scale or zero point.\n"
        "Quantize the model again, or give the float32 model."
    )


@onnx_op(
    f"{CONTRIB}.QAttention",
    f"{CONTRIB}.QEmbedLayerNormalization",
    f"{CONTRIB}.DynamicQuantizeLSTM",
    f"{CONTRIB}.QLinearReduceMean",
)
def refuse_whole(call: Call) -> list[Operand]:
    """Fused quantized operators whose insides are not known."""
    raise call.b.error(
        "is a fused operator that is not supported. Quantize the model without fusing attention, embeddings or recurrence."
    )
