"""QuantizeLinear and DequantizeLinear around float operators -> the integer operators that ONNX Runtime runs in their place.

ONNX Runtime decides operator by operator, and what it does not fuse it computes in floats: another rounding. So the decision is
followed in the order in which the runtime takes it (default optimisation, CPU provider, x86):

1. equal QuantizeLinear nodes of one tensor become one; Q-DQ-Q-DQ of two scales becomes Q-DQ of what both can hold; MatMul and Add of a
   bias become Gemm;
2. Q and DQ move through operators that only move values, so that the operators before and behind find theirs;
3. float weights and biases of a layer between DQ and Q are quantized (weights int8 over their range; biases by the product of
   the scales), and every reader of a DQ gets its own;
4. a Relu or Clip that the integers imply anyway is dropped; int8 becomes uint8 where a Q has one reader, a DQ;
5. DQ -> operator -> Q becomes an integer operator (`qdq_select`); DQ -> Q of the same scale is nothing.

Source: ONNX Runtime core/optimizer: double_qdq_pairs_remover.cc, common_subexpression_elimination.cc, matmul_add_fusion.cc,
qdq_transformer/{qdq_propagation,weight_bias_quantization,ensure_unique_dq_for_node_unit,qdq_s8_to_u8,qdq_final_cleanup}.cc.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.dynamic import fuse_dynamic
from workbench.loaders.onnx.file import Body, OnnxNode
from workbench.loaders.onnx.fold import constant_value
from workbench.loaders.onnx.fold_budget import CannotFold
from workbench.loaders.onnx.net import Net
from workbench.loaders.onnx.qdq_constants import quantize_constants
from workbench.loaders.onnx.qdq_move import move_backward, move_forward
from workbench.loaders.onnx.qdq_pair import is_dq, is_q, move_dequantize, pair_of, same_pair, zero_name
from workbench.loaders.onnx.qdq_select import OWN, implied, select

ROUNDS = 2
"""How often the first two steps are done: each may give work to the other."""


def fuse_quantized(body: Body, where: str) -> Body:
    """Return a graph with integer operators in place of what ONNX Runtime computes in integers."""
    body = fuse_dynamic(body, where, OWN)
    if not any(is_q(n) or is_dq(n) for n in body.nodes) or any(_lacks(n) for n in body.nodes):
        return body
    net = Net(body, where)
    _plain_constants(net)
    for _ in range(ROUNDS):
        _merge_pairs(net)
        _merge_equal(net)
        _matmul_add(net)
        move_forward(net)
        move_backward(net)
    quantize_constants(net)
    _own_dequantize(net)
    _drop_implied(net)
    _unsigned(net)
    for key in net.order():
        if key in net.nodes:
            select(net, key)
    _drop_no_ops(net)
    return net.body()


def _lacks(node: OnnxNode) -> bool:
    """True for a node without what every valid one has: its translator says so."""
    least = 2 if is_q(node) or is_dq(node) else 0 if node.op == "Constant" else 1
    return not node.outputs or len(node.inputs) < least


def _plain_constants(net: Net) -> None:
    """Make constants of Constant nodes, and let Identity's readers read its input."""
    for key in net.order():
        node = net.nodes[key]
        if node.op == "Constant" and node.outputs[0] not in net.outputs:
            try:
                net.constants[node.outputs[0]] = constant_value(node.attrs)
            except CannotFold:
                continue
            net.drop([key])
        elif node.kind == "Identity" and node.outputs[0] not in net.outputs:
            net.bypass(node.outputs[0], node.inputs[0])
            net.drop([key])


# -- 1 -------------------------------------------------------------------------------------------------------------------------


def _merge_equal(net: Net) -> None:
    """Let readers of a Q or DQ read the first one that does the same."""
    first: dict[tuple[object, ...], int] = {}
    for key in net.order():
        node = net.nodes[key]
        if not (is_q(node) or is_dq(node)):
            continue
        parts = [net.constants.get(name) for name in node.inputs[1:]]
        if any(part is None for part, name in zip(parts, node.inputs[1:], strict=True) if name):
            continue
        found = tuple((p.dtype.name, p.shape, p.tobytes()) if p is not None else None for p in parts)
        same = first.setdefault((node.kind, node.inputs[0], found, repr(sorted(node.attrs.items()))), key)
        if same != key and node.outputs[0] not in net.outputs:
            net.bypass(node.outputs[0], net.nodes[same].outputs[0])
            net.drop([key])


def _merge_pairs(net: Net) -> None:
    """Q-DQ-Q-DQ, each read by the next alone -> Q-DQ."""
    for key in net.order():
        chain = _chain(net, key)
        if chain is None:
            continue
        parent, own, child, last = (net.nodes[k] for k in chain)
        a, b = pair_of(net, own), pair_of(net, child)
        if a is None or b is None or not same_pair(net, parent, own) or not same_pair(net, child, last):
            continue
        if a[1].dtype != b[1].dtype or a[1].dtype not in (np.uint8, np.int8):
            continue
        scale, zero = a
        if a[1] != b[1] or abs(float(a[0]) - float(b[0])) >= 1e-20:
            scale, zero = _common(a, b)
        net.redirect((chain[3], 0), own.inputs[0])
        net.drop(chain[1:3])
        for k in (chain[0], chain[3]):
            node = net.nodes[k]
            names = net.new_constant(f"{node.outputs[0]}:scale", scale), net.new_constant(f"{node.outputs[0]}:zero", zero)
            net.put(k, replace(node, inputs=(node.inputs[0], *names)))


def _chain(net: Net, key: int) -> tuple[int, int, int, int] | None:
    """Return the keys of Q, DQ (this node), Q, DQ when each of the first three has one reader and is no output."""
    node = net.nodes.get(key)
    if node is None or not is_dq(node) or node.inputs[0] not in net.maker:
        return None
    parent = net.maker[node.inputs[0]]
    if not is_q(net.nodes[parent]) or net.only_reader(node.inputs[0]) is None:
        return None
    after = net.only_reader(node.outputs[0])
    if after is None or not is_q(net.nodes[after[0]]) or after[1] != 0:
        return None
    end = net.only_reader(net.nodes[after[0]].outputs[0])
    return (parent, key, after[0], end[0]) if end is not None and is_dq(net.nodes[end[0]]) and end[1] == 0 else None


def _common(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return scale and zero point of the range that both hold, in float32."""
    limits = np.iinfo(a[1].dtype)
    low = max(np.float32(limits.min - int(z)) * s for s, z in (a, b))
    high = min(np.float32(limits.max - int(z)) * s for s, z in (a, b))
    scale = np.float32(np.float32(high - low) / np.float32(limits.max - limits.min))
    zero = np.float32(limits.min) - low / scale
    return np.asarray(scale), np.asarray(np.trunc(zero + np.copysign(0.5, zero)), a[1].dtype)


def _matmul_add(net: Net) -> None:
    """MatMul of a DQ by a DQ of a constant matrix, then Add of a bias [N] -> Gemm, for matrices."""
    for key in net.order():
        node = net.nodes.get(key)
        after = net.only_reader(node.outputs[0]) if node is not None and node.kind == "MatMul" else None
        if node is None or after is None or net.nodes[after[0]].kind != "Add":
            continue
        add = net.nodes[after[0]]
        bias = net.constants.get(add.inputs[1 - after[1]])
        maker = net.source(node.inputs[1])
        weights = net.constant(maker, 0) if maker is not None and is_dq(maker) else net.constants.get(node.inputs[1])
        if bias is None or weights is None or weights.ndim != 2 or bias.shape != weights.shape[1:] or bias.dtype.kind != "f":
            continue
        attrs = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0, "rows": 1}
        inputs = (*node.inputs, add.inputs[1 - after[1]])
        net.drop([key])
        net.put(after[0], replace(node, op="Gemm", inputs=inputs, outputs=add.outputs, attrs=attrs))


# -- 3 -------------------------------------------------------------------------------------------------------------------------


def _own_dequantize(net: Net) -> None:
    """Give every reader of a DQ its own."""
    for key in net.order():
        node = net.nodes[key]
        if is_dq(node):
            first = 0 if node.outputs[0] in net.outputs else 1
            for reader in net.readers(node.outputs[0])[first:]:
                move_dequantize(net, node, reader)


# -- 4 -------------------------------------------------------------------------------------------------------------------------


def _drop_implied(net: Net) -> None:
    """Drop a Relu or Clip before a Q whose integers end where it does."""
    for key in net.order():
        node = net.nodes[key]
        after = net.only_reader(node.outputs[0]) if node.kind in ("Relu", "Clip") else None
        if after is not None and is_q(net.nodes[after[0]]) and implied(net, node, net.nodes[after[0]]):
            net.redirect(after, node.inputs[0])
            net.drop([key])


def _unsigned(net: Net) -> None:
    """Let a Q of int8 that is read by one DQ alone write uint8."""
    for key in net.order():
        node = net.nodes[key]
        after = net.only_reader(node.outputs[0]) if is_q(node) else None
        if after is None or not is_dq(net.nodes[after[0]]):
            continue
        zeros = [net.constant(n, 2) for n in (node, net.nodes[after[0]])]
        if any(z is None or z.size != 1 or z.dtype != np.int8 for z in zeros):
            continue
        (own, other) = (int(z.reshape(())) + 128 for z in zeros if z is not None)
        if own == other:
            name = zero_name(net, np.uint8, own)
            net.redirect((key, 2), name)
            net.redirect((after[0], 2), name)


# -- 5 -------------------------------------------------------------------------------------------------------------------------


def _drop_no_ops(net: Net) -> None:
    """DQ -> Q of one scale and zero point, read by nobody else -> nothing."""
    for key in net.order():
        node = net.nodes.get(key)
        after = net.only_reader(node.outputs[0]) if node is not None and is_dq(node) else None
        if node is None or after is None or not is_q(net.nodes[after[0]]) or not same_pair(net, node, net.nodes[after[0]]):
            continue
        name = net.nodes[after[0]].outputs[0]
        if name not in net.outputs:
            net.bypass(name, node.inputs[0])
            net.drop([key, after[0]])
