"""`Evaluator.evaluate(plans)`: the only way accuracy is obtained."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np

from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate.journal import VERSION, Journal, Record
from workbench.evaluate.trie import count_steps, sort_programs, walk
from workbench.execute import Program, Values, batches, check_inputs, real_values, run_reference
from workbench.graph.ir import Array, Graph
from workbench.metrics import METRICS, Outputs, predictions
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering

Progress = Callable[[int, int], None]
"""(steps done, steps in all)."""

REFERENCE_CHUNK = 64
BLOCK_SECONDS = 2.0
"""Aimed time between two writes of the journal: what a kill can cost."""


def reference_outputs(graph: Graph, feed: Values, threads: int) -> Array:
    """Return the only output of the float reference, float64 [N, C]; the same bits for any number of threads."""
    real = {name: real_values(graph.tensors[name], x) for name, x in feed.items()}
    count = len(next(iter(real.values())))

    def run(part: slice) -> Array:
        return run_reference(graph, {k: v[part] for k, v in real.items()})[graph.outputs[0]]

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(run, batches(count, graph.fixed_batch or REFERENCE_CHUNK)))
    return np.concatenate(parts).astype(np.float64).reshape(count, -1)


class Evaluator:
    """Exact results of plans on one target and one set of samples.

    The result does not depend on `threads` or `batch_size`: every sample is computed on its own, in integers or in a fixed order.
    """

    def __init__(
        self,
        lowering: Lowering,
        data: Dataset,
        journal: Journal | None = None,
        threads: int | None = None,
        batch_size: int = 100,
        reference: Array | None = None,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch size is {batch_size}; expected at least 1.")
        self.lowering, self.data = lowering, data
        self.journal = journal if journal is not None else Journal()
        self.threads = threads or os.cpu_count() or 1
        fixed = lowering.graph.fixed_batch
        self.batch_size = batch_size if fixed is None else fixed
        if len(lowering.graph.outputs) != 1:
            raise InputError(
                f"model '{lowering.graph.name}' has {len(lowering.graph.outputs)} outputs; metrics need exactly one."
            )
        self.feed = check_inputs(lowering.graph, data.inputs)
        self.output = lowering.graph.outputs[0]
        producer = lowering.graph.producer.get(self.output)
        self.probabilities = producer is not None and producer.op == "softmax"
        classes = int(np.prod(lowering.graph.tensors[self.output].shape[1:]))
        if data.labels is not None and data.labels.max() >= classes:
            raise InputError(f"{data.name}: label {data.labels.max()} but the model has {classes} outputs.")
        self._reference = reference
        self.metrics = [m for m in METRICS.values() if data.labels is not None or not m.needs_labels]

    @property
    def reference(self) -> Array:
        """Outputs of the float reference, float64 [N, C]; taken from `reference` when another target computed it already."""
        if self._reference is None:
            self._reference = reference_outputs(self.lowering.graph, self.feed, self.threads)
        return self._reference

    @property
    def reference_top1(self) -> float | None:
        """Top-1 of the float reference, None without labels."""
        labels = self.data.labels
        return None if labels is None else float((predictions(self.reference) == labels).mean())

    @cached_property
    def _data_key(self) -> str:
        return hashlib.sha256(repr((VERSION, self.data.digest, self.lowering.graph.digest)).encode()).hexdigest()

    def key(self, program: Program) -> str:
        """Return the content key of a program on these samples."""
        h = hashlib.sha256(self._data_key.encode())
        for step in program.steps:
            h.update(step.key.encode())
        h.update(repr(program.graph.outputs).encode())
        return h.hexdigest()[:32]

    def evaluate(self, plans: Iterable[PrecisionPlan], progress: Progress | None = None) -> dict[PrecisionPlan, Record]:
        """Return the record of every plan; those in the journal are not run again.

        Raises UnsupportedError when the target has no rule for a step of a plan. Interrupting keeps all finished blocks.
        """
        wanted = list(dict.fromkeys(plans))
        programs = {plan: self.lowering.program(plan) for plan in wanted}
        keys = {plan: self.key(program) for plan, program in programs.items()}
        todo: dict[str, PrecisionPlan] = {}
        for plan in wanted:
            if keys[plan] not in self.journal.records:
                todo.setdefault(keys[plan], plan)
        missing = list(todo.values())
        if missing:
            order = sort_programs([programs[p] for p in missing])
            self._run([missing[i] for i in order], programs, keys, progress)
        return {plan: self.journal.records[keys[plan]] for plan in wanted}

    def _run(
        self,
        plans: Sequence[PrecisionPlan],
        programs: dict[PrecisionPlan, Program],
        keys: dict[PrecisionPlan, str],
        progress: Progress | None,
    ) -> None:
        chunks = list(batches(len(self.data), self.batch_size))
        total = count_steps([programs[p] for p in plans]) * len(chunks)
        done, start, size = 0, 0, 4
        self.reference  # noqa: B018 - once, before the threads ask for it

        def tick() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(min(done, total), total)

        with ThreadPoolExecutor(self.threads) as pool:
            while start < len(plans):
                block = plans[start : start + size]
                began = time.monotonic()
                jobs = [pool.submit(self._chunk, [programs[p] for p in block], part, tick) for part in chunks]
                try:
                    parts = [job.result() for job in jobs]
                except BaseException:
                    for job in jobs:
                        job.cancel()
                    raise
                self.journal.add(
                    self._record(plan, keys[plan], np.concatenate([part[i] for part in parts])) for i, plan in enumerate(block)
                )
                start += size
                spent = max(time.monotonic() - began, 1e-3)
                size = max(1, min(4096, round(len(block) * BLOCK_SECONDS / spent)))
        if progress is not None:
            progress(total, total)

    def _chunk(self, programs: Sequence[Program], part: slice, tick: Callable[[], None]) -> list[Array]:
        """Return each program's real outputs [n, C] on one chunk of samples."""
        found: list[Array | None] = [None] * len(programs)

        def visit(i: int, outputs: Values) -> None:
            graph = programs[i].graph
            raw = outputs[graph.outputs[0]]
            found[i] = real_values(graph.tensors[graph.outputs[0]], raw).reshape(len(raw), -1)

        walk(programs, {name: x[part] for name, x in self.feed.items()}, visit, tick)
        return [array for array in found if array is not None]

    def _record(self, plan: PrecisionPlan, key: str, real: Array) -> Record:
        outputs = Outputs(real.astype(np.float64), self.reference, self.data.labels, self.probabilities)
        figures = {m.name: m.reduce(m.per_sample(outputs)) for m in self.metrics}
        predicted = predictions(outputs.real)
        correct = None if self.data.labels is None else predicted == self.data.labels
        return Record(key, self.lowering.profile.name, plan, self.data.name, len(self.data), figures, predicted, correct)
