"""`Rewriter`: local edits of a graph in linear time. Passes use it; graphs themselves stay frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from workbench.graph.ir import Array, Graph, Node, Tensor


class Rewriter:
    """A graph under edit: nodes keep their order, `producer` and `readers` stay current."""

    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.nodes: dict[int, Node] = {}
        self.maker: dict[str, int] = {}
        self.reading: dict[str, dict[int, None]] = {}
        self._names = {node.name for node in graph.nodes}
        for i, node in enumerate(graph.nodes):
            self.put(i, node)

    def put(self, at: int, node: Node) -> None:
        """Place or replace the node at a position."""
        self.drop(at)
        self.nodes[at] = node
        for name in node.outputs:
            self.maker[name] = at
        for name in node.inputs:
            if name:
                self.reading.setdefault(name, {})[at] = None

    def drop(self, at: int) -> None:
        """Remove the node at a position, if any."""
        old = self.nodes.pop(at, None)
        if old is None:
            return
        for name in old.outputs:
            self.maker.pop(name, None)
        for name in old.inputs:
            self.reading.get(name, {}).pop(at, None)

    def positions(self) -> Iterator[int]:
        """Yield positions in execution order; nodes may be replaced or dropped meanwhile."""
        for at in sorted(self.nodes):
            if at in self.nodes:
                yield at

    def producer(self, tensor: str) -> Node | None:
        """Return the node that makes a tensor."""
        at = self.maker.get(tensor)
        return None if at is None else self.nodes[at]

    def readers(self, tensor: str) -> list[int]:
        """Return the positions of the nodes that read a tensor, in execution order."""
        return sorted(self.reading.get(tensor, ()))

    def private(self, tensor: str) -> bool:
        """True when exactly one node reads the tensor and nobody outside can see it."""
        return len(self.reading.get(tensor, ())) == 1 and tensor not in self.source.ends and tensor not in self.source.sources

    def constant(self, tensor: str) -> Array | None:
        """Return the data of a float32 constant without scales, or None."""
        found = self.tensors.get(tensor)
        return None if found is None or found.quant is not None or found.dtype != "float32" else found.data

    def add_constant(self, wish: str, like: Tensor, data: Array) -> str:
        """Add a float constant under a free name; return the name."""
        return self.add_tensor(wish, replace(like, shape=data.shape, data=data, index=None))

    def add_tensor(self, wish: str, tensor: Tensor) -> str:
        """Add a tensor under a free name; return the name."""
        name = _free(wish, self.tensors)
        self.tensors[name] = replace(tensor, name=name)
        return name

    def node_name(self, wish: str) -> str:
        """Return a free node name."""
        name = _free(wish, self._names)
        self._names.add(name)
        return name

    def bypass(self, at: int) -> bool:
        """Remove a node that copies its input 0 to its output; False when both ends are visible from outside."""
        node = self.nodes[at]
        x, y = node.inputs[0], node.outputs[0]
        if y not in self.source.ends:
            for reader in self.readers(y):
                other = self.nodes[reader]
                self.put(reader, replace(other, inputs=tuple(x if name == y else name for name in other.inputs)))
            self.drop(at)
            return True
        maker = self.maker.get(x)
        if maker is None or x in self.source.ends or len(self.nodes[maker].outputs) != 1:
            return False
        self.drop(at)
        self._rename(maker, x, y)
        return True

    def _rename(self, maker: int, x: str, y: str) -> None:
        """Let the producer of x make y instead, and every reader of x read y."""
        readers = self.readers(x)
        self.put(maker, replace(self.nodes[maker], outputs=(y,)))
        for reader in readers:
            other = self.nodes[reader]
            self.put(reader, replace(other, inputs=tuple(y if name == x else name for name in other.inputs)))

    def graph(self) -> Graph:
        """Return the edited graph: nodes that no output needs and unused tensors dropped."""
        needed = set(self.source.ends)
        kept: list[Node] = []
        for at in sorted(self.nodes, reverse=True):
            node = self.nodes[at]
            if not needed.isdisjoint(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        return self.source.with_nodes(reversed(kept), self.tensors)


def _free(wish: str, taken: object) -> str:
    name, number = wish, 2
    while name in taken:  # type: ignore[operator]
        name, number = f"{wish}_{number}", number + 1
    return name
