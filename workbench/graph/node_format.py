"""The format of a node, read from its tensors: `w4a8`, `w8a8-per-tensor`, `a8`, `fp16`, ..."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.graph.ir import Graph, Node, Tensor
from workbench.precision import PLAIN, UNSIGNED, Granularity, format_name, is_float

WEIGHT_INPUT: dict[str, int] = {
    "conv2d": 1, "depthwise_conv2d": 1, "transpose_conv2d": 1, "fully_connected": 1, "lstm": 1, "rnn": 1, "svdf": 1,
}  # fmt: skip
"""Operator with weights -> which input they are (equal to `OpSpec.weights.index`, which lies a layer above; tested)."""


def weight_tensor(graph: Graph, node: Node) -> Tensor | None:
    """Return the constant weights of a node, or None."""
    return weights_of(node, graph.tensors)


def weights_of(node: Node, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """Return the constant weights of a node among tensors by name, or None."""
    index = WEIGHT_INPUT.get(node.op)
    if index is None or index >= len(node.inputs) or not node.inputs[index]:
        return None
    tensor = tensors[node.inputs[index]]
    return tensor if tensor.is_constant else None


def activation_type(node: Node, tensors: Mapping[str, Tensor]) -> str:
    """Return the tensor type that names the node's format.

    The first activation input; the output where a float32 input is converted (quantize, cast to float16): the work of both
    directions depends on the narrow side. Indices and masks (`Tensor.is_plain`) name it only where there is nothing else.
    """
    inputs = [tensors[n] for n in node.inputs if n and not tensors[n].is_constant]
    output = tensors[node.outputs[0]]
    first = next((t for t in (*inputs, output) if not t.is_plain), inputs[0] if inputs else output)
    return output.dtype if first.dtype == "float32" and not output.is_plain else first.dtype


def has_unsigned(node: Node, tensors: Mapping[str, Tensor]) -> bool:
    """True when an activation is unsigned bytes with a scale, on either side: a runtime without them has no conversions to them."""
    every = [tensors[n] for n in (*node.inputs, *node.outputs) if n]
    return any(t.dtype == "uint8" and not t.is_plain and not t.is_constant for t in every)


def node_format(graph: Graph, node: Node) -> str:
    """Return the format name of a node: with weights `w8a8`, ..., without `a8`, `a16`, `fp16`, `fp32`."""
    return format_of(node, graph.tensors)


def format_of(node: Node, tensors: Mapping[str, Tensor]) -> str:
    """Return the format name of a node whose tensors stand in `tensors`."""
    if has_unsigned(node, tensors):
        return UNSIGNED
    activation = activation_type(node, tensors)
    if activation == "uint8":  # without a scale
        return PLAIN
    weights = weights_of(node, tensors)
    if weights is None:
        weights = _matrix(node, tensors, activation)
    if weights is None:
        return format_name(None, activation)
    if weights.dtype != activation and (is_float(weights.dtype) or "float8" in weights.dtype + activation):
        return f"{weights.dtype}/{activation}"
    granularity: Granularity = "per_tensor" if weights.quant is not None and weights.quant.axis is None else "per_channel"
    return format_name(weights.dtype, activation, granularity, weights.coding)


def _matrix(node: Node, tensors: Mapping[str, Tensor], activation: str) -> Tensor | None:
    """Return the constant integers that a batch_matmul of float32 meets: no weights that a plan decides about, but no floats either."""
    if node.op != "batch_matmul" or activation != "float32":
        return None
    second = tensors[node.inputs[1]]
    return second if second.is_constant and second.quant is not None else None
