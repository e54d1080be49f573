"""One-at-a-time sensitivity: one group in another format, everything else at the baseline, measured exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.evaluate import Evaluator, Record
from workbench.evaluate.evaluator import Progress
from workbench.precision import PrecisionPlan
from workbench.statistics import Difference, paired_difference
from workbench.sweep.groups import Group


@dataclass(frozen=True)
class Sensitivity:
    """What one group loses in one format.

    change: of top-1 against the baseline on the same samples, with its paired 95 % interval (None without labels).
    flips: samples whose predicted class differs from the baseline's. The deltas are this plan minus the baseline.
    """

    group: Group
    format: str
    plan: PrecisionPlan
    record: Record
    change: Difference | None
    flips: int
    cross_entropy_delta: float | None
    sqnr_db: float
    mse_delta: float

    @property
    def predicted_loss(self) -> float:
        """The additive score that proposals use: added cross-entropy, or added squared error without labels."""
        return self.mse_delta if self.cross_entropy_delta is None else self.cross_entropy_delta


def one_at_a_time_plans(groups: Sequence[Group], formats: Sequence[str], baseline: PrecisionPlan) -> list[PrecisionPlan]:
    """Return the baseline and every plan with one group changed."""
    return [baseline, *(g.plan(baseline, f) for g in groups for f in formats if f != baseline.default)]


def one_at_a_time(
    evaluator: Evaluator,
    groups: Sequence[Group],
    formats: Sequence[str],
    baseline: PrecisionPlan,
    progress: Progress | None = None,
) -> tuple[Record, list[Sensitivity]]:
    """Return the baseline's record and the sensitivities, groups in network order."""
    records = evaluator.evaluate(one_at_a_time_plans(groups, formats, baseline), progress)
    base = records[baseline]
    found = []
    for group in groups:
        for fmt in formats:
            if fmt != baseline.default:
                found.append(compare(group, fmt, records[group.plan(baseline, fmt)], base))
    return base, found


def compare(group: Group, fmt: str, record: Record, base: Record) -> Sensitivity:
    """Return what a record says against the baseline, sample by sample."""
    change = None
    if record.correct is not None and base.correct is not None:
        change = paired_difference(base.correct, record.correct)
    entropy = record.metrics.get("cross_entropy")
    return Sensitivity(
        group=group,
        format=fmt,
        plan=record.plan,
        record=record,
        change=change,
        flips=int(np.count_nonzero(record.predictions != base.predictions)),
        cross_entropy_delta=None if entropy is None else entropy - base.metrics["cross_entropy"],
        sqnr_db=record.metrics["sqnr_db"],
        mse_delta=record.metrics["mse"] - base.metrics["mse"],
    )
