"""Every tensor on both sides: where they differ first, how much, and what each layer adds of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from workbench.comparison.recording import Recording
from workbench.comparison.results import Sizes
from workbench.execute import Program, Step, Values, batches, real_values
from workbench.graph.ir import Array, Graph, Tensor
from workbench.progress import Tick
from workbench.streams import streams_of
from workbench.tensor import STORAGE

BATCH = 32
"""Samples that run together; nothing depends on it."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One tensor on both sides: as A and as B store it."""

    name: str
    a: Tensor
    b: Tensor

    def elements(self, count: int) -> int:
        """Return how many elements so many samples have."""
        return count * math.prod(self.a.shape[1:])

    @property
    def alike(self) -> bool:
        """True when both sides store it in one way: the same integers or floats mean the same numbers."""
        return self.a.dtype == self.b.dtype and self.a.quant == self.b.quant

    @property
    def unit(self) -> Literal["step", "real"]:
        """What differences count: steps of integers that mean the same on both sides, else real numbers."""
        return "step" if self.alike and np.dtype(STORAGE[self.a.dtype]).kind in "iu" else "real"


@dataclass(frozen=True)
class Example:
    """The first element that differs: sample, index within the sample, stored values."""

    sample: int
    index: tuple[int, ...]
    a: int | float
    b: int | float


@dataclass(eq=False)
class Found:
    """What is known of one tensor after some samples."""

    cumulative: Sizes = field(default_factory=Sizes)
    local: Sizes | None = None
    example: Example | None = None

    def add(self, other: Found) -> None:
        """Take over what was found on later samples."""
        self.cumulative += other.cumulative
        self.local = other.local if self.local is None else self.local if other.local is None else self.local + other.local
        self.example = self.example or other.example


@dataclass(frozen=True, eq=False)
class Difference:
    """What `differences` returns: by tensor name, and the real outputs of both sides, float32 [N, C] (None with several)."""

    found: Mapping[str, Found]
    outputs: tuple[Array, Array] | None


def differences(
    graph: Graph,
    a: Program | Recording,
    b: Program | Recording,
    pairs: Sequence[Pair],
    output: Pair | None,
    feed: Values,
    threads: int,
    progress: Tick,
) -> Difference:
    """Compare two sides tensor by tensor.

    Args:
        pairs: the tensors to compare, in execution order. output: the only output of the graph. feed: raw inputs [N, ...].
    Returns: the same for any number of threads: batches are fixed and added up in order.
    """
    parts = _parts(graph, feed)
    size = graph.fixed_batch or BATCH
    alone = _alone(a, b, pairs, feed) if isinstance(a, Program) and isinstance(b, Program) else {}

    def work(part: slice) -> tuple[dict[str, Found], list[Array]]:
        total, rows = {pair.name: Found() for pair in pairs}, list[list[Array]]()
        for (first, one), (_, two) in zip(*(_values(side, graph, feed, part, size) for side in (a, b)), strict=True):
            for pair in pairs:
                found = _compare(pair, one[pair.name], two[pair.name], first)
                if pair.name in alone:
                    step, which = alone[pair.name]
                    found.local = Sizes() if step is None else _local(step, which, pair, one)
                total[pair.name].add(found)
            if output is not None:
                rows.append([_rows(output.a, one[output.name]), _rows(output.b, two[output.name])])
        return total, [np.concatenate(side) for side in zip(*rows, strict=True)]

    total = {pair.name: Found() for pair in pairs}
    rows: list[list[Array]] = []
    pool = ThreadPoolExecutor(threads)
    try:
        for i, (found, own) in enumerate(pool.map(work, parts)):
            for name, part in found.items():
                total[name].add(part)
            rows.append(own)
            progress(i + 1, len(parts))
    finally:
        pool.shutdown(cancel_futures=True)
    if output is None:
        return Difference(total, None)
    one, two = (np.concatenate(side) for side in zip(*rows, strict=True))
    return Difference(total, (one, two))


def _parts(graph: Graph, feed: Values) -> list[slice]:
    """Return the parts that may be compared one by one: samples, or whole streams (of one stream: all its frames)."""
    streams = streams_of(graph)
    if streams is None:
        return list(batches(len(next(iter(feed.values()))), graph.fixed_batch or BATCH))
    return [slice(i, i + 1) for i in range(len(next(iter(streams.apart(feed).values()))))]


def _values(side: Program | Recording, graph: Graph, feed: Values, part: slice, size: int) -> Iterator[tuple[int, Values]]:
    """Yield (number of the first sample, every tensor of some samples) of a part; frames of streams are numbered through."""
    streams = streams_of(graph)
    if streams is None:
        if isinstance(side, Program):
            yield part.start, side.run({n: x[part] for n, x in feed.items()}, keep_all=True)
        else:
            yield part.start, {n: x[part] for n, x in side.arrays.items()}
        return
    several = {n: x[part] for n, x in streams.apart(feed).items()}
    length = next(iter(several.values())).shape[1]
    if isinstance(side, Program):
        for rows, values in side.passes(several, size):
            yield part.start * length + rows.start, values
        return
    for rows in batches(length, size):
        own = {n: x if streams.is_one(feed) else x[part.start] for n, x in side.arrays.items()}
        yield part.start * length + rows.start, {n: x[rows] for n, x in own.items()}


def _rows(tensor: Tensor, x: Array) -> Array:
    return real_values(tensor, x).reshape(len(x), -1)


def _alone(a: Program, b: Program, pairs: Sequence[Pair], feed: Values) -> dict[str, tuple[Step | None, int]]:
    """Return, for the tensors that B's layer can make of A's activations, that step and which output; None: A has the same step."""
    alike = {pair.name for pair in pairs if pair.alike} | set(feed)
    same = {(step.key, step.node.outputs) for step in a.steps}
    found: dict[str, tuple[Step | None, int]] = {}
    for step in b.steps:
        reads = {t.name for t in step.site.inputs if t is not None and not t.is_constant}
        for i, name in enumerate(step.node.outputs):
            if name in alike and reads <= alike:
                found[name] = (None if (step.key, step.node.outputs) in same else step, i)
    return found


def _local(step: Step, output: int, pair: Pair, values: Values) -> Sizes:
    args = [values[name] if name else constant for name, constant in step.sources]
    return _compare(pair, values[pair.name], step.run(args)[output], 0).cumulative  # type: ignore[arg-type]


def _compare(pair: Pair, a: Array, b: Array, first: int) -> Found:
    """Compare a tensor on some samples, of which the first has this number."""
    if pair.alike:
        other = a != b
        if a.dtype.kind not in "iu":
            other &= ~(np.isnan(a) & np.isnan(b))
        x, y = a[other], b[other]
    else:
        real_a, real_b = real_values(pair.a, a), real_values(pair.b, b)
        other = (real_a != real_b) & ~(np.isnan(real_a) & np.isnan(real_b))
        x, y = real_a[other], real_b[other]
    if not x.size:
        return Found()
    sizes: tuple[int, int] | tuple[float, float]
    if pair.unit == "step":
        size = np.abs(y.astype(np.int64) - x.astype(np.int64))
        sizes = int(size.max()), int(size.sum())
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            real = np.abs(y.astype(np.float64) - x.astype(np.float64))
        sizes = float(real.max()), float(real.sum())  # NaN or infinite where one side is
    rows = other.reshape(len(other), -1)
    sample = int(rows.any(axis=1).argmax())
    index = tuple(int(i) for i in np.unravel_index(int(rows[sample].argmax()), other.shape[1:]))
    example = Example(first + sample, index, a[(sample, *index)].item(), b[(sample, *index)].item())
    return Found(Sizes(x.size, int(rows.any(axis=1).sum()), *sizes), None, example)
