"""Which operators between DequantizeLinear and QuantizeLinear ONNX Runtime computes in integers on x86, and as what.

An operator is taken when all of its inputs come from DQ nodes that nobody else reads, all of its results go to one Q each and are no
outputs of the graph, and the types are those of a kernel. A Relu or Clip behind it that its Q does not imply blocks it.
Operators that only move values are taken beyond what the runtime does: their bits are the same either way.
Source: qdq_selector_action_transformer.cc, qdq_selectors.cc, qdq_actions.cc, qdq_util.cc of ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.loaders.onnx.file import CONTRIB, OnnxNode
from workbench.loaders.onnx.net import Net
from workbench.loaders.onnx.qdq_pair import integers_of, is_dq, is_q, numbers, pair_of, zero_name

BYTES = (np.dtype(np.uint8), np.dtype(np.int8))
OWN = "workbench"
"""Domain of integer operators that only this loader makes: what ONNX Runtime computes value by value between DQ and Q."""
MOVING = (
    "Expand", "Flatten", "Gather", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze", "MaxPool", "GlobalMaxPool",
    "DepthToSpace", "SpaceToDepth", "Split", "Identity",
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """An operator with its neighbours. dqs: (input, DQ node) in the order of inputs. qs: the Q nodes that read its outputs.

    closed: there is one Q for every output, and nobody else reads them.
    """

    net: Net
    key: int
    node: OnnxNode
    dqs: tuple[tuple[int, OnnxNode], ...]
    qs: tuple[OnnxNode, ...]
    closed: bool

    def all_inputs(self) -> bool:
        """True when every input comes from a DQ."""
        return len(self.dqs) == sum(1 for name in self.node.inputs if name)

    def kinds(self) -> list[Any]:
        """Return the types of the integers of all inputs, then of all outputs."""
        return [integers_of(self.net, n) for n in (*(dq for _, dq in self.dqs), *self.qs)]

    def parts(self, node: OnnxNode) -> tuple[str, str, str]:
        """Return the names of the integers (or of what is quantized), scale and zero point of a Q or DQ."""
        named = len(node.inputs) > 2 and bool(node.inputs[2])
        zero = node.inputs[2] if named else zero_name(self.net, integers_of(self.net, node) or np.uint8)
        return node.inputs[0], node.inputs[1], zero

    def per_tensor(self) -> bool:
        """True when inputs and outputs have one scale each."""
        return all(pair_of(self.net, n) is not None for n in (*(dq for _, dq in self.dqs), *self.qs))


def select(net: Net, key: int) -> None:
    """Replace an operator, its DQ and its Q by an integer operator where there is one."""
    node = net.nodes[key]
    rule = RULES.get(node.kind)
    group = _group(net, key) if rule is not None else None
    made = rule(group) if rule is not None and group is not None else None
    if made is not None and group is not None:
        used = {name for name in made.inputs if name}
        net.drop(net.maker[q.outputs[0]] for q in group.qs)
        net.put(key, made)
        net.drop([net.maker[dq.outputs[0]] for _, dq in group.dqs if dq.outputs[0] not in used])
    elif node.attrs.get("rows"):  # Gemm of what was MatMul and Add
        middle = net.name(f"{node.outputs[0]}:product")
        net.put(key, replace(node, op="MatMul", inputs=node.inputs[:2], outputs=(middle,), attrs={}))
        net.add(replace(node, op="Add", inputs=(middle, node.inputs[2]), attrs={}))


def _group(net: Net, key: int) -> Group | None:
    """Return the neighbours of an operator; None where a Relu or Clip behind it stays, or a DQ has other readers."""
    node = net.nodes[key]
    outputs = [name for name in node.outputs if name]
    readers = [reader for name in outputs for reader in net.readers(name)]
    if len(readers) == 1:
        after = net.nodes[readers[0][0]]
        if after.kind in ("Relu", "Clip") and net.only_reader(after.outputs[0]) is not None:
            return None
    dqs = []
    for i, name in enumerate(node.inputs):
        maker = net.source(name) if name else None
        if maker is not None and is_dq(maker):
            if net.only_reader(name) is None:
                return None
            dqs.append((i, maker))
    qs = [net.nodes[k] for k, i in readers if i == 0 and is_q(net.nodes[k])]
    closed = len(qs) == len(readers) == len(outputs) and not any(name in net.outputs for name in outputs)
    return Group(net, key, node, tuple(dqs), tuple(qs), closed)


def implied(net: Net, node: OnnxNode, q: OnnxNode) -> bool:
    """True when the integers of a Q end where a Relu or Clip before it does."""
    pair = pair_of(net, q)
    if pair is None or pair[1].dtype.kind not in "iu":
        return False
    limits, scale, zero = np.iinfo(pair[1].dtype), float(pair[0]), int(pair[1])
    if node.kind == "Relu":
        return zero == limits.min
    low, high = (_bound(net, node, i, name) for i, name in ((1, "min"), (2, "max")))
    if low is None or high is None or not scale > 0:
        return False
    with np.errstate(over="ignore"):
        ends = (float(np.rint(np.float32(bound) / pair[0])) + zero for bound in (low, high))
    first, last = ends
    return first <= limits.min and last >= limits.max


def _bound(net: Net, node: OnnxNode, i: int, name: str) -> float | None:
    """Return a constant bound of Clip, infinite where there is none; None where it is computed."""
    infinite = -np.inf if i == 1 else np.inf
    if i < len(node.inputs) and node.inputs[i]:
        found = net.constants.get(node.inputs[i])
        return None if found is None or found.size != 1 else float(found.reshape(()))
    return float(node.attrs.get(name, infinite))


# -- rules ---------------------------------------------------------------------------------------------------------------------


def _made(g: Group, op: str, domain: str, inputs: Sequence[str], **attrs: Any) -> OnnxNode:
    outputs = tuple(q.outputs[0] for q in g.qs) or g.node.outputs
    kept = {k: v for k, v in g.node.attrs.items() if k != "rows"}
    return replace(g.node, op=op, domain=domain, inputs=tuple(inputs), outputs=outputs, attrs={**kept, **attrs})


def _move(g: Group) -> OnnxNode | None:
    """An operator that moves values works on the integers when scale and zero point stay."""
    if len(g.dqs) != 1 or g.dqs[0][0] != 0 or not g.closed or not g.per_tensor() or len({k.str for k in g.kinds() if k}) != 1:
        return None
    pairs = [pair_of(g.net, n) for n in (g.dqs[0][1], *g.qs)]
    first = pairs[0]
    if first is None or any(p is None or p[0] != first[0] or p[1] != first[1] for p in pairs) or not first[0] > 0:
        return None
    return replace(g.node, inputs=(g.dqs[0][1].inputs[0], *g.node.inputs[1:]), outputs=tuple(q.outputs[0] for q in g.qs))


def _unary(op: str, domain: str = CONTRIB) -> Callable[[Group], OnnxNode | None]:
    def rule(g: Group) -> OnnxNode | None:
        kinds = g.kinds()
        if (
            len(g.dqs) != 1
            or g.dqs[0][0] != 0
            or not g.closed
            or kinds[0] not in BYTES
            or kinds[0] != kinds[1]
            or not g.per_tensor()
            or not all(name in g.net.constants for name in g.node.inputs[1:] if name)
        ):
            return None
        return _made(g, op, domain, (*g.parts(g.dqs[0][1]), *g.parts(g.qs[0])[1:], *g.node.inputs[1:]))

    return rule


def _variadic(op: str, output_first: bool) -> Callable[[Group], OnnxNode | None]:
    """Operators on any number of equal inputs."""

    def rule(g: Group) -> OnnxNode | None:
        kinds = g.kinds()
        if not g.all_inputs() or not g.closed or not g.per_tensor() or kinds[0] not in BYTES or len(set(kinds)) != 1:
            return None
        inputs = [name for _, dq in g.dqs for name in g.parts(dq)]
        result = g.parts(g.qs[0])[1:]
        return _made(g, op, CONTRIB, (*result, *inputs) if output_first else (*inputs, *result))

    return rule


def _conv(g: Group) -> OnnxNode | None:
    kinds = g.kinds()
    if not g.all_inputs() or not g.closed or kinds[0] != np.uint8 or kinds[0] != kinds[-1] or kinds[1] not in BYTES:
        return None
    if (len(g.dqs) == 3 and kinds[2] != np.int32) or not _weights_fit(g, (0,)):
        return None
    bias = [g.dqs[2][1].inputs[0]] if len(g.dqs) == 3 else []
    return _made(g, "QLinearConv", "", (*g.parts(g.dqs[0][1]), *g.parts(g.dqs[1][1]), *g.parts(g.qs[0])[1:], *bias))


def _weights_fit(g: Group, axes: Sequence[int]) -> bool:
    """True when activations have one scale each, and the second input has one or is a constant with one along one of `axes`."""
    x, w = g.dqs[0][1], g.dqs[1][1]
    if any(pair_of(g.net, n) is None for n in (x, *g.qs)):
        return False
    if numbers(g.net, w) is not None:
        return True
    scale, data = g.net.constant(w, 1), g.net.constant(w, 0)
    if scale is None or data is None or scale.ndim != 1 or w.attrs.get("block_size", 0):
        return False
    axis = w.attrs.get("axis", 1)
    return isinstance(axis, int) and -data.ndim <= axis < data.ndim and axis % data.ndim in axes


def _matmul(g: Group) -> OnnxNode | None:
    kinds = g.kinds()
    if len(g.dqs) != 2 or kinds[0] != np.uint8 or kinds[1] not in BYTES:
        return None
    data = g.net.constant(g.dqs[1][1], 0)
    if not _weights_fit(g, () if data is None else (data.ndim - 1,)):
        return None
    a, b = g.parts(g.dqs[0][1]), g.parts(g.dqs[1][1])
    if not g.qs:
        return _made(g, "MatMulIntegerToFloat", CONTRIB, (a[0], b[0], a[1], b[1], a[2], b[2]))
    if not g.closed or kinds[2] != kinds[0]:
        return None
    return _made(g, "QLinearMatMul", "", (*a, *b, *g.parts(g.qs[0])[1:]))


def _gemm(g: Group) -> OnnxNode | None:
    kinds = g.kinds()
    if not g.all_inputs() or len(g.dqs) < 2 or (g.qs and not g.closed) or any(k not in BYTES for k in kinds[:2]):
        return None
    if (kinds[0] == np.int8 and kinds[1] != np.int8) or (g.qs and kinds[-1] != kinds[0]):
        return None
    if not _weights_fit(g, (0 if g.node.attrs.get("transB", 0) else 1,)):
        return None
    bias = ""
    if len(g.dqs) == 3:
        if g.node.attrs.get("beta", 1.0) != 1.0 or kinds[2] != np.int32:
            return None
        bias = g.dqs[2][1].inputs[0]
    output = g.parts(g.qs[0])[1:] if g.qs else ()
    made = _made(g, "QGemm", CONTRIB, (*g.parts(g.dqs[0][1]), *g.parts(g.dqs[1][1]), bias, *output))
    return replace(made, attrs={k: v for k, v in made.attrs.items() if k != "beta"})


Rule = Callable[[Group], OnnxNode | None]
RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVING, _move),
    "AveragePool": _unary("QLinearAveragePool"), "GlobalAveragePool": _unary("QLinearGlobalAveragePool"),
    "LeakyRelu": _unary("QLinearLeakyRelu"), "Sigmoid": _unary("QLinearSigmoid"), "Softmax": _unary("QLinearSoftmax"),
    "Relu": _unary("Relu", OWN), "Clip": _unary("Clip", OWN),
    "Add": _variadic("QLinearAdd", False), "Mul": _variadic("QLinearMul", False), "Concat": _variadic("QLinearConcat", True),
    "Conv": _conv, "MatMul": _matmul, "Gemm": _gemm,
}  # fmt: skip
"""Operator -> the integer operator of a group of it, or None."""
