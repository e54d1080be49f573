"""Write the trained network as ONNX, node by node, with `onnx.helper`: plain names, a symbolic batch, no exporter needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Float = NDArray[np.float32]
OPSET = 17
# The oldest IR version that goes with opset 17: readable by every runtime since 2022.
IR_VERSION = 8


@dataclass(frozen=True)
class Layer:
    """One convolution with its batch normalization folded in. weight float32 [O, I/groups, KH, KW], bias float32 [O]."""

    name: str
    weight: Float
    bias: Float
    stride: int
    groups: int
    relu: bool
    residual: bool  # add the input of the layer before (the block's input) to the result, then apply ReLU


class _Writer:
    """Collects nodes and constants; every method returns the name of the tensor that it made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Float) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(self, op: str, name: str, inputs: list[str], **attributes: object) -> str:
        out = f"{name}_out"
        self.nodes.append(helper.make_node(op, inputs, [out], name=name, **attributes))
        return out

    def convolution(self, layer: Layer, x: str) -> str:
        kernel = list(layer.weight.shape[2:])
        pad = kernel[0] // 2
        inputs = [x, self.constant(f"{layer.name}.weight", layer.weight), self.constant(f"{layer.name}.bias", layer.bias)]
        strides, pads = [layer.stride] * 2, [pad] * 4
        return self.node("Conv", layer.name, inputs, kernel_shape=kernel, strides=strides, pads=pads, group=layer.groups)


def write_onnx(path: Path, layers: list[Layer], fc_weight: Float, fc_bias: Float, notes: str) -> None:
    """Write conv/relu/add layers, a global average pool and a dense head.

    Args:
        path: file to write.   layers: in order; a `residual` layer closes the block that the layer before it began.
        fc_weight: float32 [10, C].   fc_bias: float32 [10].   notes: goes into the model's doc string.
    """
    w = _Writer()
    x = "image"
    block_input = x
    for layer in layers:
        before = x
        x = w.convolution(layer, x)
        number = layer.name[-1]
        if layer.residual:
            x = w.node("Add", f"add{number}", [x, block_input])
        if layer.relu or layer.residual:
            x = w.node("Relu", f"{f'add{number}' if layer.residual else layer.name}_relu", [x])
        block_input = before
    x = w.node("GlobalAveragePool", "pool", [x])
    x = w.node("Flatten", "flatten", [x], axis=1)
    head = [x, w.constant("fc.weight", fc_weight), w.constant("fc.bias", fc_bias)]
    w.node("Gemm", "fc", head, transB=1)
    w.nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        w.nodes,
        "fashion_cnn",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(fc_bias)])],
        w.constants,
    )
    model = helper.make_model(
        graph, producer_name="training/train_fashion_cnn.py", opset_imports=[helper.make_opsetid("", OPSET)], doc_string=notes
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
