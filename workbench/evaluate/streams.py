"""Networks that keep state under evaluation: a sample is a whole stream, and what is recurrent in a network is one step of it.

A program is *unrolled*: every step outside the recurrence runs on all frames of a stream at once, and the steps of the
recurrence become one step that runs them frame by frame. What is left has no state, so that plans share values as ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.data import Dataset
from workbench.errors import InputError
from workbench.execute import Program, Step, Values
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.ops import Site
from workbench.streams import Streams, streams_of


@dataclass(frozen=True)
class Rows:
    """Which outputs of a sample are judged. streams: samples are streams, of `count` results each. last: the last one alone counts."""

    streams: bool = False
    count: int = 1
    last: bool = False

    @property
    def judged(self) -> int:
        """How many rows one sample gives."""
        return 1 if self.last else self.count

    def of(self, outputs: Array) -> Array:
        """Return outputs [n, ...], or [streams, results, ...], as rows."""
        if not self.streams:
            return outputs
        return np.ascontiguousarray(outputs[:, -1]) if self.last else outputs.reshape(-1, *outputs.shape[2:])


def judged_rows(graph: Graph, data: Dataset, feed: Values) -> tuple[Values, Rows, Dataset]:
    """Return the inputs by stream, which outputs are judged, and the dataset with one row for each of these.

    Labels [streams, results] (or [results] of one stream) are one per result; labels [streams] are those of the last results.
    """
    streams = streams_of(graph)
    if streams is None:
        return feed, Rows(), data
    several = streams.apart(feed)
    count, entries = next(iter(several.values())).shape[:2]
    frame = graph.fixed_batch or 1
    made = {graph.tensors[name].shape[0] for name in graph.outputs} if graph.fixed_batch else {1}
    if made not in ({frame}, {1}):
        raise InputError(
            f"model '{graph.name}': an inference takes {frame} entries and makes {sorted(made)} results; one each, or one, fits."
        )
    step = frame if made == {1} else 1
    results = entries // step
    labels = data.labels
    if labels is not None and streams.is_one(feed):
        labels = labels[np.newaxis]
    last = labels is not None and labels.shape[:2] != (count, results)
    if labels is not None and last and len(labels) != count:
        raise InputError(
            f"{data.name}: labels of shape {labels.shape} for {count} streams of {results} results; expected [streams, results], or "
            "[streams] for their last results."
        )
    rows = Rows(True, results, last)
    own = labels if labels is None or last else labels.reshape(-1, *labels.shape[2:])
    inputs = {n: rows.of(x[:, step - 1 :: step]) for n, x in several.items()}
    given = inputs if isinstance(data.inputs, Mapping) else next(iter(inputs.values()))
    files = None if data.files is None else np.repeat(data.files, rows.judged) if len(data.files) == count else data.files
    return several, rows, replace(data, inputs=given, labels=own, files=files)


def as_streams(graph: Graph, data: Dataset) -> Dataset:
    """Return a dataset whose samples are streams: frames of one stream become the only sample. Other networks: as it is."""
    streams = streams_of(graph)
    if streams is None:
        return data
    arrays = {name or graph.inputs[0]: x for name, x in data.arrays.items()}
    if not streams.is_one({graph.input_names.get(n, n): x for n, x in arrays.items()}):
        return data
    inputs = {n: x[np.newaxis] for n, x in data.inputs.items()} if isinstance(data.inputs, Mapping) else data.inputs[np.newaxis]
    labels, files = (None if x is None else x[np.newaxis] for x in (data.labels, data.files))
    return replace(data, inputs=inputs, labels=labels, files=None if files is None else files[:, 0])


class Unroller:
    """Makes programs of one network with state into programs whose samples are streams. entries: of one stream."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self._whole: dict[Step, Step] = {}
        self._loops: dict[str, Step] = {}

    def program(self, program: Program) -> Program:
        """Return the unrolled program; one without state is returned as it is."""
        streams = program.streams
        if streams is None:
            return program
        if streams.batch:
            return Program((self._loop(program, streams, tuple(streams.ranks), streams.outputs),), program.outputs)
        before, _, after = streams.order
        read = {n for i in after for n in program.steps[i].node.inputs} | {t.name for t in program.outputs}
        activations = {n for s in program.steps for n, _ in s.sources if n} | set(streams.ranks)
        takes = tuple(n for n in streams.loop_reads if n in activations or any(s.write == n for s in streams.states))
        makes = tuple(n for n in streams.loop_makes if n in read)
        loop = self._loop(program, streams, takes, makes)
        steps = [self._flat(program.steps[i]) for i in before], [loop], [self._flat(program.steps[i]) for i in after]
        return Program(tuple(step for part in steps for step in part), program.outputs)

    def _flat(self, step: Step) -> Step:
        """Return a step that runs on all entries of a stream at once."""
        if step not in self._whole:
            live = [t is not None and t.data is None for t in step.site.inputs]

            def run(args: Sequence[Array]) -> list[Array]:
                streams = next(a.shape[:2] for a, is_live in zip(args, live, strict=True) if is_live)
                flat = [np.ascontiguousarray(a.reshape(-1, *a.shape[2:])) if x else a for a, x in zip(args, live, strict=True)]
                return [y.reshape(*streams, *y.shape[1:]) for y in step.run(flat)]

            site = replace(step.site, outputs=tuple(self._stretched(t) for t in step.site.outputs))
            self._whole[step] = Step(step.node, site, _hash("entries", str(self.entries), step.key), run)
        return self._whole[step]

    def _loop(self, program: Program, streams: Streams, takes: tuple[str, ...], makes: tuple[str, ...]) -> Step:
        """Return the step that runs the recurrence frame by frame. takes, makes: its inputs and outputs by name."""
        positions = range(len(program.steps)) if streams.batch else streams.order.loop
        states = [repr((s.read, s.write, s.initial.shape)) + s.initial.tobytes().hex() for s in streams.states]
        key = _hash("recurrence", str(self.entries), *takes, "->", *makes, *states, *(program.steps[i].key for i in positions))
        if key not in self._loops:
            tensors = {t.name: t for s in program.steps for t in (*s.site.inputs, *s.site.outputs) if t is not None}
            inputs = tuple(tensors.get(n) or Tensor(n, (1,), "float32") for n in takes)
            site = Site(
                "recurrence", "recurrence", None, inputs, tuple(self._stretched(tensors[n]) for n in makes),
                program.steps[0].site.arithmetic,
            )  # fmt: skip

            def run(args: Sequence[Array]) -> list[Array]:
                reads = dict(zip(takes, args, strict=True))
                if streams.batch:
                    found = streams.run(program.apply, reads)
                else:
                    lanes, entries = args[0].shape[:2]
                    found = streams.recur(program.apply, reads, streams.begin(lanes), entries)
                return [found[n] for n in makes]

            self._loops[key] = Step(Node("recurrence", "recurrence", takes, makes), site, key, run)
        return self._loops[key]

    def _stretched(self, tensor: Tensor) -> Tensor:
        """Return a tensor with all entries of a stream, for the count of bytes."""
        return replace(tensor, shape=(1, self.entries, *tensor.shape[1:]))


def _hash(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
