"""The multiple-choice knapsack against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workbench.search.knapsack import Item, solve


def problem(seed: int, groups: int = 5, formats: int = 3) -> tuple[list[str], list[Item]]:
    rng = np.random.default_rng(seed)
    names = [f"g{i}" for i in range(groups)]
    items = []
    for g in names:
        for f in range(formats):
            adds = {
                "loss": float(rng.normal()) if f else 0.0,
                "flash": -float(rng.integers(0, 5000)) * f,
                "energy": float(rng.normal()) * 1e-6 * f,
            }
            items.append(Item(g, f"f{f}", adds))
    return names, items


def brute(names: list[str], items: list[Item], minimize: dict[str, float], at_most: dict[str, float]) -> float | None:
    by = {g: [i for i in items if i.group == g] for g in names}
    best = None
    for combination in itertools.product(*by.values()):
        if all(sum(i.adds[q] for i in combination) <= v for q, v in at_most.items()):
            value = sum(w * i.adds[q] for i in combination for q, w in minimize.items())
            best = value if best is None else min(best, value)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_optimum_equals_brute_force(seed: int) -> None:
    names, items = problem(seed)
    limit = {"flash": -8000.0} if seed % 3 else {"energy": 0.0, "loss": 1.0}
    minimize = {"loss": 1.0} if seed % 3 else {"flash": 1.0}
    choice = solve(names, items, minimize, limit)
    want = brute(names, items, minimize, limit)
    if want is None:
        assert choice is None
        return
    assert choice is not None
    adds = {(i.group, i.format): i.adds for i in items}
    got = sum(w * adds[g, f][q] for g, f in zip(names, choice, strict=True) for q, w in minimize.items())
    assert got == pytest.approx(want, rel=1e-6, abs=1e-9)


def test_excluded_choices_do_not_come_back() -> None:
    names, items = problem(1)
    seen: list[tuple[str, ...]] = []
    for _ in range(10):
        choice = solve(names, items, {"loss": 1.0}, {}, seen)
        assert choice is not None and choice not in seen
        seen.append(choice)


def test_impossible_limits_give_none(capfd: pytest.CaptureFixture[str]) -> None:
    names, items = problem(2)
    assert solve(names, items, {"loss": 1.0}, {"flash": -1e9}) is None
    assert capfd.readouterr().out == ""
