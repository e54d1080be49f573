"""Tests in a fixed order with a divided error: the promise of 5 % on made-up truths, and the order held against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from workbench.search.testing import CHANCES, ERROR, chances, fallback, levels, steps


def test_levels_are_halves_that_add_up_to_the_error() -> None:
    assert levels(0) == [] and levels(1) == [ERROR]
    assert levels(4) == pytest.approx([ERROR / 2, ERROR / 4, ERROR / 8, ERROR / 8])
    assert all(sum(levels(k)) == pytest.approx(ERROR) for k in range(1, 12))


def test_a_test_that_passes_hands_its_error_on_and_one_that_fails_does_not_end_the_others() -> None:
    outcome = fallback([0, 1, 2, 3], lambda plan, level: plan != 1)
    assert [o.passed for o in outcome] == [True, False, True, True]
    assert [o.level for o in outcome] == pytest.approx([ERROR / 2, 3 * ERROR / 4, ERROR / 8, ERROR / 4])


@pytest.mark.parametrize("shared", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("false_from", [0, 1, 3, 6])
def test_a_false_plan_passes_in_at_most_five_percent(shared: float, false_from: int) -> None:
    """p-values of normal tests with any correlation: true claims pass often, false ones stand right at the limit."""
    rng, rounds, count = np.random.default_rng(4), 4000, 8
    noise = np.sqrt(shared) * rng.standard_normal((rounds, 1)) + np.sqrt(1 - shared) * rng.standard_normal((rounds, count))
    room = np.where(np.arange(count) < false_from, 2.5, 0.0)
    p = stats.norm.sf(noise + room)
    wrong = 0
    for row in p:
        outcome = fallback(range(count), lambda plan, level, row=row: row[plan] <= level)
        wrong += any(o.passed for o in outcome[false_from:])
    assert wrong / rounds <= ERROR + 3 * np.sqrt(ERROR * (1 - ERROR) / rounds)
    if shared == 0.0 and false_from == 0:
        assert wrong / rounds >= ERROR / 2, "the error is there to be used"


def test_chances_are_those_of_many_simulated_tests() -> None:
    rng = np.random.default_rng(5)
    drop, error, limit, others, draws = 0.01, 0.004, 0.02, 0.5, 200_000
    test = error / np.sqrt(others)
    true = drop + error * rng.standard_normal(draws)  # what the samples that choose leave open
    seen = true + test * rng.standard_normal(draws)
    passed = np.mean(seen + stats.norm.ppf(0.95) * test <= limit)
    assert chances(np.array([drop]), np.array([error]), limit, others)[0] == pytest.approx(passed, abs=0.005)
    assert chances(np.array([np.inf, 0.0, np.nan]), np.array([1.0, np.inf, 1.0]), limit, 1.0).tolist() == [0.0, 0.0, 0.0]


def test_steps_are_the_cheapest_with_each_chance() -> None:
    rng = np.random.default_rng(6)
    for _ in range(50):
        costs, passing = rng.integers(0, 12, 30).astype(float), rng.random(30)
        found = steps(costs, passing)
        want = [min((costs[i], -passing[i]) for i in range(30) if passing[i] >= c) for c in CHANCES if (passing >= c).any()]
        assert [(costs[i], -passing[i]) for i in found] == list(dict.fromkeys(want))
        assert all(costs[a] > costs[b] for a, b in itertools.pairwise(found))
    assert steps(np.array([2.0, 1.0]), np.array([0.02, 0.01])) == [0], "without a chance: the likeliest alone"
    assert steps(np.zeros(0), np.zeros(0)) == []
