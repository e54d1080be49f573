"""The searches that others use: against brute force, another solver and hand-made walks, on oracles made up here."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from workbench.errors import InputError
from workbench.metrics import METRICS
from workbench.search.baselines import BASELINES, Ledger, additive, greedy, nsga2, program_front, random, ridge
from workbench.search.baselines.genetic import first_population
from workbench.search.baselines.ridge import STRENGTHS, best_predicted, fit_pairs, pair_features
from workbench.search.baselines.simple import uniform_codes
from workbench.search.candidates import first_plans
from workbench.sweep import Group, Space
from workbench.truth import Evaluated

FORMATS = ("w8a8", "w4a8", "w2a8")


def make_space(*counts):
    groups = [Group(f"layer{g}", (f"layer{g}",)) for g in range(len(counts))]
    return Space.of(groups, {g.name: FORMATS[:n] for g, n in zip(groups, counts, strict=True)})


class Made:
    """An oracle of two formulas. loss, cost: plans [P, G] -> [P]."""

    def __init__(self, space, loss, cost):
        self.space, self.loss, self.cost = space, loss, cost
        self.metric, self.samples, self.axes, self.spent = METRICS["top1"], 10, ("ram", "flash"), 0.0

    def evaluate(self, codes, samples=None, progress=None):
        self.spent += len(codes)
        loss = self.loss(codes)
        return Evaluated(loss / 10, np.repeat(loss[:, None], 10, axis=1), None)

    def costs(self, codes):
        return np.column_stack((self.cost(codes) * 0 + 7.0, self.cost(codes)))


def sums(adds):
    return lambda codes: 1.0 + np.asarray(adds)[np.arange(codes.shape[1]), codes].sum(axis=1)


def rugged(space, seed=0):
    """Costs that fall with the format, losses with interactions between layers."""
    rng = np.random.default_rng(seed)
    adds = np.sort(rng.random((len(space.groups), 3)), axis=1)
    pairs = rng.normal(size=(len(space.groups), len(space.groups))) * 0.2
    return Made(
        space,
        lambda codes: np.exp(sums(adds)(codes) + np.einsum("pi,ij,pj->p", codes, pairs, codes) / 4),
        lambda codes: 20.0 + sums(-adds * np.arange(1, len(adds) + 1)[:, None])(codes),
    )


def beaten(values):
    return [any((w <= v).all() and (w < v).any() for w in values) for v in values]


def exact(oracle):
    """The values of the exact frontier, by brute force."""
    codes = oracle.space.codes(range(oracle.space.size))
    values = np.column_stack((oracle.loss(codes), oracle.cost(codes)))
    return {tuple(v) for v, b in zip(values, beaten(values), strict=True) if not b}


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("budget", [1, 9, 40.7, 1000])
def test_every_search_keeps_its_budget_and_its_record(name, budget):
    space = make_space(3, 2, 3, 3, 2)
    oracle = rugged(space)
    found = BASELINES[name](oracle, evaluations=budget, seed=3)
    assert found.spent == oracle.spent == len(found.codes) <= budget
    assert len(np.unique(space.numbers(found.codes))) == len(found.codes) > 0
    assert np.allclose(found.loss, oracle.loss(found.codes), rtol=1e-14)  # a mean of ten equal numbers
    assert np.array_equal(found.costs[:, 0], oracle.cost(found.codes))
    values = np.column_stack((found.badness, found.costs))
    assert {tuple(v) for v in values[found.frontier]} == {
        tuple(v) for v, b in zip(values, beaten(values), strict=True) if not b
    }
    again = BASELINES[name](rugged(space), evaluations=budget, seed=3)
    assert np.array_equal(again.codes, found.codes)
    if found.predict is not None:
        assert found.predict(space.codes(range(space.size))).shape == (space.size,)


@pytest.mark.parametrize("name", ["random", "ridge", "nsga2"])
def test_with_the_budget_for_all_plans_the_frontier_is_the_exact_one(name):
    oracle = rugged(make_space(3, 2, 3, 2))
    found = BASELINES[name](oracle, evaluations=10_000, quality="loss")
    if name != "nsga2":  # it may converge before it has seen all
        assert len(found.codes) == oracle.space.size
    values = np.column_stack((found.loss, found.costs))[found.frontier]
    assert {tuple(np.round(v, 12)) for v in values} == {tuple(np.round(v, 12)) for v in exact(oracle)}


@pytest.mark.parametrize("name", ["random", "ridge", "nsga2"])
def test_seeds_differ(name):
    oracle = rugged(make_space(*[3] * 7))
    first, second = (BASELINES[name](oracle, evaluations=60, seed=s).codes for s in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("seed", range(5))
def test_program_front_is_the_frontier_of_all_sums(seed):
    rng = np.random.default_rng(seed)
    scores, costs = rng.integers(0, 9, (2, 5, 4)).astype(float)
    scores[2, 3] = costs[4, 1] = np.nan  # not on offer
    offered = [[f for f in range(4) if not np.isnan(scores[g, f] + costs[g, f])] for g in range(5)]
    plans = np.array(list(itertools.product(*offered)))
    every = np.column_stack([t[np.arange(5), plans].sum(axis=1) for t in (costs, scores)])
    found = program_front(scores, costs)
    values = [tuple(t[np.arange(5), code].sum() for t in (costs, scores)) for code in found]
    assert values == sorted({tuple(v) for v, b in zip(every, beaten(every), strict=True) if not b})


def test_program_front_has_the_optimum_of_the_integer_program_at_every_limit():
    rng = np.random.default_rng(1)
    scores, costs = rng.random((10, 3)), -np.sort(rng.random((10, 3)), axis=1)
    front = program_front(scores, costs)
    groups = np.arange(10)
    for limit in np.linspace(costs.min(axis=1).sum() + 0.01, costs.max(axis=1).sum(), 12):
        rows = np.vstack((np.kron(np.eye(10), np.ones(3)), costs.ravel()))
        bound = LinearConstraint(rows, [1.0] * 10 + [-np.inf], [1.0] * 10 + [limit])
        best = milp(
            scores.ravel(), constraints=bound, integrality=np.ones(30), bounds=Bounds(0, 1), options={"mip_rel_gap": 0.0}
        )
        fits = [code for code in front if costs[groups, code].sum() <= limit]
        assert min(scores[groups, code].sum() for code in fits) == pytest.approx(best.fun, abs=1e-7)


def test_additive_is_exact_where_layers_do_not_interact():
    rng = np.random.default_rng(2)
    adds = np.column_stack((np.zeros(6), np.sort(rng.random((6, 2)), axis=1)))
    oracle = Made(make_space(*[3] * 6), sums(adds), sums(-np.cumsum(rng.random((6, 3)), axis=1)))
    found = additive(oracle, quality="loss", evaluations=300)
    assert found.spent < 150
    values = np.column_stack((found.loss, found.costs))[found.frontier]
    assert {tuple(np.round(v, 9)) for v in values} == {tuple(np.round(v, 9)) for v in exact(oracle)}
    codes = oracle.space.codes(range(oracle.space.size))
    assert np.allclose(found.predict(codes), oracle.loss(codes), rtol=1e-12)


def test_additive_takes_scores_and_then_measures_nothing_else():
    adds = np.arange(12.0).reshape(4, 3)
    oracle = Made(make_space(*[3] * 4), sums(adds), sums(-adds))
    found = additive(oracle, evaluations=5, scores=adds)
    assert found.spent == 5  # of the optima alone, the cheapest and the dearest among them
    assert {tuple(found.codes[0]), tuple(found.codes[-1])} == {(0, 0, 0, 0), (2, 2, 2, 2)}
    with pytest.raises(InputError, match=r"\(3, 4\).*Expected \(4, 3\)"):
        additive(oracle, evaluations=5, scores=adds.T)


def test_greedy_makes_the_changes_in_the_order_of_their_losses():
    oracle = Made(make_space(2, 2, 2), sums([[0, 0.3], [0, 0.1], [0, 0.2]]), lambda codes: 9.0 - codes.sum(axis=1))
    walk = greedy(oracle, evaluations=100).codes[4:].tolist()  # after the defaults and three single changes
    assert walk == [[0, 1, 1], [1, 1, 1]]  # its first step, [0, 1, 0], is known


def test_greedy_passes_over_a_change_that_saves_nothing_any_more():
    oracle = Made(make_space(3, 2), sums([[0, 0.2, 0.1], [0, 0.3, 0]]), lambda codes: 9.0 - codes.sum(axis=1))
    found = greedy(oracle, evaluations=100).codes.tolist()
    assert found == [[0, 0], [1, 0], [2, 0], [0, 1], [2, 1]]  # 4 bits for the first layer come after 2 bits: no [1, ...]


def test_uniform_runs_every_format_once():
    space = make_space(3, 2, 3)
    assert uniform_codes(space).tolist() == [[0, 0, 0], [1, 1, 1], [2, 0, 2]]  # the second layer has no W2: the default


def test_random_draws_from_spaces_that_cannot_be_listed():
    space = make_space(*[3] * 40)
    found = random(Made(space, sums(np.zeros((40, 3))), sums(np.zeros((40, 3)))), evaluations=3000)
    share = np.stack([(found.codes == f).mean(axis=0) for f in range(3)])
    assert len(np.unique(found.codes, axis=0)) == 3000
    assert np.abs(share - 1 / 3).max() < 4.5 * np.sqrt(2 / 9 / 3000)


def shares_of_joint_front(first, second):
    """How many points of the frontier of two searches together each of them found."""
    fronts = [{tuple(v) for v in np.column_stack((f.loss, f.costs))[f.frontier]} for f in (first, second)]
    every = np.array(list(fronts[0] | fronts[1]))
    joint = {tuple(v) for v, b in zip(every, beaten(every), strict=True) if not b}
    return [len(joint & front) for front in fronts]


def test_ridge_searches_spaces_that_cannot_be_listed():
    oracle = rugged(make_space(*[3] * 11))
    drawn, modelled = shares_of_joint_front(*(f(oracle, evaluations=300, quality="loss") for f in (random, ridge)))
    assert modelled > 2 * drawn


def test_ridge_is_the_closed_form_with_the_least_cross_validation_error():
    rng = np.random.default_rng(0)
    space = make_space(3, 2, 3, 3)
    codes = space.codes(rng.permutation(space.size)[:45])
    values = rng.random(45) + codes.sum(axis=1)
    asked = space.codes(range(space.size))
    x, middle = pair_features(space, codes), values.mean()
    centre = x.mean(axis=0)
    scale = np.linalg.norm(x - centre, 2) ** 2 / min(x.shape)
    candidates = []
    for strength in STRENGTHS:
        inverse = np.linalg.inv((x - centre).T @ (x - centre) + strength * scale * np.eye(x.shape[1]))
        weights = inverse @ (x - centre).T @ (values - middle)
        hat = (x - centre) @ inverse @ (x - centre).T
        rest = values - middle - (x - centre) @ weights
        error = 45 * rest @ rest / (45 - np.trace(hat) - 1) ** 2
        candidates.append((error, middle + (pair_features(space, asked) - centre) @ weights))
    wanted = min(candidates, key=lambda c: c[0])[1]
    assert np.allclose(fit_pairs(space, codes, values, logarithm=False)(asked), wanted, atol=1e-8)


def test_ridge_learns_pairs_of_layers():
    space = make_space(*[3] * 5)
    rng = np.random.default_rng(4)
    table = rng.random((3, 3))
    codes = space.codes(range(space.size))
    values = np.exp(sums(rng.random((5, 3)))(codes) + table[codes[:, 1], codes[:, 4]])
    seen = rng.permutation(space.size)[:150]
    predict = fit_pairs(space, codes[seen], values[seen], logarithm=True)
    assert np.allclose(predict(codes), values, rtol=0.02)


def test_nsga2_names_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo.nsga2", None)
    with pytest.raises(InputError, match=r"needs pymoo.*workbench\[dev\]"):
        nsga2(rugged(make_space(2, 2)), evaluations=4)


def test_nsga2_beats_draws():
    oracle = rugged(make_space(*[3] * 9))
    drawn, evolved = shares_of_joint_front(*(f(oracle, evaluations=600, quality="loss") for f in (random, nsga2)))
    assert evolved > 2 * drawn


def test_bad_questions_get_one_message():
    oracle = rugged(make_space(2, 2))
    with pytest.raises(InputError, match=r"against: 'speed'\. Expected some of ram, flash\."):
        Ledger(oracle, ("speed",))
    with pytest.raises(InputError, match="against: no axis"):
        Ledger(oracle, ())
    with pytest.raises(InputError, match=r"quality: 'top1'\. Expected metric or loss\."):
        Ledger(oracle, quality="top1")


def test_the_last_predicted_frontier_is_taken_evenly_spread():
    oracle = rugged(make_space(3, 3, 3, 3))
    ledger = Ledger(oracle, evaluations=40)
    codes = oracle.space.codes(range(oracle.space.size))
    cost = ledger.costs(codes)[:, 0]
    taken = ledger.costs(best_predicted(ledger, codes, lambda asked: -ledger.costs(asked)[:, 0], 3))[:, 0]
    assert len(taken) == 3
    assert {cost.min(), cost.max()} <= set(taken.tolist())


def test_nsga2_begins_with_the_plans_that_everybody_begins_with():
    space = make_space(3, 3, 3, 3, 3)
    begun = first_population(space, 20, 0)
    np.testing.assert_array_equal(begun[:10], first_plans(space)[:10])
    assert len(np.unique(begun, axis=0)) == len(begun) <= 20
