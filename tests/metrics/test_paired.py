"""Changes and their intervals: the figure's own difference, about the stated coverage, the same every time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tests.metrics.cases import scores_of, truth_of
from workbench.metrics import METRICS, paired_change, worsening_bound
from workbench.statistics import unseen_share


def evidence(
    name: str, plans: list[np.ndarray], reference: np.ndarray, labels: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    truth = truth_of(METRICS[name], reference, labels)
    scores = scores_of(plans, truth)
    return METRICS[name].evidence(scores, truth), METRICS[name].figures(scores, truth)


def test_a_mean_has_the_paired_t_interval() -> None:
    rng = np.random.default_rng(1)
    y, labels = rng.standard_normal((50, 3)).astype(np.float32), rng.standard_normal((50, 3))
    found, figures = evidence("mae", [y, y + np.float32(0.1)], y, labels)
    change = paired_change(METRICS["mae"], *found)
    a, b = (np.abs(v.astype(np.float64) - labels).mean(axis=1) for v in (y, y + np.float32(0.1)))
    want = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert change.estimate == pytest.approx(figures[1] - figures[0])
    assert (change.low, change.high) == (pytest.approx(want.low), pytest.approx(want.high))
    assert change.gained == (b < a).sum() and change.lost == (b > a).sum(), "a smaller error is better"
    bound = stats.ttest_rel(b, a).confidence_interval(0.90).high
    assert worsening_bound(METRICS["mae"], *found) == pytest.approx(bound)


@pytest.mark.parametrize("name", ["sqnr_db", "miou", "perplexity", "auc"])
def test_bootstrapped_changes_are_those_of_the_figures_and_repeat(name: str) -> None:
    rng = np.random.default_rng(2)
    shape = (40, 5, 4) if name in ("miou", "perplexity") else (40, 2) if name == "auc" else (40, 4)
    y = rng.standard_normal(shape).astype(np.float32)
    labels = {"miou": y.argmax(-1), "perplexity": y.argmax(-1), "auc": (y[:, -1] > 0.3).astype(int)}.get(name)
    plans = [y + np.float32(s) * rng.standard_normal(shape).astype(np.float32) for s in (0.3, 0.9)]
    found, figures = evidence(name, plans, y, labels)
    change, again = (paired_change(METRICS[name], *found) for _ in range(2))
    assert change == again
    assert change.estimate == pytest.approx(figures[1] - figures[0], rel=1e-9)
    assert change.low < change.estimate < change.high
    assert METRICS[name].worsening(change.estimate) < worsening_bound(METRICS[name], *found)
    same = paired_change(METRICS[name], found[0], found[0])
    assert same.low < same.estimate == 0.0 < same.high, "no change among 40 samples is no proof that there is none"
    assert same.high < 0.3 if METRICS[name].is_share else same.high < 0.1 * figures.max() + 3.0


def test_the_bootstrap_of_an_sqnr_covers_about_95_percent() -> None:
    rng = np.random.default_rng(3)
    metric, hits, rounds = METRICS["sqnr_db"], 0, 300
    true = 10 * math.log10(1.0 / 2.0)  # the noise of one plan has twice the power
    for _ in range(rounds):
        signal = rng.exponential(1.0, 80)
        base = np.stack((signal, rng.exponential(0.1, 80)), axis=1)
        other = np.stack((signal, rng.exponential(0.2, 80)), axis=1)
        change = paired_change(metric, base, other)
        hits += change.low <= true <= change.high
    assert 0.90 <= hits / rounds <= 0.985


def test_no_error_at_all_is_infinitely_better() -> None:
    metric = METRICS["sqnr_db"]
    exact, some = np.array([[1.0, 0.0]] * 9), np.array([[1.0, 0.1]] * 9)
    assert paired_change(metric, exact, exact).estimate == 0.0
    assert paired_change(metric, some, exact).estimate == math.inf
    assert worsening_bound(metric, exact, some) == math.inf


def test_a_jackknife_of_means_is_their_t_interval_of_groups() -> None:
    from workbench.metrics.user import GROUPS

    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((2, 400))
    group = np.arange(400) * GROUPS // 400

    def all_and_without(x: np.ndarray) -> np.ndarray:
        return np.array([(x.mean(), 400), *((x[group != g].mean(), (group != g).sum()) for g in range(GROUPS))])

    metric = METRICS["mse"]
    change = paired_change(metric, all_and_without(a), all_and_without(b))
    means = np.array([(b - a)[group == g].mean() for g in range(GROUPS)])
    half = stats.t.ppf(0.975, GROUPS - 1) * means.std(ddof=1) / math.sqrt(GROUPS)
    assert change.estimate == pytest.approx((b - a).mean())
    assert change.high - change.estimate == pytest.approx(half, rel=1e-9)
    assert (change.gained, change.lost) == (0, 0)


def test_a_share_of_units_that_none_of_them_showed() -> None:
    """Wilks' 59 runs (5 % with 95 % confidence), and the rule of three."""
    assert unseen_share(59, 0.05) < 0.05 < unseen_share(58, 0.05)
    assert unseen_share(1000, 0.05) == pytest.approx(3 / 1000, rel=0.01)


@pytest.mark.parametrize(("files", "least"), [(4, 0.77), (8, 0.52), (200, 0.029)])
def test_no_change_of_a_few_files_proves_little(files: int, least: float) -> None:
    metric, kinds = METRICS["auc"], np.arange(files) % 2.0
    found = np.stack((kinds + np.arange(files) / files, kinds), axis=1)
    assert metric.combine is not None and metric.combine(np.ones((1, files)), found)[0] == 1.0
    assert least < worsening_bound(metric, found, found) < least + 0.02, "of the files of one kind, 3 / n may be others"
    change = paired_change(metric, found, found)
    assert change.estimate == 0.0 and least < change.high == -change.low <= 1.0


def test_a_small_change_is_no_better_proof_than_none() -> None:
    metric, rng = METRICS["miou"], np.random.default_rng(5)
    either = rng.integers(50, 60, (30, 2)).astype(np.float64)
    base = np.concatenate((either - 5, either), axis=1)
    other = base.copy()
    other[3, 0] -= 1
    assert worsening_bound(metric, base, base) < worsening_bound(metric, base, other)


@pytest.mark.parametrize("units", [2, 4, 400])
def test_equal_differences_are_bounded_by_what_a_sample_can_lose(units: int) -> None:
    mean = np.full((units, 1), 2.0)
    bound = worsening_bound(METRICS["mae"], mean, mean + 0.5)
    assert bound == pytest.approx(0.5 + 2.5 * (1 - 0.05 ** (1 / units)))
    sqnr = np.array([[100.0, 1.0]] * units)
    assert worsening_bound(METRICS["sqnr_db"], sqnr, sqnr) == pytest.approx(20.0 * (1 - 0.05 ** (1 / units)))
    groups = np.array([[3.0, units], [3.0, units - 1], [3.0, units - 1]])
    assert worsening_bound(METRICS["mae"], groups, groups) == pytest.approx(3.0 * (1 - 0.05 ** (1 / units)))


def test_without_any_figure_nothing_is_proven() -> None:
    nothing = np.zeros((6, 2))
    assert not worsening_bound(METRICS["perplexity"], nothing, nothing) <= 1e9
