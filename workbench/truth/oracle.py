"""`Oracle`: where searches and statistics get exact results from; `Live` asks the evaluator, a truth table answers from its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from workbench.evaluate import Evaluator
from workbench.metrics import Metric
from workbench.progress import Tick
from workbench.sweep import Codes, Space

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Exact results of P plans on n samples.

    badness: the deciding metric, turned so that smaller is better, float64 [P] (top-1: share wrong). losses: what every sample loses,
    float64 [P, n]: cross-entropy with labels, squared error against the float reference without; smooth where the metric is not.
    correct: bool [P, n] where samples are right or wrong, else None.
    """

    badness: F64
    losses: F64
    correct: npt.NDArray[np.bool_] | None


class Oracle(Protocol):
    """Exact results of plans of a space on one target and set of samples.

    axes: what can be minimized besides the badness, in order ('flash', 'ram', 'latency', 'energy').
    spent: plans evaluated so far, each counted once; on a part of the samples as that share of a plan.
    """

    spent: float

    @property
    def space(self) -> Space:
        """The plans."""
        ...

    @property
    def metric(self) -> Metric:
        """The deciding metric."""
        ...

    @property
    def samples(self) -> int:
        """How many samples there are."""
        ...

    @property
    def axes(self) -> tuple[str, ...]:
        """The costs."""
        ...

    def evaluate(self, codes: Codes, samples: Indices | None = None, progress: Tick | None = None) -> Evaluated:
        """Return the exact results of plans [P, G], on all samples or on those given (indices; the badness is of these alone)."""
        ...

    def costs(self, codes: Codes) -> F64:
        """Return the estimated costs of plans, [P, len(axes)]: bytes, bytes, seconds, joules."""
        ...


@dataclass(eq=False)
class Live:
    """An oracle that runs plans on the evaluator. price: costs of plans, [P, A] in the order of `axes`."""

    evaluator: Evaluator
    space: Space
    axes: tuple[str, ...]
    price: Callable[[Codes], F64]
    spent: float = 0.0
    _parts: dict[bytes, Evaluator] = field(default_factory=dict, repr=False)

    @property
    def metric(self) -> Metric:
        """The deciding metric."""
        return self.evaluator.metric

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.evaluator.data)

    def costs(self, codes: Codes) -> F64:
        """Return the estimated costs of plans, [P, A]."""
        return self.price(codes)

    def evaluate(self, codes: Codes, samples: Indices | None = None, progress: Tick | None = None) -> Evaluated:
        """Return the exact results of plans, on all samples or on some."""
        evaluator = self.evaluator if samples is None else self._part(samples)
        found = score_plans(evaluator, self.space, codes, progress)
        self.spent += len(codes) * (1.0 if samples is None else len(samples) / self.samples)
        return found

    def _part(self, samples: Indices) -> Evaluator:
        key = samples.tobytes()
        if key not in self._parts:
            whole = self.evaluator
            data = whole.data.take(samples, f"{len(samples)} of {whole.data.name}")
            reference = None if whole.lowering.graph.states else tuple(r[samples] for r in whole.references)
            self._parts[key] = Evaluator(
                whole.lowering, data, None, whole.threads, whole.memory_bytes, reference=reference, judge=whole.judge
            )
        return self._parts[key]


def score_plans(evaluator: Evaluator, space: Space, codes: Codes, progress: Tick | None = None) -> Evaluated:
    """Return the exact results of plans [P, G] on an evaluator's samples; nothing is written to its journal."""
    metric, truth = evaluator.metric, evaluator.truth
    programs = [evaluator.lowering.program(plan) for plan in space.plans(codes)]
    badness = np.empty(len(codes))
    losses = np.empty((len(codes), len(evaluator.judged)))
    correct: npt.NDArray[np.bool_] | None = None
    for rows, scores in evaluator.scores(programs, progress):
        badness[rows] = turned(metric, metric.figures(scores, truth))
        losses[rows] = scores.entropy if truth.labels is not None else scores.error
        evidence = metric.evidence(scores, truth)
        if evidence.dtype == np.bool_:
            correct = np.empty((len(codes), evidence.shape[1]), np.bool_) if correct is None else correct
            correct[rows] = evidence
    return Evaluated(badness, losses, correct)


def turned(metric: Metric, figures: F64) -> F64:
    """Return figures turned so that smaller is better: of a share that should be high, its complement (top-1: the share wrong)."""
    if not metric.higher_is_better:
        return np.where(np.isnan(figures), np.inf, figures)
    return np.where(np.isnan(figures), np.inf, (1.0 if metric.is_share else 0.0) - figures)
