"""One-at-a-time sensitivity: one group in another format, everything else at the baseline, measured exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.evaluate import Evaluator, Record
from workbench.metrics import Metric, paired_change
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.statistics import Difference
from workbench.sweep.groups import Group


@dataclass(frozen=True)
class Sensitivity:
    """What one group loses in one format.

    change: of the deciding metric against the baseline on the same samples, with its paired 95 % interval.
    flips: samples whose predicted class differs from the baseline's. The deltas are this plan minus the baseline.
    """

    group: Group
    format: str
    plan: PrecisionPlan
    record: Record
    change: Difference
    flips: int
    cross_entropy_delta: float | None
    sqnr_db: float
    mse_delta: float

    @property
    def predicted_loss(self) -> float:
        """The additive score that proposals use: added cross-entropy, or added squared error without classes."""
        return self.mse_delta if self.cross_entropy_delta is None else self.cross_entropy_delta


def one_at_a_time(
    evaluator: Evaluator,
    changes: Sequence[tuple[Group, str]],
    baseline: PrecisionPlan,
    progress: Tick | None = None,
) -> tuple[Record, list[Sensitivity]]:
    """Return the baseline's record, and one sensitivity per change (group, format), in their order."""
    plans = [group.plan(baseline, fmt) for group, fmt in changes]
    records = evaluator.evaluate([baseline, *plans], progress)
    base = records[baseline]
    pairs = zip(changes, plans, strict=True)
    return base, [compare(group, fmt, plan, records[plan], base, evaluator.metric) for (group, fmt), plan in pairs]


def compare(group: Group, fmt: str, plan: PrecisionPlan, record: Record, base: Record, metric: Metric) -> Sensitivity:
    """Return what a plan's record says against the baseline, sample by sample."""
    entropy = record.metrics.get("cross_entropy")
    return Sensitivity(
        group=group,
        format=fmt,
        plan=plan,  # the record may name another plan that computes the same
        record=record,
        change=paired_change(metric, base.evidence, record.evidence),
        flips=int(np.count_nonzero(record.predictions != base.predictions)),
        cross_entropy_delta=None if entropy is None else entropy - base.metrics["cross_entropy"],
        sqnr_db=record.metrics["sqnr_db"],
        mse_delta=record.metrics["mse"] - base.metrics["mse"],
    )
