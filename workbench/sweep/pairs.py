"""Pairs of changes: what two lose together beyond the sum. How many plans it takes is known before it starts: `pairs_within`.

Exact results come through `ask.Ask`: from an evaluator (`by_evaluator`) or from an oracle (`by_oracle`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.metrics import Metric, paired_change
from workbench.precision import PrecisionPlan
from workbench.statistics import Difference
from workbench.sweep.ask import Ask
from workbench.sweep.groups import Group
from workbench.sweep.records import Interaction, Pairs

Change = tuple[Group, str]


def pairs_within(changes: Sequence[Change], losses: Sequence[float], budget: int) -> list[tuple[int, int]]:
    """Return the pairs of changes (positions, of different groups) that fit a budget: all among the changes that matter most.

    Changes come by their loss alone, largest first; one more is taken while the pairs with all taken before fit.
    """
    if budget < 1:
        raise InputError(f"pairs: a budget of {budget} plans; at least 1 fits.")
    order = sorted(range(len(changes)), key=lambda i: (-abs(losses[i]), i))
    found: list[tuple[int, int]] = []
    for k, new in enumerate(order):
        more = [(min(new, old), max(new, old)) for old in order[:k] if changes[old][0] != changes[new][0]]
        if len(found) + len(more) > budget:
            break
        found += more
    return sorted(found)


def count_pairs(changes: Sequence[Change]) -> int:
    """Return how many pairs of changes of different groups there are."""
    return sum(a[0] != b[0] for a, b in itertools.combinations(changes, 2))


def interactions(ask: Ask, metric: Metric, changes: Sequence[Change], baseline: PrecisionPlan, budget: int = 200) -> Pairs:
    """Return the interactions of the changes that matter most. budget: most plans with two changes."""
    alone = ask([baseline, *(group.plan(baseline, fmt) for group, fmt in changes)])
    singles = alone.loss[1:] - alone.loss[0]
    wanted = pairs_within(changes, singles.tolist(), budget)
    found: list[Interaction] = []
    if wanted:
        together = ask([_joint(changes, pair, baseline) for pair in wanted])
        for k, (i, j) in enumerate(wanted):
            joint = float(together.loss[k] - alone.loss[0])
            figure = float(together.figure[k] - alone.figure[i + 1] - alone.figure[j + 1] + alone.figure[0])
            change = Difference(figure, -np.inf, np.inf, 0, 0)
            if len(alone.evidence) and metric.interval in ("binary", "mean") and alone.evidence[0].shape[1:] in ((), (1,)):
                change = _paired(metric, alone.evidence[0], alone.evidence[i + 1], alone.evidence[j + 1], together.evidence[k])
            found.append(Interaction(i, j, joint, joint - float(singles[i]) - float(singles[j]), change))
    return Pairs(tuple(changes), tuple(singles.tolist()), tuple(found), count_pairs(changes), len(wanted))


def _joint(changes: Sequence[Change], pair: tuple[int, int], baseline: PrecisionPlan) -> PrecisionPlan:
    (a, fa), (b, fb) = changes[pair[0]], changes[pair[1]]
    return b.plan(a.plan(baseline, fa), fb)


def _paired(metric: Metric, none: Any, a: Any, b: Any, both: Any) -> Difference:
    """Return (both + none) - (a + b) of the metric with its interval: samples carry sums, hence a mean per sample."""
    left, right = ((np.asarray(x, np.float64) + y).reshape(-1, 1) for x, y in ((a, b), (both, none)))
    return paired_change(replace(metric, interval="mean"), left, right)
