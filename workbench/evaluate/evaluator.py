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
from workbench.evaluate.judge import Judge
from workbench.evaluate.schedule import sort_programs
from workbench.evaluate.streams import Rows, Unroller, judged_rows
from workbench.evaluate.walk import Walk
from workbench.execute import Program, Values, apart, check_inputs, real_values, run_reference
from workbench.graph.ir import Array, Graph
from workbench.metrics import METRICS, Raw, Scores, Truth
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.quantize import Lowering
from workbench.resources import source_hash

REFERENCE_CHUNK = 64
MEMORY_BYTES = 512 * 2**20
"""Default budget for activations."""

SOURCES = ("ops/*.py", "execute.py", "streams.py", "evaluate/streams.py", "metrics/*.py", "tensor.py")
"""Code that decides a record, beside that of the kernels, which is part of every step's key."""


def reference_outputs(graph: Graph, feed: Values, threads: int, rows: Rows) -> tuple[Array, ...]:
    """Return the outputs of the float reference, each float64 [N, C]; the same bits for any number of threads.

    rows: which are judged, of a network with state.
    """
    real = {name: real_values(graph.tensors[name], x) for name, x in feed.items()}

    def run(part: slice) -> Values:
        return run_reference(graph, {k: v[part] for k, v in real.items()})

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(run, apart(graph, feed, REFERENCE_CHUNK)))
    found = [np.concatenate([rows.of(p[name]) for p in parts]).astype(np.float64) for name in graph.outputs]
    return tuple(y.reshape(len(y), -1) for y in found)


class Evaluator:
    """Exact results of plans on one target and one set of samples.

    memory_bytes: most memory for activations that are alive at a time, all threads together; not counted are the samples, the
    weights and what an operator needs while it runs. The result depends neither on it nor on `threads`: every sample is computed
    on its own, in integers or in a fixed order. Of a network with state a sample is a whole stream.
    """

    def __init__(
        self,
        lowering: Lowering,
        data: Dataset,
        journal: Journal | None = None,
        threads: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        reference: Array | Sequence[Array] | None = None,
        judge: Judge | None = None,
    ) -> None:
        for name, value in (("threads", threads), ("memory_bytes", memory_bytes)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; expected at least 1.")
        self.lowering, self.data, self.memory_bytes = lowering, data, memory_bytes
        self.journal = journal if journal is not None else Journal()
        self.threads = threads or os.cpu_count() or 1
        self.feed, self.rows, self.judged = judged_rows(lowering.graph, data, check_inputs(lowering.graph, data.inputs))
        self._unroller = Unroller(next(iter(self.feed.values())).shape[1]) if lowering.graph.states else None
        self.judge = judge or Judge.of(lowering.graph, data.labels is not None)
        self.metric = self.judge.metric
        self.labels = self.judge.labels(lowering.graph, self.judged)
        self._references = (reference,) if isinstance(reference, np.ndarray) else reference
        always = [m for m in METRICS.values() if m.score is None and (self.labels.classes is not None or not m.needs_labels)]
        self.metrics = [*always, *self.judge.extras]

    @property
    def references(self) -> tuple[Array, ...]:
        """Outputs of the float reference, each float64 [N, C]; from `reference` when another target computed them already."""
        if self._references is None:
            self._references = reference_outputs(self.lowering.graph, self.feed, self.threads, self.rows)
        return tuple(self._references)

    @property
    def reference(self) -> Array:
        """The judged output of the float reference, float64 [N, C]."""
        return self.references[self.judge.order[0]]

    @property
    def probabilities(self) -> bool:
        """True when the judged output is a softmax."""
        return self.truth.probabilities

    @property
    def threshold(self) -> float:
        """Above what a single output says class 1."""
        return self.truth.threshold

    @cached_property
    def reference_figure(self) -> float | None:
        """The deciding metric of the float reference itself; None where it is what the metric compares with."""
        if self.metric.needs == "":
            return None
        scores = Scores.empty(1, self.truth)
        scores.put(0, 0, [Raw(self.references[k].astype(np.float32)) for k in self.judge.order], self.truth)
        return float(self.metric.figures(scores, self.truth)[0])

    @cached_property
    def _data_key(self) -> str:
        parts = (VERSION, source_hash(*SOURCES), self.data.digest, self.lowering.graph.digest, self.judge.key)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @cached_property
    def truth(self) -> Truth:
        """What outputs are judged by."""
        return self.judge.truth(self.lowering.graph, self.references, self.labels, self.judged, self._judged_feed)

    @property
    def _judged_feed(self) -> Values:
        """The inputs of the rows that are judged."""
        if self._unroller is None:
            return self.feed
        arrays = self.judged.arrays
        return dict(arrays) if "" not in arrays else dict.fromkeys(self.feed, arrays[""])

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
            walk = self._walk([programs[i] for i in order])
            for start, scores in walk.blocks(progress):
                done = order[start : start + len(scores.classes)]
                self.journal.add(self._records([(wanted[i], keys[i]) for i in done], scores))
        return {plan: self.journal.records[key] for plan, key in zip(wanted, keys, strict=True)}

    def scores(self, programs: Sequence[Program], progress: Tick | None = None) -> Iterator[tuple[list[int], Scores]]:
        """Yield (indices, scores of these) of programs that no plan makes (hybrids of two targets), all in the end, in any order.

        The journal has no part in it.
        """
        programs = programs if self._unroller is None else [self._unroller.program(p) for p in programs]
        order = sort_programs(programs)
        walk = self._walk([programs[i] for i in order])
        for start, scores in walk.blocks(progress):
            yield order[start : start + len(scores.classes)], scores

    def _walk(self, programs: Sequence[Program]) -> Walk:
        together = self.lowering.graph.fixed_batch if self._unroller is None else None
        return Walk(programs, self.feed, self.truth, self.threads, self.memory_bytes, together, self.rows)

    def _program(self, plan: PrecisionPlan) -> Program:
        try:
            made = self.lowering.program(plan)
            return made if self._unroller is None else self._unroller.program(made)
        except UnsupportedError as problem:
            raise UnsupportedError(f"plan '{plan.label()}': {problem}") from None

    def _records(self, plans: Sequence[tuple[PrecisionPlan, str]], scores: Scores) -> Iterator[Record]:
        figures = {m.name: m.figures(scores, self.truth).tolist() for m in self.metrics}
        evidence = self.metric.evidence(scores, self.truth)
        binary = evidence.dtype == np.bool_
        profile, data, samples = self.lowering.profile.name, self.data.name, len(self.judged)
        for i, (plan, key) in enumerate(plans):
            metrics = {name: values[i] for name, values in figures.items()}
            correct, own = (evidence[i], None) if binary else (None, evidence[i])
            yield Record(key, profile, plan, data, samples, metrics, scores.classes[i], correct, own, self.metric.name)
