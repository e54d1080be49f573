"""Two plans on the same samples, each right or wrong: the difference, how sure it is, and whether there is one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, xlogy

from workbench.statistics.checks import paired

Z95 = 1.959963984540054
"""Standard normal quantile of 97.5 %: two-sided 95 % intervals."""

Z95_ONE_SIDED = 1.6448536269514722
"""Standard normal quantile of 95 %: one-sided bounds."""

PRIOR = 0.25
"""Imaginary samples that gain, and that lose. Found by enumeration (see docs/statistics.md): the smallest multiple of a quarter with
which the interval of `paired_difference` covers 95 % from three expected discordant samples on, averaged over nearby counts, whichever
way they point."""

HALVINGS = 60
"""Steps of the bisection: more than the bits of a float64."""


@dataclass(frozen=True)
class Difference:
    """A difference of two shares on the same samples: estimate, 95 % interval, and the discordant counts."""

    estimate: float
    low: float
    high: float
    gained: int
    lost: int


def discordant(base: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return how many samples other gains (only it is right) and loses (only base is right)."""
    return int((~base & other).sum()), int((base & ~other).sum())


def paired_difference(base: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Difference:
    """Return share(other) - share(base) with its 95 % interval: the differences that a likelihood-ratio test does not reject.

    The share that neither difference fixes is the likeliest one for it (profile likelihood; A. Agresti, "Categorical Data Analysis",
    3rd edition, 2013, section 11.1). `PRIOR` is added to either discordant count, so that few or none still leave an interval. Adjusted
    Wald intervals cover 97-99.5 % with four expected discordant samples; this one, about as wide, 95-97 % from three on when averaged
    over 15 % more or fewer expected, since counts are whole; at a single expected count 93-98 %, least where all differ one way.
    """
    paired(base, other)
    gained, lost = discordant(base, other)
    low, high = likelihood_interval(gained, lost, len(base))
    return Difference((gained - lost) / len(base), low, high, gained, lost)


@lru_cache(maxsize=65536)
def likelihood_interval(gained: int, lost: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of shares from the discordant counts among n samples."""
    g, lo, total = gained + PRIOR, lost + PRIOR, n + 2 * PRIOR
    same = total - g - lo

    def log_likelihood(p_gain: float, p_lost: float) -> float:
        return float(xlogy(g, p_gain) + xlogy(lo, p_lost) + xlogy(same, max(1.0 - p_gain - p_lost, 0.0)))

    top = log_likelihood(g / total, lo / total)

    def fits(d: float) -> bool:
        # The likeliest p_lost for p_gain = p_lost + d solves a quadratic (T. Tango, Statistics in Medicine 17 (1998) 891-908).
        b = (2 * total - g + lo) * d - g - lo
        p_lost = (math.sqrt(max(b * b + 8 * total * lo * d * (1 - d), 0.0)) - b) / (4 * total)
        p_lost = min(max(p_lost, -d, 0.0), (1 - d) / 2)
        return 2 * (top - log_likelihood(p_lost + d, p_lost)) <= Z95 * Z95

    def end(outside: float) -> float:
        inside = (g - lo) / total
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if fits(middle) else (inside, middle)
        return inside

    estimate = (gained - lost) / n  # the imaginary samples keep the ends from +-1, which may be the estimate
    return min(end(-1.0), estimate), max(end(1.0), estimate)


def mcnemar(gained: int, lost: int, mid: bool = True) -> float:
    """Return the two-sided p-value of McNemar's test that gains and losses are equally likely.

    Exact: of m = gained + lost fair coins, as many or more one-sided than seen. mid: the seen outcome counts half, which makes the
    test err at its level instead of below (M. W. Fagerland, S. Lydersen, P. Laake, "The McNemar test for binary matched-pairs data:
    mid-p and asymptotic are better than exact conditional", BMC Medical Research Methodology 13 (2013) 91).
    """
    m, fewer = gained + lost, min(gained, lost)
    if m == 0:
        return 1.0
    tail = float(bdtr(fewer, m, 0.5))
    if not mid:
        return min(2.0 * tail, 1.0)
    below = float(bdtr(fewer - 1, m, 0.5)) if fewer else 0.0
    return min(tail + below, 1.0)  # twice (below + half of the seen outcome)


def share_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the Wilson 95 % interval of a share (E. B. Wilson, JASA 22 (1927) 209-212)."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = successes / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)
