"""`Graph`, `Node`, `Tensor`: frozen records. Loaders make them, passes rewrite them, nothing mutates them.

Layout: activations channels-last (NHWC; [N, ...] for others), convolution weights [O, KH, KW, I / groups], depthwise weights
[1, KH, KW, O], fully connected [O, I]. Dimension 0 of every activation is the batch: a graph is declared for one sample
and runs on any number of them, unless `Graph.fixed_batch` is set (an operator mixes samples; the executor then feeds
the declared batch again and again). A graph with `states` is run frame by frame: see `workbench.streams`.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import ModelError
from workbench.precision import is_float
from workbench.tensor import QuantParams

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Tensor:
    """One value of a graph.

    name: unique in the graph. shape: as declared, batch first (1 for one sample). dtype: a key of `precision.TYPE_BITS`.
    quant: scales and zero points of integer tensors, or None. data: the constant, or None for an activation.
    index: position in the source file (TFLite tensor index), or None. coding: how a constant is stored when not in its type (a key
    of `numerics.codings.CODINGS`): `data` are then the decoded values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: QuantParams | None = None
    data: Array | None = None
    index: int | None = None
    coding: str = ""

    @property
    def is_constant(self) -> bool:
        """True when the tensor carries its data."""
        return self.data is not None

    @property
    def is_plain(self) -> bool:
        """True for integers and bools without a scale: indices, masks, sizes, raw bytes. No format and no target changes them."""
        return self.quant is None and not is_float(self.dtype)

    @cached_property
    def digest(self) -> str:
        """Content hash of type, shape, quantization and data (not the name)."""
        h = hashlib.sha256(f"{self.dtype}{self.shape if self.is_constant else self.shape[1:]}".encode())
        if self.quant is not None:
            h.update(repr(self.quant.axis).encode() + self.quant.scale.tobytes() + self.quant.zero_point.tobytes())
        if self.data is not None:
            h.update(np.ascontiguousarray(self.data).tobytes())
        return h.hexdigest()


@dataclass(frozen=True)
class Node:
    """One operator. inputs: tensor names, '' for an absent optional one. attrs: the frozen record of its OpSpec."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Any = None
    source: str = ""
    """Where it came from, for messages: 'CONV_2D #3' or 'Conv /features/0'."""


@dataclass(frozen=True, eq=False)
class State:
    """A value that one inference leaves to the next one of the same stream.

    name: of the variable. read: the tensor that holds it when an inference begins; no node makes it. write: the tensor whose value it
    has when the inference is over, made by a node, of the type and shape of `read`. initial: before the first inference, as `read` is
    stored, in its declared shape.
    """

    name: str
    read: str
    write: str
    initial: Array


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order and every tensor by name."""

    name: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source_format: str = ""
    fixed_batch: int | None = None
    input_names: Mapping[str, str] = field(default_factory=dict)
    """Public name -> tensor name, where a loader had to rename."""
    states: tuple[State, ...] = ()
    """What is kept from inference to inference."""
    sample_axes: Mapping[str, int] = field(default_factory=dict)
    """Output -> the axis along which the results of several runs stand, where that is not 0 (then `fixed_batch` is set)."""

    @cached_property
    def producer(self) -> Mapping[str, Node]:
        """Tensor name -> the node that makes it."""
        return {out: node for node in self.nodes for out in node.outputs}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """Tensor name -> the nodes that read it."""
        found: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def digest(self) -> str:
        """Content hash of the whole graph."""
        h = hashlib.sha256()
        for node in self.nodes:
            h.update(repr((node.name, node.op, node.inputs, node.outputs, node.attrs)).encode())
        for name in sorted(self.tensors):
            h.update(name.encode() + self.tensors[name].digest.encode())
        h.update(repr((self.inputs, self.outputs, self.fixed_batch)).encode())
        for state in self.states:
            h.update(repr((state.name, state.read, state.write)).encode() + np.ascontiguousarray(state.initial).tobytes())
        return h.hexdigest()

    def node(self, name: str) -> Node:
        """Return a node by name (KeyError when absent)."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @property
    def is_quantized(self) -> bool:
        """True when some activation is stored as integers with scales (the file brought its own quantization)."""
        return any(t.quant is not None and not t.is_constant for t in self.tensors.values())

    @property
    def has_scales(self) -> bool:
        """True when the file brought integers with scales, in activations or in weights alone (dynamic range): it runs as it is."""
        return any(t.quant is not None for t in self.tensors.values())

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The tensors that are there before the first node runs: inputs, and what the states hold."""
        return (*self.inputs, *(state.read for state in self.states))

    @cached_property
    def ends(self) -> tuple[str, ...]:
        """The tensors that are wanted after the last node: outputs, and what is kept for the next inference."""
        return (*self.outputs, *(state.write for state in self.states))

    def activations(self) -> list[Tensor]:
        """Return the graph inputs, the states and the node outputs, in execution order."""
        names = [*self.sources, *(out for node in self.nodes for out in node.outputs)]
        return [self.tensors[name] for name in names]

    def with_nodes(self, nodes: Iterable[Node], tensors: Mapping[str, Tensor] | None = None) -> Graph:
        """Return a graph with other nodes (and tensors), unused tensors dropped."""
        nodes = tuple(nodes)
        pool = dict(self.tensors if tensors is None else tensors)
        used = {*self.sources, *self.ends}
        for node in nodes:
            used.update(name for name in (*node.inputs, *node.outputs) if name)
        return replace(self, nodes=nodes, tensors={k: v for k, v in pool.items() if k in used})


def topological(nodes: Iterable[Node], available: Iterable[str], where: str) -> tuple[Node, ...]:
    """Return the nodes ordered so that producers come first; stable; ModelError on a cycle or a missing tensor."""
    given = list(nodes)
    ready = {"", *available}
    missing = [{name for name in node.inputs if name not in ready} for node in given]
    readers: dict[str, list[int]] = {}
    for i, names in enumerate(missing):
        for name in names:
            readers.setdefault(name, []).append(i)
    free = [i for i, names in enumerate(missing) if not names]  # ascending, hence a heap: the first in the file goes first
    ordered: list[Node] = []
    while free:
        node = given[heapq.heappop(free)]
        ordered.append(node)
        for out in node.outputs:
            for i in readers.pop(out, ()):
                missing[i].discard(out)
                if not missing[i]:
                    heapq.heappush(free, i)
    if len(ordered) < len(given):
        made = {out for node in given for out in node.outputs}
        lacking = [
            (node.name, name) for node, names in zip(given, missing, strict=True) for name in node.inputs if name in names
        ]
        absent = [pair for pair in lacking if pair[1] not in made]
        why = "nothing produces it" if absent else "the graph has a cycle"
        node_name, tensor = (absent or lacking)[0]
        raise ModelError(f"{where}: node '{node_name}' needs tensor '{tensor}', and {why}.")
    return tuple(ordered)
