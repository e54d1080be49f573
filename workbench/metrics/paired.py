"""How much a figure changes from one plan to another on the same samples, and how sure that is.

binary: by the likelihood ratio, see `statistics`. mean: the paired t interval of the samples' differences. bootstrap: the same
samples (or files) are drawn again for both plans, 2.5 to 97.5 % of the differences (B. Efron, R. Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 13). jackknife: groups of samples left out one after the other, t interval (ibid., chapter 11).

What n units did not show may still be there: with 95 % confidence in up to 1 - 0.05**(1/n) of all units, about 3/n (the rule of three;
J. A. Hanley, A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249 (1983) 1743-1745). That share times what a
unit can take from the figure is the least width of a bootstrapped share, and of every interval where no unit differs from the others.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from workbench.metrics.base import F64, Array, Metric
from workbench.statistics import Difference, drop_bound, mean_half, paired_difference, unseen_share

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
        draws, estimate = _draws(metric, base, other), _estimate(metric, base, other)
        least = _least_width(metric, base, other, draws, 0.025)
        low, high = min(_quantile(draws, 0.025), estimate - least), max(_quantile(draws, 0.975), estimate + least)
        if metric.is_share:
            low, high = max(low, -1.0), min(high, 1.0)
        return Difference(estimate, low, high, *_counts(metric, base, other))
    estimate, half = _t_interval(metric, base, other, 0.975)
    return Difference(estimate, estimate - half, estimate + half, *_counts(metric, base, other))


def worsening_bound(metric: Metric, base: Array, other: Array, error: float = 0.05) -> float:
    """Return the largest worsening of the figure that the samples leave possible: one-sided, wrong with a chance of `error`.

    Infinite where a bootstrap has too few draws to tell an error so small.
    """
    if metric.interval == "binary":
        return drop_bound(base, other, error)
    if metric.interval == "bootstrap":
        draws = _draws(metric, base, other)
        if error * len(draws) < 1.0:
            return math.inf
        found = -_quantile(draws, error) if metric.higher_is_better else _quantile(draws, 1.0 - error)
        least = metric.worsening(_estimate(metric, base, other)) + _least_width(metric, base, other, draws, error)
        return min(max(found, least), 1.0) if metric.is_share else max(found, least)
    estimate, half = _t_interval(metric, base, other, 1.0 - error)
    return metric.worsening(estimate) + half


def _estimate(metric: Metric, base: Array, other: Array) -> float:
    """Return the change of a bootstrapped figure itself."""
    assert metric.combine is not None
    one = np.ones((1, len(base)))
    return float(_minus(metric.combine(one, other), metric.combine(one, base))[0])


def _least_width(metric: Metric, base: Array, other: Array, draws: F64, error: float) -> float:
    """Return how far from the estimate a bootstrapped bound is at least (see above); units: of the smallest stratum."""
    if not len(draws):
        return math.inf
    units = len(base) if metric.strata is None else int(np.unique(metric.strata(base), return_counts=True)[1].min())
    if metric.is_share:
        return unseen_share(units, error)
    if draws[0] != draws[-1]:
        return 0.0
    assert metric.combine is not None
    one = np.ones((1, 1))
    alone = [float(metric.combine(one, row[None])[0]) for evidence in (base, other) for row in evidence]
    return unseen_share(units, error) * _reach(np.array(alone))


def _reach(figures: F64) -> float:
    """Return what a unit can take from a figure that has no bounds: from 0 to the largest figure of a single unit."""
    finite = figures[np.isfinite(figures)]
    return float(np.abs(finite).max()) if np.any(finite) else math.inf


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


def _t_interval(metric: Metric, base: Array, other: Array, level: float) -> tuple[float, float]:
    """Return (estimate, half an interval): paired differences [N, 1], or [G + 1, 2] of the whole and without each group."""
    difference = _minus(other[:, 0], base[:, 0])
    if _is_jackknife(base):
        whole, parts = float(difference[0]), difference[1:]
        if len(parts) < 2:
            return whole, math.inf
        if (parts == parts[0]).all():
            return whole, _same_for_all(metric, base, other, int(base[0, 1]), level)
        error = math.sqrt((len(parts) - 1) / len(parts) * float(((parts - parts.mean()) ** 2).sum()))
        return whole, float(stdtrit(len(parts) - 1, level)) * error
    estimate = float(difference[0] if (difference == difference[0]).all() else difference.mean())
    return estimate, mean_half(difference, unit_reach(metric, base, other), level)


def _same_for_all(metric: Metric, base: Array, other: Array, units: int, level: float) -> float:
    """Return half an interval where every unit, or every group, changes by the same: what none of the units showed."""
    return unseen_share(units, 1.0 - level) * unit_reach(metric, base, other)


def unit_reach(metric: Metric, base: Array, other: Array) -> float:
    """Return what a unit that none of these was can take from the figure. base, other: evidence [N, 1 or 2], figures first."""
    return 1.0 if metric.is_share else _reach(np.concatenate((base[:, 0], other[:, 0])))


def _quantile(draws: F64, share: float) -> float:
    """Return an order statistic: no mean of two, which may be infinite. NaN without draws."""
    if not len(draws):
        return math.nan
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
    return np.sort(draws[~np.isnan(draws)])


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
