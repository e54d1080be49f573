"""Networks that keep state: how their inferences follow one another.

A *frame* is one inference: one entry of dimension 0, or `Graph.fixed_batch` of them. Arrays of the model's rank are one stream of
consecutive frames; with one more dimension in front, [streams, frames, ...], they are several streams. Each stream begins with the
initial states, and every frame leaves its states to the next one. Streams never meet.

Nodes that neither hang on a state nor feed one run on many frames at a time: what comes before the recurrence, and what comes after
it. The nodes between run frame by frame, on many streams at a time. Samples never meet in a kernel, so the bits are the same. A graph
with a fixed batch runs frame by frame altogether, one stream after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from workbench.errors import InputError
from workbench.graph.ir import Array, Graph, Node, State, Tensor

Values = dict[str, Array]
Apply = Callable[[int, Values], None]
"""Runs the node of a position on the live values and adds what it makes."""

LANES = 64
"""Streams that run together."""
FRAMES = 256
"""Frames of all these streams that run together."""


class Chunk(NamedTuple):
    """Some frames of some streams: which streams, which entries of dimension 1, and values [streams, frames, ...]."""

    streams: slice
    entries: slice
    values: Values


class Phases(NamedTuple):
    """Positions of nodes: without a state before them; between a state and the next one; behind them."""

    before: tuple[int, ...]
    loop: tuple[int, ...]
    after: tuple[int, ...]


def phases(nodes: Sequence[Node], states: Sequence[State]) -> Phases:
    """Return the nodes in the order of the phases; each phase keeps theirs."""
    reached = {state.read for state in states}
    wanted = {state.write for state in states}
    behind, feeding = set[int](), set[int]()
    for i, node in enumerate(nodes):
        if not reached.isdisjoint(node.inputs):
            behind.add(i)
            reached.update(node.outputs)
    for i in reversed(range(len(nodes))):
        if not wanted.isdisjoint(nodes[i].outputs):
            feeding.add(i)
            wanted.update(nodes[i].inputs)
    every = range(len(nodes))
    return Phases(
        tuple(i for i in every if i not in behind),
        tuple(i for i in every if i in behind and i in feeding),
        tuple(i for i in every if i in behind and i not in feeding),
    )


@dataclass(frozen=True, eq=False)
class Streams:
    """How the nodes of a graph, or the steps of a program, run over streams.

    ranks: number of dimensions of every input. batch: `Graph.fixed_batch`. outputs: names of what is returned.
    """

    nodes: tuple[Node, ...]
    states: tuple[State, ...]
    ranks: Mapping[str, int]
    outputs: tuple[str, ...]
    batch: int | None

    def run(self, apply: Apply, feed: Values, keep_all: bool = False) -> Values:
        """Return outputs (every activation with `keep_all`) of inputs of one stream or of several, in the form of the inputs."""
        found: list[list[Chunk]] = []
        for chunk in self.chunks(apply, self.apart(feed), None if keep_all else self.outputs):
            if not chunk.entries.start:
                found.append([])
            found[-1].append(chunk)
        names = found[0][0].values
        rows = [{n: _joined([c.values[n] for c in group], 1) for n in names} for group in found]
        whole = {n: _joined([row[n] for row in rows], 0) for n in names}
        return {n: x[0] for n, x in whole.items()} if self.is_one(feed) else whole

    def passes(self, apply: Apply, feed: Values, size: int) -> Iterator[tuple[slice, Values]]:
        """Yield (entries, every activation of them [n, ...]); entries count through the streams, one after the other."""
        several = self.apart(feed)
        length = next(iter(several.values())).shape[1]
        frame = self.batch or 1
        lanes, frames = max(1, size // length), max(1, min(length, size) // frame)
        for chunk in self.chunks(apply, several, None, lanes, frames):
            first = chunk.streams.start * length + chunk.entries.start
            flat = {n: _flat(x) for n, x in chunk.values.items()}
            yield slice(first, first + len(next(flat[n] for n in self.ranks if n in flat))), flat

    def is_one(self, feed: Values) -> bool:
        """True when the inputs have the model's own rank: one stream."""
        return any(x.ndim == self.ranks[n] for n, x in feed.items() if n in self.ranks)

    def apart(self, feed: Values) -> Values:
        """Return inputs as several streams, [streams, entries, ...]."""
        return {n: x[np.newaxis] for n, x in feed.items()} if self.is_one(feed) else dict(feed)

    def chunks(
        self, apply: Apply, feed: Values, keep: Collection[str] | None, lanes: int = LANES, frames: int | None = None
    ) -> Iterator[Chunk]:
        """Yield all frames of the first streams, `frames` at a time, then those of the next ones.

        feed: [streams, entries, ...]. keep: the values wanted, None for every activation. lanes: streams that run together.
        """
        streams, length = next(iter(feed.values())).shape[:2]
        frame = self.batch or 1
        lanes = 1 if self.batch else min(lanes, streams)
        step = (frames or max(1, FRAMES // lanes)) * frame
        for first in range(0, streams, lanes):
            rows = slice(first, min(first + lanes, streams))
            carried = self.begin(rows.stop - rows.start)
            for start in range(0, length, step):
                entries = slice(start, min(start + step, length))
                part = {n: x[rows, entries] for n, x in feed.items()}
                made = self._frames(apply, part, carried, keep) if self.batch else self._together(apply, part, carried, keep)
                yield Chunk(rows, entries, made if keep is None else {n: made[n] for n in keep})

    def begin(self, lanes: int) -> Values:
        """Return the initial states of so many streams, by the tensor that is read."""
        if self.batch:
            return {s.read: s.initial for s in self.states}
        return {s.read: np.repeat(s.initial, lanes, axis=0) for s in self.states}

    @cached_property
    def order(self) -> Phases:
        """The positions of the nodes by phase."""
        return phases(self.nodes, self.states)

    @cached_property
    def loop_reads(self) -> tuple[str, ...]:
        """What the recurrence reads and does not make: by nodes, and by states that are made before it."""
        nodes = [self.nodes[i] for i in self.order.loop]
        made = {out for node in nodes for out in node.outputs} | {s.read for s in self.states}
        read = [n for node in nodes for n in node.inputs] + [s.write for s in self.states]
        return tuple(dict.fromkeys(n for n in read if n and n not in made))

    @cached_property
    def loop_makes(self) -> tuple[str, ...]:
        """What the recurrence gives: what the states hold, and what its nodes make."""
        return (*(s.read for s in self.states), *(out for i in self.order.loop for out in self.nodes[i].outputs))

    def _frames(self, apply: Apply, part: Values, carried: Values, keep: Collection[str] | None) -> Values:
        """Run one stream frame by frame in batches of the declared size. part: [1, entries, ...]."""
        assert self.batch
        found: dict[str, list[Array]] = {}
        for start in range(0, next(iter(part.values())).shape[1], self.batch):
            values = {n: np.ascontiguousarray(x[0, start : start + self.batch]) for n, x in part.items()} | carried
            for i in range(len(self.nodes)):
                apply(i, values)
            for n in values if keep is None else keep:
                found.setdefault(n, []).append(values[n])
            carried.update({s.read: values[s.write] for s in self.states})
        return {n: _joined(rows, 0)[np.newaxis] for n, rows in found.items()}

    def _together(self, apply: Apply, part: Values, carried: Values, keep: Collection[str] | None) -> Values:
        """Run some frames [streams, frames, ...] phase by phase; `carried` becomes the states after them."""
        lanes, frames = next(iter(part.values())).shape[:2]
        values = {n: _flat(x) for n, x in part.items()}
        before, _, after = self.order
        self._run(apply, before, values, keep)
        reads = {n: values[n].reshape(lanes, frames, *values[n].shape[1:]) for n in self.loop_reads if n in values}
        found = self.recur(apply, reads, carried, frames)
        values |= {n: _flat(x) for n, x in found.items()}
        self._run(apply, after, values, keep)
        return {n: x.reshape(lanes, frames, *x.shape[1:]) for n, x in values.items()}

    def _run(self, apply: Apply, positions: Sequence[int], values: Values, keep: Collection[str] | None) -> None:
        """Run nodes on all frames; unless all is kept, forget what nothing reads any more."""
        for i in positions:
            apply(i, values)
            if keep is not None:
                for n in self._dead[i]:
                    if n not in keep:
                        values.pop(n, None)

    @cached_property
    def _dead(self) -> Mapping[int, tuple[str, ...]]:
        """Position -> tensors that no node of a later phase or position reads; those of the recurrence stay."""
        order = [*self.order.before, *self.order.loop, *self.order.after]
        last = {n: i for i in order for n in (*self.nodes[i].inputs, *self.nodes[i].outputs)}
        stay = {*self.loop_reads, *self.loop_makes}
        return {i: tuple(n for n, at in last.items() if at == i and n not in stay) for i in order}

    def recur(self, apply: Apply, reads: Values, carried: Values, frames: int) -> Values:
        """Run the recurrence; return what it makes and what the states held, [streams, frames, ...].

        reads: what it takes from outside, [streams, frames, ...]. carried: states by the tensor that is read; those after the last
        frame when it returns.
        """
        found: dict[str, list[Array]] = {n: [] for n in self.loop_makes}
        for f in range(frames):
            values = {n: np.ascontiguousarray(x[:, f]) for n, x in reads.items()} | carried
            for i in self.order.loop:
                apply(i, values)
            for n, rows in found.items():
                rows.append(values[n])
            carried.update({s.read: values[s.write] for s in self.states})
        return {n: np.stack(rows, axis=1) for n, rows in found.items()}


def _flat(x: Array) -> Array:
    """Return [streams, frames, ...] as [streams * frames, ...]."""
    return np.ascontiguousarray(x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]))


def _joined(parts: list[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


def streams_of(graph: Graph) -> Streams | None:
    """Return how a graph runs over streams; None when it keeps no state."""
    if not graph.states:
        return None
    ranks = {n: len(graph.tensors[n].shape) for n in graph.inputs}
    return Streams(graph.nodes, graph.states, ranks, graph.outputs, graph.fixed_batch)


def check_form(graph: Graph, values: Values) -> None:
    """Raise InputError unless inputs [streams, entries, ...] or [entries, ...] agree on their numbers and whole frames."""
    streams = streams_of(graph)
    assert streams is not None
    ones = {n: x.ndim == streams.ranks[n] for n, x in values.items()}
    forms = {x.shape[:1] if ones[n] else x.shape[:2] for n, x in values.items()}
    if len(set(ones.values())) > 1 or len(forms) > 1:
        raise InputError(f"model '{graph.name}': inputs have different numbers of streams or frames: {sorted(forms)}.")
    length = forms.pop()[-1]
    if graph.fixed_batch is not None and length % graph.fixed_batch:
        raise InputError(
            f"model '{graph.name}' keeps state, and an inference takes {graph.fixed_batch} entries; a stream of {length} does not "
            "divide into them."
        )


def stream_shape(tensor: Tensor) -> str:
    """Return what fits an input of a network with state, in words."""
    own = ", ".join(map(str, tensor.shape[1:]))
    tail = f", {own}" if own else ""
    return f"(frames{tail}) for one stream, or (streams, frames{tail})"
