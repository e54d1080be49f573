"""Differences of two plans: closed forms, scipy, a published example, coverage by enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, stats

from workbench.statistics import drop_bound, likelihood_interval, mcnemar, paired_difference, share_interval
from workbench.statistics.bounds import p_value


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


@pytest.mark.parametrize("n", [100, 500, 1000])
@pytest.mark.parametrize(("share_lost", "least"), [(0.5, 0.951), (0.65, 0.944), (0.8, 0.943), (0.9, 0.939), (1.0, 0.930)])
def test_least_coverage_at_a_single_expected_count(n: int, share_lost: float, least: float) -> None:
    """The same at every expected count from 3 to 16 in steps of 0.1, not averaged: docs/statistics.md states the least."""
    most = 48
    g, lo = (a.ravel() for a in np.meshgrid(np.arange(most), np.arange(most), indexing="ij"))
    g, lo = g[g + lo < most], lo[g + lo < most]
    ends = np.array([likelihood_interval(int(a), int(b), n) for a, b in zip(g, lo, strict=True)])
    coverage = []
    for expected in np.arange(3.0, 16.05, 0.1):
        difference = expected / n * (1 - 2 * share_lost)
        chance = stats.binom.pmf(g + lo, n, expected / n) * stats.binom.pmf(lo, g + lo, share_lost)
        coverage.append(chance[(ends[:, 0] <= difference) & (difference <= ends[:, 1])].sum())
    assert least <= min(coverage) <= least + 0.009
    assert max(coverage) <= 0.983
    assert np.mean(coverage) >= 0.952


@pytest.mark.parametrize(("gained", "lost", "n"), [(10, 0, 10), (0, 10, 10), (0, 0, 1)])
def test_extremes_hold_the_estimate_and_stay_shares(gained: int, lost: int, n: int) -> None:
    d = paired_difference(*bits(gained, lost, n))
    assert -1.0 <= d.low <= d.estimate <= d.high <= 1.0


@pytest.mark.parametrize("level", [0.05, 0.0125])
def test_a_bound_on_a_drop_errs_at_most_as_often_as_it_says(level: float) -> None:
    """Enumeration of all outcomes: how often a drop is excluded that is the true one."""
    n = 60
    for gains, drop in itertools.product((0.0, 1.0, 4.0), (1.0, 2.4, 3.0, 3.8, 6.0, 10.0)):
        p_gain, p_lost = gains / n, (gains + drop) / n
        wrong = 0.0
        for gained, lost in itertools.product(range(16), range(30)):
            chance = stats.multinomial.pmf([gained, lost, n - gained - lost], n, [p_gain, p_lost, 1 - p_gain - p_lost])
            if chance > 1e-6 and p_value(gained, lost, n, drop / n, level) <= level:
                wrong += chance
        assert wrong <= level


@pytest.mark.parametrize("n", [20, 1000])
def test_without_gains_the_bound_is_nearly_the_exact_one_of_a_share(n: int) -> None:
    """Clopper and Pearson (1934): the part of the error that is set aside makes it a little larger."""
    for lost in (0, 1, 5):
        exact = stats.beta.ppf(0.95, lost + 1, n - lost)
        assert exact <= drop_bound(*bits(0, lost, n)) <= 1.01 * exact


def test_with_many_discordant_samples_the_bound_is_that_of_a_normal_distribution() -> None:
    gained, lost, n = 300, 350, 10_000
    normal = (lost - gained) / n + stats.norm.ppf(0.95) * math.sqrt(
        (lost + gained) / n - ((lost - gained) / n) ** 2
    ) / math.sqrt(n)
    assert drop_bound(*bits(gained, lost, n)) == pytest.approx(normal, rel=0.005)


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
