"""Whether the samples tell two plans apart, and how many samples would."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from workbench.statistics.paired import Z95, discordant, likelihood_interval

POWER = 0.8
"""With how many samples a difference of the size seen would be found in four of five studies: the customary power."""


@dataclass(frozen=True)
class Separation:
    """Two plans on the same samples. difference: b - a of the share correct, or of the mean loss, with its 95 % interval.

    separable: the interval has no zero. samples_needed: how many samples would tell apart what differs as much as was seen, in four of
    five studies; the present number where they are apart, None where no difference was seen.
    """

    difference: float
    low: float
    high: float
    samples: int
    samples_needed: int | None

    @property
    def separable(self) -> bool:
        """Whether the samples tell the two apart."""
        return self.low > 0.0 or self.high < 0.0

    def sentence(self, a: str, b: str) -> str:
        """Return the verdict in words."""
        if self.separable:
            return f"The data tell {a} and {b} apart."
        if self.samples_needed is None:
            return f"The data cannot tell {a} and {b} apart; they show no difference."
        return f"The data cannot tell {a} and {b} apart; about {rounded(self.samples_needed):,} samples would."


def separable(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Separation:
    """Return whether two plans differ on the same samples. a, b: right or wrong [n] (bool), or what every sample loses [n] (float)."""
    n = len(a)
    if a.dtype == np.bool_:
        gained, lost = discordant(a, b)
        low, high = likelihood_interval(gained, lost, n)
        estimate, needed = (gained - lost) / n, samples_needed(gained, lost, n)
    else:
        change = np.asarray(b, np.float64) - np.asarray(a, np.float64)
        spread = float(change.std(ddof=1)) if n > 1 else math.inf
        estimate = float(change.mean())
        half = float(stdtrit(n - 1, 0.975)) * spread / math.sqrt(n) if n > 1 else math.inf
        low, high = estimate - half, estimate + half
        needed = samples_for_mean(estimate, spread)
    if low > 0.0 or high < 0.0:
        needed = n
    elif needed is not None:
        needed = max(needed, n + 1)  # these did not
    return Separation(estimate, low, high, n, needed)


def samples_needed(gained: int, lost: int, n: int, power: float = POWER) -> int | None:
    """Return how many samples McNemar's test needs to find a difference as seen (discordant counts among n samples); None without one.

    Source: R. J. Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43 (1987)
    207-211.
    """
    if gained == lost:
        return None
    share, difference = (gained + lost) / n, (gained - lost) / n
    root = Z95 * math.sqrt(share) + float(ndtri(power)) * math.sqrt(max(share - difference**2, 0.0))
    return math.ceil((root / difference) ** 2)


def samples_for_mean(difference: float, spread: float, power: float = POWER) -> int | None:
    """Return how many samples find a mean change that large: spread is the standard deviation of one sample's change; None for 0."""
    if difference == 0.0 or not math.isfinite(spread):
        return None
    return max(2, math.ceil(((Z95 + float(ndtri(power))) * spread / difference) ** 2))


def rounded(count: int) -> int:
    """Return a count to two digits: 2,371 is about 2,400."""
    digits = max(len(str(count)) - 2, 0)
    unit: int = 10**digits
    return round(count / unit) * unit
