"""Find gelu written out: x * 0.5 * (1 + erf(x / sqrt(2))), in the orders in which exporters multiply; replace it by the operator.

Only where it is exactly that: the constants are these (the root and its reciprocal within one unit of float32), nobody else reads
what is between, no activation is fused. Targets without erf often have gelu, and a rule for its integers.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from workbench.graph.ir import Graph, Node
from workbench.loaders.rewrite import Rewriter
from workbench.ops.gelu import GeluAttrs

_HALF, _ONE, _ROOT = 0.5, 1.0, math.sqrt(0.5)
_UNIT = 2e-7
"""Largest difference of the constants from these, relative: float32 rounds the root, and its reciprocal is taken again."""


def fuse_gelu(graph: Graph) -> Graph:
    """Replace the nodes of a written-out gelu by one, which takes the name and the output of the last."""
    r = Rewriter(graph)
    for at in r.positions():
        if r.nodes[at].op == "erf":
            _fuse(r, at)
    return r.graph()


def _fuse(r: Rewriter, at: int) -> None:
    erf = r.nodes[at]
    scaled = r.producer(erf.inputs[0])
    x = None if scaled is None else _operand(r, scaled, "mul", _ROOT)
    if x is None or not r.private(erf.inputs[0]):
        return
    shifted = _reader(r, erf.outputs[0])
    if shifted is None or _operand(r, r.nodes[shifted], "add", _ONE) is None:
        return
    first = _reader(r, r.nodes[shifted].outputs[0])
    if first is None:
        return
    end = _end(r, first, r.nodes[shifted].outputs[0], x)
    if end is None or r.tensors[r.nodes[end].outputs[0]].shape != r.tensors[x].shape or r.tensors[x].quant is not None:
        return
    r.put(end, replace(r.nodes[end], op="gelu", inputs=(x,), attrs=GeluAttrs()))


def _end(r: Rewriter, at: int, shifted: str, x: str) -> int | None:
    """Return the position of the last product, given that of the first one that reads 1 + erf; None when they are no gelu."""
    node = r.nodes[at]
    if _operand(r, node, "mul", _HALF) == shifted:
        last = _reader(r, node.outputs[0])
        return last if last is not None and _is_product(r.nodes[last], node.outputs[0], x) else None
    if _is_product(node, shifted, x):
        last = _reader(r, node.outputs[0])
        return last if last is not None and _operand(r, r.nodes[last], "mul", _HALF) == node.outputs[0] else None
    other = next((name for name in node.inputs if name != shifted), "")
    half = r.producer(other)
    return at if _is_product(node, shifted, other) and half is not None and _operand(r, half, "mul", _HALF) == x else None


def _reader(r: Rewriter, tensor: str) -> int | None:
    """Return the position of the only reader of a tensor."""
    return r.readers(tensor)[0] if r.private(tensor) and r.tensors[tensor].quant is None else None


def _is_product(node: Node, a: str, b: str) -> bool:
    return node.op == "mul" and node.attrs.activation == "none" and sorted(node.inputs) == sorted((a, b))


def _operand(r: Rewriter, node: Node, op: str, number: float) -> str | None:
    """Return what is added to, or multiplied by, one number that is a constant; None for anything else."""
    if node.op != op or node.attrs.activation != "none":
        return None
    for name, other in (node.inputs, node.inputs[::-1]):
        data = r.constant(name)
        if data is not None and data.size == 1 and r.constant(other) is None:
            return other if np.isclose(float(data.reshape(())), number, rtol=_UNIT, atol=0.0) else None
    return None
