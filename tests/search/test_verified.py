"""Verified frontier search on a synthetic network whose every plan is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from workbench.errors import InputError
from workbench.metrics import METRICS
from workbench.search.expectation import Learner
from workbench.search.found import Found
from workbench.search.ranking import rank_plans
from workbench.search.surrogate import Kernel, Surrogate
from workbench.search.verified import _Search, shortfalls, verified_frontier
from workbench.sweep import Codes, Group, Space
from workbench.truth import Evaluated, pareto_front

SAMPLES = 120
FORMATS = ("w8a8", "w4a8", "w2a8")


@dataclass(eq=False)
class Synthetic:
    """An oracle of two classes: every format moves the log-odds of every sample, pairs of neighbouring groups interact.

    stop_after: Ctrl-C arrives when so many plans were evaluated.
    """

    groups: int = 6
    seed: int = 0
    stop_after: int | None = None
    spent: float = 0.0
    samples = SAMPLES
    axes = ("flash", "latency")
    metric = METRICS["top1"]

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.space = Space.of([Group(f"g{i}", (f"g{i}",)) for i in range(self.groups)], FORMATS)
        size = rng.lognormal(-1.0, 0.8, self.groups)[:, None, None] * np.array([0.0, 0.3, 1.0])[None, :, None]
        self.moves = size * rng.normal(0.5, 1.0, (self.groups, 3, SAMPLES))
        self.pairs = 0.3 * rng.normal(0, 1, (self.groups - 1, SAMPLES))
        self.odds = rng.normal(-2.0, 1.5, SAMPLES)
        self.bytes = np.outer(rng.integers(1, 40, self.groups), [8, 4, 2]).astype(np.float64)

    def evaluate(self, codes: Codes, samples: np.ndarray | None = None, progress: object = None) -> Evaluated:
        if self.stop_after is not None and self.spent + len(codes) > self.stop_after:
            raise KeyboardInterrupt
        self.spent += len(codes)
        odds = self.odds + self.moves[np.arange(self.groups), codes].sum(axis=1)
        rough = codes / 2.0
        odds = odds + (rough[:, 1:] * rough[:, :-1]) @ self.pairs
        correct = odds < 0.0
        return Evaluated((~correct).mean(axis=1), np.log1p(np.exp(odds)), correct)

    def costs(self, codes: Codes) -> np.ndarray:
        flash = self.bytes[np.arange(self.groups), codes].sum(axis=1)
        return np.column_stack((flash, 100.0 - flash + 3.0 * (codes == 1).sum(axis=1)))


def exact_points(oracle: Synthetic, quality: str, against: tuple[int, ...]) -> set[tuple[float, ...]]:
    """The frontier by evaluating everything."""
    codes = oracle.space.codes(range(oracle.space.size))
    found = Synthetic(oracle.groups, oracle.seed).evaluate(codes)
    value = found.badness if quality == "metric" else found.losses.mean(axis=1)
    points = np.column_stack((value, oracle.costs(codes)[:, against]))
    return {tuple(p) for p in points[pareto_front(points)].tolist()}


def points(found: Found, quality: str) -> set[tuple[float, ...]]:
    value = found.badness if quality == "metric" else found.loss
    return {tuple(p) for p in np.column_stack((value, found.costs))[found.frontier].tolist()}


def same(a: Found, b: Found) -> bool:
    return all(
        np.array_equal(x, y) for x, y in ((a.codes, b.codes), (a.badness, b.badness), (a.loss, b.loss))
    ) and np.array_equal(a.frontier, b.frontier)


@pytest.mark.parametrize("quality", ["loss", "metric"])
def test_finds_the_frontier_of_everything_with_a_tenth(quality: str) -> None:
    recalls = []
    for seed in range(3):
        oracle = Synthetic(seed=seed)
        found = verified_frontier(oracle, quality=quality, evaluations=72, seed=seed)
        exact = exact_points(oracle, quality, (0,))
        assert oracle.spent == found.spent == len(found.codes) == len(np.unique(found.codes, axis=0)) == 72
        recalls.append(len(exact & points(found, quality)) / len(exact))
    assert np.median(recalls) >= 0.9


def test_two_axes_and_results_are_the_oracles() -> None:
    oracle = Synthetic()
    found = verified_frontier(oracle, against=("latency", "flash"), quality="loss", evaluations=60, seed=1)
    again = Synthetic().evaluate(found.codes)
    np.testing.assert_array_equal(found.badness, again.badness)
    np.testing.assert_array_equal(found.loss, again.losses.mean(axis=1))
    np.testing.assert_array_equal(found.costs, oracle.costs(found.codes)[:, ::-1])
    assert found.trace[-1].spent == 60
    regrets = [step.regret for step in found.trace]
    assert regrets == sorted(regrets, reverse=True)
    assert regrets[0] > 0.0 == regrets[-1]


def test_a_budget_of_everything_is_exhaustive() -> None:
    oracle = Synthetic(groups=3)
    found = verified_frontier(oracle, quality="loss", evaluations=1000)
    assert len(found.codes) == 27
    assert points(found, "loss") == exact_points(oracle, "loss", (0,))


def test_ranks_plans_that_were_not_evaluated() -> None:
    oracle = Synthetic()
    found = verified_frontier(oracle, quality="loss", evaluations=72)
    codes = oracle.space.codes(range(729))
    truth = Synthetic().evaluate(codes).losses.mean(axis=1)
    assert found.predict is not None
    assert np.corrcoef(found.predict(codes).argsort().argsort(), truth.argsort().argsort())[0, 1] > 0.95


@pytest.mark.parametrize("quality", ["loss", "metric"])
def test_ranking_orders_all_plans(quality: str) -> None:
    oracle = Synthetic()
    ranking = rank_plans(oracle, 72, seed=1, quality=quality)
    assert oracle.spent == ranking.spent == len(np.unique(ranking.codes, axis=0)) == 72
    codes = oracle.space.codes(range(729))
    exact = Synthetic().evaluate(codes)
    truth = exact.badness if quality == "metric" else exact.losses.mean(axis=1)
    assert kendalltau(ranking.predict(codes), truth).statistic > (0.8 if quality == "metric" else 0.9)
    seen = oracle.space.numbers(ranking.codes)
    np.testing.assert_array_equal(ranking.predict(ranking.codes), truth[seen])  # exact where evaluated
    again = rank_plans(Synthetic(), 72, seed=1, quality=quality)
    np.testing.assert_array_equal(ranking.codes, again.codes)


def test_expected_shares_are_shares_of_the_samples() -> None:
    found = rank_plans(Synthetic(), 72).predict(Synthetic().space.codes(range(729))) * SAMPLES
    np.testing.assert_allclose(found, found.round(), atol=1e-9)


def test_ranking_a_budget_of_everything_is_exact() -> None:
    oracle = Synthetic(groups=3)
    ranking = rank_plans(oracle, 1000, quality="loss")
    codes = oracle.space.codes(range(27))
    assert ranking.spent == 27
    np.testing.assert_array_equal(ranking.predict(codes), Synthetic(groups=3).evaluate(codes).losses.mean(axis=1))


def test_ranking_everything_takes_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    learn = Learner.learn
    monkeypatch.setattr(Learner, "learn", lambda self, *rest: fits.append(1) or learn(self, *rest))
    assert rank_plans(Synthetic(groups=5), 1e9).spent == 243
    assert len(fits) == 1
    assert rank_plans(Synthetic(groups=5), 200).spent == 200  # hardly any of them near the default
    assert len(fits) <= 1 + 7


def test_ranking_learns_from_a_part_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.search.ranking.LEARNED", 40)
    ranking = rank_plans(Synthetic(), 90, quality="loss")
    codes = Synthetic().space.codes(range(729))
    assert ranking.spent == 90
    assert kendalltau(ranking.predict(codes), Synthetic().evaluate(codes).losses.mean(axis=1)).statistic > 0.8


def test_ranking_a_space_too_large_to_list() -> None:
    assert rank_plans(Synthetic(groups=14), 60, quality="loss").spent == 60


@pytest.mark.parametrize(("options", "message"), [({"quality": "taste"}, "taste"), ({"evaluations": 2}, "at least 3")])
def test_ranking_bad_input(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank_plans(Synthetic(), **({"evaluations": 10} | options))


def test_shortfalls_by_hand() -> None:
    values, costs = np.array([4.0, 2.0, 1.0, 3.0]), np.array([[5.0], [9.0], [7.0], [5.0]])
    # The last frontier is (1, 7) and (3, 5); after one result 4 stands at both, after three only the second is short.
    found = shortfalls(values, costs, np.array([2, 3]), [1, 3, 4], 1e-9)
    np.testing.assert_allclose(found, [(3.0 + 1 / 3) / 2, (0.0 + 1 / 3) / 2, 0.0])


def test_seed_decides() -> None:
    first = verified_frontier(Synthetic(), evaluations=40, seed=3)
    assert same(first, verified_frontier(Synthetic(), evaluations=40, seed=3))
    assert not np.array_equal(first.codes, verified_frontier(Synthetic(), evaluations=40, seed=4).codes)


def test_a_stopped_search_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    store = tmp_path / "results"
    whole = verified_frontier(Synthetic(), evaluations=60, seed=2)
    with pytest.raises(KeyboardInterrupt):
        verified_frontier(Synthetic(stop_after=31), evaluations=60, seed=2, store=store)
    kept = store.read_bytes()
    store.write_bytes(kept[:-5])  # torn while it was written
    oracle = Synthetic()
    assert same(whole, verified_frontier(oracle, evaluations=60, seed=2, store=store))
    assert 60 - 31 <= oracle.spent < 60
    assert store.read_bytes()[: len(kept)] == kept
    rest = Synthetic()
    assert same(whole, verified_frontier(rest, evaluations=60, seed=2, store=store))
    assert rest.spent == 2  # the first and the last plan are evaluated again, to see that the file is of this network


def test_a_foreign_store_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "results"
    verified_frontier(Synthetic(), evaluations=15, store=store)
    with pytest.raises(InputError, match="another network"):
        verified_frontier(Synthetic(seed=1), evaluations=15, store=store)
    with pytest.raises(InputError, match="other layers"):
        verified_frontier(Synthetic(groups=5), evaluations=15, store=store)


def test_no_time_leaves_the_default() -> None:
    found = verified_frontier(Synthetic(), evaluations=500, seconds=0.0)
    assert 1 <= len(found.codes) <= 64
    assert not found.codes[0].any()


def test_a_space_too_large_to_list_beats_uniform_draws() -> None:
    oracle = Synthetic(groups=14)
    assert oracle.space.size == 3**14
    found = verified_frontier(oracle, quality="loss", evaluations=150, seed=0)
    drawn = oracle.space.draw(1500, np.random.default_rng(0))  # ten times as many
    loss, flash = Synthetic(groups=14).evaluate(drawn).losses.mean(axis=1), oracle.costs(drawn)[:, 0]
    front = pareto_front(np.column_stack((loss, flash)))
    own = found.loss[found.frontier], found.costs[found.frontier, 0]
    beaten = [((own[0] <= loss[i]) & (own[1] <= flash[i])).any() for i in front]
    assert np.mean(beaten) > 0.9


def test_a_part_of_many_results_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.search.verified.LEARNED", 40)
    sizes: list[int] = []

    def of(kernel: Kernel, at: Any, feature: Any, results: Any) -> Surrogate:
        sizes.append(len(at))
        return whole(kernel, at, feature, results)

    whole = Surrogate.of
    monkeypatch.setattr(Surrogate, "of", staticmethod(of))
    oracle = Synthetic()
    found = verified_frontier(oracle, quality="loss", evaluations=110, seed=0)
    exact = exact_points(oracle, "loss", (0,))
    assert max(sizes) == 40 < len(found.codes) == 110
    assert len(exact & points(found, "loss")) >= 0.9 * len(exact)


def test_no_round_begins_that_would_end_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("workbench.search.verified.time.monotonic", lambda: clock[0])
    propose = _Search.propose

    def slow(self: _Search, pool: Codes, costs: Any) -> Any:
        clock[0] += 10.0
        return propose(self, pool, costs)

    monkeypatch.setattr(_Search, "propose", slow)
    verified_frontier(Synthetic(), quality="loss", evaluations=300, seconds=35.0)
    assert clock[0] == 30.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"against": ("speed",)}, "'speed'. Expected some of flash, latency"),
        ({"against": ()}, "no axis"),
        ({"against": "speed"}, "'speed'. Expected some of"),
        ({"quality": "taste"}, "'taste'. Expected metric or loss"),
        ({"evaluations": 0}, "at least 1"),
        ({"seconds": float("nan")}, "seconds: nan"),
        ({"seconds": -1.0}, "seconds: -1"),
    ],
)
def test_bad_input(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        verified_frontier(Synthetic(), **({"evaluations": 10} | options))


def test_a_plan_without_a_figure_is_never_on_the_frontier_and_stops_nothing() -> None:
    class Diverging(Synthetic):
        def evaluate(self, codes: Codes, samples: np.ndarray | None = None, progress: object = None) -> Evaluated:
            found = super().evaluate(codes)
            away = (codes == 2).all(axis=1) | (codes == 0).all(axis=1)
            losses = np.where(away[:, None], np.nan, found.losses)
            return Evaluated(np.where(away, np.inf, found.badness), losses, found.correct)

    for quality in ("metric", "loss"):
        found = verified_frontier(Diverging(groups=4), quality=quality, evaluations=81)
        every = Diverging(groups=4).evaluate(found.codes)
        value = every.badness if quality == "metric" else every.losses.mean(axis=1)
        exact = pareto_front(np.column_stack((value, found.costs)))
        np.testing.assert_array_equal(found.frontier, exact)
        assert np.isfinite(rank_plans(Diverging(groups=4), 40, quality=quality).predict(found.codes[5:])).any()


def test_a_store_that_cannot_be_written_a_torn_first_line_and_a_bad_seed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        verified_frontier(Synthetic(), evaluations=20, store=tmp_path)
    with pytest.raises(InputError, match="seed: -1"):
        verified_frontier(Synthetic(), evaluations=20, seed=-1)
    store = tmp_path / "store"
    whole = verified_frontier(Synthetic(), evaluations=30, store=store)
    store.write_bytes(store.read_bytes()[:30])
    assert same(whole, verified_frontier(Synthetic(), evaluations=30, store=store))


def test_a_store_of_a_network_with_the_same_default_is_refused(tmp_path: Path) -> None:
    other = Synthetic()
    other.moves = other.moves * np.array([1.0, -3.0, -3.0])[:, None]
    verified_frontier(Synthetic(), evaluations=60, store=tmp_path / "store")
    with pytest.raises(InputError, match="another network"):
        verified_frontier(other, evaluations=60, store=tmp_path / "store")
