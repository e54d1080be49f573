"""Neighbours in rank: of the changes to one format, which follow each other in harm, and whether the samples tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workbench.metrics import Metric, paired_change
from workbench.metrics.paired import unit_reach
from workbench.statistics import Difference, separable
from workbench.sweep.one_at_a_time import Sensitivity


@dataclass(frozen=True)
class Neighbours:
    """Two groups that follow each other in how much they lose in a format.

    first, second: names of groups; first loses more. rank: of the first, from 1. change: of the deciding metric from the second's plan
    to the first's on the same samples, with its paired 95 % interval. apart: whether that interval leaves out 0. samples: about how
    many would tell a difference as large as the one seen; None where none was seen, and for metrics that are no mean over samples.
    """

    format: str
    first: str
    second: str
    rank: int
    change: Difference
    apart: bool
    samples: int | None = None


def rank_neighbours(sensitivities: Sequence[Sensitivity], metric: Metric) -> list[Neighbours]:
    """Return the neighbours in rank of every format, from those that lose most; equal figures are ranked by the loss."""
    worse = -1.0 if metric.higher_is_better else 1.0
    found: list[Neighbours] = []
    for fmt in dict.fromkeys(s.format for s in sensitivities):
        ranked = sorted(
            (s for s in sensitivities if s.format == fmt), key=lambda s: (-worse * s.change.estimate, -s.predicted_loss)
        )
        found += [_pair(metric, fmt, a, b, rank) for rank, (a, b) in enumerate(pairwise(ranked), 1)]
    return found


def _pair(metric: Metric, fmt: str, first: Sensitivity, second: Sensitivity, rank: int) -> Neighbours:
    change = paired_change(metric, second.record.evidence, first.record.evidence)
    apart = change.low > 0.0 or change.high < 0.0
    samples, both = None, (second.record.evidence, first.record.evidence)
    if metric.interval == "binary":
        samples = separable(*both).samples_needed
    elif metric.interval == "mean" and not any(np.isnan(e).any() for e in both):
        samples = separable(both[0][:, 0], both[1][:, 0], unit_reach(metric, *both)).samples_needed
    return Neighbours(fmt, first.group.name, second.group.name, rank, change, apart, samples)
