"""The additive program of HAWQ: the sum of the layers' scores under a limit on the sum of their costs, at every limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.search.baselines.ledger import Ledger, single_changes, sum_of
from workbench.search.found import Found
from workbench.sweep import Codes
from workbench.truth import Oracle, pareto_front

F64 = npt.NDArray[np.float64]


def additive(
    oracle: Oracle,
    *,
    against: Sequence[str] = ("flash",),
    quality: str = "metric",
    evaluations: float,
    seed: int = 0,
    scores: F64 | None = None,
) -> Found:
    """Solve the additive program at every limit of every axis, and evaluate its optima.

    scores: what a format of a group is expected to lose, [G, most formats] (HAWQ: trace of the Hessian times squared error of the
    weights); NaN where there is no such format. Measured as single changes unless given. When there are more optima than
    evaluations left, those at evenly spaced places of the frontier are evaluated.
    Source: Yao et al., HAWQ-V3 (ICML 2021), section 3.4.
    """
    ledger = Ledger(oracle, against, quality, evaluations)
    if scores is None:
        base, adds = single_changes(ledger)
    else:
        wanted = (len(oracle.space.groups), int(oracle.space.radices.max()))
        if scores.shape != wanted:
            raise InputError(f"scores: an array of {scores.shape}. Expected {wanted}: groups x most formats.")
        base, adds = 0.0, scores
    axes = np.stack([additive_costs(ledger, axis) for axis in range(len(against))])
    fronts = [program_front(adds, costs) for costs in axes]
    for place, front in enumerate(fronts):
        fresh = front[ledger.new(front)]
        share = -(-ledger.left // (len(fronts) - place))  # the axes that are still to come get as many
        picked = np.linspace(0, len(fresh) - 1, min(share, len(fresh))).round().astype(np.int64)
        ledger.evaluate(fresh[np.unique(picked)])
    return ledger.found(sum_of(base, adds))


def additive_costs(ledger: Ledger, axis: int) -> F64:
    """Return what every format of every group adds to an axis when only that changes, [G, most formats]; costs no evaluations."""
    space, base = ledger.oracle.space, ledger.base
    places = [(g, f) for g, names in enumerate(space.formats) for f in range(len(names))]
    codes = np.repeat(base[None], len(places), axis=0)
    for row, (g, f) in enumerate(places):
        codes[row, g] = f
    costs = ledger.costs(codes)[:, axis]
    found = np.full((len(space.groups), int(space.radices.max())), np.nan)
    for (g, f), cost in zip(places, costs, strict=True):
        found[g, f] = cost
    return np.asarray(found - ledger.costs(base[None])[0, axis])


def program_front(scores: F64, costs: F64) -> Codes:
    """Return every optimum of: the smallest sum of scores under a limit on the sum of costs; cheapest first, [P, G].

    The groups join one at a time and beaten partial sums leave, so these are the optima of the integer program at all limits at
    once. NaN: not on offer. Source: Nemhauser and Ullmann, Management Science 15(9), 1969.
    """
    codes = np.empty((1, 0), np.uint8)
    sums = np.zeros((1, 2))
    for score, cost in zip(scores, costs, strict=True):
        offered = np.flatnonzero(~np.isnan(score) & ~np.isnan(cost))
        joined = sums[:, None] + np.column_stack((cost[offered], score[offered]))[None]
        kept = pareto_front(joined.reshape(-1, 2))
        codes = np.column_stack((codes[kept // len(offered)], offered[kept % len(offered)].astype(np.uint8)))
        sums = joined.reshape(-1, 2)[kept]
    return codes
