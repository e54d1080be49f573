"""`Buffer`s of a graph: which activations share memory, how large each buffer is, and from when to when it is needed.

The order of execution is the order of the nodes: a buffer is needed from the node that writes it first to the node that reads it
last, both included (an operator reads its inputs while it writes its outputs). Inputs are there from node 0 on, outputs and
states to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from workbench.execute import last_uses
from workbench.graph.ir import Graph, Node, Tensor

Kind = Literal["activation", "in place", "scratch", "persistent"]
KINDS: tuple[Kind, ...] = ("activation", "in place", "scratch", "persistent")


@dataclass(frozen=True)
class Buffer:
    """Bytes that belong together. first, last: indices of the nodes during which they are needed, both included.

    name: of the first activation in it, or of the node whose scratch it is. offset: place in the arena (0 until it is planned).
    kind: `in place` = several activations one after the other. tensors: the activations in it.
    """

    name: str
    size: int
    first: int
    last: int
    kind: Kind = "activation"
    offset: int = 0
    tensors: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """Offset of the first byte behind it."""
        return self.offset + self.size

    def meets(self, other: Buffer) -> bool:
        """True when both are needed at the same time."""
        return self.first <= other.last and other.first <= self.last


def activation_buffers(
    graph: Graph, size: Callable[[Tensor], int], views: frozenset[str] = frozenset(), in_place: frozenset[str] = frozenset()
) -> list[Buffer]:
    """Return the buffers of the activations, in the order in which they are made.

    size: bytes of an activation. views: operators whose output is another look at the bytes of their first input, also while others
    still read it (a reshape). in_place: operators that write over an input of at least the output's size that nobody reads afterwards.
    An operator that keeps a state changes it in place.
    """
    last = last_uses(graph)
    last |= {state.read: len(graph.nodes) for state in graph.states}  # held from inference to inference
    written = {state.write: state.read for state in graph.states}
    owner = {name: name for name in graph.sources}
    first = dict.fromkeys(graph.sources, 0)
    until = {name: last.get(name, 0) for name in graph.sources}
    room = {name: size(graph.tensors[name]) for name in graph.sources}
    members = {name: [name] for name in graph.sources}
    for i, node in enumerate(graph.nodes):
        for k, out in enumerate(node.outputs):
            need = size(graph.tensors[out])
            found = _shared(node, k, out, written, views)
            if not found and k == 0 and node.op in in_place:
                found = next((x for x in node.inputs if x in owner and until[owner[x]] == i and room[owner[x]] >= need), "")
            home = owner.get(found, out)
            owner[out] = home
            first.setdefault(home, i)
            until[home] = max(until.get(home, 0), last.get(out, i))
            room[home] = max(room.get(home, 0), need)
            members.setdefault(home, []).append(out)
    return [
        Buffer(home, room[home], first[home], until[home], "in place" if len(names) > 1 else "activation", 0, tuple(names))
        for home, names in members.items()
    ]


def _shared(node: Node, place: int, out: str, written: dict[str, str], views: frozenset[str]) -> str:
    """Return the activation that an output is another look at, or ''."""
    if place == 0:
        return node.inputs[0] if node.op in views else ""
    return written[out] if out in written and written[out] in node.inputs else ""


def live_bytes(buffers: Iterable[Buffer], count: int) -> list[int]:
    """Return the sum of the bytes needed while each of `count` nodes runs: a lower bound of what an allocator needs then."""
    change = [0] * (count + 2)
    for b in buffers:
        change[b.first] += b.size
        change[min(b.last, count) + 1] -= b.size
    total, found = 0, []
    for step in change[:count]:
        total += step
        found.append(total)
    return found
