"""Whether the samples tell two plans apart, and how many samples would."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri, stdtrit, xlogy

from workbench.statistics.checks import numbers, paired
from workbench.statistics.paired import PRIOR, Z95, discordant, likelihood_interval

F64 = npt.NDArray[np.float64]

POWER = 0.8
"""With how many samples a difference of the size seen would be found in four of five studies: the customary power."""

DEVIATIONS = 6.0
"""So far around the mean discordant counts are summed up: all but 1e-6 of the chance."""
CELLS = 2000
"""Into so many parts at most the discordant counts are cut: where there are more, their power is smooth."""


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
        if self.samples_needed is None and self.difference != 0.0:
            return f"The data cannot tell {a} and {b} apart."
        if self.samples_needed is None:
            return f"The data cannot tell {a} and {b} apart; they show no difference."
        about = rounded(self.samples_needed)
        many = f"about {about:,}" if about > self.samples else f"{self.samples_needed:,}"
        return f"The data cannot tell {a} and {b} apart; {many} samples would."


def separable(a: npt.NDArray[Any], b: npt.NDArray[Any], reach: float | None = None) -> Separation:
    """Return whether two plans differ on the same samples. a, b: right or wrong [n] (bool), or what every sample loses [n] (float).

    reach: what one sample can take from the mean, see `mean_half`; without it the largest loss of either plan.
    """
    paired(a, b)
    n = len(a)
    if a.dtype == np.bool_:
        gained, lost = discordant(a, b)
        low, high = likelihood_interval(gained, lost, n)
        estimate, needed = (gained - lost) / n, samples_needed(gained, lost, n)
    else:
        both = np.stack((a, b)).astype(np.float64)
        numbers("losses of two plans", both)
        change = np.subtract(both[1], both[0], out=np.zeros(n), where=both[0] != both[1])
        estimate, largest = float(change.mean()), float(np.abs(both).max()) if reach is None else reach
        half = mean_half(change, largest)
        low, high = (estimate - half, estimate + half) if math.isfinite(half) else (-math.inf, math.inf)
        if n > 1 and np.ptp(change) == 0.0:
            needed = samples_for_constant(estimate, largest)
        else:
            needed = samples_for_mean(estimate, float(change.std(ddof=1))) if math.isfinite(half) else None
    if low > 0.0 or high < 0.0:
        needed = n
    elif needed is not None:
        needed = max(needed, n + 1)  # these did not
    return Separation(estimate, low, high, n, needed)


def samples_needed(gained: int, lost: int, n: int, power: float = POWER) -> int | None:
    """Return with how many samples `separable` finds a difference as seen (discordant counts among n samples); None without one.

    The chance of every outcome is summed up, no normal approximation: that of McNemar's test (R. J. Connor, Biometrics 43 (1987)
    207-211) asks for up to 40 % more where few samples differ, all in one direction.
    """
    if gained == lost:
        return None
    enough, few = n, 1
    while chance_to_tell(gained / n, lost / n, enough) < power:
        enough, few = 2 * enough, enough
    while enough - few > 1:
        middle = (few + enough) // 2
        enough, few = (middle, few) if chance_to_tell(gained / n, lost / n, middle) >= power else (enough, middle)
    return enough


def chance_to_tell(p_gain: float, p_lost: float, n: int) -> float:
    """Return the chance that the interval of `likelihood_interval` from n samples leaves out 0, given the two discordant shares.

    Whether it does depends on the discordant counts alone; of these, the losses are binomial, and so is their sum.
    """
    share = min(p_gain + p_lost, 1.0)
    spread = DEVIATIONS * math.sqrt(n * share * (1.0 - share)) + 1.0
    first, last = max(math.floor(n * share - spread), 0), min(math.ceil(n * share + spread), n)
    edges = np.unique(np.linspace(first - 1, last, CELLS + 1).astype(np.int64))
    below = np.where(edges < 0, 0.0, bdtr(np.maximum(edges, 0).astype(np.float64), n, share))
    counts = (edges[1:] + edges[:-1] + 1) // 2
    fewer = _most_on_the_other_side(counts)
    told = sum(bdtr(np.maximum(fewer, 0).astype(np.float64), counts, p / (p_gain + p_lost)) for p in (p_gain, p_lost))
    return float((np.diff(below) * np.where(fewer < 0, 0.0, told)).sum())


def _most_on_the_other_side(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many of so many discordant samples may point the other way for the interval to leave out 0; -1 where none may."""
    told, open_ = np.full(len(counts), -1, np.int64), (counts + 1) // 2
    while np.any(open_ - told > 1):
        middle = (told + open_) // 2
        few, many = middle + PRIOR, counts - middle + PRIOR
        # The likelihood ratio of no difference: either share is half of the discordant one.
        ratio = 2.0 * (xlogy(few, few) + xlogy(many, many) - xlogy(few + many, (few + many) / 2.0))
        apart = (ratio > Z95 * Z95) & (middle >= 0)
        told, open_ = np.where(apart, middle, told), np.where(apart, open_, middle)
    return told


def unseen_share(units: int, error: float) -> float:
    """Return the largest share of all units that may be of a kind that none of `units` was: wrong with a chance of `error`."""
    return float(1.0 - error ** (1.0 / units))


def mean_half(change: F64, reach: float, level: float = 0.975) -> float:
    """Return half the interval of a mean of paired changes [n] (Student's t); infinite for a single one.

    Where all changes are the same they show no spread: what none of the samples was may still be there (`unseen_share`), and takes
    `reach` from the mean, the largest figure that one sample can have.
    """
    n = len(change)
    if n < 2:
        return math.inf
    if (change == change[0]).all():
        return unseen_share(n, 1.0 - level) * reach
    if not np.isfinite(change).all():
        return math.inf
    return float(stdtrit(n - 1, level)) * (float(change.std(ddof=1)) / math.sqrt(n))


def samples_for_constant(difference: float, reach: float) -> int | None:
    """Return how many samples tell a change that is the same on all of them from none, see `mean_half`; None for 0."""
    part = abs(difference) / reach if reach > 0.0 else 0.0
    if part == 0.0 or not math.isfinite(part):
        return None
    return 2 if part >= 1.0 else max(2, math.floor(math.log(0.025) / math.log1p(-part)) + 1)


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
