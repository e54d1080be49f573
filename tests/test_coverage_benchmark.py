"""The coverage simulation in small: known truth, tolerances by the binomial error. The races' benchmark on a table made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks import coverage, racing
from benchmarks.coverage import Choice, Stated, World, cheapest, most_accurate, simulate, summary
from tests.truth.cases import table
from workbench.errors import InputError

STUDIES, SIZE = 60, 120


@lru_cache(maxsize=1)
def stated() -> tuple[Stated, ...]:
    """Studies of 80 plans that change 6 % of 500 samples, gains and losses in balance."""
    rng = np.random.default_rng(11)
    base = rng.random(500) < 0.85
    plans = base ^ (rng.random((80, 500)) < np.where(base, 0.03, 0.03 * 0.85 / 0.15))
    losses = rng.standard_exponential(500) + rng.normal(size=(5, 500)) + 0.1 * np.arange(5)[:, None]
    choices = (Choice("best", plans, most_accurate), Choice("cheapest", plans, cheapest(np.arange(80.0))))
    return tuple(simulate([World("synthetic", base, choices, losses, plans[:9])], SIZE, STUDIES))


@pytest.mark.parametrize("row", ["difference", "rank", "ranks", "split", "corrected"])
def test_stated_intervals_cover_95_percent(row: str) -> None:
    held = [s.held for s in stated() if s.row == row]
    # Two choices of one study, and the ranks of one study, lean on the same samples: the studies are what is independent.
    tolerance = 3 * math.sqrt(0.95 * 0.05 / STUDIES)
    assert np.mean(held) >= 0.95 - tolerance


def test_naive_intervals_of_the_best_do_not() -> None:
    cases = {case: covers for _, row, case, covers, *_ in summary({SIZE: list(stated())}, by_case=True) if row == "naive"}
    assert cases["synthetic: best"] < 0.85


def test_every_study_states_every_interval() -> None:
    counts = {row: count for _, row, _, _, _, _, count in summary({SIZE: list(stated())})}
    once = dict.fromkeys(("difference", "rank", "ranks", "ranks, sure"), STUDIES)
    assert counts == once | dict.fromkeys(("split", "corrected", "naive"), 2 * STUDIES)


def test_the_smallest_that_loses_at_most_a_point() -> None:
    choose = cheapest(np.array([5.0, 1.0, 3.0, 2.0]))
    assert choose(np.array([0.0, -0.011, -0.009, -0.01])) == 3
    assert choose(np.array([-0.3, -0.2, -0.1, -0.4])) == 2


def test_races_are_judged_against_all_samples() -> None:
    rng = np.random.default_rng(3)
    clear = racing.Field("clear", rng.normal(size=(8, 300)) + np.array([0, 0, 0, 9, 0, 0, 9, 0])[:, None])
    found = racing.outcome(clear, 10, 0.2)
    assert (found.same, found.same_or_tied, found.decided_right, found.decided) == (1.0, 1.0, 1.0, 1.0)
    tied = racing.outcome(racing.Field("tied", rng.normal(size=(8, 300))), 20, 0.2)
    assert tied.same < tied.same_or_tied
    assert tied.decided_right >= 0.95


def test_both_programs_read_truth_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.parquet"
    table().save(path)
    coverage.main([str(path), "--studies", "2", "--sizes", "50"])
    printed = capsys.readouterr().out
    assert "| 50 | corrected | small: smallest of 1,000 good plans |" in printed
    racing.main([str(path), "--races", "2"])
    assert "small, 200 plans, by share wrong" in capsys.readouterr().out


def test_a_table_without_bits_is_refused() -> None:
    with pytest.raises(InputError, match="needs right or wrong"):
        coverage.world("mse", replace(table(), correct=None))
