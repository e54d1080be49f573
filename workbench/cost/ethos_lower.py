"""From the nodes of a graph to the operations that the NPU runs for them, as the compiler takes them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np

from workbench.cost.ethos_engine import Engine, Size
from workbench.cost.ethos_joined import chained, looked_up, placed
from workbench.cost.ethos_ops import ACTIVATION, POINT, Kernel, Kind, Map, NpuOp, View
from workbench.cost.ethos_softmax import one, softmax
from workbench.graph.ir import Graph, Node, Tensor
from workbench.graph.node_format import weight_tensor
from workbench.precision import TYPE_BITS

FREE = ("reshape",)
"""Operators that only rename a map."""
TABLES = (
    "logistic", "tanh", "relu", "leaky_relu", "elu", "exp", "gelu", "log", "rsqrt", "hard_swish", "quantize", "abs", "identity",
)  # fmt: skip
"""Operators of one input that are a pass of the array over it, with a table of 256 values where they are curved."""
TABLE_BYTES = {8: 256, 16: 2048, 32: 1024}
"""Bits of the output -> bytes of the table that is fetched before an operation."""


SUM_ROWS, SUM_WINDOW = 64, 4096
"""Largest height and area of the window by which a mean is summed at once."""


@lru_cache(maxsize=256)
def _ones(shape: tuple[int, ...]) -> Tensor:
    return Tensor("ones", shape, "int8", data=np.ones(shape, np.int8))


def plane(shape: tuple[int, ...]) -> Size:
    """Return the shape of one sample as height, width and depth."""
    sides = shape[1:] or (1,)
    if len(sides) == 1:
        return Size(1, 1, sides[0])
    if len(sides) == 2:
        return Size(1, sides[0], sides[1])
    return Size(prod(sides[:-2]), sides[-2], sides[-1])


@dataclass
class Lowering:
    """What has been made of the graph so far. owner: tensor -> the map that holds it (a reshape has that of its input)."""

    graph: Graph
    engine: Engine
    host: frozenset[str]
    ops: list[NpuOp]
    maps: dict[str, Map]
    owner: dict[str, str]
    unpadded: dict[str, str]

    def view(self, name: str) -> View:
        """Return a tensor as an operation sees it."""
        tensor = self.graph.tensors[self.unpadded.get(name, name)]
        return View(self.maps[self.owner[name]], plane(tensor.shape))

    def temporary(self, name: str, size: Size, bits: int) -> View:
        """Return a new map between operations of one node."""
        return View(Map(name, size, bits), size)


def lower(graph: Graph, engine: Engine, host: Iterable[str]) -> list[NpuOp]:
    """Return the operations of a graph in order. host: names of the nodes that the host processor runs."""
    work = Lowering(graph, engine, frozenset(host), [], {}, {}, {})
    _maps(work)
    for node in graph.nodes:
        if node.name not in work.host and node.op not in FREE and node.outputs[0] not in work.unpadded:
            work.ops += _LOWER.get(node.op, _other)(work, node)
    return _formats(chained(looked_up(placed(work.ops)), engine), work)


def _maps(work: Lowering) -> None:
    graph = work.graph
    ends = {*graph.inputs, *graph.outputs}
    on_host = {n for node in graph.nodes if node.name in work.host for n in (*node.inputs, *node.outputs)}
    for tensor in graph.tensors.values():
        work.owner[tensor.name] = tensor.name
    for node in graph.nodes:
        if node.op == "pad" and _folded(node, work):
            work.unpadded[node.outputs[0]] = node.inputs[0]
        if node.name not in work.host and (node.op in FREE or node.outputs[0] in work.unpadded):
            work.owner[node.outputs[0]] = work.owner[node.inputs[0]]
    outside = {work.owner[n] for n in (*ends, *on_host) if n}
    for name in dict.fromkeys(work.owner.values()):
        tensor = graph.tensors[name]
        bits = TYPE_BITS[tensor.dtype]
        external = name in outside and not tensor.is_constant
        work.maps[name] = Map(
            name, plane(tensor.shape), max(bits, 8), external, external or tensor.is_constant, tensor.is_constant
        )


def _folded(node: Node, work: Lowering) -> bool:
    """Return whether only convolutions on the NPU read a padded map: they pad it themselves."""
    graph, out = work.graph, node.outputs[0]
    same_depth = graph.tensors[node.inputs[0]].shape[-1] == graph.tensors[out].shape[-1]
    readers = graph.consumers[out]
    folds = all(reader.op in ("conv2d", "depthwise_conv2d") and reader.name not in work.host for reader in readers)
    return node.name not in work.host and same_depth and folds and bool(readers) and out not in graph.outputs


def _formats(ops: list[NpuOp], work: Lowering) -> list[NpuOp]:
    """Return the operations with their maps marked linear where someone sees another width or depth than was written."""
    linear: set[str] = set()
    for op in ops:
        for view in (*op.reads(), op.out):
            if view.size[1:] != view.map.size[1:] and view.size.volume == view.map.size.volume:
                linear.add(view.map.name)
        if op.kind == "reduce_sum" and op.bits == 32:
            linear.add(op.inputs[0].map.name)

    def mark(view: View) -> View:
        return replace(view, map=replace(view.map, linear=True)) if view.map.name in linear else view

    return [
        replace(
            op,
            inputs=tuple(map(mark, op.inputs)),
            out=mark(op.out),
            links=tuple(replace(link, other=None if link.other is None else mark(link.other)) for link in op.links),
        )
        for op in ops
    ]


def _activated(op: NpuOp, node: Node) -> list[NpuOp]:
    """Return an operation with the activation of its node."""
    found = getattr(node.attrs, "activation", "none")
    return [replace(op, relu=found.startswith("relu"), table=found in ("tanh", "sigmoid"))]


def _convolution(work: Lowering, node: Node) -> list[NpuOp]:
    weights = weight_tensor(work.graph, node)
    shape = work.graph.tensors[node.inputs[1]].shape
    a, out, ifm = node.attrs, work.view(node.outputs[0]), work.view(node.inputs[0])
    depthwise = node.op == "depthwise_conv2d" and not (ifm.size.c == 1 and out.size.c > 1)
    kernel = Kernel(shape[1], shape[2], *_strides(a.stride, out.size), *a.dilation)
    groups = int(getattr(a, "groups", 1))
    channels = shape[3] if node.op == "depthwise_conv2d" else shape[0]
    if groups > 1:
        ifm, out = (View(v.map, Size(v.size.h, v.size.w, max(v.size.c // groups, 1))) for v in (ifm, out))
    kind: Kind = "depthwise" if depthwise else "conv"
    return _activated(NpuOp(node.name, kind, node.op, (ifm,), out, kernel, weights, channels, groups), node)


def _strides(stride: tuple[int, int], out: Size) -> tuple[int, int]:
    """Return the strides; along a side with one output there is none."""
    return stride[0] if out.h > 1 else 1, stride[1] if out.w > 1 else 1


def _transposed(work: Lowering, node: Node) -> list[NpuOp]:
    weights = weight_tensor(work.graph, node)
    shape = work.graph.tensors[node.inputs[1]].shape
    kernel = Kernel(shape[1], shape[2], upscale=max(node.attrs.stride))
    out = work.view(node.outputs[0])
    ifm = work.view(node.inputs[0])
    return _activated(NpuOp(node.name, "conv", node.op, (ifm,), out, kernel, weights, shape[0]), node)


def _dense(work: Lowering, node: Node) -> list[NpuOp]:
    weights = weight_tensor(work.graph, node)
    if weights is None:
        return _product(work, node)
    ifm, out = work.view(node.inputs[0]), work.view(node.outputs[0])
    outputs, inputs = weights.shape
    rows = ifm.size.volume // inputs
    h, w = _square(rows)
    ifm, out = View(ifm.map, Size(h, w, inputs)), View(out.map, Size(h, w, outputs))
    return _activated(NpuOp(node.name, "vector", node.op, (ifm,), out, weights=weights, channels=outputs), node)


def _square(rows: int) -> tuple[int, int]:
    """Return the most even height and width of so many rows."""
    h = max(d for d in range(1, int(rows**0.5) + 1) if rows % d == 0)
    return rows // h, h


def _product(work: Lowering, node: Node) -> list[NpuOp]:
    """A product of two activations: on a U85 a matrix product, otherwise one multiplication and sum per column."""
    a, b, out = work.view(node.inputs[0]), work.view(node.inputs[1]), work.view(node.outputs[0])
    if work.engine.chains:
        return [NpuOp(node.name, "vector", node.op, (a,), out)]
    wide = work.temporary(f"{node.name}/product", a.size, 32)
    column = View(out.map, Size(a.size.h, a.size.w, 1))
    pair = [
        NpuOp(node.name, "elementwise", "mul", (a, View(b.map, a.size)), wide),
        NpuOp(node.name, "reduce_sum", "sum", (wide,), column),
    ]
    return [replace(op, repeats=max(out.size.c, 1)) for op in pair]


def _pool(work: Lowering, node: Node) -> list[NpuOp]:
    a = node.attrs
    ifm, out = work.view(node.inputs[0]), work.view(node.outputs[0])
    kernel = Kernel(a.filter[0], a.filter[1], *_strides(a.stride, out.size))
    kind = "maxpool" if node.op == "max_pool2d" else "avgpool"
    return _activated(NpuOp(node.name, "pool", kind, (ifm,), out, kernel), node)


def _reduced(work: Lowering, node: Node) -> list[NpuOp]:
    """A mean or sum over height and width: a depthwise convolution with weights of one, as the compiler makes it."""
    ifm, out = work.view(node.inputs[0]), work.view(node.outputs[0])
    if out.size.c != ifm.size.c:
        return [NpuOp(node.name, "reduce_sum", "sum", (ifm,), View(out.map, Size(ifm.size.h, ifm.size.w, 1)))]
    h, w, c = max(ifm.size.h // out.size.h, 1), max(ifm.size.w // out.size.w, 1), ifm.size.c
    if h > SUM_ROWS and h * w <= SUM_WINDOW and out.size.area == 1:
        ifm, h, w = View(ifm.map, Size(1, h * w, c)), 1, h * w
    rows = max(min(SUM_WINDOW // w, h, SUM_ROWS), 1)
    ops: list[NpuOp] = []
    total = work.temporary(f"{node.name}/sum", out.size, 32)
    for i, first in enumerate(range(0, h, rows)):
        high = min(rows, h - first)
        part = total if i == 0 else work.temporary(f"{node.name}/sum{i}", out.size, 32)
        seen = View(ifm.map, Size(high if out.size.h == 1 else ifm.size.h, ifm.size.w, c))
        ops.append(NpuOp(node.name, "depthwise", "mean", (seen,), part, Kernel(high, w), _ones((1, high, w, c)), channels=c))
        if i:
            both = work.temporary(f"{node.name}/total{i}", out.size, 32)
            ops.append(NpuOp(node.name, "elementwise", "add", (total, part), both))
            total = both
    return [*ops, NpuOp(node.name, "elementwise", "mul", (total, one(node.name)), out)]


def _binary(work: Lowering, node: Node) -> list[NpuOp]:
    views = tuple(work.view(name) for name in node.inputs if name)
    return _activated(NpuOp(node.name, "elementwise", node.op, views[:2], work.view(node.outputs[0])), node)


def _table(work: Lowering, node: Node) -> list[NpuOp]:
    out = work.view(node.outputs[0])
    made = out.map.bits == 16 and node.op in ("logistic", "tanh") and not work.engine.chains  # U55 and U65 have these curves
    curved = not made and node.op not in ("relu", "quantize", "identity")
    ifm = work.view(node.inputs[0])
    if node.op == "abs" or (node.op == "leaky_relu" and out.map.bits == 16):
        return [NpuOp(node.name, "elementwise", node.op, (ifm,), out)]
    return [NpuOp(node.name, "pool", ACTIVATION, (ifm,), out, POINT, table=curved, relu=node.op == "relu")]


def _moved(work: Lowering, node: Node) -> list[NpuOp]:
    """Concatenation, padding, slices, transposition: a pass over every input."""
    out = work.view(node.outputs[0])
    inputs = [work.view(name) for name in node.inputs if name and not work.graph.tensors[name].is_constant]
    if node.op == "concat":
        return [NpuOp(node.name, "pool", "concat", (view,), View(out.map, view.size)) for view in inputs]
    view = inputs[0]
    part = view.size if view.size.volume < out.size.volume else out.size
    return [NpuOp(node.name, "pool", "avgpool", (View(view.map, part),), View(out.map, part))]


def _softmax(work: Lowering, node: Node) -> list[NpuOp]:
    return softmax(node.name, work.view(node.inputs[0]), work.view(node.outputs[0]), work.engine)


def _other(work: Lowering, node: Node) -> list[NpuOp]:
    """Anything else: a product where there are weights, otherwise one pass."""
    tensors: list[Tensor] = [work.graph.tensors[n] for n in node.inputs if n]
    if weight_tensor(work.graph, node) is None:
        return _moved(work, node) if any(not t.is_constant for t in tensors) else []
    ifm, out = work.view(node.inputs[0]), work.view(node.outputs[0])
    weights = weight_tensor(work.graph, node)
    assert weights is not None
    rows = max(ifm.size.volume // weights.shape[-1], 1)
    return [
        NpuOp(
            node.name, "vector", node.op, (View(ifm.map, Size(rows, 1, weights.shape[-1])),),
            View(out.map, Size(rows, 1, weights.shape[0])), weights=weights, channels=weights.shape[0],
        )
    ]  # fmt: skip


_LOWER: dict[str, Callable[[Lowering, Node], list[NpuOp]]] = {
    "conv2d": _convolution, "depthwise_conv2d": _convolution, "transpose_conv2d": _transposed, "fully_connected": _dense,
    "batch_matmul": _product, "avg_pool2d": _pool, "max_pool2d": _pool, "mean": _reduced, "sum": _reduced, "softmax": _softmax,
    "add": _binary, "sub": _binary, "mul": _binary, "concat": _moved, "pad": _moved, "strided_slice": _moved,
    "transpose": _moved, **dict.fromkeys(TABLES, _table),
}  # fmt: skip
