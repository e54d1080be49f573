"""Drawing again, ranks, power and the chosen plan: scipy, brute force, closed forms, simulation with a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from workbench.statistics import (
    bca_interval,
    mean_intervals,
    paired_difference,
    rank_intervals,
    resamples,
    samples_for_mean,
    samples_needed,
    separable,
    simultaneous_intervals,
    weighted_sums,
    winner_interval,
    winner_of_means,
)
from workbench.statistics.power import rounded


def test_weighted_sums_are_the_sums_and_the_same_in_parts() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_exponential((7, 500)) * 3.0
    counts = resamples(500, 40)
    whole = weighted_sums(counts, values)
    assert np.allclose(whole, counts.astype(np.float64) @ values.T, rtol=0, atol=500 * 1e-6)
    assert np.array_equal(whole, np.concatenate([weighted_sums(counts[i : i + 1], values) for i in range(40)]))
    assert counts.sum(axis=1).tolist() == [500.0] * 40


def test_bca_agrees_with_scipy() -> None:
    data = np.random.default_rng(5).standard_exponential(60)
    low, high = bca_interval(lambda c: (c @ data) / c.sum(axis=1), len(data), draws=4000)
    theirs = stats.bootstrap(
        (data,), np.mean, n_resamples=20000, method="BCa", rng=np.random.default_rng(6)
    ).confidence_interval
    spread = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=0.06 * spread)
    assert high == pytest.approx(theirs.high, abs=0.06 * spread)


def test_mean_intervals_of_normal_data_are_t_intervals() -> None:
    data = np.random.default_rng(2).normal(0.3, 1.0, (3, 400))
    low, high = mean_intervals(data, draws=4000)
    t = stats.t.interval(0.95, 399, data.mean(axis=1), stats.sem(data, axis=1))
    assert np.allclose(low, t[0], atol=0.012)
    assert np.allclose(high, t[1], atol=0.012)


def test_mean_intervals_cover_skewed_means() -> None:
    rng = np.random.default_rng(3)
    low, high = mean_intervals(rng.lognormal(0.0, 1.0, (600, 100)))
    covered = np.mean((low <= np.exp(0.5)) & (np.exp(0.5) <= high))
    assert covered == pytest.approx(0.95, abs=3.5 * np.sqrt(0.95 * 0.05 / 600))


def test_simultaneous_intervals_of_independent_means_have_the_sidak_width() -> None:
    data = np.random.default_rng(4).normal(size=(20, 1000))
    low, high = simultaneous_intervals(data, draws=4000)
    reach = (high - low) / 2 / stats.sem(data, axis=1)
    assert reach == pytest.approx(np.full(20, stats.norm.ppf((1 + 0.95 ** (1 / 20)) / 2)), rel=0.04)


def test_intervals_of_a_change_that_is_the_same_everywhere() -> None:
    low, high = mean_intervals(np.array([[0.5] * 30, [0.0] * 30]))
    assert low.tolist() == high.tolist() == [0.5, 0.0]


def synthetic(rng: np.random.Generator, layers: int, n: int, spread: float) -> np.ndarray:
    """Losses of layers on n samples: a part that all share, and means i * spread."""
    return rng.standard_exponential(n) + rng.normal(size=(layers, n)) + spread * np.arange(layers)[:, None]


def test_clear_ranks_are_points_and_copies_are_inseparable() -> None:
    values = synthetic(np.random.default_rng(1), 5, 300, 2.0)
    found = rank_intervals(values)
    assert found.rank.tolist() == found.low.tolist() == found.high.tolist() == [5, 4, 3, 2, 1]
    assert found.ahead.tolist() == (np.arange(5)[:, None] > np.arange(5)).tolist()
    same = np.concatenate((values, values[4:]))
    twice = rank_intervals(same, "sure")
    assert twice.inseparable(4) == [5]
    assert (twice.low[4], twice.high[5]) == (1, 2)


def test_critical_value_is_the_least_that_covers_in_the_draws() -> None:
    """Calibration against brute force: with the c it finds 95 % of the draws around the means have all ranks right, not with less."""
    from workbench.statistics.ranks import _calibrated, _pair_errors

    values = synthetic(np.random.default_rng(8), 5, 80, 0.1)
    mean, error = -values.mean(axis=1), _pair_errors(values)
    noise = -weighted_sums(resamples(80, 200), values + mean[:, None]) / 80
    truth = mean.argsort().argsort() + 1

    def all_right(critical: float) -> float:
        right = 0
        for shift in noise:
            x = mean + shift
            ahead = [[(x[j] - x[k]) / error[j, k] > critical for k in range(5) if k != j] for j in range(5)]
            behind = [[(x[j] - x[k]) / error[j, k] < -critical for k in range(5) if k != j] for j in range(5)]
            right += all(1 + sum(ahead[j]) <= truth[j] <= 5 - sum(behind[j]) for j in range(5))
        return right / len(noise)

    critical = _calibrated(mean, noise, error, "all")
    assert critical > 0.5
    assert all_right(critical) >= 0.95 > all_right(critical - 1e-9)


@pytest.mark.parametrize(("promise", "low", "high"), [("each", 0.90, 0.99), ("all", 0.88, 1.0), ("sure", 0.97, 1.0)])
def test_rank_intervals_cover(promise: str, low: float, high: float) -> None:
    held = []
    for seed in range(60):
        values = synthetic(np.random.default_rng(seed), 8, 100, 0.15)
        found = rank_intervals(values, promise, draws=300)  # type: ignore[arg-type]
        inside = (found.low <= np.arange(8, 0, -1)) & (np.arange(8, 0, -1) <= found.high)
        held.append(inside.mean() if promise == "each" else inside.all())
    assert low <= np.mean(held) <= high


def test_samples_needed_closed_form_and_by_simulation() -> None:
    """Connor's example of the formula by hand, and the power it promises by simulating the test."""
    psi, d = 0.06, 0.02
    by_hand = ((stats.norm.ppf(0.975) * psi**0.5 + stats.norm.ppf(0.8) * (psi - d * d) ** 0.5) / d) ** 2
    needed = samples_needed(20, 40, 1000)
    assert needed == int(np.ceil(by_hand))
    counts = np.random.default_rng(1).multinomial(needed, (0.02, 0.04, 0.94), 4000)
    z = (counts[:, 1] - counts[:, 0]) / np.sqrt(counts[:, 0] + counts[:, 1])
    assert np.mean(np.abs(z) > stats.norm.ppf(0.975)) == pytest.approx(0.8, abs=0.03)
    assert samples_needed(7, 7, 1000) is None


def test_samples_for_mean_reach_the_power_of_the_t_test() -> None:
    n = samples_for_mean(0.2, 1.0)
    assert n is not None
    t = stats.nct(n - 1, 0.2 * np.sqrt(n))
    assert t.sf(stats.t.ppf(0.975, n - 1)) == pytest.approx(0.8, abs=0.01)


def test_sentence_says_what_the_data_can_tell() -> None:
    base, other = np.ones(1000, np.bool_), np.ones(1000, np.bool_)
    base[:5], other[5:15] = False, False
    found = separable(base, other)
    assert not found.separable
    assert found.samples_needed == samples_needed(5, 10, 1000)
    assert found.sentence("conv1", "fc") == "The data cannot tell conv1 and fc apart; about 4,700 samples would."
    assert separable(base, base).sentence("a", "b") == "The data cannot tell a and b apart; they show no difference."
    other[15:80] = False
    assert separable(base, other).sentence("a", "b") == "The data tell a and b apart."
    assert [rounded(n) for n in (7, 99, 2371, 104_999)] == [7, 99, 2400, 100_000]


def test_separable_losses_agree_with_the_paired_t_test() -> None:
    rng = np.random.default_rng(9)
    a = rng.normal(size=200)
    for shift in (0.0, 0.1, 0.3):
        b = a + rng.normal(shift, 1.0, 200)
        assert separable(a, b).separable == (stats.ttest_rel(a, b).pvalue < 0.05)


def test_one_candidate_is_not_optimistic() -> None:
    rng = np.random.default_rng(3)
    base, other = rng.random(400) < 0.8, rng.random(400) < 0.78
    found = winner_interval(base, other[None], lambda figures: 0)
    plain = paired_difference(base, other)
    assert abs(found.optimism) < 0.005
    assert found.change.low == pytest.approx(plain.low, abs=0.012)
    assert found.change.high == pytest.approx(plain.high, abs=0.012)


def test_the_best_of_many_equal_plans_is_freed_of_its_optimism() -> None:
    """60 plans that all change nothing: the best looks better, its true change is 0."""
    naive, corrected, optimism = [], [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        base = rng.random(200) < 0.85
        plans = base ^ (rng.random((60, 200)) < np.where(base, 0.03, 0.03 * 0.85 / 0.15))
        found = winner_interval(base, plans, lambda figures: int(figures.argmax()), draws=300)
        plain = paired_difference(base, plans[found.index])
        naive.append(plain.low <= 0.0 <= plain.high)
        corrected.append(found.change.low <= 0.0 <= found.change.high)
        optimism.append(plain.estimate - found.change.estimate)
    assert np.mean(naive) < 0.75
    assert np.mean(corrected) >= 0.90
    assert np.mean(optimism) > 0.01


def test_the_best_mean_of_many_is_freed_of_its_optimism() -> None:
    """40 plans with the same skewed losses: the least mean looks better, its true change is 0."""
    naive, corrected = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        changes = rng.standard_exponential((40, 100)) - 1.0
        found = winner_of_means(changes, lambda means: int(means.argmin()), draws=300)
        assert found.index == changes.mean(axis=1).argmin()
        low, high = stats.ttest_1samp(changes[found.index], 0.0).confidence_interval()
        naive.append(low <= 0.0 <= high)
        corrected.append(found.change.low <= 0.0 <= found.change.high)
        assert found.optimism < 0.0
    assert np.mean(naive) < 0.6
    assert np.mean(corrected) >= 0.85
