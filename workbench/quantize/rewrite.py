"""Rewriting node by node, as an automaton: (state, format) -> a piece of the quantized graph and the next state.

A state is all that later nodes can see of earlier ones: type and scale of every activation that is still read, and the
conversions made of it. Weights are no part of it: plans that differ in weights alone pass through the same states, and the pieces
made for a few plans serve all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from workbench.execute import last_uses
from workbench.graph.ir import Node, Tensor
from workbench.graph.ir import State as Kept
from workbench.ops import OPS
from workbench.ops.base import NoAttrs, OpSpec
from workbench.ops.cast import CastAttrs
from workbench.placement import computed_in, only_in_float
from workbench.precision import FLOATS, TYPE_BITS, Format, PrecisionPlan, is_float, parse_format
from workbench.quantize.ranges import params_from_range, real_constant
from workbench.tensor import QuantParams

if TYPE_CHECKING:
    from workbench.quantize.lower import Lowering


@dataclass(frozen=True, eq=False)
class Live:
    """An activation that later nodes read. computed: type that nodes reading it go on in, '' for a graph input."""

    computed: str
    tensor: Tensor
    conversions: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Piece:
    """What one node becomes: conversions and the node itself, every tensor they touch, and the state after.

    outputs: the node's; those of the graph in the last piece of all, which holds their conversions and no node. states: of the
    graph, in the last piece too.
    """

    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    outputs: tuple[Tensor, ...]
    after: State
    states: tuple[Kept, ...] = ()


@dataclass(frozen=True, eq=False)
class State:
    """What the nodes from `node` on can see; `pieces`: what that node becomes, by format, as far as known."""

    node: int
    live: Mapping[str, Live]
    pieces: dict[str, Piece] = field(default_factory=dict)


class Rewriter:
    """The automaton of one graph on one target."""

    def __init__(self, lowering: Lowering) -> None:
        self.low, self.graph = lowering, lowering.graph
        kept = {state.read: len(self.graph.nodes) for state in self.graph.states}  # their type is that of what is written
        self._ends = last_uses(self.graph) | kept
        self._states: dict[tuple[object, ...], State] = {}
        self.deciders = [*(self._decider(node) for node in self.graph.nodes), None]
        self.keepers = [self._keeper(state) for state in self.graph.states]
        self._starts: dict[tuple[str, ...], State] = {}

    def pieces(self, plan: PrecisionPlan) -> list[Piece]:
        """Return the pieces of a plan, one per node and one for the outputs."""
        formats, default = dict(plan.layers), plan.default
        state = self._start(tuple([formats.get(layer, default) for layer in self.keepers]))
        found = []
        for decider in self.deciders:
            fmt = "" if decider is None else formats.get(decider, default)
            piece = state.pieces.get(fmt)
            if piece is None:
                piece = state.pieces[fmt] = self._rewrite(state, fmt)
            found.append(piece)
            state = piece.after
        return found

    def _start(self, formats: tuple[str, ...]) -> State:
        """Return the state before the first node. formats: of the layers that decide about what the network keeps."""
        if formats not in self._starts:
            live = {name: Live("", self.graph.tensors[name]) for name in self.graph.inputs}
            for kept, fmt in zip(self.graph.states, formats, strict=True):
                tensor = self.low.kept(kept, parse_format(fmt))
                live[kept.read] = Live("" if tensor.is_plain else parse_format(fmt).output, tensor)
            self._starts[formats] = self._state(0, live)
        return self._starts[formats]

    def _keeper(self, kept: Kept) -> str:
        """Return the layer whose format gives a value that the network keeps its type: the nearest before it, else after it."""
        seen, queue = set[str](), [kept.write]
        for name in queue:
            node = self.graph.producer.get(name)
            if node is None or node.name in seen:
                continue
            if node.name in self.low.layer_set:
                return node.name
            seen.add(node.name)
            queue.extend(n for n in node.inputs if n and not self.graph.tensors[n].is_constant)
        return next((d for d in map(self._decider, self.graph.consumers[kept.read]) if d), "")

    def _decider(self, node: Node) -> str | None:
        """Return the layer whose format gives a node its type, None when its inputs do.

        A layer decides for itself. What reads graph inputs alone follows the nearest layer that reads it ('': there is none, so
        the plan's default counts).
        """
        made = [self.graph.tensors[name] for name in node.inputs if name in self.graph.producer]
        if node.name not in self.low.layer_set and not all(tensor.is_plain for tensor in made):
            return None
        queue = [node]
        for current in queue:
            if current.name in self.low.layer_set:
                return current.name
            queue.extend(c for out in current.outputs for c in self.graph.consumers[out])
        return ""

    def _state(self, node: int, live: Mapping[str, Live]) -> State:
        """Return the one state with this content: what is read by `node` or later."""
        kept = {name: seen for name, seen in live.items() if self._ends.get(name, -1) >= node}
        key = (node, *((name, seen.computed, *map(_content, (seen.tensor, *seen.conversions))) for name, seen in kept.items()))
        return self._states.setdefault(key, State(node, kept))

    def _rewrite(self, state: State, fmt: str) -> Piece:
        made = _Making(self.low, state)
        states: tuple[Kept, ...] = ()
        if state.node == len(self.graph.nodes):
            outputs = tuple(made.graph_output(name) for name in self.graph.outputs)
            states = tuple(made.kept(kept) for kept in self.graph.states)
        else:
            outputs = made.node(self.graph.nodes[state.node], parse_format(fmt) if fmt else None)
        return Piece(tuple(made.nodes), made.tensors, outputs, self._state(state.node + 1, made.live), states)


class _Making:
    """One piece while it is made."""

    def __init__(self, lowering: Lowering, state: State) -> None:
        self.low, self.graph = lowering, lowering.graph
        self.live = dict(state.live)
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []

    def node(self, node: Node, fmt: Format | None) -> tuple[Tensor, ...]:
        """Rewrite a node. fmt: None when its inputs give it its type."""
        spec, layer = OPS[node.op], node.name in self.low.layer_set
        made = (self.live[name].computed for name in node.inputs if name in self.live)
        dtype = max((t for t in made if t), key=_rank) if fmt is None else fmt.activation if layer else fmt.output
        seen = fmt.output if fmt is not None else dtype
        output = seen
        if not layer:  # what reads it goes on in the type that its neighbours have
            dtype = output = self._computed_in(node, dtype)
        rule = self.low.output_quant(node.op)
        inputs: list[Tensor | None] = [None] * len(node.inputs)
        plain = self.graph.tensors[node.outputs[0]].is_plain
        shared = self.low.params(node.outputs[0], dtype) if rule == "shared" and not plain else None
        for i, name in enumerate(node.inputs):
            tensor = self.graph.tensors.get(name)
            if tensor is None or (spec.weights is not None and layer and i in (spec.weights.index, spec.weights.bias)):
                continue
            constant = tensor.is_constant
            inputs[i] = self._constant(tensor, node, dtype, shared) if constant else self._activation(name, dtype, shared)
        if fmt is not None and layer:
            self._weights(node, spec, fmt, inputs)
        outputs = tuple(self._output(rule, name, output, inputs[0], shared) for name in node.outputs)
        for tensor in outputs:
            self.live[tensor.name] = Live("" if tensor.is_plain else seen, self._see(tensor))
        names = tuple("" if t is None else self._see(t).name for t in inputs)
        self.nodes.append(replace(node, inputs=names, outputs=tuple(t.name for t in outputs)))
        return outputs

    def _computed_in(self, node: Node, dtype: str) -> str:
        """Return the type in which a node without weights computes: `placement.computed_in`, and the constraints of its operator."""
        made, entry = computed_in(node.op, self.low.profile, dtype), self.low.profile.operators.get(node.op)
        if is_float(made) or entry is None or not entry.constraints:
            return made
        tensors = {name: self.graph.tensors[name] for name in (*node.inputs, *node.outputs) if name}
        for name, tensor in tensors.items():
            if not tensor.is_plain and not tensor.is_constant:
                tensors[name] = replace(tensor, dtype=made, quant=self.low.params(name, made))
        return "float32" if only_in_float(node, tensors, self.low.profile) else made

    def graph_output(self, name: str) -> Tensor:
        """Return an output of the graph in the type that the file gives it."""
        want, have = self.graph.tensors[name], self.live[name].tensor
        return self._see(have) if have.dtype == want.dtype else self._convert(name, want.dtype, want.quant, want.dtype)

    def kept(self, kept: Kept) -> Kept:
        """Return what the network keeps as it is stored here: written in the type and scale in which it is read."""
        read, have = self.live[kept.read].tensor, self.live[kept.write].tensor
        if have.dtype != read.dtype or have.quant != read.quant:
            have = self._convert(kept.write, read.dtype, read.quant, f"{read.dtype}@{kept.read}")
        self._see(read)
        return Kept(kept.name, kept.read, self._see(have).name, self.low.initial(kept, read))

    def _see(self, tensor: Tensor) -> Tensor:
        self.tensors[tensor.name] = tensor
        return tensor

    def _activation(self, name: str, dtype: str, shared: QuantParams | None) -> Tensor:
        have = self.live[name].tensor
        if have.is_plain:
            return have
        want = shared if shared is not None else (have.quant if have.dtype == dtype else self.low.params(name, dtype))
        if have.dtype == dtype and have.quant == want:
            return have
        rescaled = have.dtype == dtype and want is not None
        scale = f"@{float(want.scale[0]):.6g},{int(want.zero_point[0])}" if rescaled and want is not None else ""
        return self._convert(name, dtype, want, dtype + scale)

    def _convert(self, name: str, dtype: str, params: QuantParams | None, suffix: str) -> Tensor:
        """Return activation `name` as `dtype`: an earlier conversion of this name, or a new one."""
        seen, new = self.live[name], f"{name}:{suffix}"
        have = seen.tensor
        for known in seen.conversions:
            if known.name == new:
                return self._see(known)
        made = Tensor(new, have.shape, dtype, params)
        self.live[name] = replace(seen, conversions=(*seen.conversions, made))
        op = "cast" if is_float(have.dtype) and is_float(dtype) else "dequantize" if is_float(dtype) else "quantize"
        source = f"conversion of '{name}' to {dtype}"
        attrs = CastAttrs(dtype) if op == "cast" else NoAttrs()
        self.nodes.append(Node(new, op, (self._see(have).name,), (new,), attrs, source))
        return self._see(made)

    def _constant(self, tensor: Tensor, node: Node, dtype: str, shared: QuantParams | None) -> Tensor:
        if tensor.is_plain:
            return self._named(tensor, node)
        if tensor.quant is not None and tensor.dtype == dtype:
            return self._named(tensor, node)
        tensor = self.low.mask(self.low.masks.constant(tensor, dtype), node, dtype)
        params = None
        if not is_float(dtype):
            real = real_constant(tensor)
            params = shared or params_from_range(float(real.min()), float(real.max()), dtype, self.low.scheme)
        return self._named(self.low.constant(tensor, dtype, params), node)

    def _named(self, tensor: Tensor, node: Node) -> Tensor:
        """Return a lowered constant; one that several nodes read gets a name per node, since each may need another scale."""
        shared = len(self.graph.consumers[tensor.name]) > 1
        return replace(tensor, name=f"{tensor.name}@{node.name}") if shared else tensor

    def _weights(self, node: Node, spec: OpSpec, fmt: Format, inputs: list[Tensor | None]) -> None:
        assert spec.weights is not None and inputs[0] is not None
        index, bias = spec.weights.index, spec.weights.bias
        w = self.low.weights(self.graph.tensors[node.inputs[index]], fmt, spec.weights.channel_axis)
        inputs[index] = self._named(w, node)
        if bias < len(node.inputs) and node.inputs[bias]:
            b = self.low.bias(self.graph.tensors[node.inputs[bias]], inputs[0].quant, w, fmt)
            inputs[bias] = self._named(b, node)

    def _output(self, rule: str, name: str, dtype: str, first: Tensor | None, shared: QuantParams | None) -> Tensor:
        original = self.graph.tensors[name]
        if original.is_plain:
            return original
        params = self.low.params(name, dtype)
        own_file_scale = original.quant is not None and original.dtype == dtype
        if rule == "input" and params is not None and not own_file_scale:
            assert first is not None
            params = first.quant
        return replace(original, dtype=dtype, quant=params)


def _content(tensor: Tensor) -> tuple[object, ...]:
    return tensor.name, tensor.dtype, tensor.quant


def _rank(dtype: str) -> tuple[bool, int, int]:
    return is_float(dtype), TYPE_BITS[dtype], -list(FLOATS.values()).index(dtype) if is_float(dtype) else 0
