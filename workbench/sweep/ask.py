"""Asking for exact results of plans: from an evaluator with its journal, or from any oracle, such as a truth table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from workbench.evaluate import Evaluator
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.sweep.effects import loss_of
from workbench.sweep.space import Codes, Space

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """Exact results of P plans. loss, figure: float64 [P]. evidence: of the deciding metric, per plan; empty where there is none."""

    loss: F64
    figure: F64
    evidence: Sequence[npt.NDArray[Any]]


Ask = Callable[[Sequence[PrecisionPlan]], Answers]


def by_evaluator(evaluator: Evaluator, progress: Tick | None = None) -> Ask:
    """Return how plans are asked from an evaluator; what its journal has is not run again."""

    def ask(plans: Sequence[PrecisionPlan]) -> Answers:
        records = evaluator.evaluate(plans, progress)
        found = [records[plan] for plan in plans]
        figure = np.array([r.metrics[evaluator.metric.name] for r in found])
        return Answers(np.array([loss_of(r) for r in found]), figure, [r.evidence for r in found])

    return ask


class Exact(Protocol):
    """What an oracle answers with (`truth.Evaluated`)."""

    @property
    def badness(self) -> F64:
        """The deciding metric, smaller is better [P]."""
        ...

    @property
    def losses(self) -> F64:
        """What every sample loses, [P, N]."""
        ...

    @property
    def correct(self) -> npt.NDArray[np.bool_] | None:
        """Whether samples are right, [P, N]."""
        ...


class Answering(Protocol):
    """The part of an oracle (`truth.Oracle`) that is asked here."""

    @property
    def space(self) -> Space:
        """The plans that it knows."""
        ...

    def evaluate(self, codes: Codes) -> Exact:
        """Return the exact results of plans [P, G]."""
        ...


def by_oracle(oracle: Answering) -> Ask:
    """Return how plans are asked from an oracle. The figure is its badness, with the sign turned."""

    def ask(plans: Sequence[PrecisionPlan]) -> Answers:
        found = oracle.evaluate(np.stack([oracle.space.code(plan) for plan in plans]))
        right = found.correct
        evidence = [] if right is None else list(right)
        return Answers(found.losses.mean(axis=1), -found.badness, evidence)

    return ask
