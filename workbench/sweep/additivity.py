"""Whether losses of changes add up: sums of singles, and of singles and pairs, against measured mixes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from workbench.precision import PrecisionPlan
from workbench.sweep.ask import Ask
from workbench.sweep.groups import Group
from workbench.sweep.records import Additivity, Fit, Mix, Pairs

F64 = npt.NDArray[np.float64]
Change = tuple[Group, str]

MIXES = 64
"""Random mixes on which sums are tested."""
SEED = 20211
"""Of the random mixes, unless another is given."""


def random_mixes(changes: Sequence[Change], baseline: PrecisionPlan, count: int, seed: int) -> list[PrecisionPlan]:
    """Return mixes: every group at the baseline or in one of its changes, each with the same chance; drawn with replacement."""
    rng = np.random.default_rng(seed)
    offered: dict[Group, list[str]] = {}
    for group, fmt in changes:
        offered.setdefault(group, [baseline.default]).append(fmt)
    found = []
    for _ in range(count):
        drawn = {g: names[int(rng.integers(len(names)))] for g, names in offered.items()}
        found.append(baseline.replace({layer: fmt for g, fmt in drawn.items() for layer in g.layers}))
    return found


def additivity(
    ask: Ask,
    pairs: Pairs,
    baseline: PrecisionPlan,
    asked: Mapping[str, PrecisionPlan] | None = None,
    mixes: int = MIXES,
    seed: int = SEED,
) -> Additivity:
    """Return how well the sum of singles, and that with interactions, predict mixes: `mixes` random ones, and the plans asked for by
    label ('chosen'). The fits are of the random ones alone."""
    plans = random_mixes(pairs.changes, baseline, mixes, seed)
    labels = [plan.label() for plan in plans]
    own = asked or {}
    answers = ask([baseline, *plans, *own.values()])
    measured = answers.loss[1:] - answers.loss[0]
    found = [
        _predicted(pairs, plan, baseline, "random" if k < len(plans) else "chosen", label, float(measured[k]))
        for k, (plan, label) in enumerate(zip([*plans, *own.values()], [*labels, *own], strict=True))
    ]
    drawn = found[: len(plans)]
    truth = np.array([m.measured for m in drawn])
    singles, both = (np.array([getattr(m, name) for m in drawn]) for name in ("by_singles", "by_pairs"))
    return Additivity(tuple(found), fit(singles, truth), fit(both, truth), seed)


def _predicted(
    pairs: Pairs, plan: PrecisionPlan, baseline: PrecisionPlan, kind: Literal["random", "chosen"], label: str, measured: float
) -> Mix:
    own = dict(plan.layers)
    taken = [i for i, (g, f) in enumerate(pairs.changes) if all(own.get(layer, plan.default) == f for layer in g.layers)]
    known = {(one.first, one.second): one.loss for one in pairs.interactions}
    inside = [pair for pair in itertools.combinations(taken, 2) if pairs.changes[pair[0]][0] != pairs.changes[pair[1]][0]]
    singles = sum(pairs.singles[i] for i in taken)
    met = [known[pair] for pair in inside if pair in known]
    return Mix(kind, label, singles, singles + sum(met), measured, len(met) / len(inside) if inside else 1.0)


def fit(predicted: F64, measured: F64) -> Fit:
    """Return how well predictions meet what was measured."""
    if len(measured) == 0:
        return Fit(*(float("nan"),) * 5)
    error = predicted - measured
    size = float(np.abs(measured).sum())
    share = float(np.abs(error).sum()) / size if size else float("nan")
    return Fit(
        float(error.mean()), float(np.abs(error).mean()), float(np.sqrt((error**2).mean())), share, kendall(predicted, measured)
    )


def kendall(a: Sequence[float] | F64, b: Sequence[float] | F64) -> float:
    """Return Kendall's tau-b of two rankings; NaN when one of them has nothing but ties."""
    usable = np.isfinite(a) & np.isfinite(b)
    if usable.sum() < 2:
        return float("nan")
    return float(kendalltau(np.asarray(a)[usable], np.asarray(b)[usable]).statistic)
