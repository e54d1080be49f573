"""Many plans as one list of computations, each done once.

Steps carry content keys, so two programs share a value when the same step reads the same values: *value numbering*. On plans
sorted by their keys this is a depth-first walk of their trie (shared prefixes run once), and more: where branches of a network
meet, a branch is not run again because something changed in the other one. The list says when each value is read for the last
time, so the memory of a walk is known before it starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.execute import Program, Step
from workbench.graph.ir import Array, Tensor
from workbench.tensor import STORAGE


class Run(NamedTuple):
    """One step on numbered values: what it reads, in the order of its inputs, and what it writes."""

    step: Step
    reads: tuple[int, ...]
    writes: tuple[int, ...]


class Segment(NamedTuple):
    """What one plan adds to those before it. Its runs and, after them, its outputs take a tick each, from `first` on."""

    first: int
    runs: tuple[Run, ...]
    outputs: tuple[int, ...]
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Schedule:
    """One segment per program, in their order.

    inputs: number of every input by name. constants: value by (negative) number; None where an optional input is absent.
    dead: by tick, the values that nothing reads after it. peak_bytes: the most that values other than inputs and constants occupy
    at any time, for the batch that the graph declares (one sample unless the graph has a fixed batch).
    """

    segments: Sequence[Segment]
    inputs: Mapping[str, int]
    constants: Mapping[int, Array | None]
    dead: Sequence[tuple[int, ...]]
    peak_bytes: int


def sort_programs(programs: Sequence[Program]) -> list[int]:
    """Return the indices of the programs, ordered so that shared prefixes are adjacent."""
    keys = [[step.key for step in p.steps] for p in programs]
    return sorted(range(len(programs)), key=keys.__getitem__)


def make_schedule(programs: Sequence[Program], inputs: Sequence[str]) -> Schedule:
    """Return the schedule of sorted programs of one graph. inputs: the graph's, by name."""
    numbering = _Numbering(inputs)
    segments = [numbering.add(program) for program in programs]
    dead: list[tuple[int, ...]] = [()] * numbering.clock
    for value, tick in enumerate(numbering.last):
        dead[tick] += (value,)
    live, peak, size = 0, 0, numbering.size
    for segment in segments:
        tick = segment.first
        for run in segment.runs:
            for value in run.writes:
                live += size[value]
            peak = max(peak, live)
            for value in dead[tick]:
                live -= size[value]
            tick += 1
        for value in dead[tick]:
            live -= size[value]
    return Schedule(segments, numbering.inputs, numbering.constants, dead, peak)


class _Numbering:
    """Numbers values while programs are added. last: the last tick that reads a value (makes it, if none does). size: bytes."""

    def __init__(self, inputs: Sequence[str]) -> None:
        self.clock = 0
        self.inputs = {name: number for number, name in enumerate(inputs)}
        self.constants: dict[int, Array | None] = {}
        self.last, self.size = [0] * len(inputs), [0] * len(inputs)
        self._names = dict(self.inputs)  # tensor -> value, along the steps of the program at hand
        self._previous: tuple[Step, ...] = ()
        self._known: dict[tuple[str, tuple[int, ...]], tuple[int, ...]] = {}
        self._sources: dict[Step, tuple[int | str, ...]] = {}
        self._sizes: dict[Step, tuple[int, ...]] = {}
        self._contents: dict[str, int] = {}

    def add(self, program: Program) -> Segment:
        """Return what no earlier program computed."""
        first, runs = self.clock, []
        for step in program.steps[self._shared(program) :]:
            sources = self._sources.get(step) or self._look_at(step)
            reads = tuple([self._names[s] if isinstance(s, str) else s for s in sources])
            writes = self._known.get((step.key, reads))
            if writes is None:
                writes = self._known[step.key, reads] = self._new(self._sizes[step])
                runs.append(Run(step, reads, writes))
                self._tick(reads)
            self._names.update(zip(step.node.outputs, writes, strict=True))
        self._previous = program.steps
        outputs = tuple(self._names[tensor.name] for tensor in program.outputs)
        self._tick(outputs)
        return Segment(first, tuple(runs), outputs, program.outputs)

    def _shared(self, program: Program) -> int:
        """Return how many first steps are the previous program's: their values still stand in `_names`."""
        shared = 0
        for a, b in zip(self._previous, program.steps, strict=False):
            if a is not b:
                break
            shared += 1
        return shared

    def _look_at(self, step: Step) -> tuple[int | str, ...]:
        """Return what a step reads: the number of a constant, the name of an activation."""
        self._sizes[step] = tuple(math.prod(t.shape) * np.dtype(STORAGE[t.dtype]).itemsize for t in step.site.outputs)
        found = self._sources[step] = tuple(self._source(t) for t in step.site.inputs)
        return found

    def _source(self, tensor: Tensor | None) -> int | str:
        if tensor is not None and tensor.data is None:
            return tensor.name
        number = self._contents.setdefault("" if tensor is None else tensor.digest, -1 - len(self._contents))
        self.constants[number] = None if tensor is None else tensor.data
        return number

    def _new(self, sizes: Sequence[int]) -> tuple[int, ...]:
        first = len(self.last)
        self.last.extend([self.clock] * len(sizes))
        self.size.extend(sizes)
        return tuple(range(first, len(self.last)))

    def _tick(self, reads: tuple[int, ...]) -> None:
        for value in reads:
            if value >= 0:
                self.last[value] = self.clock
        self.clock += 1
