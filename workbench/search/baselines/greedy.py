"""The greedy walk of AIMET's automatic mixed precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.search.baselines.ledger import Ledger, single_changes, sum_of
from workbench.search.found import Found
from workbench.truth import Oracle


def greedy(
    oracle: Oracle, *, against: Sequence[str] = ("flash",), quality: str = "metric", evaluations: float, seed: int = 0
) -> Found:
    """Measure every single change, then make the changes one after the other, the one that lost least first.

    Every step of the walk is evaluated. A change that makes no axis cheaper where the walk stands is passed over (a group that has
    fewer bits already). Ends at the end of the list, usually long before the budget.
    Source: AIMET, aimet_common/amp/mixed_precision_algo.py: phase 1 (accuracy list), phase 2 (Pareto list, the whole curve).
    """
    ledger = Ledger(oracle, against, quality, evaluations)
    base, adds = single_changes(ledger)
    predict = sum_of(base, adds)
    code = ledger.base
    places = [(g, f) for g, f in np.argwhere(~np.isnan(adds)) if f != code[g]]
    changed = np.repeat(code[None], len(places), axis=0)
    for row, (g, f) in enumerate(places):
        changed[row, g] = f
    cost = ledger.costs(changed)[:, 0] if places else np.empty(0)
    order = np.lexsort((cost, np.array([adds[g, f] for g, f in places])))
    for row in order:
        g, f = places[row]
        trial = code.copy()
        trial[g] = f
        before, after = ledger.costs(np.stack((code, trial)))
        if not (after < before).any():
            continue
        if np.isnan(ledger.evaluate(trial[None])[0]):
            break
        code = trial
    return ledger.found(predict)
