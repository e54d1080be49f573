"""A quantized graph as an ONNX model in QDQ form, for ONNX Runtime: the same weights, scales and zero points.

Activations become uint8 (zero point + 128), which is what ONNX Runtime's fastest x86 kernels take; images are NCHW, as ONNX wants
them. ONNX Runtime requantizes by its own rule, so outputs are close to the graph's and not equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workbench.errors import UnsupportedError
from workbench.graph.ir import Graph, Node, Tensor

OPSET = 17


class _Writer:
    """Nodes and constants of the ONNX graph as it grows."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def scales(self, tensor: Tensor) -> tuple[str, str]:
        """Return the names of the scale and zero point of an activation."""
        assert tensor.quant is not None
        scale, zero_point = tensor.quant.scalar
        return (
            self.constant(f"{tensor.name}:scale:{len(self.constants)}", np.float32(scale)),
            self.constant(f"{tensor.name}:zero:{len(self.constants)}", np.uint8(zero_point + 128)),
        )

    def real(self, name: str) -> str:
        """Return a dequantized activation (one node per reader, as QDQ models have it)."""
        return self.node("DequantizeLinear", [name, *self.scales(self.graph.tensors[name])], f"{name}:real:{len(self.nodes)}")

    def quantized(self, real: str, name: str) -> None:
        """Quantize `real` into the activation `name`."""
        self.node("QuantizeLinear", [real, *self.scales(self.graph.tensors[name])], name)

    def weights(self, tensor: Tensor, value: Any, axis: int) -> str:
        """Return dequantized int8 weights; axis: of the channels in `value`."""
        assert tensor.quant is not None
        scale = tensor.quant.scale
        zero = np.zeros(len(scale), np.int8)
        each = {} if len(scale) == 1 else {"axis": axis}
        inputs = [
            self.constant(f"{tensor.name}:q", value.astype(np.int8)),
            self.constant(f"{tensor.name}:scale", scale if each else scale[0]),
            self.constant(f"{tensor.name}:zero", zero if each else zero[0]),
        ]
        return self.node("DequantizeLinear", inputs, f"{tensor.name}:real", **each)

    def bias(self, node: Node, channels: int) -> list[str]:
        """Return the dequantized bias, or nothing."""
        if len(node.inputs) < 3 or not node.inputs[2]:
            return []
        tensor, x, w = (self.graph.tensors[i] for i in (node.inputs[2], node.inputs[0], node.inputs[1]))
        assert tensor.data is not None and x.quant is not None and w.quant is not None
        scale = np.broadcast_to(x.quant.scale[0] * w.quant.scale, (channels,)).astype(np.float32)
        inputs = [
            self.constant(f"{tensor.name}:q", tensor.data.astype(np.int32)),
            self.constant(f"{tensor.name}:scale", scale),
            self.constant(f"{tensor.name}:zero", np.zeros(channels, np.int32)),
        ]
        return [self.node("DequantizeLinear", inputs, f"{tensor.name}:real", axis=0)]

    def activated(self, real: str, activation: str, name: str) -> None:
        """Apply the fused activation and quantize; a clip that the output's range implies is left out, as converters do."""
        tensor = self.graph.tensors[name]
        assert tensor.quant is not None
        scale, zero_point = tensor.quant.scalar
        low, high = float(scale) * (-128 - zero_point), float(scale) * (127 - zero_point)
        if activation in ("relu", "relu6") and low < -0.5 * float(scale):
            real = self.node("Relu", [real], f"{name}:relu")
        if activation == "relu6" and high > 6 + 0.5 * float(scale):
            raise UnsupportedError("relu6 with a range beyond 6")
        if activation not in ("none", "relu", "relu6"):
            raise UnsupportedError(f"activation {activation}")
        self.quantized(real, name)


def _linear(out: _Writer, node: Node) -> None:
    x, tensor, attrs = node.inputs[0], out.graph.tensors[node.inputs[1]], node.attrs
    w = tensor.data
    assert w is not None
    if node.op == "fully_connected":
        inputs = [out.real(x), out.weights(tensor, w, 0), *out.bias(node, w.shape[0])]
        real = out.node("Gemm", inputs, f"{node.outputs[0]}:sum", transB=1)
    else:
        depthwise = node.op == "depthwise_conv2d"
        value = w.transpose(3, 0, 1, 2) if depthwise else w.transpose(0, 3, 1, 2)  # [1, KH, KW, O] or [O, KH, KW, I] to OIHW
        channels = out.graph.tensors[x].shape[3]
        inputs = [out.real(x), out.weights(tensor, value, 0), *out.bias(node, value.shape[0])]
        real = out.node(
            "Conv", inputs, f"{node.outputs[0]}:sum", kernel_shape=value.shape[2:], strides=attrs.stride,
            dilations=attrs.dilation, pads=attrs.pads, group=channels if depthwise else attrs.groups,
        )  # fmt: skip
    out.activated(real, attrs.activation, node.outputs[0])


def _other(out: _Writer, node: Node) -> None:
    x, y, attrs = node.inputs[0], node.outputs[0], node.attrs
    shape = out.graph.tensors[x].shape
    if node.op == "add":
        out.activated(out.node("Add", [out.real(x), out.real(node.inputs[1])], f"{y}:sum"), attrs.activation, y)
    elif node.op == "avg_pool2d":
        if tuple(attrs.filter) == tuple(shape[1:3]) and not any(attrs.pads):
            real = out.node("GlobalAveragePool", [out.real(x)], f"{y}:mean")
        else:
            real = out.node(
                "AveragePool", [out.real(x)], f"{y}:mean", kernel_shape=attrs.filter, strides=attrs.stride, pads=attrs.pads
            )
        out.activated(real, attrs.activation, y)
    elif node.op == "mean" and tuple(sorted(attrs.axes)) == (1, 2) and attrs.keep_dims:
        out.quantized(out.node("GlobalAveragePool", [out.real(x)], f"{y}:mean"), y)
    elif node.op == "reshape":
        real = out.real(x)
        if len(shape) == 4 and shape[1] * shape[2] > 1:
            real = out.node("Transpose", [real], f"{y}:nhwc", perm=[0, 2, 3, 1])
        to = out.graph.tensors[y].shape
        target = out.constant(f"{y}:shape", np.array([-1, *to[1:]], np.int64))
        real = out.node("Reshape", [real, target], f"{y}:shaped")
        if len(to) == 4:
            real = out.node("Transpose", [real], f"{y}:nchw", perm=[0, 3, 1, 2])
        out.quantized(real, y)
    elif node.op == "quantize" and out.graph.tensors[x].dtype == "float32":
        out.quantized(x, y)
    elif node.op == "dequantize":
        out.node("DequantizeLinear", [x, *out.scales(out.graph.tensors[x])], y)
    elif node.op == "softmax":
        out.quantized(out.node("Softmax", [out.real(x)], f"{y}:soft", axis=-1), y)
    else:
        raise UnsupportedError(f"{node.op} has no counterpart here")


def to_onnx(graph: Graph) -> bytes:
    """Return the model. Raises UnsupportedError for what has no counterpart."""
    out = _Writer(graph)
    for node in graph.nodes:
        (_linear if node.op in ("conv2d", "depthwise_conv2d", "fully_connected") else _other)(out, node)

    def info(name: str) -> Any:
        shape = graph.tensors[name].shape
        kind = TensorProto.FLOAT if graph.tensors[name].dtype == "float32" else TensorProto.UINT8
        return helper.make_tensor_value_info(name, kind, ["N", *(_nchw(shape) if len(shape) == 4 else shape)[1:]])

    made = helper.make_graph(
        out.nodes, "int8", [info(n) for n in graph.inputs], [info(n) for n in graph.outputs], out.constants
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _nchw(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[0], shape[3], shape[1], shape[2]
