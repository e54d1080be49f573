"""Certificates: bounds against SciPy's distributions, claims against spaces that are known as a whole, and checks that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from workbench.progress import Tick
from workbench.search.certificate_checks import check_sampling
from workbench.search.certificates import (
    Measure,
    conclude,
    draws_needed,
    exhaustive_certificate,
    improves,
    recommended_text,
    sampling_certificate,
    sampling_text,
    upper_share,
)
from workbench.sweep import Codes, Group, Space
from workbench.truth import pareto_front

F64 = npt.NDArray[np.float64]
SPACE = Space.of([Group(f"g{i}", (f"g{i}",)) for i in range(6)], ["w8a8", "w4a8", "w2a8"], "w8a8")


def values_of(seed: int) -> F64:
    """Return a made-up truth: what every plan of the space loses and costs, [729, 2]."""
    rng = np.random.default_rng(seed)
    codes = SPACE.codes(range(SPACE.size)).astype(np.float64)
    loss = codes**2 @ rng.random(6) + 0.5 * rng.random(SPACE.size)
    return np.stack((loss, (3.0 - codes) @ rng.integers(1, 50, 6)), axis=1)


def measure_of(values: F64) -> Measure:
    def measure(codes: Codes, progress: Tick | None = None) -> F64:
        return values[SPACE.numbers(codes)]

    return measure


@pytest.mark.parametrize(("successes", "draws"), [(0, 1), (0, 299), (3, 40), (17, 900), (5, 5)])
def test_upper_share_is_scipys_clopper_pearson(successes: int, draws: int) -> None:
    want = stats.binomtest(successes, draws, alternative="less").proportion_ci(0.95, "exact").high
    assert upper_share(successes, draws, 0.05) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("improved", [0, 1, 2, 7])
@pytest.mark.parametrize(("share", "error"), [(0.01, 0.05), (0.01, 0.0125), (0.2, 0.001)])
def test_draws_needed_is_the_first_count_that_scipys_binomial_accepts(improved: int, share: float, error: float) -> None:
    n = draws_needed(improved, share, error)
    assert stats.binom.cdf(improved, n, share) <= error < stats.binom.cdf(improved, n - 1, share)


def test_299_draws_without_improvement_prove_one_percent_at_95_percent() -> None:
    assert draws_needed(0, 0.01, 0.05) == 299  # ln 0.05 / ln 0.99 = 298.07


def test_claims_at_the_looks_are_wrong_in_at_most_5_percent_of_all_runs() -> None:
    """A frontier that exactly the stated share (or a little more) improves, for good: every claim is wrong."""
    share, runs = 0.05, 4000
    rng = np.random.default_rng(0)
    looks = [draws_needed(j, share, 0.05 / 2 ** (j + 1)) for j in range(25)]
    counts = np.cumsum(rng.random((runs, looks[-1])) < share, axis=1)
    claimed = np.zeros(runs, np.bool_)
    for j, n in enumerate(looks):
        at = counts[:, n - 1]
        assert all(conclude(n, int(k), int(k), share).reached == (k <= j) for k in np.unique(at))
        claimed |= at <= j
    assert 0.01 < claimed.mean() <= 0.05


def test_conclude_bounds_by_the_error_that_is_left() -> None:
    first = draws_needed(0, 0.01, 0.025)
    assert conclude(first - 1, 0, 0, 0.01).bound == pytest.approx(upper_share(0, first - 1, 0.05))
    assert conclude(first + 1, 2, 2, 0.01).bound == pytest.approx(upper_share(2, first + 1, 0.025))
    assert conclude(0, 0, 0, 0.01).bound == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_a_claim_holds_on_a_space_that_is_known_as_a_whole(seed: int) -> None:
    values = values_of(seed)
    start = SPACE.codes(pareto_front(values)[::3])  # a search that missed two thirds
    sampled = sampling_certificate(SPACE, measure_of(values), start, ("loss", "flash"), 100, share=0.02, seed=seed)
    data = sampled.certificate.data
    better = np.mean([improves(sampled.values, value) for value in values])
    assert data["reached"] and better < 0.02
    assert (
        f"fewer than 2 % of all 729 configurations improve this frontier (mean loss against flash): {data['draws']:,} drawn"
        in (sampled.certificate.text)
    )
    np.testing.assert_array_equal(values[SPACE.numbers(sampled.frontier)], sampled.values)
    assert len(pareto_front(sampled.values)) == len(sampled.values), "draws that are beaten by others have left"


def test_draws_that_improve_join_and_the_frontier_is_that_of_all_that_was_seen() -> None:
    values = values_of(7)
    start = SPACE.uniform("w8a8")[None]
    sampled = sampling_certificate(SPACE, measure_of(values), start, ("loss", "flash"), 100, share=0.05, seed=3)
    drawn = SPACE.draw(sampled.certificate.data["draws"], np.random.default_rng([7, 3]))
    seen = np.vstack((values[SPACE.numbers(start)], values[SPACE.numbers(drawn)]))
    want = seen[pareto_front(seen)]
    np.testing.assert_array_equal(np.sort(sampled.values, axis=0), np.sort(want, axis=0))
    assert sampled.certificate.data["improved"]


def test_a_budget_that_ends_says_what_was_reached() -> None:
    values = values_of(1)
    front = SPACE.codes(pareto_front(values))
    sampled = sampling_certificate(SPACE, measure_of(values), front, ("loss", "flash"), 100, share=0.01, most=100)
    assert not sampled.certificate.data["reached"]
    assert sampled.certificate.data["bound"] == pytest.approx(1 - 0.05 ** (1 / 100))
    assert "the bound rests on" not in sampled.certificate.text
    partial = {**sampled.certificate.data, "improved": [1, 2], "improved_at_start": 3}
    assert "2 improved it and joined it; the bound rests on the 3 that improved" in sampling_text(partial)
    assert "fewer than 2.95 %" in sampled.certificate.text and "1 % was wanted" in sampled.certificate.text
    none = sampling_certificate(SPACE, measure_of(values), front, ("loss", "flash"), 100, share=0.01, seconds=0.0)
    assert none.certificate.text.startswith("Nothing is proven")


def test_the_exhaustive_text_says_how_many() -> None:
    values = values_of(1)
    front = pareto_front(values)
    made = exhaustive_certificate(SPACE, SPACE.codes(front), values[front], ("metric", "flash"), 846, {}, "top-1")
    assert (
        made.text.startswith("All 729 configurations were evaluated exactly on these 846 samples: none beats any of the ")
        and "top-1 against flash" in made.text
    )


def test_the_exhaustive_text_says_where_the_recommended_plan_stands() -> None:
    data = {"values": [[0.1, 8.0], [0.2, 4.0], [0.3, 2.0]]}
    assert recommended_text(data, [0.2, 4.0], "flash", True) == "The recommended plan is one of them."
    assert "the one that is better on these samples was not proven" in recommended_text(data, [0.25, 5.0], "flash", True)
    two = recommended_text(data, [0.4, 5.0], "flash", False)
    assert "the 2 that are better on these samples were beyond a limit, or no better in flash" in two


def spoil(key: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        value = data[key]
        if key == "frontier":
            data[key] = value[1:]
        elif isinstance(value, bool):
            data[key] = not value
        elif isinstance(value, int | float):
            data[key] = value + 1
        elif isinstance(value, str):
            data[key] = "0" * len(value)
        elif value and isinstance(value[0], list):
            data[key] = [[v + 1 if key.endswith("values") or key == "values" else (v + 1) % 3 for v in value[0]], *value[1:]]
        else:
            data[key] = value[1:]

    return change


def certified() -> tuple[dict[str, Any], F64]:
    values = values_of(7)
    start = SPACE.codes(pareto_front(values)[::2])
    made = sampling_certificate(SPACE, measure_of(values), start, ("loss", "flash"), 100, share=0.05, seed=3)
    assert made.certificate.data["improved"]
    return dict(made.certificate.data), values


def test_a_true_certificate_passes() -> None:
    data, values = certified()
    assert all(check.ok for check in check_sampling(data, SPACE, measure_of(values)))
    assert all(check.ok for check in check_sampling(data, SPACE, measure_of(values), part=0.1))


@pytest.mark.parametrize(
    "key",
    [
        "plans", "reached", "bound", "seed", "draws", "draws_digest", "draws_values", "improved", "start", "start_values", "frontier",
        "values",
    ],
)  # fmt: skip
def test_a_certificate_that_was_changed_fails(key: str) -> None:
    data, values = certified()
    spoil(key)(data)
    assert not all(check.ok for check in check_sampling(data, SPACE, measure_of(values)))


def test_other_results_fail() -> None:
    data, values = certified()
    assert not all(check.ok for check in check_sampling(data, SPACE, measure_of(values + 1e-6)))
