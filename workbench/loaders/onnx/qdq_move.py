"""Q and DQ through operators that only move values, so that the operators before and behind find theirs.

Source: ONNX Runtime core/optimizer/qdq_transformer/qdq_propagation.cc.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.loaders.onnx.file import OnnxNode
from workbench.loaders.onnx.net import Net, Reader
from workbench.loaders.onnx.qdq_pair import DQ, Q, is_dq, is_q, pair_of

MOVING = ("MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice")
"""Operators that Q and DQ move through."""


def move_forward(net: Net) -> None:
    """Put the Q and DQ of a DQ behind each operator that moves values after it."""
    for key in net.order():
        node = net.nodes[key]
        if not is_dq(node) or pair_of(net, node) is None or net.only_reader(node.outputs[0]) is None:
            continue
        edges = _after(net, net.only_reader(node.outputs[0]))
        while edges:
            inserted = [_insert(net, node, name, readers) for name, readers in edges]
            edges = [edge for made in inserted for reader in made for edge in _after(net, reader)]


def _after(net: Net, reader: Reader | None) -> list[tuple[str, list[Reader] | None]]:
    """Return what the node of a reader makes and who reads it, Q left out (None: it is an output); nothing if it does not move."""
    if reader is None or net.nodes[reader[0]].kind not in MOVING or reader[1] != 0:
        return []
    name = net.nodes[reader[0]].outputs[0]
    if not net.readers(name):
        return [(name, None)] if name in net.outputs else []
    if name in net.outputs:
        return []
    readers = [r for r in net.readers(name) if not is_q(net.nodes[r[0]])]
    return [(name, readers)] if readers else []


def _insert(net: Net, like: OnnxNode, name: str, readers: list[Reader] | None) -> list[Reader]:
    """Put Q and DQ of `like` between a tensor and some readers (None: the graph's output). Return these readers."""
    scale = tuple(like.inputs[1:])
    attrs = {k: v for k, v in like.attrs.items() if k == "axis"}
    middle = net.name(f"{name}:quantized")
    domain = like.domain
    if readers is None:
        before = net.name(f"{name}:real")
        maker = net.maker[name]
        made = net.nodes[maker]
        net.put(maker, replace(made, outputs=tuple(before if o == name else o for o in made.outputs)))
        net.add(OnnxNode(Q, domain, "", like.index, (before, *scale), (middle,), attrs))
        net.add(OnnxNode(DQ, domain, "", like.index, (middle, *scale), (name,), attrs))
        return []
    net.add(OnnxNode(Q, domain, "", like.index, (name, *scale), (middle,), attrs))
    for reader in readers:
        real = net.name(f"{name}:real")
        net.add(OnnxNode(DQ, domain, "", like.index, (middle, *scale), (real,), attrs))
        net.redirect(reader, real)
    return readers


def move_backward(net: Net) -> None:
    """Put the Q and DQ of a Q before each operator that moves values ahead of it."""
    for key in net.order():
        node = net.nodes[key]
        if not is_q(node) or pair_of(net, node) is None:
            continue
        name = node.inputs[0]
        while net.only_reader(name) is not None and name in net.maker and net.nodes[net.maker[name]].kind in MOVING:
            mover = net.maker[name]
            name = net.nodes[mover].inputs[0]
            source = net.source(name)
            if net.only_reader(name) is None or (source is not None and is_dq(source)) or name in net.constants:
                break
            _insert(net, node, name, [(mover, 0)])
