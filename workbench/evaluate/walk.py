"""Running many plans over all samples: chunks of samples on threads, blocks of plans one after the other.

When all samples fit in the memory budget at once, every thread takes its share of them through the whole schedule and keeps its
activations from block to block. Otherwise each block of plans is a schedule of its own, run on as many chunks as the budget wants;
a block then begins at the input again, which long blocks make cheap.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np

from workbench.errors import InputError
from workbench.evaluate.schedule import Schedule, Segment, make_schedule
from workbench.evaluate.streams import Rows
from workbench.execute import Program, Values, real_values
from workbench.graph.ir import Array, Tensor
from workbench.metrics import Raw, Scores, Truth
from workbench.progress import Tick

BLOCK_SECONDS = 2.0
"""Aimed time of a block: what a kill can cost."""

BLOCK_PASSES = 10
"""A block that begins at the input takes at least as long as this many single plans, so that beginning costs a tenth."""

BLOCK_BYTES = 64 * 2**20
"""Most memory for the scores of a block."""

REPORT_SECONDS = 0.25


@dataclass(eq=False)
class Chunk:
    """Some samples on their way: live values by number (None before the first run), and the next plan."""

    samples: slice
    position: int = 0
    values: dict[int, Array | None] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return int(self.samples.stop - self.samples.start)


class Walk:
    """Sorted programs of one graph, and the samples to run them on.

    memory_bytes bounds the activations that are alive at any time, all threads together; not what an operator needs while it
    runs, nor the samples themselves. fixed_batch: samples that the graph wants together, or None. rows: the outputs that are judged.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        feed: Values,
        truth: Truth,
        threads: int,
        memory_bytes: int,
        fixed_batch: int | None,
        rows: Rows | None = None,
    ) -> None:
        self.programs, self.feed, self.truth = programs, feed, truth
        self.threads, self.memory_bytes, self.fixed_batch = threads, memory_bytes, fixed_batch
        self.rows, self.count = rows or Rows(), len(truth.reference) // (1 if rows is None else rows.judged)
        self.whole = make_schedule(programs, list(feed))
        self._before = [0, *accumulate(len(s.runs) for s in self.whole.segments)]
        self._stop = threading.Event()

    def blocks(self, progress: Tick | None = None) -> Iterator[tuple[int, Scores]]:
        """Yield (index of the first program, scores of it and those after it), in order. progress: of steps."""
        resident = self._room(self.whole) >= self.count // (self.fixed_batch or 1)
        most = max(1, BLOCK_BYTES // (Scores.sample_bytes(self.truth) * len(self.truth.reference)))
        chunks, threads = self._chunks(self.threads), self.threads
        start, size, target = 0, 1, BLOCK_SECONDS
        while start < len(self.programs):
            began = time.monotonic()
            if resident:
                schedule, segments = self.whole, self.whole.segments[start : start + size]
            else:
                schedule, chunks, threads = self._block(start, size)
                segments = schedule.segments
            scores = Scores.empty(len(segments), self.truth)
            with ThreadPoolExecutor(threads) as pool:
                jobs = [pool.submit(self._advance, c, schedule, segments, start, scores) for c in chunks]
                self._await(jobs, chunks, progress)
            yield start, scores
            spent = max(time.monotonic() - began, 1e-3)
            if not resident and start == 0:
                target = max(target, BLOCK_PASSES * spent)
            start, size = start + len(segments), max(1, min(round(len(segments) * target / spent), 8 * size, most))

    def _block(self, start: int, size: int) -> tuple[Schedule, list[Chunk], int]:
        """Return the schedule of at most `size` programs that fits in the budget, the chunks for it, and how many at a time."""
        while True:
            schedule = make_schedule(self.programs[start : start + size], list(self.feed))
            room = self._room(schedule)
            if room >= self.threads or size == 1:
                break
            size //= 2
        threads = min(self.threads, room)
        if not threads:
            together = "one sample" if self.fixed_batch is None else f"{self.fixed_batch} samples that belong together"
            raise InputError(
                f"a plan needs {schedule.peak_bytes:,} bytes for the activations of {together}; "
                f"memory_bytes is {self.memory_bytes:,}."
            )
        samples = room // threads * (self.fixed_batch or 1)
        rounds = -(-self.count // (samples * threads))
        return schedule, self._chunks(rounds * threads, start), threads

    def _room(self, schedule: Schedule) -> int:
        """Return how many samples (fixed batches) fit in the budget together."""
        return self.memory_bytes // max(schedule.peak_bytes, 1)

    def _chunks(self, parts: int, position: int = 0) -> list[Chunk]:
        """Return about equal chunks, or one for every fixed batch."""
        parts = self.count // self.fixed_batch if self.fixed_batch else min(parts, self.count)
        bounds = [self.count * i // parts for i in range(parts + 1)]
        return [Chunk(slice(a, b), position) for a, b in pairwise(bounds)]

    def _advance(self, chunk: Chunk, schedule: Schedule, segments: Sequence[Segment], start: int, scores: Scores) -> None:
        """Run segments of a schedule, the first of which is program `start`, on a chunk."""
        values = chunk.values
        if values is None:
            values = dict(schedule.constants)
            values.update((number, self.feed[name][chunk.samples]) for name, number in schedule.inputs.items())
        dead = schedule.dead
        for i, (tick, runs, outputs, tensors) in enumerate(segments):
            if self._stop.is_set():
                return
            for step, reads, writes in runs:
                values.update(zip(writes, step.run([values[number] for number in reads]), strict=True))  # type: ignore[misc]
                for number in dead[tick]:
                    del values[number]
                tick += 1
            found = [_raw(tensors[k], values[outputs[k]], self.rows) for k in self.truth.order]
            scores.put(i, chunk.samples.start * self.rows.judged, found, self.truth)
            for number in dead[tick]:
                del values[number]
            chunk.position = start + i + 1
        chunk.values = values

    def _await(self, jobs: Iterable[Future[None]], chunks: Sequence[Chunk], progress: Tick | None) -> None:
        """Return when all jobs are done, telling the progress; at an error or an interruption, stop them first."""
        pending = set(jobs)
        try:
            while pending:
                done, pending = wait(pending, REPORT_SECONDS, FIRST_EXCEPTION)
                for job in done:
                    job.result()
                if progress is not None:
                    steps = sum(self._before[c.position] * len(c) for c in chunks) // self.count
                    progress(steps, self._before[-1])
        except BaseException:
            self._stop.set()
            for job in pending:
                job.cancel()
            raise


def _raw(tensor: Tensor, values: Array | None, judged: Rows) -> Raw:
    """Return outputs as rows [n, C] with the scale and zero point that make them real."""
    assert values is not None
    outputs = judged.of(values)
    rows = outputs.reshape(len(outputs), -1)
    if tensor.quant is None or tensor.quant.axis is not None:
        real = real_values(tensor, outputs).reshape(rows.shape)
        return Raw(real.astype(np.float32) if real.dtype.kind != "f" else real)
    return Raw(rows, *tensor.quant.scalar)
