"""Multiple-choice knapsack: one format per group, additive scores, limits; solved to optimality by HiGHS (scipy.optimize.milp)."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp


@dataclass(frozen=True)
class Item:
    """One format of one group: what it adds, relative to the baseline, to each additive quantity ('loss', 'flash', ...)."""

    group: str
    format: str
    adds: Mapping[str, float]


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Send what native code prints to nowhere: HiGHS sometimes prints although it is told not to."""
    sys.stdout.flush()
    saved, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)


Choice = tuple[str, ...]
"""Format per group, in the order of the groups."""


def solve(
    groups: Sequence[str],
    items: Sequence[Item],
    minimize: Mapping[str, float],
    at_most: Mapping[str, float],
    exclude: Collection[Choice] = (),
) -> Choice | None:
    """Return the choice that minimizes a weighted sum of quantities under upper limits, or None when there is none.

    Args:
        groups: names in order. items: every allowed (group, format). minimize: quantity -> weight.
        at_most: quantity -> largest allowed sum (relative to the baseline, as the items). exclude: choices that may not come back.
    """
    cost = np.array([sum(w * item.adds[q] for q, w in minimize.items()) for item in items])
    spread = np.abs(cost).max(initial=0.0) or 1.0
    rows, low, high = [], [], []
    for group in groups:
        rows.append([1.0 if item.group == group else 0.0 for item in items])
        low.append(1.0)
        high.append(1.0)
    for quantity, limit in at_most.items():
        values = np.array([item.adds[quantity] for item in items])
        unit = np.abs(values).max(initial=0.0) or 1.0  # HiGHS has absolute tolerances: bring every row to about 1
        rows.append(list(values / unit))
        low.append(-np.inf)
        high.append(limit / unit)
    position = {(item.group, item.format): i for i, item in enumerate(items)}
    for choice in exclude:
        row = np.zeros(len(items))
        row[[position[g, f] for g, f in zip(groups, choice, strict=True)]] = 1.0
        rows.append(list(row))
        low.append(-np.inf)
        high.append(len(groups) - 1.0)
    with _silent_stdout():
        result = milp(
            cost / spread,
            constraints=LinearConstraint(np.array(rows), np.array(low), np.array(high)),
            integrality=np.ones(len(items), np.int64),
            bounds=Bounds(0, 1),
            options={"disp": False, "mip_rel_gap": 0.0},
        )
    if result.x is None:
        return None
    chosen = {item.group: item.format for item, x in zip(items, result.x, strict=True) if x > 0.5}
    return tuple(chosen[g] for g in groups)
