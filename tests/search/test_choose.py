"""The recommendation: tests with a divided error keep their promise on simulated studies; within limits; cheapest."""

from __future__ import annotations

import numpy as np
from scipy import stats

from workbench.cost import CostEstimate
from workbench.evaluate import Record
from workbench.metrics import METRICS
from workbench.precision import PrecisionPlan
from workbench.search import Candidate, Limits, choose
from workbench.search.testing import chances, fallback, steps
from workbench.statistics import drop_bound, paired_difference
from workbench.statistics.bounds import largest_drop

BASE = PrecisionPlan.of("w8a8")
COST = CostEstimate("g", "p", (), 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "assumed", "assumed")


def record(key: str, plan: PrecisionPlan, correct: np.ndarray) -> Record:
    return Record(
        key, "p", plan, "d", len(correct), {"top1": float(correct.mean()), "mse": 0.0}, correct.astype(np.int64), correct
    )


def study(seed: int, drops: list[float], limit: float, n: int = 1000) -> tuple[Candidate | None, list[Candidate]]:
    """Simulate plans with true drops; each is cheaper than the one before. Selection and confirmation samples are independent."""
    rng = np.random.default_rng(seed)
    made: list[Candidate] = []
    base = [rng.random(n) < 0.9 for _ in range(2)]
    for i, drop in enumerate([0.0, *drops]):
        plan = PrecisionPlan.of("w8a8", {"a": "w4a8", "b": "w2a8"} | {f"l{i}": "w4a8"}) if i else BASE
        outcome = []
        for b in base:
            lose, gain = b & (rng.random(n) < (0.01 + drop) / 0.9), ~b & (rng.random(n) < 0.1)
            outcome.append(b.copy() if i == 0 else (b & ~lose) | gain)
        change = paired_difference(base[0], outcome[0])
        again = paired_difference(base[1], outcome[1])
        cost = COST.__class__(**{**COST.__dict__, "flash_bytes": 1000 - i})
        made.append(
            Candidate(
                plan,
                cost,
                0.0,
                0.0,
                record(f"s{i}", plan, outcome[0]),
                change,
                -change.estimate <= limit,
                record(f"c{i}", plan, outcome[1]),
                again,
                record("c0", BASE, base[1]),
            )
        )
    return choose(made, BASE, Limits(drop=limit), "flash", METRICS["top1"])


def test_a_recommended_plan_breaks_the_limit_in_at_most_five_percent_of_studies() -> None:
    drops = [0.0, 0.004, 0.008, 0.012, 0.016, 0.021, 0.022, 0.023, 0.03]
    broken, rounds = 0, 60
    for seed in range(rounds):
        best, _ = study(seed, drops, 0.02)
        assert best is not None
        index = 1000 - best.cost.flash_bytes
        broken += index > 0 and drops[index - 1] > 0.02
    assert broken <= stats.binom.ppf(0.999, rounds, 0.05)


def test_rare_losses_right_behind_the_limit_pass_in_at_most_five_percent_of_studies() -> None:
    """Ten plans that lose 2.1 % of 200 samples and gain none: where tests that rest on the normal distribution err most."""
    rng, n, limit, rounds, broken = np.random.default_rng(5), 200, 0.02, 400, 0
    for _ in range(rounds):
        select, confirm = rng.binomial(n, 0.021, (2, 10))
        passing = chances(select / n, np.sqrt(np.maximum(select, 1)) / n, limit, 1.0)
        order = steps(-np.arange(10.0), np.where(select / n <= limit, passing, 0.0))
        tested = fallback(order, lambda row, level, lost=confirm: largest_drop(0, int(lost[row]), n, level) <= limit)
        broken += any(t.passed for t in tested)
    assert broken <= stats.binom.ppf(0.999, rounds, 0.05)


def test_the_cheapest_plan_that_passed_is_recommended_and_says_at_which_error() -> None:
    best, candidates = study(1, [0.0, 0.0, 0.05, 0.06], 0.02)
    assert best is not None and best.proven
    assert 1000 - best.cost.flash_bytes == 2
    assert not any(c.proven for c in candidates if c.cost.flash_bytes < best.cost.flash_bytes)
    assert best.confirm_record is not None and best.confirm_base is not None and best.level <= 0.05
    bound = drop_bound(best.confirm_base.evidence, best.confirm_record.evidence, best.level)
    assert best.drop_bound == bound <= 0.02


def test_the_baseline_remains_when_nothing_cheaper_is_proven() -> None:
    best, _ = study(2, [0.05, 0.08], 0.001)
    assert best is not None and best.plan == BASE


def test_nothing_within_the_limits_is_none() -> None:
    _, candidates = study(3, [0.0], 0.02)
    from dataclasses import replace

    assert (
        choose([replace(c, within_limits=False) for c in candidates], BASE, Limits(drop=0.02), "flash", METRICS["top1"])[0]
        is None
    )
