"""Graph passes: each takes a graph and returns one that computes the same, with fewer or better nodes.

All work on float graphs of any loader and leave integer constants with scales alone, except that folding constants evaluates
`dequantize` of a constant. Nothing here depends on the order of samples: dimension 0 of an activation is never touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from workbench.errors import InputError
from workbench.graph.ir import Graph, Node
from workbench.loaders.passes_fold import fold_affine_into_layers
from workbench.loaders.passes_gelu import fuse_gelu
from workbench.loaders.rewrite import Rewriter
from workbench.ops import OPS
from workbench.tensor import dequantize

FUSING = ("conv2d", "depthwise_conv2d", "transpose_conv2d", "fully_connected", "avg_pool2d", "max_pool2d", "add", "sub", "mul")
"""Operators that can apply an activation to their result."""

FUSED_LIMITS = {(0.0, math.inf): "relu", (0.0, 6.0): "relu6", (-1.0, 1.0): "relu_n1_to_1"}
"""Limits of a `relu` node -> the name of the fused activation."""

POINTWISE = ("relu", "leaky_relu", "logistic", "tanh", "hard_swish")
"""Operators that treat every element alike: moving elements before or after them is the same."""

Pass = Callable[[Graph], Graph]


def simplify(graph: Graph) -> Graph:
    """Apply all passes in the order that lets each see the result of the one before."""
    order: tuple[Pass, ...] = (
        fold_constants, merge_transposes, merge_reshapes, remove_no_ops, fuse_gelu, fold_batch_norm, absorb_transposes, merge_reshapes,
        remove_no_ops, fuse_activations,
    )  # fmt: skip
    for step in order:
        graph = step(graph)
    return graph


def fold_constants(graph: Graph) -> Graph:
    """Replace nodes whose inputs are all constants by their value (float32 reference); graph outputs keep their node."""
    r = Rewriter(graph)
    for at in r.positions():
        node = r.nodes[at]
        tensors = [r.tensors[name] for name in node.inputs if name]
        outputs = [r.tensors[name] for name in node.outputs]
        if not tensors or any(t.data is None for t in tensors) or any(t.dtype != "float32" for t in outputs):
            continue
        if not {*node.outputs}.isdisjoint(graph.ends):
            continue
        args = [None if not name else _real(r, name) for name in node.inputs]
        results = OPS[node.op].reference(node.attrs, args)  # type: ignore[arg-type]
        r.drop(at)
        for tensor, data in zip(outputs, results, strict=True):
            r.tensors[tensor.name] = replace(tensor, shape=data.shape, data=np.ascontiguousarray(data, np.float32))
    return r.graph()


def _real(r: Rewriter, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    tensor = r.tensors[name]
    if tensor.data is None:
        raise InputError(f"tensor '{name}' is not a constant.")
    return dequantize(tensor.data, tensor.quant) if tensor.quant is not None else tensor.data


def remove_no_ops(graph: Graph) -> Graph:
    """Drop reshapes to the same shape and transposes that keep the order."""
    r = Rewriter(graph)
    for at in r.positions():
        node = r.nodes[at]
        if node.op == "reshape":
            same = r.tensors[node.inputs[0]].shape == r.tensors[node.outputs[0]].shape
        else:
            same = node.op == "transpose" and node.attrs.perm == tuple(range(len(node.attrs.perm)))
        if same and r.tensors[node.inputs[0]].quant == r.tensors[node.outputs[0]].quant:
            r.bypass(at)
    return r.graph()


def merge_transposes(graph: Graph) -> Graph:
    """Join a transpose with the one before it (a pair that cancels disappears); one that only moves unit axes is a reshape."""
    r = Rewriter(graph)
    for at in r.positions():
        node = r.nodes[at]
        if node.op != "transpose":
            continue
        before = r.producer(node.inputs[0])
        if before is not None and before.op == "transpose":
            perm = tuple(before.attrs.perm[p] for p in node.attrs.perm)
            node = replace(node, inputs=before.inputs[:1], attrs=replace(node.attrs, perm=perm))
            r.put(at, node)
        x, y = r.tensors[node.inputs[0]], r.tensors[node.outputs[0]]
        moved = [p for p in node.attrs.perm if p == 0 or x.shape[p] != 1]
        if node.attrs.perm[0] == 0 and moved == sorted(moved):
            r.put(at, _as_reshape(r, node, y.shape))
    return remove_no_ops(r.graph())


def _as_reshape(r: Rewriter, node: Node, shape: tuple[int, ...]) -> Node:
    name = node.name.removesuffix(".transpose")
    name = node.name if name == node.name else r.node_name(f"{name}.reshape")
    return replace(node, name=name, op="reshape", inputs=node.inputs[:1], attrs=OPS["reshape"].attrs(shape=(-1, *shape[1:])))


def merge_reshapes(graph: Graph) -> Graph:
    """Let a reshape read what the reshape before it read: only the last shape counts."""
    r = Rewriter(graph)
    for at in r.positions():
        node = r.nodes[at]
        before = r.producer(node.inputs[0]) if node.op == "reshape" else None
        if before is not None and before.op == "reshape":
            r.put(at, replace(node, inputs=(before.inputs[0], *node.inputs[1:])))
    return remove_no_ops(r.graph())


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold per-channel products and sums (what batch normalization is) into the convolution or dense layer before them."""
    return fold_affine_into_layers(graph)


def absorb_transposes(graph: Graph) -> Graph:
    """Drop the transpose before a flatten that only dense layers read, permuting their weight columns instead."""
    r = Rewriter(graph)
    for at in r.positions():
        node = r.nodes[at]
        if node.op == "reshape" and len(r.tensors[node.outputs[0]].shape) == 2:
            _absorb(r, at)
    return r.graph()


def _absorb(r: Rewriter, at: int) -> None:
    flatten = r.nodes[at]
    transpose = r.producer(flatten.inputs[0])
    if transpose is None or transpose.op != "transpose" or transpose.attrs.perm[0] != 0:
        return
    made, flat = (r.tensors[name].shape for name in (transpose.outputs[0], flatten.outputs[0]))
    if flat != (made[0], math.prod(made[1:])):
        return
    chain, tip = _elementwise_chain(r, flatten.outputs[0])
    readers = r.readers(tip)
    if not readers or tip in r.source.ends or not all(_takes_columns(r, i, tip) for i in readers):
        return
    columns = np.arange(flat[1]).reshape(made[1:])  # value: column in the old order; position: where the transpose put it
    order = columns.transpose(np.argsort(transpose.attrs.perm)[1:] - 1).reshape(-1)
    for i in (*chain, *readers):
        _permute_constant(r, i, order)
    r.put(at, replace(flatten, inputs=(transpose.inputs[0], *flatten.inputs[1:])))


def _elementwise_chain(r: Rewriter, tensor: str) -> tuple[list[int], str]:
    """Return the nodes after a [N, K] tensor that treat elements one by one (at most with a constant [K]), and their result."""
    chain: list[int] = []
    width = r.tensors[tensor].shape[-1]
    while r.private(tensor):
        at = r.readers(tensor)[0]
        node = r.nodes[at]
        if node.op in ("add", "sub", "mul"):
            constants = [r.constant(name) for name in node.inputs if name != tensor]
            if len(constants) != 1 or constants[0] is None or constants[0].shape[-1:] not in ((1,), (width,)):
                break
            if constants[0].size not in (1, width):
                break
        elif node.op not in POINTWISE:
            break
        chain.append(at)
        tensor = node.outputs[0]
    return chain, tensor


def _permute_constant(r: Rewriter, at: int, order: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    """Permute the last axis of the constant of a dense layer or elementwise node (a single number has none)."""
    node = r.nodes[at]
    constants = [i for i, name in enumerate(node.inputs) if r.constant(name) is not None]
    position = 1 if node.op == "fully_connected" else next(iter(constants), None)
    data = None if position is None else r.constant(node.inputs[position])
    if position is None or data is None or data.shape[-1] != len(order):
        return
    old = r.tensors[node.inputs[position]]
    name = r.add_constant(f"{old.name}.nhwc", old, np.ascontiguousarray(data[..., order]))
    r.put(at, replace(node, inputs=(*node.inputs[:position], name, *node.inputs[position + 1 :])))


def _takes_columns(r: Rewriter, at: int, tensor: str) -> bool:
    node = r.nodes[at]
    return node.op == "fully_connected" and node.inputs[0] == tensor and r.constant(node.inputs[1]) is not None


def fuse_activations(graph: Graph) -> Graph:
    """Move relu, relu6 and relu_n1_to_1 into the operator before them when nobody else reads its result.

    The node keeps its own name; its output takes the activation's name.
    """
    r = Rewriter(graph)
    for at in r.positions():
        node = r.nodes[at]
        name = FUSED_LIMITS.get((node.attrs.minimum, node.attrs.maximum)) if node.op == "relu" else None
        if name is None or not r.private(node.inputs[0]) or r.tensors[node.outputs[0]].quant is not None:
            continue
        maker = r.maker.get(node.inputs[0])
        if maker is None or r.nodes[maker].op not in FUSING or r.nodes[maker].attrs.activation != "none":
            continue
        before = r.nodes[maker]
        r.drop(at)
        r.put(maker, replace(before, outputs=node.outputs, attrs=replace(before.attrs, activation=name)))
    return r.graph()
