"""Fold y = x * a + c (per output channel) into the weights and bias of the layer that makes x.

Computed in float64 and rounded once to float32 per folded node. Source of the rule: batch normalization at inference is affine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.loaders.rewrite import Rewriter

OUTPUT_AXIS = {"conv2d": 0, "depthwise_conv2d": 3, "transpose_conv2d": 0, "fully_connected": 0}
"""Layers with weights -> the axis of their weights that counts output channels."""


def fold_affine_into_layers(graph: Graph) -> Graph:
    """Fold `mul`, `add` and `sub` by a constant per channel into the convolution or dense layer before them.

    Only when that layer has no activation, its result has no other reader, and the folded numbers stay finite.
    The layer keeps its name; its output takes the name of the folded node's output.
    """
    r = Rewriter(graph)
    for at in r.positions():
        node = r.nodes[at]
        if node.op in ("mul", "add", "sub"):
            _fold(r, at, node)
    return r.graph()


def _fold(r: Rewriter, at: int, node: Node) -> None:
    x, constant = _operands(r, node)
    maker = r.maker.get(x)
    if constant is None or maker is None or not r.private(x) or node.inputs[0] == node.inputs[1]:
        return
    layer = r.nodes[maker]
    if layer.op not in OUTPUT_AXIS or layer.attrs.activation != "none" or r.tensors[node.outputs[0]].quant is not None:
        return
    shape = r.tensors[x].shape
    weights = r.constant(layer.inputs[1])
    numbers = per_channel(constant, shape[-1])
    if weights is None or numbers is None or r.tensors[node.outputs[0]].shape != shape:
        return
    bias_name = layer.inputs[2] if len(layer.inputs) > 2 else ""
    bias = r.constant(bias_name) if bias_name else np.zeros(shape[-1], np.float32)
    if bias is None:
        return
    factor, shift = _affine(node, x, numbers)
    wide = factor.reshape([-1 if a == OUTPUT_AXIS[layer.op] else 1 for a in range(weights.ndim)])
    with np.errstate(over="ignore"):
        new_weights = (weights.astype(np.float64) * wide).astype(np.float32)
        new_bias = (bias.astype(np.float64) * factor + shift).astype(np.float32)
    if not (np.isfinite(new_weights).all() and np.isfinite(new_bias).all()):
        return
    w_name = layer.inputs[1]
    if (factor != 1.0).any():
        w_name = _replaced(r, w_name, w_name, new_weights)
    bias_name = _replaced(r, bias_name, bias_name or f"{layer.name}.bias", new_bias)
    attrs = replace(layer.attrs, activation=node.attrs.activation)
    r.drop(at)
    r.put(maker, replace(layer, inputs=(layer.inputs[0], w_name, bias_name), outputs=node.outputs, attrs=attrs))


def _operands(r: Rewriter, node: Node) -> tuple[str, Array | None]:
    """Return the activation and the constant of a node on two operands."""
    for x, c in (node.inputs[:2], node.inputs[1::-1]):
        data = r.constant(c)
        if data is not None and r.tensors[x].data is None:
            return x, data
    return node.inputs[0], None


def _affine(node: Node, x: str, numbers: Array) -> tuple[Array, Array]:
    """Return (a, c) in float64 with node(x) = x * a + c."""
    ones, zeros = np.ones(len(numbers)), np.zeros(len(numbers))
    wide = numbers.astype(np.float64)
    if node.op == "mul":
        return wide, zeros
    if node.op == "add":
        return ones, wide
    return (ones, -wide) if node.inputs[0] == x else (-ones, wide)


def _replaced(r: Rewriter, old: str, wish: str, data: Array) -> str:
    """Add a folded constant; the one it replaces goes when only this layer read it, so that its name is free again."""
    like = r.tensors[old] if old else Tensor("", data.shape, "float32")
    if wish.endswith(".folded") and len(r.readers(old)) == 1:
        del r.tensors[old]
    return r.add_constant(wish if not old or wish.endswith(".folded") else f"{wish}.folded", like, data)


def per_channel(constant: Array, channels: int) -> Array | None:
    """Return a constant as one number per channel (the last axis), or None when it varies along another axis."""
    if constant.size == 1:
        return np.full(channels, constant.reshape(-1)[0])
    return constant.reshape(-1) if constant.size == channels and constant.shape[-1] == channels else None
