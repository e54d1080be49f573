"""How much a figure changes from one plan to another on the same samples, and how sure that is.

binary: Bonett and Price (2012), see `statistics`. mean: the paired t interval of the samples' differences. bootstrap: the same
samples (or files) are drawn again for both plans, 2.5 to 97.5 % of the differences (B. Efron, R. Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 13). jackknife: groups of samples left out one after the other, t interval (ibid., chapter 11).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from workbench.metrics.base import F64, Array, Metric
from workbench.statistics import Difference, drop_bound, paired_difference

DRAWS = 2000
FEWEST_DRAWS = 200
MOST_COUNTS = 20_000_000
"""Draws times samples: more samples are drawn less often."""
SEED = 20120607


def paired_change(metric: Metric, base: Array, other: Array) -> Difference:
    """Return figure(other) - figure(base) with its 95 % interval. base, other: the evidence of two plans."""
    if metric.interval == "binary":
        return paired_difference(base, other)
    if metric.interval == "bootstrap":
        draws = _draws(metric, base, other)
        assert metric.combine is not None
        one = np.ones((1, len(base)))
        estimate = _minus(metric.combine(one, other), metric.combine(one, base))[0]
        low, high = _quantile(draws, 0.025), _quantile(draws, 0.975)
        return Difference(float(estimate), min(low, float(estimate)), max(high, float(estimate)), *_counts(metric, base, other))
    estimate, half = _t_interval(base, other, 0.975)
    return Difference(estimate, estimate - half, estimate + half, *_counts(metric, base, other))


def worsening_bound(metric: Metric, base: Array, other: Array) -> float:
    """Return the largest worsening of the figure that the samples leave possible: one-sided, 95 %."""
    if metric.interval == "binary":
        return drop_bound(base, other)
    if metric.interval == "bootstrap":
        draws = _draws(metric, base, other)
        return -_quantile(draws, 0.05) if metric.higher_is_better else _quantile(draws, 0.95)
    estimate, half = _t_interval(base, other, 0.95)
    return metric.worsening(estimate) + half


def _minus(a: Array, b: Array) -> F64:
    """Return a - b, 0 where both are the same infinity."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(a == b, 0.0, np.asarray(a, np.float64) - b))


def _counts(metric: Metric, base: Array, other: Array) -> tuple[int, int]:
    """Return how many samples gain and lose, where each has a number of its own; (0, 0) otherwise."""
    if metric.interval == "bootstrap" or _is_jackknife(base):
        return 0, 0
    difference = other[:, 0] - base[:, 0]
    better = difference > 0 if metric.higher_is_better else difference < 0
    return int(better.sum()), int((~better & (difference != 0)).sum())


def _is_jackknife(evidence: Array) -> bool:
    """True for (figure, of how many samples) of all and without each group; one number per sample stands alone."""
    return int(evidence.shape[1]) == 2


def _t_interval(base: Array, other: Array, level: float) -> tuple[float, float]:
    """Return (estimate, half an interval): paired differences [N, 1], or [G + 1, 2] of the whole and without each group."""
    difference = _minus(other[:, 0], base[:, 0])
    if _is_jackknife(base):
        whole, parts = float(difference[0]), difference[1:]
        if len(parts) < 2:
            return whole, math.inf
        error = math.sqrt((len(parts) - 1) / len(parts) * float(((parts - parts.mean()) ** 2).sum()))
        return whole, float(stdtrit(len(parts) - 1, level)) * error
    if len(difference) < 2:
        return float(difference.mean()), math.inf
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return float(difference.mean()), float(stdtrit(len(difference) - 1, level)) * error


def _quantile(draws: F64, share: float) -> float:
    """Return an order statistic: no mean of two, which may be infinite."""
    return float(draws[min(max(math.ceil(share * len(draws)) - 1, 0), len(draws) - 1)])


def _draws(metric: Metric, base: Array, other: Array) -> F64:
    """Return differences of the figures of samples drawn again, in order; those that have no figure left out."""
    assert metric.combine is not None
    strata = np.zeros(len(base), np.int64) if metric.strata is None else np.asarray(metric.strata(base), np.int64)
    weights = _resampled(strata.tobytes(), len(base))
    found = []
    step = max(1, 4_000_000 // len(base))
    for start in range(0, len(weights), step):
        part = weights[start : start + step].astype(np.float64)
        found.append(_minus(metric.combine(part, other), metric.combine(part, base)))
    draws = np.concatenate(found)
    kept = np.sort(draws[~np.isnan(draws)])
    return kept if len(kept) else np.zeros(1)


@lru_cache(maxsize=4)
def _resampled(strata: bytes, count: int) -> npt.NDArray[np.uint8]:
    """Return how often each of `count` units is drawn, [B, count]: always the same numbers. strata: int64 of each unit."""
    kinds = np.frombuffer(strata, np.int64)
    draws = max(FEWEST_DRAWS, min(DRAWS, MOST_COUNTS // count))
    rng = np.random.default_rng(SEED)
    weights = np.zeros((draws, count), np.uint8)
    for kind in np.unique(kinds):
        where = np.flatnonzero(kinds == kind)
        for row in weights:
            row[where] = np.bincount(rng.integers(0, len(where), len(where)), minlength=len(where))
    weights.flags.writeable = False
    return weights
