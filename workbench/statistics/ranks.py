"""Which rank a layer has among the layers, and which layers the samples tell apart.

Two layers differ by t = (mean a - mean b) / (standard error of the paired difference). With a critical value c a layer is certainly
behind as many as have t > c against it; that makes an interval of its rank. What c is, makes the promise:

- `sure`: 95 % of the largest |t| of all pairs. Every order that is claimed holds, all together, with at least 95 % (M. Mogstad, J. P.
  Romano, A. Shaikh, D. Wilhelm, "Inference for ranks with applications to mobility across neighbourhoods and academic achievement
  across countries", Review of Economic Studies 91 (2024) 476-518). The ranks themselves are then covered with 99-100 %.
- `all`: the c with which the intervals of all ranks hold together in 95 % of draws around the means found.
- `each`: the c with which the interval of one rank holds in 95 % of these draws, averaged over the layers.

`all` and `each` are calibrated by the bootstrap (R. Beran, "Prepivoting test statistics: a bootstrap view of asymptotic refinements",
JASA 83 (1988) 687-697): nearly ties make them err somewhat on either side of 95 %, see docs/statistics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from workbench.statistics.bootstrap import DRAWS, F64, SEED, resamples, weighted_sums
from workbench.statistics.checks import table

Promise = Literal["sure", "all", "each"]
Ints = npt.NDArray[np.int64]

BLOCK_VALUES = 4_000_000
"""t values of draws x pairs that are held at a time (32 MB)."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of K layers, 1 = the largest mean. rank: by the means. low, high: the interval. All int64 [K].

    ahead: bool [K, K], layer i has certainly a larger mean than j: what `sure` proves, whatever the promise of the ranks.
    """

    rank: Ints
    low: Ints
    high: Ints
    ahead: npt.NDArray[np.bool_]

    def inseparable(self, i: int) -> list[int]:
        """Return the layers that the samples cannot tell from layer i."""
        apart = self.ahead[i] | self.ahead[:, i]
        return [int(j) for j in np.flatnonzero(~apart) if j != i]


def rank_intervals(values: npt.NDArray[Any], promise: Promise = "each", draws: int = DRAWS, seed: int = SEED) -> Ranks:
    """Return the ranks of K layers, with 95 % intervals, from what every sample loses [K, n] (the same samples for all)."""
    values = np.asarray(values, np.float64)
    table("losses of layers", values, 2)
    n = values.shape[1]
    # The largest comes first: ranks are those of the negated means, smallest first.
    mean = -values.mean(axis=1)
    noise = -weighted_sums(resamples(n, draws, seed), values + mean[:, None]) / n
    error = _pair_errors(values)
    t = _pair_t(mean, error)
    sure = _surely(noise, error)
    critical = sure if promise == "sure" else _calibrated(mean, noise, error, promise)
    order = np.argsort(mean, kind="stable")
    rank = np.empty(len(mean), np.int64)
    rank[order] = np.arange(1, len(mean) + 1)
    low = 1 + (t > critical).sum(axis=1)
    high = len(mean) - (t < -critical).sum(axis=1)
    return Ranks(rank, np.minimum(low, rank), np.maximum(high, rank), t < -sure)


def _pair_errors(values: F64) -> F64:
    """Return the standard errors of paired differences of means, [K, K]; those without variance as one tenth of the least other.

    A pair that differs by the same on every sample would be certain after two samples.
    """
    centred = values - values.mean(axis=1, keepdims=True)
    n = values.shape[1]
    squares = np.array([((centred - row) ** 2).sum(axis=1) for row in centred]) / (n - 1) / n
    positive = squares[squares > 0]
    least = float(positive.min()) * 1e-2 if len(positive) else 1.0
    return np.asarray(np.sqrt(np.maximum(squares, least)))


def _pair_t(mean: F64, error: F64) -> F64:
    """Return t of every pair [..., K, K] of means [..., K]: positive where the row's layer is the larger one."""
    return np.asarray((mean[..., :, None] - mean[..., None, :]) / error)


def _surely(noise: F64, error: F64) -> float:
    """Return 95 % of the largest |t| of all pairs in draws of the noise [B, K]."""
    found = [np.abs(_pair_t(part, error)).max(axis=(1, 2)) for part in _blocks(noise)]
    return float(np.quantile(np.concatenate(found), 0.95, method="inverted_cdf"))


def _calibrated(mean: F64, noise: F64, error: F64, promise: Promise) -> float:
    """Return the c that keeps the promise in draws around the means: by order statistics of t, the least c of every layer and draw."""
    count = len(mean)
    rank = np.empty(count, np.int64)
    rank[np.argsort(mean, kind="stable")] = np.arange(count)
    own = np.arange(count)
    least = []
    for part in _blocks(noise):
        t = _pair_t(mean + part, error)
        # At most rank - 1 layers may have t > c (be ahead): c is at least the rank-th largest t; the layer itself comes last.
        t[:, own, own] = -np.inf
        ahead = -np.sort(-t, axis=2)[:, own, rank]
        t[:, own, own] = np.inf
        behind = -np.sort(t, axis=2)[:, own, count - 1 - rank]
        least.append(np.maximum(np.maximum(ahead, behind), 0.0))
    needed = np.concatenate(least)
    return float(np.quantile(needed.max(axis=1) if promise == "all" else needed, 0.95, method="inverted_cdf"))


def _blocks(noise: F64) -> list[F64]:
    return np.array_split(noise, math.ceil(noise.shape[0] * noise.shape[1] ** 2 / BLOCK_VALUES))
