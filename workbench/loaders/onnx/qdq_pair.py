"""What a QuantizeLinear or DequantizeLinear node says: its integers, scale and zero point."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.file import CONTRIB, OnnxNode
from workbench.loaders.onnx.fold import numpy_type
from workbench.loaders.onnx.fold_budget import CannotFold
from workbench.loaders.onnx.net import Net, Reader

Q, DQ = "QuantizeLinear", "DequantizeLinear"


def is_q(node: OnnxNode) -> bool:
    """True for QuantizeLinear, of ONNX or of ONNX Runtime."""
    return node.op == Q and node.domain in ("", CONTRIB)


def is_dq(node: OnnxNode) -> bool:
    """True for DequantizeLinear, of ONNX or of ONNX Runtime."""
    return node.op == DQ and node.domain in ("", CONTRIB)


def integers_of(net: Net, node: OnnxNode) -> np.dtype[Any] | None:
    """Return the type of the integers of a Q or DQ, or None where nothing in the graph says it."""
    zero = net.constant(node, 2)
    if zero is not None:
        return zero.dtype
    if is_q(node):
        try:
            return numpy_type(int(node.attrs.get("output_dtype", 0) or 2))  # 2: uint8
        except CannotFold:
            return None
    constant, maker = net.constant(node, 0), net.source(node.inputs[0])
    if constant is not None:
        return constant.dtype
    return integers_of(net, maker) if maker is not None and is_q(maker) else None


def numbers(net: Net, node: OnnxNode) -> Array | None:
    """Return the constant scale of a node that has one for the whole tensor (a scalar, or one element), else None."""
    scale = net.constant(node, 1)
    return scale if scale is not None and scale.ndim <= 1 and scale.size == 1 and not node.attrs.get("block_size", 0) else None


def pair_of(net: Net, node: OnnxNode) -> tuple[Array, Array] | None:
    """Return scale and zero point (scalars) of a Q or DQ with one constant scale and zero point for the whole tensor, else None."""
    scale, kind = numbers(net, node), integers_of(net, node)
    named = len(node.inputs) > 2 and bool(node.inputs[2])
    zero = net.constant(node, 2) if named else None
    if scale is None or (named and (zero is None or zero.size != 1)):
        return None
    return scale.reshape(()), np.zeros((), kind or np.uint8) if zero is None else zero.reshape(())


def same_pair(net: Net, a: OnnxNode, b: OnnxNode) -> bool:
    """True when two nodes have the same scale, zero point and type of integers, all of them written down."""
    if any(len(node.inputs) != 3 or not node.inputs[2] for node in (a, b)):
        return False
    left, right = pair_of(net, a), pair_of(net, b)
    if left is None or right is None:
        return False
    return bool(left[0] == right[0] and left[1] == right[1] and left[1].dtype == right[1].dtype)


def zero_name(net: Net, dtype: Any, value: int = 0) -> str:
    """Return the name of a constant zero point."""
    return net.new_constant(f"zero:{np.dtype(dtype).name}", np.asarray(value, dtype))


def move_dequantize(net: Net, node: OnnxNode, reader: Reader) -> None:
    """Let a reader of a DQ read a copy of it."""
    real = net.name(f"{node.outputs[0]}:real")
    net.add(OnnxNode(DQ, node.domain, "", node.index, node.inputs, (real,), node.attrs))
    net.redirect(reader, real)
