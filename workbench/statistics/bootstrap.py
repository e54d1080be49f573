"""Drawing the same samples again, for many plans at once.

A draw is how often every sample is taken. Everything is made of sums over samples weighted by draws (`weighted_sums`), which are exact:
the same bits with any number of threads and any matrix library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from workbench.errors import InputError
from workbench.statistics.checks import table

F64 = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]
"""How often every sample is drawn, [B, n]: whole numbers (float32 from `resamples`)."""

DRAWS = 1000
SEED = 20240229
FEWEST_DRAWS = 200
MOST_COUNTS = 20_000_000
"""Draws times samples (80 MB): more samples are drawn less often."""
BLOCK_COUNTS = 4_000_000
"""Counts that are widened to float64 at a time (32 MB)."""
GRID_BITS = 26
"""Values are rounded to this many bits of the largest one: sums of up to 2**27 samples stay whole numbers below 2**53, and the rounding
is far below what drawing again changes."""


@lru_cache(maxsize=4)
def resamples(n: int, draws: int = DRAWS, seed: int = SEED) -> Counts:
    """Return how often each of n samples is drawn in each draw of n with replacement: always the same numbers, float32 [B, n].

    B is `draws`, or as many (at least `FEWEST_DRAWS`) as `MOST_COUNTS` leaves.
    """
    if n < 1:
        raise InputError(f"{n} samples to draw from; give at least one")
    rng = np.random.default_rng(seed)
    counts = np.empty((min(draws, max(FEWEST_DRAWS, MOST_COUNTS // n)), n), np.float32)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
    counts.flags.writeable = False
    return counts


def weighted_sums(counts: Counts, values: npt.NDArray[Any]) -> F64:
    """Return sums over samples, [B, P]. counts: whole numbers [B, n]. values: [P, n], rounded to `GRID_BITS` bits of the largest."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return np.zeros((len(counts), len(values)))
    unit = 2.0 ** (math.frexp(largest)[1] - GRID_BITS)
    whole = np.rint(np.asarray(values, np.float64) / unit).T
    step = max(1, BLOCK_COUNTS // counts.shape[1])
    parts = [counts[start : start + step].astype(np.float64) @ whole for start in range(0, len(counts), step)]
    return np.asarray(np.concatenate(parts) * unit)


def studentized(changes: npt.NDArray[Any], draws: int = DRAWS, seed: int = SEED) -> tuple[F64, F64, F64]:
    """Return (means [P], standard errors [P], t of every draw [B, P]) of paired changes [P, n].

    t = (mean of the draw - mean) / standard error of the draw (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993,
    section 12.5). A draw without variance says nothing of its error: its t is 0 when it is at the mean, else infinite.
    """
    changes = np.asarray(changes, np.float64)
    table("changes", changes, 2)
    n = changes.shape[1]
    mean, error = changes.mean(axis=1), changes.std(axis=1, ddof=1) / math.sqrt(n)
    centred = changes - mean[:, None]
    same = np.ptp(changes, axis=1) == 0.0
    centred[same], error[same] = 0.0, 0.0
    # Rows of any size are rounded alike, and t does not depend on it.
    scale = np.abs(centred).max(axis=1)
    centred /= np.where(scale > 0.0, scale, 1.0)[:, None]
    counts = resamples(n, draws, seed)
    shift = weighted_sums(counts, centred) / n
    variance = np.maximum(weighted_sums(counts, centred**2) / n - shift**2, 0.0) / (n - 1)
    # What rounding leaves of a draw without variance is no variance: half a unit of the squares, one of twice the mean.
    variance[variance < 2.0 ** (2 - GRID_BITS) / (n - 1)] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        t = shift / np.sqrt(variance)
    return mean, error, np.where(np.isnan(t), 0.0, t)


def mean_intervals(changes: npt.NDArray[Any], draws: int = DRAWS, seed: int = SEED) -> tuple[F64, F64]:
    """Return the 95 % intervals (low [P], high [P]) of mean changes from changes of samples [P, n], each on its own (bootstrap t)."""
    mean, error, t = studentized(changes, draws, seed)
    low, high = np.quantile(t, (0.025, 0.975), axis=0, method="inverted_cdf")
    with np.errstate(invalid="ignore"):
        return mean - np.where(error > 0, high * error, 0.0), mean - np.where(error > 0, low * error, 0.0)


def simultaneous_intervals(changes: npt.NDArray[Any], draws: int = DRAWS, seed: int = SEED) -> tuple[F64, F64]:
    """Return intervals (low [P], high [P]) of mean changes that hold all together with 95 %: the largest |t| of a draw decides.

    Rows of which more draws than 5 % have no variance although the samples do (they differ on one to three samples) do not decide: the
    samples say nothing of their error, so their own intervals are infinite. Of several, those with most such draws are left out.
    Source: J. P. Romano, M. Wolf, "Stepwise multiple testing as formalized data snooping", Econometrica 73 (2005) 1237-1282.
    """
    mean, error, t = studentized(changes, draws, seed)
    size = np.abs(t)
    order = np.argsort(np.isinf(size).sum(axis=0), kind="stable")
    finite = (~np.logical_or.accumulate(np.isinf(size[:, order]), axis=1)).mean(axis=0) >= 0.95
    kept = order[finite]
    reach = float(np.quantile(size[:, kept].max(axis=1, initial=0.0), 0.95, method="inverted_cdf"))
    half = np.full(len(mean), math.inf)
    half[kept] = np.where(error[kept] > 0, reach * error[kept], 0.0)
    return mean - half, mean + half


def bca_interval(
    figure: Callable[[Counts], F64], n: int, draws: int = 2 * DRAWS, seed: int = SEED, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of any figure of n samples: bias-corrected and accelerated bootstrap.

    figure: from counts [B, n] to figures [B]. It is asked for the draws, for all samples once, and without each sample.
    Source: B. Efron, "Better bootstrap confidence intervals", JASA 82 (1987) 171-185.
    """
    drawn = np.sort(figure(resamples(n, draws, seed)))
    estimate = float(figure(np.ones((1, n)))[0])
    below = (np.count_nonzero(drawn < estimate) + 0.5 * np.count_nonzero(drawn == estimate)) / len(drawn)
    bias = float(ndtri(min(max(below, 0.5 / len(drawn)), 1.0 - 0.5 / len(drawn))))
    without = figure(np.ones((n, n)) - np.eye(n))
    deviation = without.mean() - without
    spread = float((deviation**2).sum())
    acceleration = float((deviation**3).sum()) / (6.0 * spread**1.5) if spread > 0 else 0.0
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + float(ndtri(tail))
        at = float(ndtr(bias + z / (1.0 - acceleration * z)))
        ends.append(float(np.quantile(drawn, min(max(at, 0.0), 1.0), method="inverted_cdf")))
    return ends[0], ends[1]
