"""Which groups decide what becomes of each node: its own, and those that give the tensors around it their types."""

from __future__ import annotations

from workbench.execute import last_uses
from workbench.precision import parse_format
from workbench.quantize import Lowering
from workbench.sweep import Space

Groups = frozenset[int]


class Scopes:
    """Groups by node. A group whose formats are all of one activation type decides only about its own layers.

    own: of each node, then of the outputs: the group whose format it has, if any. around: the groups that decide about its inputs'
    types and conversions. alive: those that decide about the activations that are in memory while it runs.
    """

    def __init__(self, lowering: Lowering, space: Space) -> None:
        self.lowering, self.graph = lowering, lowering.graph
        self.types = [tuple(_kind(name) for name in names) for names in space.formats]
        self._group = {layer: g for g, group in enumerate(space.groups) for layer in group.layers}
        deciders = lowering.deciders
        self.own = [self._group.get(decider or "") for decider in deciders]
        self._readers: dict[str, list[int]] = {}
        for i, node in enumerate(self.graph.nodes):
            for name in node.inputs:
                self._readers.setdefault(name, []).append(i)
        self._of = self._tensors()
        nodes = range(len(self.graph.nodes) + 1)
        self.around = [self._around(i) - self._alone(i) for i in nodes]
        self.alive = [self._alive(i) - self._alone(i) for i in nodes]

    def _alone(self, node: int) -> Groups:
        own = self.own[node]
        return frozenset() if own is None else frozenset({own})

    def _varying(self, group: int | None) -> Groups:
        return frozenset() if group is None or len(set(self.types[group])) == 1 else frozenset({group})

    def _tensors(self) -> dict[str, Groups]:
        """Return the groups that decide about each activation's type."""
        found: dict[str, Groups] = dict.fromkeys(self.graph.sources, frozenset())
        for state, layer in zip(self.graph.states, self.lowering.keepers, strict=True):
            found[state.read] = self._varying(self._group.get(layer))
        for i, node in enumerate(self.graph.nodes):
            inputs = [found[name] for name in node.inputs if name in found]
            decided = self.lowering.deciders[i] is not None
            made = self._varying(self.own[i]) if decided else frozenset[int]().union(*inputs)
            found |= dict.fromkeys(node.outputs, made)
        return found

    def _inputs(self, node: int) -> list[str]:
        names = self.graph.ends if node == len(self.graph.nodes) else self.graph.nodes[node].inputs
        return [name for name in names if name in self._of]

    def _wanted(self, node: int) -> Groups:
        """Return the groups that decide in which type a node reads."""
        if self.lowering.deciders[node] is not None:
            return self._varying(self.own[node])
        return frozenset[int]().union(*(self._of[name] for name in self._inputs(node)))

    def _around(self, node: int) -> Groups:
        found = frozenset[int]()
        for name in self._inputs(node):  # a conversion that an earlier reader needed is there already
            found |= self._of[name].union(*(self._wanted(r) for r in self._readers.get(name, ()) if r < node))
        return found

    def _alive(self, node: int) -> Groups:
        found = self._around(node)
        last = last_uses(self.graph)
        made = {name: i for i, n in enumerate(self.graph.nodes) for name in n.outputs}
        for name, groups in self._of.items():
            if made.get(name, 0) <= node <= last.get(name, -1):
                readers = self._readers.get(name, ())
                found |= groups.union(*(self._wanted(r) for r in readers)) if len(readers) > 1 else groups
        return found


def _kind(fmt: str) -> tuple[str, str]:
    """Return what neighbours see of a format."""
    parsed = parse_format(fmt)
    return parsed.activation, parsed.output
