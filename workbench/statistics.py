"""Intervals for paired comparisons of correct / wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054
"""Standard normal quantile of 97.5 %: two-sided 95 % intervals."""

Z95_ONE_SIDED = 1.6448536269514722
"""Standard normal quantile of 95 %: one-sided bounds."""


@dataclass(frozen=True)
class Difference:
    """A difference of two shares on the same samples: estimate, 95 % interval, and the discordant counts."""

    estimate: float
    low: float
    high: float
    gained: int
    lost: int


def paired_difference(base: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Difference:
    """Return share(other) - share(base) with the adjusted Wald interval of Bonett and Price (2012).

    One imaginary sample is added to each discordant count, which keeps the coverage near 95 % even with few or no discordant
    pairs. Source: D. G. Bonett, R. M. Price, "Adjusted Wald confidence interval for a difference of binomial proportions based
    on paired data", Journal of Educational and Behavioral Statistics 37 (2012) 479-488.
    """
    n = len(base)
    gained = int((~base & other).sum())
    lost = int((base & ~other).sum())
    centre, error = _adjusted(gained, lost, n)
    half = Z95 * error
    return Difference((gained - lost) / n, max(centre - half, -1.0), min(centre + half, 1.0), gained, lost)


def drop_bound(base: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Return the largest drop of the share correct that the samples leave possible: one-sided, 95 %, same interval as above."""
    centre, error = _adjusted(int((~base & other).sum()), int((base & ~other).sum()), len(base))
    return min(Z95_ONE_SIDED * error - centre, 1.0)


def _adjusted(gained: int, lost: int, n: int) -> tuple[float, float]:
    p_gain, p_lost = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    centre = p_gain - p_lost
    return centre, math.sqrt(max(p_gain + p_lost - centre**2, 0.0) / (n + 2))


def share_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the Wilson 95 % interval of a share (E. B. Wilson, JASA 22 (1927) 209-212)."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = successes / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)
