"""Clauses of a peak against every choice: a choice is within the limit when it keeps them all, and only then."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workbench.search.conflicts import clauses
from workbench.search.program import Program
from workbench.search.tables import Assembly

OPTIONS = (3, 2, 4, 3, 2)


def random_peak(seed: int) -> Program:
    """Return a program of one peak of 4 steps: each sees some groups, formats of two or three sizes, and conversions among them."""
    rng = np.random.default_rng(seed)
    made = Assembly(OPTIONS, 4)
    for step in range(4):
        seen = sorted(rng.choice(len(OPTIONS), 3, replace=False).tolist())
        for g in seen:
            made.add([g], rng.integers(1, 4, (OPTIONS[g], 1)) * rng.integers(50, 200), [step])
        for a, b in itertools.pairwise(seen):
            differ = rng.integers(0, 2, OPTIONS[a])[:, None] != rng.integers(0, 2, OPTIONS[b])
            made.add((a, b), differ[..., None] * 120.0, [step])
    return made.program({}, {"ram": range(4)}, {})


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_a_choice_keeps_all_clauses_when_it_is_within_the_limit_and_only_then(seed: int, share: float) -> None:
    program = random_peak(seed)
    codes = np.array(list(itertools.product(*map(range, OPTIONS))))
    peaks = program.values(codes)["ram"]
    limit = float(np.quantile(peaks, share))
    chosen, groups = program.chosen(codes), np.repeat(np.arange(len(OPTIONS)), OPTIONS)
    kept = np.ones(len(codes), np.bool_)
    for clause in clauses(program, "ram", limit):
        kept &= chosen[:, clause].sum(1) < len(np.unique(groups[clause]))
    np.testing.assert_array_equal(kept, peaks <= limit)


def test_no_choice_keeps_the_clauses_of_a_limit_below_all() -> None:
    program = random_peak(0)
    assert any(not len(clause) for clause in clauses(program, "ram", 1.0))  # of no group, all have a format: never kept
