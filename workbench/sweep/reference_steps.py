"""The float reference as programs of the evaluator, with some tensors changed: what needs no target's rule, yet as many runs.

Every step computes an operator's reference in float32. A *change* of a layer replaces its weights, or rounds what it reads and writes
to the grid of a format (fake-quantize). Steps carry content keys, so that the evaluator runs what programs share once, on any number
of threads, with the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from workbench.execute import Program, Step, real_values
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.float16 import narrow, widen
from workbench.numerics.jit import SOURCE_HASH
from workbench.ops import OPS, Site
from workbench.ops.base import Run
from workbench.precision import is_float, parse_format
from workbench.quantize import Lowering
from workbench.streams import streams_of
from workbench.tensor import QuantParams, dequantize, quantize


@dataclass(frozen=True, eq=False)
class Grid:
    """The numbers that an activation takes: integers or float8 with `params`, else a float type."""

    dtype: str
    params: QuantParams | None

    def round(self, x: Array) -> Array:
        """Return float32 values on the grid."""
        if self.params is not None:
            return dequantize(quantize(x, self.params, self.dtype), self.params)
        return x if self.dtype in ("float32", "tfloat32") else widen(narrow(x, self.dtype))


@dataclass(frozen=True, eq=False)
class LayerChange:
    """What is different in one layer of the reference.

    weights: float32 in the shape of the layer's own, or None. reads, writes: grids of its first input and of its output, or None.
    strength: how far values go towards the grid, x + strength * (round(x) - x); 1 puts them there.
    """

    weights: Array | None = None
    reads: Grid | None = None
    writes: Grid | None = None
    strength: float = 1.0

    @cached_property
    def digest(self) -> bytes:
        """Content hash."""
        h = hashlib.sha256(repr(self.strength).encode())
        if self.weights is not None:
            h.update(np.ascontiguousarray(self.weights).tobytes())
        for grid in (self.reads, self.writes):
            h.update(b"-" if grid is None else f"{grid.dtype}".encode())
            if grid is not None and grid.params is not None:
                h.update(grid.params.scale.tobytes() + grid.params.zero_point.tobytes())
        return h.digest()

    def move(self, x: Array, grid: Grid | None) -> Array:
        """Return values moved towards a grid."""
        if grid is None:
            return x
        rounded = grid.round(x)
        return rounded if self.strength == 1.0 else x + np.float32(self.strength) * (rounded - x)


NO_CHANGE = LayerChange()


class ReferenceSteps:
    """Makes programs of the float reference of a graph; unchanged steps are made once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._plain: dict[str, Step] = {}
        self._tensors: dict[str, Tensor] = {}
        self._outputs = tuple(self._tensor(name) for name in graph.outputs)

    def program(self, changes: Mapping[str, LayerChange]) -> Program:
        """Return the program of the reference with some layers changed; without any it computes what `run_reference` does."""
        steps = tuple(self._step(node, changes.get(node.name, NO_CHANGE)) for node in self.graph.nodes)
        streams = streams_of(self.graph)
        if streams is not None:
            tensors = self.graph.tensors
            real = tuple(replace(s, initial=real_values(tensors[s.read], s.initial)) for s in streams.states)
            streams = replace(streams, states=real)
        return Program(steps, self._outputs, streams)

    def _step(self, node: Node, change: LayerChange) -> Step:
        if change is not NO_CHANGE:
            return self._make(node, change)
        if node.name not in self._plain:
            self._plain[node.name] = self._make(node, change)
        return self._plain[node.name]

    def _make(self, node: Node, change: LayerChange) -> Step:
        spec = OPS[node.op]
        inputs = [self._tensor(name) if name else None for name in node.inputs]
        if change.weights is not None:
            assert spec.weights is not None
            own = inputs[spec.weights.index]
            assert own is not None
            inputs[spec.weights.index] = replace(own, data=change.weights)
        outputs = tuple(self._tensor(name) for name in node.outputs)
        site = Site(node.name, node.op, node.attrs, tuple(inputs), outputs, Arithmetic())
        return Step(node, site, _key(site, change), self._run(node, change))

    def _run(self, node: Node, change: LayerChange) -> Run:
        reference, attrs = OPS[node.op].reference, node.attrs
        raw = {i: self.graph.tensors[name] for i, name in enumerate(node.inputs) if name in self.graph.inputs}
        changed = change.reads is not None or change.writes is not None

        def run(args: Sequence[Array]) -> list[Array]:
            values = [real_values(raw[i], x) if i in raw else x for i, x in enumerate(args)]
            if changed:
                values[0] = change.move(values[0], change.reads)
            found = reference(attrs, values)
            return [change.move(found[0], change.writes), *found[1:]] if changed else found

        return run

    def _tensor(self, name: str) -> Tensor:
        """Return a tensor as the reference has it: float32 without scales, but for plain integers and the graph's own inputs."""
        if name not in self._tensors:
            tensor = self.graph.tensors[name]
            if not tensor.is_plain and name not in self.graph.inputs:
                data = None if tensor.data is None else real_values(tensor, tensor.data)
                tensor = replace(tensor, dtype="float32", quant=None, data=data, coding="")
            self._tensors[name] = tensor
        return self._tensors[name]


def _key(site: Site, change: LayerChange) -> str:
    """Return the content hash of a step of the reference."""
    h = hashlib.sha256(repr(("reference", SOURCE_HASH, site.op, site.attrs)).encode() + change.digest)
    for tensor in (*site.inputs, *site.outputs):
        h.update(b"-" if tensor is None else tensor.digest.encode())
        if tensor is not None and not tensor.is_constant:
            h.update(tensor.name.encode())
    return h.hexdigest()


def layer_weights(graph: Graph, layer: str) -> Array:
    """Return the real weights of a layer, float32."""
    tensor = weight_tensor(graph, layer)
    assert tensor.data is not None
    return real_values(tensor, tensor.data)


def weight_tensor(graph: Graph, layer: str) -> Tensor:
    """Return the constant that holds a layer's weights."""
    node = graph.node(layer)
    spec = OPS[node.op].weights
    assert spec is not None
    return graph.tensors[node.inputs[spec.index]]


def weights_in(lowering: Lowering, layer: str, fmt: str) -> Array:
    """Return the real weights of a layer as a format gives them back, float32."""
    graph, spec = lowering.graph, OPS[lowering.graph.node(layer).op].weights
    assert spec is not None
    made = lowering.weights(weight_tensor(graph, layer), parse_format(fmt), spec.channel_axis)
    assert made.data is not None
    return real_values(made, made.data)


def grids_in(lowering: Lowering, layer: str, fmt: str) -> tuple[Grid | None, Grid | None]:
    """Return the grids of what a layer reads and writes in a format; None for indices, masks and sizes.

    A dynamic format rounds what it reads with a scale per sample, which no grid of this kind says: it has none.
    """
    graph, wanted = lowering.graph, parse_format(fmt)
    node = graph.node(layer)
    if wanted.is_dynamic:
        return None, None

    def grid(name: str, dtype: str) -> Grid | None:
        if graph.tensors[name].is_plain:
            return None
        return Grid(dtype, None if is_float(dtype) else lowering.params(name, dtype))

    return grid(node.inputs[0], wanted.activation), grid(node.outputs[0], wanted.output)
