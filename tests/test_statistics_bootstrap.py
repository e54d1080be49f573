"""Drawing again, ranks, power and the chosen plan: scipy, brute force, closed forms, simulation with a known truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from workbench.errors import InputError
from workbench.metrics import METRICS, paired_change
from workbench.statistics import (
    bca_interval,
    chance_to_tell,
    likelihood_interval,
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
from workbench.statistics.power import Separation, rounded


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


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 1, 200), (1, 4, 200), (5, 1, 60), (0, 9, 20)])
def test_samples_needed_by_enumeration_of_the_interval_that_decides(gained: int, lost: int, n: int) -> None:
    """All outcomes of so many samples, each judged by its interval: 80 % are told apart, with one sample less they are not."""

    def power(samples: int) -> float:
        g, lo = (a.ravel() for a in np.meshgrid(np.arange(40), np.arange(40), indexing="ij"))
        g, lo = g[g + lo <= samples], lo[g + lo <= samples]
        shares = (gained / n, lost / n, 1 - (gained + lost) / n)
        chance = np.asarray(stats.multinomial.pmf(np.stack((g, lo, samples - g - lo), 1), samples, shares))
        ends = [
            likelihood_interval(int(x), int(y), samples) if c > 1e-8 else (0.0, 0.0)
            for x, y, c in zip(g, lo, chance, strict=True)
        ]
        return float(sum(c for c, (low, high) in zip(chance, ends, strict=True) if low > 0 or high < 0))

    needed = samples_needed(gained, lost, n)
    assert needed is not None
    assert power(needed) >= 0.8 - 1e-5
    assert power(needed - 1) < 0.8 + 1e-5
    assert chance_to_tell(gained / n, lost / n, needed) == pytest.approx(power(needed), abs=1e-5)


def test_samples_needed_where_many_differ_is_mcnemars_and_holds_in_simulation() -> None:
    """R. J. Connor, Biometrics 43 (1987) 207-211: the normal approximation, by hand. In each simulated study the test itself."""
    z = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    for gained, lost, n in ((400, 600, 5000), (5000, 5100, 20_000), (500, 501, 10_000)):
        psi, d = (gained + lost) / n, (gained - lost) / n
        assert samples_needed(gained, lost, n) == pytest.approx(
            ((z[0] * psi**0.5 + z[1] * (psi - d * d) ** 0.5) / d) ** 2, rel=0.02
        )
    needed = samples_needed(20, 40, 1000)
    assert needed is not None
    counts = np.random.default_rng(1).multinomial(needed, (0.02, 0.04, 0.94), 2000)
    ends = np.array([likelihood_interval(int(g), int(lo), needed) for g, lo, _ in counts])
    assert np.mean((ends[:, 0] > 0) | (ends[:, 1] < 0)) == pytest.approx(0.8, abs=0.03)
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
    assert found.sentence("conv1", "fc") == "The data cannot tell conv1 and fc apart; about 4,600 samples would."
    assert separable(base, base).sentence("a", "b") == "The data cannot tell a and b apart; they show no difference."
    other[15:80] = False
    assert separable(base, other).sentence("a", "b") == "The data tell a and b apart."
    assert Separation(0.1, -0.1, 0.3, 1000, 1001).sentence("a", "b").endswith("apart; 1,001 samples would.")
    assert [rounded(n) for n in (7, 99, 2371, 104_999)] == [7, 99, 2400, 100_000]


def test_separable_losses_agree_with_the_paired_t_test() -> None:
    rng = np.random.default_rng(9)
    a = rng.normal(size=200)
    for shift in (0.0, 0.1, 0.3):
        b = a + rng.normal(shift, 1.0, 200)
        assert separable(a, b).separable == (stats.ttest_rel(a, b).pvalue < 0.05)


def test_a_change_that_is_the_same_everywhere_is_judged_as_the_metric_does() -> None:
    """No spread was seen: what none of 20 samples was may be in 1 - 0.025**(1/20) of all, and take the largest loss from the mean."""
    first, second = np.full((20, 1), 0.5), np.full((20, 1), 0.49)
    change, found = paired_change(METRICS["cross_entropy"], first, second), separable(first[:, 0], second[:, 0])
    assert [found.low, found.high] == pytest.approx([change.low, change.high])
    assert found.high - found.difference == pytest.approx(0.5 * (1 - 0.025 ** (1 / 20)))
    assert not found.separable
    needed = found.samples_needed
    assert needed is not None
    assert needed > 20
    assert [separable(np.full(n, 0.5), np.full(n, 0.49)).separable for n in (needed - 1, needed)] == [False, True]


def test_one_sample_tells_nothing() -> None:
    found = separable(np.zeros(1), np.ones(1))
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert found.sentence("a", "b") == "The data cannot tell a and b apart."


def test_a_winner_that_changes_nothing_is_no_point() -> None:
    unknown = winner_of_means(np.zeros((2, 30)), lambda means: 0).change
    assert (unknown.low, unknown.high) == (-np.inf, np.inf)
    known = winner_of_means(np.zeros((2, 30)), lambda means: 0, reach=2.0).change
    assert [-known.low, known.high] == pytest.approx([2 * (1 - 0.025 ** (1 / 30))] * 2)


@pytest.mark.parametrize("n", [50, 1000])
def test_a_row_that_differs_on_one_sample_leaves_the_others_their_intervals(n: int) -> None:
    changes = np.random.default_rng(4).normal(size=(3, n))
    low, high = simultaneous_intervals(np.vstack([np.eye(1, n), 100.0 * changes, 1e-3 * np.eye(1, n)]))
    assert (low[[0, 4]] == -np.inf).all()
    assert (high[[0, 4]] == np.inf).all()
    alone = simultaneous_intervals(100.0 * changes)
    assert low[1:4] == pytest.approx(alone[0])
    assert high[1:4] == pytest.approx(alone[1])


@pytest.mark.parametrize(
    "ask",
    [
        lambda: paired_difference(np.ones(0, np.bool_), np.ones(0, np.bool_)),
        lambda: paired_difference(np.ones(5, np.bool_), np.ones(1, np.bool_)),
        lambda: separable(np.zeros(0), np.zeros(0)),
        lambda: separable(np.zeros(4), np.zeros(5)),
        lambda: separable(np.zeros(4), np.array([0.0, 1.0, np.nan, 0.0])),
        lambda: mean_intervals(np.ones((2, 1))),
        lambda: mean_intervals(np.full((2, 9), np.nan)),
        lambda: simultaneous_intervals(np.zeros((0, 50))),
        lambda: rank_intervals(np.ones((3, 1))),
        lambda: rank_intervals(np.full((3, 9), np.nan)),
        lambda: winner_interval(np.ones(4, np.bool_), np.ones((0, 4), np.bool_), lambda figures: 0),
        lambda: winner_interval(np.ones(4, np.bool_), np.ones((2, 5), np.bool_), lambda figures: 0),
        lambda: winner_of_means(np.zeros((2, 1)), lambda means: 0),
        lambda: winner_of_means(np.full((2, 9), np.nan), lambda means: 0),
        lambda: resamples(0),
    ],
)
def test_what_cannot_be_asked_is_refused(ask: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"give|same samples"):
        ask()


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
