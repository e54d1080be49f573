"""How large a drop the samples leave possible: an exact one-sided bound, which errs at most as often as it says."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, gammaln, xlogy

from workbench.statistics.paired import discordant

F64 = npt.NDArray[np.float64]

SET_ASIDE = 0.02
"""Part of the error that pays for looking only at shares of gains that the samples allow (Berger and Boos)."""
GRID = 16
"""Shares of gains that are tried within them; fewer where so many outcomes are summed that the chance hardly depends on them."""
MANY = 20_000
FEWER = 5
REACH = 6.0
"""Standard deviations around the expected counts that are summed up, with as many counts to spare: all but 1e-8 of the chance."""
SPARE = 12
EXACT = 1e-7
"""The bound is found to this."""


def drop_bound(base: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], error: float = 0.05) -> float:
    """Return the largest drop of the share correct that the samples leave possible: one-sided, wrong with a chance of at most `error`.

    The drops that an exact test does not reject: of all outcomes (gains, losses) with a score statistic as small as the one seen
    (T. Tango, Statistics in Medicine 17 (1998) 891-908), the chance under the drop, for the worst share of gains. That share is
    looked for in its own interval, whose error is part of `error` (R. L. Berger, D. D. Boos, JASA 89 (1994) 1012-1016). Intervals
    that rest on the normal distribution err up to twice as often as they say where few samples are discordant.
    """
    gained, lost = discordant(base, other)
    return largest_drop(gained, lost, len(base), error)


@lru_cache(maxsize=65536)
def largest_drop(gained: int, lost: int, n: int, error: float) -> float:
    """Return the bound from the counts of samples gained and lost, of n."""
    low = (lost - gained) / n
    step = (2.0 * math.sqrt(gained + lost) + 4.0) / n
    high = min(low + step, 1.0)
    while high < 1.0 and p_value(gained, lost, n, high, error) > error:
        low, high = high, min(high + step, 1.0)
    while high - low > EXACT:
        middle = (low + high) / 2
        low, high = (low, middle) if p_value(gained, lost, n, middle, error) <= error else (middle, high)
    return high


def p_value(gained: int, lost: int, n: int, drop: float, error: float) -> float:
    """Return the p-value of "the drop is at least `drop`", valid for tests at `error`."""
    aside = SET_ASIDE * error
    least = 0.0 if gained == 0 else float(betaincinv(gained, n - gained + 1, aside / 2))
    most = 1.0 if gained == n else float(betaincinv(gained + 1, n - gained, 1.0 - aside / 2))
    floor, ceiling = max(0.0, -drop), (1.0 - drop) / 2
    if floor > ceiling or least > ceiling or most < floor:
        return aside  # no share of gains that the samples allow goes with this drop
    narrowest, widest = max(least, floor), min(most, ceiling)
    gains, losses = _counts(widest, n), _counts(min(widest + drop, 1.0), n, max(narrowest + drop, 0.0))
    shares = np.linspace(narrowest, widest, GRID if len(gains) * len(losses) < MANY else FEWER)
    pairs_gain, pairs_loss = (x.ravel() for x in np.meshgrid(gains, losses))
    possible = pairs_gain + pairs_loss <= n
    g, b = pairs_gain[possible], pairs_loss[possible]
    seen = _score(np.array([gained], float), np.array([lost], float), n, drop)[0]
    small = _score(g, b, n, drop) <= seen + 1e-12
    g, b = g[small], b[small]
    ways = gammaln(n + 1) - gammaln(g + 1) - gammaln(b + 1) - gammaln(n - g - b + 1)
    worst = 0.0
    for share in shares:
        p_lost = max(share + drop, 0.0)
        same = max(1.0 - share - p_lost, 0.0)
        worst = max(worst, float(np.exp(ways + xlogy(g, share) + xlogy(b, p_lost) + xlogy(n - g - b, same)).sum()))
    return worst + aside


def _counts(most: float, n: int, least: float = 0.0) -> F64:
    """Return the counts that shares from `least` to `most` make likely."""
    top = n * most + REACH * math.sqrt(n * most) + SPARE
    bottom = n * least - REACH * math.sqrt(n * least) - SPARE
    return np.arange(max(0, math.floor(bottom)), min(n, math.ceil(top)) + 1, dtype=np.float64)


def _score(gained: F64, lost: F64, n: int, drop: float) -> F64:
    """Return Tango's score statistic of counts under a drop: small where the counts speak for a smaller drop."""
    b = (2 * n - lost + gained) * drop - gained - lost
    root = np.sqrt(np.maximum(b * b + 8.0 * n * gained * drop * (1.0 - drop), 0.0))
    likeliest = np.clip((root - b) / (4.0 * n), max(0.0, -drop), max((1.0 - drop) / 2, 0.0))
    variance = n * np.maximum(2.0 * likeliest + drop * (1.0 - drop), 0.0)
    return np.asarray((lost - gained - n * drop) / np.sqrt(np.maximum(variance, 1e-12)))
