"""Differences of two plans: closed forms, scipy, a published example, coverage by enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from workbench.statistics import drop_bound, likelihood_interval, mcnemar, paired_difference, share_interval


def bits(gained: int, lost: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    base, other = np.ones(n, np.bool_), np.ones(n, np.bool_)
    base[:gained] = False
    other[gained : gained + lost] = False
    return base, other


def test_no_discordant_pairs_still_has_an_interval() -> None:
    d = paired_difference(*bits(0, 0, 100))
    assert d.estimate == 0.0
    assert d.low < 0.0 < d.high


def test_difference_counts_gains_and_losses() -> None:
    base = np.array([1, 1, 1, 0, 0], np.bool_)
    other = np.array([1, 0, 0, 1, 0], np.bool_)
    d = paired_difference(base, other)
    assert (d.gained, d.lost) == (1, 2)
    assert d.estimate == pytest.approx(-0.2)


@pytest.mark.parametrize(("gained", "lost", "n"), [(3, 9, 120), (0, 4, 200), (40, 25, 900), (7, 7, 30)])
def test_ends_are_where_the_likelihood_ratio_meets_the_quantile(gained: int, lost: int, n: int) -> None:
    """The likelihood maximized by scipy over the share that the difference leaves free, and its chi-squared quantile."""
    g, lo, total = gained + 0.25, lost + 0.25, n + 0.5

    def deviance(d: float) -> float:
        def minus(p_lost: float) -> float:
            p_gain = p_lost + d
            return -(g * math.log(p_gain) + lo * math.log(p_lost) + (total - g - lo) * math.log(1 - p_gain - p_lost))

        found = optimize.minimize_scalar(
            minus, bounds=(max(0.0, -d) + 1e-12, (1 - d) / 2 - 1e-12), method="bounded", options={"xatol": 1e-12}
        )
        best = g * math.log(g / total) + lo * math.log(lo / total) + (total - g - lo) * math.log(1 - (g + lo) / total)
        return 2 * (best + float(found.fun))

    for end in likelihood_interval(gained, lost, n):
        assert deviance(end) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-4)


@pytest.mark.parametrize("n", [100, 500])
@pytest.mark.parametrize("share_lost", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("expected", [3.0, 8.0, 16.0])
def test_interval_covers_95_percent_by_enumeration(n: int, share_lost: float, expected: float) -> None:
    """The probability of every outcome is known: no simulation. Averaged over nearby rates, since counts are whole."""
    most = 32
    g, lo = (a.ravel() for a in np.meshgrid(np.arange(most), np.arange(most), indexing="ij"))
    ends = np.array([likelihood_interval(int(a), int(b), n) for a, b in zip(g, lo, strict=True)])
    coverage = []
    for rate in expected * np.linspace(0.85, 1.15, 9):
        p_gain, p_lost = rate * (1 - share_lost) / n, rate * share_lost / n
        chance = stats.multinomial.pmf(np.stack((g, lo, n - g - lo), 1), n, (p_gain, p_lost, 1 - p_gain - p_lost))
        inside = (ends[:, 0] <= p_gain - p_lost) & (p_gain - p_lost <= ends[:, 1])
        coverage.append(float(chance[inside].sum()))
    assert 0.94 <= np.mean(coverage) <= 0.975


@pytest.mark.parametrize(("gained", "lost", "n"), [(10, 0, 10), (0, 10, 10), (0, 0, 1)])
def test_extremes_hold_the_estimate_and_stay_shares(gained: int, lost: int, n: int) -> None:
    d = paired_difference(*bits(gained, lost, n))
    assert -1.0 <= d.low <= d.estimate <= d.high <= 1.0


def test_drop_bound_is_the_papers_formula() -> None:
    p_gain, p_lost, n = 3 / 102, 8 / 102, 100
    error = math.sqrt((p_gain + p_lost - (p_gain - p_lost) ** 2) / 102)
    assert drop_bound(*bits(2, 7, n)) == pytest.approx(p_lost - p_gain + stats.norm.ppf(0.95) * error)


def test_mcnemar_published_example() -> None:
    """Fagerland et al. (2013), airway hyper-responsiveness before and after: 1 and 7 discordant; exact 0.0703, mid-p 0.0391."""
    assert mcnemar(1, 7, mid=False) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar(1, 7) == pytest.approx(0.0391, abs=5e-5)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 3), (5, 5), (12, 30), (400, 340)])
def test_mcnemar_is_a_binomial_test(gained: int, lost: int) -> None:
    m = gained + lost
    exact = stats.binomtest(min(gained, lost), m).pvalue if m else 1.0
    assert mcnemar(gained, lost, mid=False) == pytest.approx(exact)
    expected = min(exact - stats.binom.pmf(min(gained, lost), m, 0.5), 1.0) if gained != lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected)


def test_wilson_interval_known_value() -> None:
    low, high = share_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
