"""How good the plan that was chosen is, when the samples that say so also chose it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.statistics.bootstrap import DRAWS, F64, SEED, Counts, resamples, weighted_sums
from workbench.statistics.checks import table
from workbench.statistics.paired import Difference, paired_difference
from workbench.statistics.power import mean_half

BLOCK_VALUES = 16_000_000
"""Figures of draws x plans that are held at a time (64 MB, and 128 MB widened)."""

LEAST_OPTIMISM = 0.5
"""Of the optimism that draws show: so much at least is taken for real. Chosen on simulated studies: docs/statistics.md."""


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

    In a draw the figure of whatever plan it chooses is compared with what that plan has on the samples: the mean of these deviations
    is the optimism (B. Efron, JASA 109 (2014) 991-1007, on estimates after selection; I. Tsamardinos et al., Machine Learning 107
    (2018) 1895-1922, on the best configuration). The interval is that of the same plan had nobody chosen it (`paired_difference`),
    moved by the optimism. That is an estimate itself, too large where the samples happen to show plans closer than they are: so the
    far end is moved by a part of it only (`LEAST_OPTIMISM`). Coverage: docs/statistics.md.
    """
    table("candidates", candidates)
    n = len(base)
    if candidates.shape[1] != n:
        raise InputError(f"candidates on {candidates.shape[1]} samples, the base on {n}; all plans run on the same samples")
    # Sums of -1, 0 and 1 are exact in float32.
    change = (candidates.astype(np.int8) - base.astype(np.int8)).T.astype(np.float32)
    mean = change.sum(axis=0, dtype=np.float64) / n
    index = int(choose(mean))
    optimism = _optimism(lambda counts: (counts @ change).astype(np.float64) / n, mean, choose, resamples(n, draws, seed))
    return Winner(index, _freed(paired_difference(base, candidates[index]), optimism, 1.0), optimism)


def winner_of_means(
    changes: npt.NDArray[Any],
    choose: Callable[[F64], int],
    draws: int = DRAWS,
    seed: int = SEED,
    reach: float | None = None,
) -> Winner:
    """Return the same for a mean of any numbers, such as losses, where smaller is better.

    changes: candidate - base of every sample, [P, n]. choose: from mean changes [P] to the index of a plan. The interval that is moved
    is the paired t interval (`mean_half`). gained and lost count the samples with a smaller and a larger loss.
    reach: the largest loss that a sample can have; without it the largest change of any candidate, infinite where none changes.
    """
    changes = np.asarray(changes, np.float64)
    table("changes", changes, 2)
    n = changes.shape[1]
    mean = changes.mean(axis=1)
    index = int(choose(mean))
    optimism = _optimism(lambda counts: weighted_sums(counts, changes) / n, mean, choose, resamples(n, draws, seed))
    own, centre = changes[index], float(mean[index])
    half = mean_half(own, (float(np.abs(changes).max()) or math.inf) if reach is None else reach)
    plain = Difference(centre, centre - half, centre + half, int((own < 0).sum()), int((own > 0).sum()))
    return Winner(index, _freed(plain, optimism, math.inf), optimism)


def _optimism(means: Callable[[Counts], F64], real: F64, choose: Callable[[F64], int], counts: Counts) -> float:
    """Return how far the figure of the plan that a draw chooses is from that plan's figure `real` on the samples: the mean of draws."""
    found = np.empty(len(counts))
    step = max(1, BLOCK_VALUES // len(real))
    for start in range(0, len(counts), step):
        for b, row in enumerate(means(counts[start : start + step]), start):
            at = int(choose(row))
            found[b] = row[at] - real[at]
    return float(found.mean())


def _freed(plain: Difference, optimism: float, most: float) -> Difference:
    """Return a difference without the optimism; no end beyond -most and most."""
    near, far = sorted((optimism, LEAST_OPTIMISM * optimism))
    estimate, low, high = np.clip((plain.estimate - optimism, plain.low - far, plain.high - near), -most, most).tolist()
    return Difference(estimate, low, high, plain.gained, plain.lost)
