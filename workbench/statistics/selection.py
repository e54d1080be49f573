"""How good the plan that was chosen is, when the samples that say so also chose it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from workbench.statistics.bootstrap import DRAWS, F64, SEED, Counts, resamples, weighted_sums
from workbench.statistics.paired import Z95, Difference, adjusted_wald, discordant

BLOCK_VALUES = 16_000_000
"""Figures of draws x plans that are held at a time (64 MB, and 128 MB widened)."""


@dataclass(frozen=True)
class Winner:
    """The chosen plan.

    index: among the candidates. change: of its share correct (or mean loss) against the base, freed of the optimism, with a 95 %
    interval that knows of the choice. optimism: what the change seen on these samples has too much: positive for a share that should
    be high, negative for a loss.
    """

    index: int
    change: Difference
    optimism: float


def winner_interval(
    base: npt.NDArray[np.bool_],
    candidates: npt.NDArray[np.bool_],
    choose: Callable[[F64], int],
    draws: int = DRAWS,
    seed: int = SEED,
) -> Winner:
    """Return the candidate that `choose` takes, and what it really changes, without samples held back.

    base: right or wrong per sample [n]. candidates: [P, n]. choose: from the changes of the share correct [P] to the index of a plan;
    called on the samples and on every draw, so the whole choice is repeated (costs may be used, they do not change).

    In a draw the figure of whatever plan it chooses is compared with what that plan has on the samples: the distribution of these
    deviations stands for that of the chosen plan's deviation from the truth; their mean is the optimism (B. Efron, JASA 109 (2014)
    991-1007, on estimates after selection; I. Tsamardinos et al., Machine Learning 107 (2018) 1895-1922, on the best configuration).
    Two imaginary samples, one that every candidate gains and one that it loses, keep few discordant samples from looking certain
    (`adjusted_wald`). The interval is never shorter than that of the same plan had nobody chosen it. Coverage: docs/statistics.md.
    """
    n = len(base)
    # The imaginary samples are the same for all plans: no plan passes another by them. Sums of -1, 0 and 1 are exact in float32.
    change = np.empty((n + 2, len(candidates)), np.float32)
    change[:n] = (candidates.astype(np.int8) - base.astype(np.int8)).T
    change[n], change[n + 1] = 1.0, -1.0
    total = change.sum(axis=0, dtype=np.float64)
    index = int(choose(total / n))

    def means(counts: Counts) -> F64:
        return np.asarray((counts @ change).astype(np.float64) / (n + 2))

    deviations = _deviations(means, total / (n + 2), choose, resamples(n + 2, draws, seed))
    gained, lost = discordant(base, candidates[index])
    centre, error = adjusted_wald(gained, lost, n)
    optimism = float(deviations.mean())
    low, high = _ends(deviations, centre, Z95 * error)
    estimate = min(max((gained - lost) / n - optimism, -1.0), 1.0)
    return Winner(index, Difference(estimate, max(low, -1.0), min(high, 1.0), gained, lost), optimism)


def winner_of_means(changes: npt.NDArray[Any], choose: Callable[[F64], int], draws: int = DRAWS, seed: int = SEED) -> Winner:
    """Return the same for a mean of any numbers, such as losses, where smaller is better.

    changes: candidate - base of every sample, [P, n]. choose: from mean changes [P] to the index of a plan. The interval is never
    shorter than the paired t interval of the same plan. gained and lost count the samples with a smaller and a larger loss.
    """
    changes = np.asarray(changes, np.float64)
    n = changes.shape[1]
    mean = changes.mean(axis=1)
    index = int(choose(mean))
    deviations = _deviations(lambda counts: weighted_sums(counts, changes) / n, mean, choose, resamples(n, draws, seed))
    own = changes[index]
    half = float(stdtrit(n - 1, 0.975)) * float(own.std(ddof=1)) / math.sqrt(n)
    optimism = float(deviations.mean())
    low, high = _ends(deviations, float(mean[index]), half)
    found = Difference(float(mean[index]) - optimism, low, high, int((own < 0).sum()), int((own > 0).sum()))
    return Winner(index, found, optimism)


def _deviations(means: Callable[[Counts], F64], real: F64, choose: Callable[[F64], int], counts: Counts) -> F64:
    """Return, of every draw, how far the figure of the plan that it chooses is from that plan's figure `real` on the samples."""
    found = np.empty(len(counts))
    step = max(1, BLOCK_VALUES // len(real))
    for start in range(0, len(counts), step):
        for b, row in enumerate(means(counts[start : start + step]), start):
            at = int(choose(row))
            found[b] = row[at] - real[at]
    return found


def _ends(deviations: F64, centre: float, half: float) -> tuple[float, float]:
    """Return the interval: the deviations turned round, or the plain one moved by the optimism, whichever reaches farther."""
    below, above = np.quantile(deviations, (0.025, 0.975), method="inverted_cdf")
    moved = centre - float(deviations.mean())
    return min(centre - float(above), moved - half), max(centre - float(below), moved + half)
