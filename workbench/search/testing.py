"""Which plans are tested on samples that did not choose them, in which order, and how the error is divided among the tests.

All of it is fixed before these samples are seen, so the chance that a plan is passed that breaks the limit is at most that error,
however many are tested and however alike they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from workbench.statistics import Z95_ONE_SIDED

F64 = npt.NDArray[np.float64]

ERROR = 0.05
"""Chance that a plan is passed that breaks the limit."""
CHANCES = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Chances to pass at which a plan is tested: the first is nearly sure, a plan below the last is not worth a test. Compared on
truth tables with fewer of them (docs/studies.md)."""


@dataclass(frozen=True)
class Tested:
    """level: chance of error that a test had. passed: its outcome."""

    level: float
    passed: bool


def chances(drops: F64, errors: F64, limit: float, others: float) -> F64:
    """Return the chance that a test of "the drop is at most the limit" passes, as the samples that choose have it.

    drops, errors: estimate of the drop and its standard error, [P]. others: how many samples test, relative to those that choose.
    Estimate and test both err, by normal distributions; what samples show is not drawn towards that of other plans.
    """
    tests = errors / np.sqrt(others)
    spread, room = np.hypot(errors, tests), limit - drops - Z95_ONE_SIDED * tests
    usable = np.isfinite(room) & np.isfinite(spread)
    found = np.zeros(len(drops))
    found[usable] = ndtr(room[usable] / np.maximum(spread[usable], 1e-300))
    return found


def steps(costs: F64, passing: F64) -> list[int]:
    """Return the rows to test, in order: for every chance of `CHANCES` the cheapest plan that passes with at least that chance.

    costs, passing: [P]; of equal costs the one that passes more likely. Where no plan has the last chance, the likeliest.
    """
    if not len(costs):
        return []
    order = np.lexsort((-passing, costs))
    found: dict[int, None] = {}
    for chance in CHANCES:
        enough = order[passing[order] >= chance]
        if len(enough):
            found.setdefault(int(enough[0]))
    return list(found) or [int(order[np.argmax(passing[order])])]


def levels(count: int) -> list[float]:
    """Return what each of several tests in a row has of the error: a half, a quarter, ...; the last two have equal parts."""
    return [ERROR / 2 ** min(k + 1, max(count - 1, 0)) for k in range(count)]


def fallback(plans: Sequence[int], passes: Callable[[int, float], bool]) -> list[Tested]:
    """Return the outcome of tests in a fixed order: each has its own part of the error and, if the one before passed, all that one had.

    The fallback procedure (B. L. Wiens, Pharmaceutical Statistics 2 (2003) 211-215; B. L. Wiens, A. Dmitrienko, Journal of
    Biopharmaceutical Statistics 15 (2005) 929-942): the chance that any of them wrongly passes is at most `ERROR`, whatever the tests
    have to do with each other. Unlike a fixed sequence (A. Angelopoulos et al., "Learn then Test", 2021, section 4.1) it does not end
    at the first failure. passes: of a row of `plans` and a level, whether its test at that level passes.
    """
    outcome: list[Tested] = []
    for plan, own in zip(plans, levels(len(plans)), strict=True):
        level = own + (outcome[-1].level if outcome and outcome[-1].passed else 0.0)
        outcome.append(Tested(level, passes(plan, level)))
    return outcome
