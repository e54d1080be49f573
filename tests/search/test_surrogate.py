"""The surrogate against closed forms written out in NumPy, numerical derivatives and brute force over all plans."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import LinAlgError
from scipy.optimize import approx_fprime

from workbench.search import surrogate
from workbench.search.chances import best_known, frontier_chances
from workbench.search.margins import Margins, Samples
from workbench.search.surrogate import Encoding, Kernel, Surrogate, fit, root

RADICES = np.array([2, 3, 4, 2], np.int64)
EVERY = np.array(list(itertools.product(*map(range, RADICES))), np.uint8)


def kernel(seed: int = 0) -> Kernel:
    encoding = Encoding.of(RADICES)
    rng = np.random.default_rng(seed)
    return Kernel(encoding, np.concatenate((rng.normal(0, 1, encoding.places), (-1.0, 0.3, -0.7, -4.0))))


def slow_similarity(k: Kernel, a: np.ndarray, b: np.ndarray) -> float:
    """The kernel's definition, group by group."""
    arms = np.exp(k.theta[:-4] + k.theta[-4])
    places = np.concatenate(([0], np.cumsum(RADICES)[:-1]))
    distance = sum(arms[p + f] + arms[p + g] for p, f, g in zip(places, a, b, strict=True) if f != g)
    return float(np.exp(-distance))


def test_similarity_is_the_product_over_groups() -> None:
    k = kernel()
    at = k.encoding.indicators(EVERY).astype(np.float64)
    expected = [[slow_similarity(k, a, b) for b in EVERY] for a in EVERY]
    np.testing.assert_allclose(k.similarity(at, at), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_similarity_is_a_covariance_for_any_arms(seed: int) -> None:
    k = kernel(seed)
    at = k.encoding.indicators(EVERY).astype(np.float64)
    assert np.linalg.eigvalsh(k.similarity(at, at)).min() > -1e-10


def test_mean_and_covariance_are_those_of_conditioning_a_gaussian() -> None:
    k, rng = kernel(), np.random.default_rng(1)
    rows = rng.permutation(len(EVERY))
    known, asked = rows[:15], rows[15:25]
    feature = rng.normal(size=len(EVERY))
    results = rng.normal(3.0, 2.0, 15)
    at = k.encoding.indicators(EVERY)
    prior = k.scale * k.similarity(at.astype(np.float64), at.astype(np.float64)) + k.slope * np.outer(feature, feature)
    prior += k.noise * np.eye(len(EVERY))
    gain = prior[np.ix_(asked, known)] @ np.linalg.inv(prior[np.ix_(known, known)])
    mean = results.mean() + gain @ (results - results.mean())
    covariance = (prior[np.ix_(asked, asked)] - gain @ prior[np.ix_(known, asked)]) * results.var()
    process = Surrogate.of(k, at[known], feature[known], results)
    found, root = process.joint(at[asked], feature[asked])
    np.testing.assert_allclose(found, mean, rtol=1e-9)
    np.testing.assert_allclose(root @ root.T, covariance, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(process.mean(at[asked], feature[asked]), mean, rtol=1e-4)


def test_fit_s_derivatives_are_the_numerical_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    k, rng = kernel(), np.random.default_rng(2)
    at = k.encoding.indicators(EVERY[:30]).astype(np.float64)
    seen: list[tuple[Callable[[Any], tuple[float, Any]], Any]] = []

    def spy(loss: Callable[[Any], tuple[float, Any]], start: Any, **_: Any) -> SimpleNamespace:
        seen.append((loss, start))  # the objective as the optimizer gets it
        return SimpleNamespace(x=start)

    monkeypatch.setattr(surrogate, "minimize", spy)
    fit(k, at, rng.normal(size=30), rng.normal(size=30))
    loss, start = seen[0]

    def value(theta: Any) -> float:
        return loss(theta)[0]

    numerical = approx_fprime(start, value)
    np.testing.assert_allclose(loss(start)[1], numerical, rtol=1e-4, atol=1e-4 * np.abs(numerical).max())


def test_fit_finds_which_groups_matter() -> None:
    encoding, rng = Encoding.of(RADICES), np.random.default_rng(3)
    codes = EVERY[rng.permutation(len(EVERY))[:40]]
    results = np.where(codes[:, 1] == 2, 1.5, 0.0) + 0.7 * (codes[:, 3] == 1) * (codes[:, 1] == 0)
    scaled = (results - results.mean()) / results.std()
    arms = fit(Kernel.start(encoding), encoding.indicators(codes).astype(np.float64), None, scaled).arms
    assert arms[4] > 5 * arms[5:9].max()  # the third format of the second group, against all of the third group
    assert arms[9:].max() > arms[:2].max()  # the fourth group interacts, the first does nothing


@pytest.mark.parametrize("axes", [1, 2])
def test_chances_are_counted_by_brute_force(axes: int) -> None:
    rng = np.random.default_rng(4)
    draws, costs = rng.normal(size=(12, 20)), rng.integers(0, 4, (12, axes)).astype(float)
    known, known_costs = rng.normal(size=5), rng.integers(0, 4, (5, axes)).astype(float)
    expected = np.zeros(12)
    for i, d in itertools.product(range(12), range(20)):
        rivals = [draws[j, d] for j in range(12) if j != i and (costs[j] <= costs[i]).all()]
        rivals += [v for v, c in zip(known, known_costs, strict=True) if (c <= costs[i]).all()]
        expected[i] += all(draws[i, d] <= v for v in rivals) / 20
    np.testing.assert_allclose(frontier_chances(draws, costs, known, known_costs), expected)


def test_best_known_costs_no_more() -> None:
    found = best_known(np.array([[1.0], [2.0], [5.0]]), np.array([[2.0], [4.0]]), np.array([0.5, 0.2]))
    np.testing.assert_array_equal(found, [np.inf, 0.5, 0.2])


def test_margins_expect_the_share_of_wrong_samples() -> None:
    rng = np.random.default_rng(5)
    encoding = Encoding.of(RADICES)
    effects, at = rng.normal(0, 0.5, (encoding.places, 300)), encoding.indicators(EVERY)
    odds = rng.normal(-1.5, 1.5, 300) + at @ effects
    losses, correct = np.log1p(np.exp(odds)).astype(np.float32), odds < 0.0
    rows = rng.permutation(len(EVERY))[:30]
    rest = np.setdiff1d(np.arange(len(EVERY)), rows)
    k = Kernel(encoding, np.concatenate((np.zeros(encoding.places), (-3.0, 0.0, -1.0, -6.0))))
    followed = Samples.of(losses[rows], correct[rows], share=True, rng=rng)
    margins, left_out = Margins.of(k, at[rows], followed, rng)
    truth = (~correct).mean(axis=1)
    assert np.corrcoef(margins.expected(at[rest]), truth[rest])[0, 1] > 0.85
    assert np.corrcoef(left_out, truth[rows])[0, 1] > 0.8
    assert abs(left_out - truth[rows]).mean() < 0.03


@pytest.mark.parametrize("classes", [True, False])
def test_margins_expect_the_mean_loss(classes: bool) -> None:
    rng = np.random.default_rng(6)
    encoding = Encoding.of(RADICES)
    effects, at = rng.normal(0, 0.5, (encoding.places, 200)), encoding.indicators(EVERY)
    moved = at @ effects
    losses = (np.log1p(np.exp(moved - 1.5)) if classes else (3.0 + moved) ** 2).astype(np.float32)
    correct = moved - 1.5 < 0.0 if classes else None
    rows = rng.permutation(len(EVERY))[:30]
    rest = np.setdiff1d(np.arange(len(EVERY)), rows)
    k = Kernel(encoding, np.concatenate((np.zeros(encoding.places), (-3.0, 0.0, -1.0, -6.0))))
    margins, left_out = Margins.of(
        k, at[rows], Samples.of(losses[rows], correct if correct is None else correct[rows], False, rng), rng
    )
    truth = losses.mean(axis=1)
    truth = np.log(truth) if classes else np.sqrt(truth)
    assert np.corrcoef(margins.expected(at[rest]), truth[rest])[0, 1] > 0.9
    assert abs(left_out - truth[rows]).mean() < 0.5 * truth.std()


@pytest.mark.parametrize("right", [True, False])
def test_samples_that_no_plan_changes_leave_a_constant_share(right: bool) -> None:
    encoding, rng = Encoding.of(RADICES), np.random.default_rng(7)
    at = encoding.indicators(EVERY)
    losses = rng.uniform(0.1, 0.2, (len(EVERY), 20)).astype(np.float32)
    followed = Samples.of(losses, np.full(losses.shape, right), share=True, rng=rng)
    margins, left_out = Margins.of(kernel(), at, followed, rng)
    np.testing.assert_array_equal(left_out, np.full(len(EVERY), 0.0 if right else 1.0))
    np.testing.assert_array_equal(margins.expected(at), left_out)


def test_components_carry_the_covariance_of_the_samples() -> None:
    rng = np.random.default_rng(8)
    losses = np.log1p(np.exp(rng.normal(size=(12, 5)))).astype(np.float32)
    followed = Samples.of(losses, losses < np.log(2.0), share=False, rng=rng)
    odds = np.log(np.expm1(losses.astype(np.float64)))
    away = odds - odds.mean(axis=0)
    found = followed.components()
    assert found.shape == (12, 5)
    # Each is a direction of the samples' covariance, its size that direction's share of the variance times COUNT.
    values = np.linalg.eigvalsh(away.T @ away)[::-1]
    np.testing.assert_allclose((found**2).sum(axis=0), 12 * 3.0 * values / values.sum(), rtol=1e-5)
    np.testing.assert_allclose(found.T @ found, np.diag((found**2).sum(axis=0)), atol=1e-9)


def test_several_results_of_one_kernel_count_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    k, rng = kernel(), np.random.default_rng(9)
    at = k.encoding.indicators(EVERY[:20]).astype(np.float64)
    seen: list[Callable[[Any], tuple[float, Any]]] = []

    def spy(loss: Callable[[Any], tuple[float, Any]], start: Any, **_: Any) -> SimpleNamespace:
        seen.append(loss)
        return SimpleNamespace(x=start)

    monkeypatch.setattr(surrogate, "minimize", spy)
    columns = rng.normal(size=(20, 3))
    fit(k, at, None, columns, count=3.0)
    for column in columns.T:
        fit(k, at, None, column)
    away = (k.theta - np.concatenate((np.zeros(k.encoding.places), surrogate.PRIOR_CENTRE))) / np.concatenate(
        (np.full(k.encoding.places, surrogate.DEVIATION_SPREAD), surrogate.PRIOR_SPREAD)
    )
    prior = 0.5 * away @ away
    values = [loss(k.theta)[0] - prior for loss in seen]
    assert values[0] == pytest.approx(sum(values[1:]))

    def together(theta: Any) -> float:
        return seen[0](theta)[0]

    numerical = approx_fprime(k.theta, together)
    np.testing.assert_allclose(seen[0](k.theta)[1], numerical, rtol=1e-4, atol=1e-4 * np.abs(numerical).max())


def test_root_mends_rounding_and_nothing_else() -> None:
    line = np.outer(np.arange(1.0, 9.0), np.arange(1.0, 9.0))  # of rank 1
    found = root(line)
    np.testing.assert_allclose(found @ found.T, line, atol=1e-3 * line.max())
    with pytest.raises(LinAlgError, match="beyond rounding"):
        root(np.diag([1.0, -1.0, 1.0]))


def test_a_fit_refuses_steps_that_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def strays(loss: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, **_: Any) -> SimpleNamespace:
        value, slopes = loss(np.append(start[:-1], 1e4))
        assert np.isfinite(value)
        assert not slopes.any()
        return SimpleNamespace(x=start)

    monkeypatch.setattr(surrogate, "minimize", strays)
    k = kernel()
    fit(k, k.encoding.indicators(EVERY).astype(np.float64), None, np.arange(len(EVERY)) / len(EVERY))
