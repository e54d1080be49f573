"""`Evaluator.evaluate(plans)`: the only way accuracy is obtained."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np

from workbench.data import Dataset
from workbench.errors import InputError, UnsupportedError
from workbench.evaluate.journal import VERSION, Journal, Record
from workbench.evaluate.schedule import sort_programs
from workbench.evaluate.walk import Walk
from workbench.execute import Program, Values, batches, check_inputs, real_values, run_reference
from workbench.graph.ir import Array, Graph
from workbench.metrics import METRICS, Scores, Truth, predictions
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.quantize import Lowering
from workbench.resources import source_hash

REFERENCE_CHUNK = 64
MEMORY_BYTES = 512 * 2**20
"""Default budget for activations."""

SOURCES = ("ops/*.py", "execute.py", "metrics.py", "tensor.py")
"""Code that decides a record, beside that of the kernels, which is part of every step's key."""


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

    memory_bytes: most memory for activations that are alive at a time, all threads together; not counted are the samples, the
    weights and what an operator needs while it runs. The result depends neither on it nor on `threads`: every sample is computed
    on its own, in integers or in a fixed order.
    """

    def __init__(
        self,
        lowering: Lowering,
        data: Dataset,
        journal: Journal | None = None,
        threads: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        reference: Array | None = None,
    ) -> None:
        for name, value in (("threads", threads), ("memory_bytes", memory_bytes)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; expected at least 1.")
        self.lowering, self.data, self.memory_bytes = lowering, data, memory_bytes
        self.journal = journal if journal is not None else Journal()
        self.threads = threads or os.cpu_count() or 1
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
        return hashlib.sha256(
            repr((VERSION, source_hash(*SOURCES), self.data.digest, self.lowering.graph.digest)).encode()
        ).hexdigest()

    @cached_property
    def _truth(self) -> Truth:
        return Truth(self.reference, self.data.labels, self.probabilities)

    def key(self, program: Program) -> str:
        """Return the content key of a program on these samples."""
        steps = "".join([step.key for step in program.steps])
        outputs = repr(tuple(tensor.name for tensor in program.outputs))
        return hashlib.sha256((self._data_key + steps + outputs).encode()).hexdigest()[:32]

    def evaluate(self, plans: Iterable[PrecisionPlan], progress: Tick | None = None) -> dict[PrecisionPlan, Record]:
        """Return the record of every plan; those in the journal are not run again.

        The journal grows in the order of the programs' keys, so that an interrupted evaluation ends with the same file.
        Raises UnsupportedError, before anything runs, when the target has no rule for a step of a plan. Interrupting keeps all
        finished blocks.
        """
        wanted = list(dict.fromkeys(plans))
        programs = [self._program(plan) for plan in wanted]
        keys = [self.key(program) for program in programs]
        todo: dict[str, int] = {}
        for i, key in enumerate(keys):
            if key not in self.journal.records:
                todo.setdefault(key, i)
        missing = list(todo.values())
        if missing:
            order = [missing[i] for i in sort_programs([programs[i] for i in missing])]
            walk = Walk(
                [programs[i] for i in order], self.feed, self._truth, self.threads, self.memory_bytes,
                self.lowering.graph.fixed_batch,
            )  # fmt: skip
            for start, scores in walk.blocks(progress):
                done = order[start : start + len(scores.classes)]
                self.journal.add(self._records([(wanted[i], keys[i]) for i in done], scores))
        return {plan: self.journal.records[key] for plan, key in zip(wanted, keys, strict=True)}

    def scores(self, programs: Sequence[Program], progress: Tick | None = None) -> Iterator[tuple[list[int], Scores]]:
        """Yield (indices, scores of these) of programs that no plan makes (hybrids of two targets), all in the end, in any order.

        The journal has no part in it.
        """
        order = sort_programs(programs)
        walk = Walk(
            [programs[i] for i in order],
            self.feed,
            self._truth,
            self.threads,
            self.memory_bytes,
            self.lowering.graph.fixed_batch,
        )
        for start, scores in walk.blocks(progress):
            yield order[start : start + len(scores.classes)], scores

    def _program(self, plan: PrecisionPlan) -> Program:
        try:
            return self.lowering.program(plan)
        except UnsupportedError as problem:
            raise UnsupportedError(f"plan '{plan.label()}': {problem}") from None

    def _records(self, plans: Sequence[tuple[PrecisionPlan, str]], scores: Scores) -> Iterator[Record]:
        figures = {m.name: m.figures(scores, self._truth).tolist() for m in self.metrics}
        correct = None if self.data.labels is None else scores.classes == self.data.labels
        profile, data, samples = self.lowering.profile.name, self.data.name, len(self.data)
        for i, (plan, key) in enumerate(plans):
            metrics = {name: values[i] for name, values in figures.items()}
            own = None if correct is None else correct[i]
            yield Record(key, profile, plan, data, samples, metrics, scores.classes[i], own)
