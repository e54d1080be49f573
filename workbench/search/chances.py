"""How likely a plan is to be on the exact frontier, given what was evaluated and what a surrogate expects.

Results of all candidates are drawn together from the surrogate (their errors are correlated: neighbours are wrong alike), the
frontier of every draw is found among them and the plans evaluated, and a plan's chance is the share of draws that have it on
the frontier. It is probability matching (Thompson, Biometrika 25, 1933) for frontiers: what is wanted is the frontier's points,
not its volume."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]


def best_known(costs: F64, known_costs: F64, known: F64) -> F64:
    """Return for plans of these costs [P, A] the best result known at no more cost, [P]; infinity where there is none.

    known_costs, known: of the plans evaluated, [N, A] and [N]; their frontier is enough.
    """
    found = np.full(len(costs), np.inf)
    for cost, value in zip(known_costs, known, strict=True):
        np.minimum(found, value, out=found, where=(costs >= cost).all(axis=1))
    return found


def frontier_chances(draws: F64, costs: F64, known: F64, known_costs: F64) -> F64:
    """Return the share of draws in which each candidate is on the frontier, [P].

    draws: [P, D]; costs: [P, A]; known, known_costs: results and costs of the frontier of the plans evaluated, [N] and [N, A].
    A plan is on the frontier when no plan that costs no more, on any axis, is better."""
    values = np.concatenate((draws, np.repeat(known[:, None], draws.shape[1], axis=1)))
    every = np.concatenate((costs, known_costs))
    if costs.shape[1] == 1:
        order = np.argsort(every[:, 0], kind="stable")
        lowest = np.minimum.accumulate(values[order], axis=0)
        last = np.searchsorted(every[order, 0], costs[:, 0], side="right") - 1
        return np.asarray((draws <= lowest[last]).mean(axis=1))
    found = np.empty(len(costs))
    for row, cost in enumerate(costs):
        rivals = (every <= cost).all(axis=1)
        found[row] = (draws[row] <= values[rivals].min(axis=0)).mean()
    return found
