"""Intervals: values from the papers' formulas, coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.statistics import paired_difference, share_interval


def test_no_discordant_pairs_still_has_an_interval() -> None:
    same = np.ones(100, np.bool_)
    d = paired_difference(same, same)
    assert d.estimate == 0.0
    assert d.low < 0.0 < d.high


def test_difference_counts_gains_and_losses() -> None:
    base = np.array([1, 1, 1, 0, 0], np.bool_)
    other = np.array([1, 0, 0, 1, 0], np.bool_)
    d = paired_difference(base, other)
    assert (d.gained, d.lost) == (1, 2)
    assert d.estimate == pytest.approx(-0.2)


@pytest.mark.parametrize(("p_gain", "p_lost", "n"), [(0.01, 0.03, 1000), (0.02, 0.02, 200), (0.0, 0.01, 500)])
def test_stated_interval_covers_about_95_percent(p_gain: float, p_lost: float, n: int) -> None:
    rng = np.random.default_rng(7)
    hits, rounds = 0, 2000
    for _ in range(rounds):
        u = rng.random(n)
        base = np.ones(n, np.bool_)
        base[u < p_gain] = False
        other = np.ones(n, np.bool_)
        other[(u >= p_gain) & (u < p_gain + p_lost)] = False
        d = paired_difference(base, other)
        hits += d.low <= p_gain - p_lost <= d.high
    assert 0.93 <= hits / rounds <= 0.99


def test_wilson_interval_known_value() -> None:
    low, high = share_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
