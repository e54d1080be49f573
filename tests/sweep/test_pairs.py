"""Interactions and additivity, on plans whose exact results are known by a formula and on the evaluator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.evaluate.cases import dataset, lowering
from tests.truth import cases as truth_cases
from workbench.errors import InputError
from workbench.evaluate import Evaluator
from workbench.metrics import METRICS
from workbench.precision import PrecisionPlan
from workbench.sweep import Group, Space, decision_groups
from workbench.sweep.additivity import additivity, fit, kendall, random_mixes
from workbench.sweep.ask import Answers, by_evaluator, by_oracle
from workbench.sweep.pairs import count_pairs, interactions, pairs_within
from workbench.truth import Live

BASE = PrecisionPlan.of("w8a8")
GROUPS = tuple(Group(n, (n,)) for n in "abcd")
CHANGES = [(g, f) for g in GROUPS for f in ("w4a8", "w2a8")]
SIZE = {"w8a8": 0.0, "w4a8": 1.0, "w2a8": 3.0}
WEIGHT = {"a": 1.0, "b": 2.0, "c": 0.5, "d": -0.25}


def loss(plan: PrecisionPlan) -> float:
    """A constant, single losses, and one interaction: a and c both at 2 bit lose 5 more."""
    formats = {n: dict(plan.layers).get(n, plan.default) for n in WEIGHT}
    both = 5.0 if formats["a"] == formats["c"] == "w2a8" else 0.0
    return 7.0 + sum(WEIGHT[n] * SIZE[f] for n, f in formats.items()) + both


def ask(plans: Sequence[PrecisionPlan]) -> Answers:
    values = np.array([loss(p) for p in plans])
    return Answers(values, -values, [])


def test_interactions_are_what_the_formula_put_in() -> None:
    found = interactions(ask, METRICS["top1"], CHANGES, BASE)
    assert found.total == found.evaluations == count_pairs(CHANGES) == 6 * 4
    assert found.singles == tuple(WEIGHT[g.name] * SIZE[f] for g, f in CHANGES)
    matrix = found.matrix()
    where = [CHANGES.index((GROUPS[0], "w2a8")), CHANGES.index((GROUPS[2], "w2a8"))]
    assert matrix[where[0], where[1]] == matrix[where[1], where[0]] == 5.0
    assert np.nansum(np.abs(matrix)) == 10.0
    assert np.isnan(matrix[0, 1]) and np.isnan(matrix[0, 0])  # formats of one group exclude each other


def test_a_budget_takes_the_changes_that_lose_most_and_never_more() -> None:
    losses = [WEIGHT[g.name] * SIZE[f] for g, f in CHANGES]
    for budget in range(1, 30):
        pairs = pairs_within(CHANGES, losses, budget)
        assert len(pairs) <= budget and all(CHANGES[i][0] != CHANGES[j][0] for i, j in pairs)
    taken = {i for pair in pairs_within(CHANGES, losses, 3) for i in pair}
    assert taken == {CHANGES.index((GROUPS[1], "w2a8")), CHANGES.index((GROUPS[0], "w2a8")), CHANGES.index((GROUPS[1], "w4a8"))}
    with pytest.raises(InputError, match="at least 1"):
        pairs_within(CHANGES, losses, 0)


def test_additivity_is_exact_with_all_pairs_and_wrong_by_the_interaction_without() -> None:
    pairs = interactions(ask, METRICS["top1"], CHANGES, BASE)
    worst = PrecisionPlan.of("w2a8", {"b": "w8a8", "d": "w8a8"})
    found = additivity(ask, pairs, BASE, {"worst": worst}, mixes=200)
    assert found.pairs.absolute < 1e-12 and found.pairs.tau == pytest.approx(1.0)
    chosen = found.mixes[-1]
    assert (chosen.kind, chosen.label, chosen.measured, chosen.by_singles, chosen.by_pairs) == (
        "chosen",
        "worst",
        9.5,
        4.5,
        9.5,
    )
    share = np.mean([m.measured - m.by_singles == pytest.approx(5.0) for m in found.mixes[:-1]])
    assert found.singles.absolute == pytest.approx(5.0 * share) and found.singles.bias == pytest.approx(-5.0 * share)
    assert abs(share - 1 / 9) < 0.08  # a and c at 2 bit, one of three formats each


def test_pairs_that_were_not_evaluated_are_said() -> None:
    pairs = interactions(ask, METRICS["top1"], CHANGES, BASE, budget=3)
    found = additivity(ask, pairs, BASE, mixes=50)
    assert pairs.evaluations <= 3 and any(m.known < 1.0 for m in found.mixes)


def test_mixes_are_drawn_from_the_seed_and_evenly() -> None:
    plans = random_mixes(CHANGES, BASE, 900, seed=1)
    assert plans == random_mixes(CHANGES, BASE, 900, seed=1) and plans != random_mixes(CHANGES, BASE, 900, seed=2)
    counts = [sum(dict(p.layers).get("a", p.default) == f for p in plans) for f in SIZE]
    assert all(abs(n - 300) < 5 * np.sqrt(900 * 2 / 9) for n in counts)


def test_fit_by_hand() -> None:
    found = fit(np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0]))
    assert (
        found.bias == pytest.approx(1 / 3) and found.absolute == 1.0 and found.root_mean_square == pytest.approx(np.sqrt(5 / 3))
    )
    assert found.relative == 0.5 and found.tau == pytest.approx(1 / 3)
    assert np.isnan(kendall([1.0, 1.0], [1.0, 2.0])) and np.isnan(fit(np.empty(0), np.empty(0)).bias)


def test_an_evaluator_and_an_oracle_answer_alike_and_samples_give_the_interval() -> None:
    low, data = lowering(), dataset(80)
    evaluator = Evaluator(low, data, threads=1)
    groups = decision_groups(low.graph, low.layers, ["w8a8", "w2a8"])
    changes = [(g, "w2a8") for g in groups]
    oracle = Live(evaluator, Space.of(groups, ["w8a8", "w2a8"]), (), lambda codes: np.zeros((len(codes), 0)))
    a = interactions(by_evaluator(evaluator), evaluator.metric, changes, BASE)
    b = interactions(by_oracle(oracle), evaluator.metric, changes, BASE)
    assert a.singles == pytest.approx(b.singles) and len(a.interactions) == 6
    for one, other in zip(a.interactions, b.interactions, strict=True):
        assert one.loss == pytest.approx(other.loss) and one.change.estimate == pytest.approx(other.change.estimate)
        plans = [
            BASE, changes[one.first][0].plan(BASE, "w2a8"), changes[one.second][0].plan(BASE, "w2a8"),
            BASE.replace({n: "w2a8" for k in (one.first, one.second) for n in changes[k][0].layers}),
        ]  # fmt: skip
        right = [evaluator.evaluate([p])[p].correct for p in plans]
        none, first, second, both = (np.asarray(r, np.float64) for r in right)
        d = both - first - second + none
        assert one.change.estimate == pytest.approx(d.mean()) and one.change.low <= d.mean() <= one.change.high
        if d.std():
            half = 1.9904502 * d.std(ddof=1) / np.sqrt(80)  # Student's t, 79 degrees of freedom, 97.5 %
            assert one.change.high - d.mean() == pytest.approx(half, rel=1e-4)


def test_a_truth_table_answers_for_pairs_without_running_anything() -> None:
    evaluator, table = truth_cases.evaluator(), truth_cases.table()
    changes = [(g, f) for g in table.space.groups for f in ("w4a8", "w2a8")]
    exact = interactions(by_evaluator(evaluator), evaluator.metric, changes, BASE)
    replayed = interactions(by_oracle(table.oracle()), table.metric, changes, BASE)
    assert np.allclose(exact.singles, replayed.singles, rtol=1e-3, atol=1e-3)  # a table keeps losses per sample in fewer bits
    for one, other in zip(exact.interactions, replayed.interactions, strict=True):
        assert (one.first, one.second) == (other.first, other.second) and abs(one.loss - other.loss) < 5e-3
        assert one.change.estimate == pytest.approx(other.change.estimate)
