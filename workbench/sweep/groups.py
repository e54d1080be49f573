"""Decision groups: layers that are decided together.

Two layers are tied when they read the same weights. When the formats on offer differ in activation type, layers whose outputs meet
in an addition or concatenation are tied as well, so that no conversion is needed inside a residual block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.graph.ir import Graph
from workbench.ops import OPS
from workbench.precision import PrecisionPlan, parse_format


@dataclass(frozen=True)
class Group:
    """A unit of choice: a name (its first layer's) and its layers in network order."""

    name: str
    layers: tuple[str, ...]

    def plan(self, base: PrecisionPlan, fmt: str) -> PrecisionPlan:
        """Return the plan with this group in another format."""
        return base.replace(dict.fromkeys(self.layers, fmt))


def decision_groups(graph: Graph, layers: Sequence[str], formats: Sequence[str]) -> list[Group]:
    """Return the groups in network order."""
    parent = {name: name for name in layers}

    def find(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    def tie(names: Sequence[str]) -> None:
        for name in names[1:]:
            a, b = find(names[0]), find(name)
            first, second = sorted((a, b), key=list(layers).index)
            parent[second] = first

    by_weight: dict[str, list[str]] = {}
    for name in layers:
        spec, node = OPS[graph.node(name).op], graph.node(name)
        if spec.weights is not None:
            by_weight.setdefault(node.inputs[spec.weights.index], []).append(name)
    for names in by_weight.values():
        tie(names)
    if len({parse_format(f).activation for f in formats}) > 1:
        for node in graph.nodes:
            if OPS[node.op].weights is None and len(node.inputs) > 1:
                sources = [_source_layer(graph, name, set(layers)) for name in node.inputs if name in graph.producer]
                tie([s for s in dict.fromkeys(sources) if s is not None])
    members: dict[str, list[str]] = {}
    for name in layers:
        members.setdefault(find(name), []).append(name)
    return [Group(root, tuple(names)) for root, names in members.items()]


def _source_layer(graph: Graph, tensor: str, layers: set[str]) -> str | None:
    """Return the layer that a tensor comes from, through operators without weights."""
    while tensor in graph.producer:
        node = graph.producer[tensor]
        if node.name in layers:
            return node.name
        tensor = next((i for i in node.inputs if i in graph.producer), "")
    return None
