"""`Net`: the nodes of an ONNX graph while they are rewritten, with who makes and who reads every tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from workbench.graph.ir import Array, Node, topological
from workbench.loaders.onnx.file import Body, OnnxNode

Reader = tuple[int, int]
"""Key of a node and which of its inputs."""


class Net:
    """Nodes by key (any order), constants by name. Names of new tensors do not occur in the file."""

    def __init__(self, body: Body, where: str) -> None:
        self.where = where
        self.constants: dict[str, Array] = dict(body.constants)
        self.outputs = body.outputs
        self.nodes: dict[int, OnnxNode] = {}
        self.maker: dict[str, int] = {}
        self._readers: dict[str, dict[Reader, None]] = {}
        self._count = 0
        self._taken = {*body.constants, *body.outputs}
        for node in body.nodes:
            self._taken.update((*node.inputs, *node.outputs))
            self.add(node)

    # -- looking -------------------------------------------------------------------------------------------------------------

    def order(self) -> list[int]:
        """Return the keys of all nodes, producers first."""
        return [proxy.attrs for proxy in self._sorted()]

    def readers(self, name: str) -> list[Reader]:
        """Return who reads a tensor."""
        return list(self._readers.get(name, ()))

    def source(self, name: str) -> OnnxNode | None:
        """Return the node that makes a tensor, or None."""
        return self.nodes[self.maker[name]] if name in self.maker else None

    def only_reader(self, name: str) -> Reader | None:
        """Return the one reader of a tensor that is no output of the graph, or None."""
        found = self._readers.get(name, {})
        return next(iter(found)) if len(found) == 1 and name not in self.outputs else None

    def constant(self, node: OnnxNode, i: int) -> Array | None:
        """Return input i of a node where it is a constant."""
        return self.constants.get(node.inputs[i]) if i < len(node.inputs) else None

    # -- changing ------------------------------------------------------------------------------------------------------------

    def add(self, node: OnnxNode) -> int:
        """Add a node; return its key."""
        key, self._count = self._count, self._count + 1
        self.nodes[key] = node
        for name in node.outputs:
            if name:
                self.maker[name] = key
        self._read(key, node)
        return key

    def put(self, key: int, node: OnnxNode) -> None:
        """Replace a node."""
        self._forget(key)
        self.nodes[key] = node
        for name in node.outputs:
            if name:
                self.maker[name] = key
        self._read(key, node)

    def drop(self, keys: Iterable[int]) -> None:
        """Take nodes away."""
        for key in keys:
            self._forget(key)
            del self.nodes[key]

    def redirect(self, reader: Reader, name: str) -> None:
        """Let an input of a node read another tensor."""
        key, i = reader
        node = self.nodes[key]
        self.put(key, replace(node, inputs=(*node.inputs[:i], name, *node.inputs[i + 1 :])))

    def bypass(self, old: str, new: str) -> None:
        """Let all readers of a tensor, which is no output of the graph, read another one."""
        for reader in self.readers(old):
            self.redirect(reader, new)

    def name(self, wish: str) -> str:
        """Return a name for a new tensor."""
        found, number = wish, 2
        while found in self._taken:
            found, number = f"{wish}_{number}", number + 1
        self._taken.add(found)
        return found

    def new_constant(self, wish: str, array: Array) -> str:
        """Add a constant; return its name."""
        found = self.name(wish)
        self.constants[found] = np.asarray(array)
        return found

    def body(self) -> Body:
        """Return the nodes that contribute to an output, producers first."""
        needed, live = set(self.outputs), []
        for key in reversed(self.order()):
            node = self.nodes[key]
            if not needed.isdisjoint(node.outputs):
                needed.update(node.inputs)
                live.append(node)
        return Body(tuple(reversed(live)), self.constants, self.outputs)

    # -- parts ---------------------------------------------------------------------------------------------------------------

    def _read(self, key: int, node: OnnxNode) -> None:
        for i, name in enumerate(node.inputs):
            if name:
                self._readers.setdefault(name, {})[key, i] = None

    def _forget(self, key: int) -> None:
        node = self.nodes[key]
        for i, name in enumerate(node.inputs):
            if name:
                self._readers[name].pop((key, i), None)
        for name in node.outputs:
            if self.maker.get(name) == key:
                del self.maker[name]

    def _sorted(self) -> Sequence[Node]:
        nodes = self.nodes
        known = {name for node in nodes.values() for name in node.inputs if name and name not in self.maker}
        order = sorted(nodes, key=lambda key: (nodes[key].index, key))
        proxies = [
            Node(nodes[k].label, nodes[k].op, nodes[k].inputs, tuple(o for o in nodes[k].outputs if o), k) for k in order
        ]
        return topological(proxies, known, self.where)
