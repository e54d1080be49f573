"""The program of a real network against the estimator: costs with conversions, the arena, and what `propose` finds with them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.cost.mixed_network import formats_space, lowered, network
from workbench.quantize import Lowering
from workbench.search import Item, Limits, propose
from workbench.search.network import network_program
from workbench.search.solve import solve
from workbench.sweep import Space, decision_groups
from workbench.truth.prices import plan_costs

AXES = ("flash", "ram", "latency", "energy")


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("target", ["stm32l4r5-cortex-m4-tflm", "esp32-s3-tflm-espnn", "x86-litert-xnnpack", "nvidia-t4"])
def test_costs_are_those_of_the_estimator(target: str, tie: bool) -> None:
    lowering = lowered(network(), target)
    space = formats_space(lowering, tie)
    codes = space.draw(60, np.random.default_rng(0))
    true = plan_costs(lowering, space)(codes)
    found = network_program(lowering, space, {}).values(codes)
    for name in ("flash", "latency", "energy"):
        np.testing.assert_allclose(found[name], true[:, AXES.index(name)], rtol=1e-12)
    gap = true[:, 1] - found["ram"]  # the planner of the arena may leave gaps; nothing needs less than what is live
    assert gap.min() >= -1.0 and np.mean(gap <= 1.0) >= 0.7
    assert len(np.unique(found["ram"])) > 1


@pytest.mark.parametrize("target", ["coral-edgetpu", "ethos-u55-128", "stm32n6-neural-art"])
def test_single_changes_and_neighbours_are_exact_where_a_network_is_priced_as_a_whole(target: str) -> None:
    lowering = lowered(network(), target)
    space = formats_space(lowering, tie=True)
    codes = [np.zeros(len(space.groups), np.uint8)]
    for g, names in enumerate(space.formats):
        for f in range(len(names)):
            codes.append(codes[0].copy())
            codes[-1][g] = f
    true = plan_costs(lowering, space)(np.array(codes))
    found = network_program(lowering, space, {}).values(np.array(codes))
    assert "ram" not in found
    for name in found:
        np.testing.assert_allclose(found[name], true[:, AXES.index(name)], rtol=1e-9)


def _problem() -> tuple[Lowering, Space, dict[str, list[np.ndarray]], np.ndarray, np.ndarray]:
    lowering = lowered(network(), "stm32l4r5-cortex-m4-tflm")
    formats = ("w8a8", "w4a8", "w8a16")
    space = Space.of(decision_groups(lowering.graph, lowering.layers, formats), formats)
    rng = np.random.default_rng(0)
    loss = [np.array([0.0, own, -0.3 * own]) for own in rng.random(len(space.groups))]
    codes = np.array(list(itertools.product(range(3), repeat=len(space.groups))), np.uint8)
    return lowering, space, {"loss": loss, "drop": loss}, codes, plan_costs(lowering, space)(codes)


def test_the_optimum_under_all_limits_is_that_of_all_plans() -> None:
    lowering, space, scores, codes, true = _problem()
    program = network_program(lowering, space, scores)
    loss = sum(own[codes[:, g]] for g, own in enumerate(scores["loss"]))
    limits = dict(zip(AXES, np.quantile(true, 0.45, axis=0), strict=True))
    within = (true <= np.array(list(limits.values()))).all(1)
    assert 0 < within.sum() < len(codes)
    found = solve(program, {"loss": 1.0}, limits)
    assert found is not None and found.objective == pytest.approx(loss[within].min())
    smallest = solve(program, {"ram": 1.0}, {})
    assert smallest is not None and smallest.objective == pytest.approx(true[:, 1].min(), abs=1.0)


def test_proposals_keep_all_limits_and_hold_the_best_of_all_plans() -> None:
    lowering, space, scores, codes, true = _problem()
    items = [
        Item(g.name, f, {name: float(scores[name][i][k]) for name in scores})
        for i, g in enumerate(space.groups) for k, f in enumerate(space.formats[i])
    ]  # fmt: skip
    limits = Limits(ram=float(np.quantile(true[:, 1], 0.4)), flash=float(np.quantile(true[:, 0], 0.6)))
    price = plan_costs(lowering, space)
    choices = propose(lowering, space, items, "flash", limits, price)
    found = np.array([[space.formats[g].index(f) for g, f in enumerate(choice)] for choice in choices], np.uint8)
    costs = price(found)
    assert limits.ram is not None and limits.flash is not None
    assert len(found) >= 5 and (costs[:, 1] <= limits.ram).all() and (costs[:, 0] <= limits.flash).all()
    within = (true[:, 1] <= limits.ram) & (true[:, 0] <= limits.flash)
    loss = sum(own[codes[:, g]] for g, own in enumerate(scores["loss"]))
    mine = np.sum([own[found[:, g]] for g, own in enumerate(scores["loss"])], axis=0)
    assert mine.min() == pytest.approx(loss[within].min())
    assert costs[:, 0].min() == true[within, 0].min()
    assert propose(lowering, space, items, "ram", Limits(flash=1.0), price) == []


def test_a_limit_that_the_program_does_not_know_is_kept_by_excluding_and_solving_again() -> None:
    lowering = lowered(network(), "ethos-u55-128")
    space = formats_space(lowering, tie=True)
    rng = np.random.default_rng(1)
    loss = [np.concatenate([[0.0], 0.004 * rng.random(len(names) - 1)]) for names in space.formats]
    items = [
        Item(g.name, f, {name: float(loss[i][k]) for name in ("loss", "drop")})
        for i, g in enumerate(space.groups) for k, f in enumerate(space.formats[i])
    ]  # fmt: skip
    codes = space.codes(np.arange(space.size))
    program = network_program(lowering, space, {"loss": loss, "drop": loss})
    stated = program.values(codes)
    assert "ram" not in stated
    order = np.flatnonzero(stated["drop"] <= 0.01)
    order = order[np.argsort(stated["latency"][order], kind="stable")]
    too_large = {codes[row].tobytes() for row in order[:5]}
    exact = plan_costs(lowering, space)

    def price(asked: np.ndarray) -> np.ndarray:
        costs = exact(asked).copy()
        costs[:, 1] = [9000.0 if code.tobytes() in too_large else 100.0 for code in np.ascontiguousarray(asked)]
        return costs

    choices = propose(lowering, space, items, "latency", Limits(drop=0.01, ram=1000.0), price)
    found = np.array([[space.formats[g].index(f) for g, f in enumerate(choice)] for choice in choices], np.uint8)
    assert len(found) and not {code.tobytes() for code in found} & too_large
    kept = program.values(found)
    assert kept["latency"][kept["drop"] <= 0.01 + 1e-12].min() == pytest.approx(stated["latency"][order[5]])


def test_ram_that_is_a_fitted_share_of_the_arena_is_rounded_as_the_estimate_rounds_it() -> None:
    lowering = lowered(network(), "stm32l4r5-cortex-m4-xcubeai")
    space = formats_space(lowering, tie=True)
    codes = space.draw(60, np.random.default_rng(0))
    true = plan_costs(lowering, space)(codes)[:, 1]
    program = network_program(lowering, space, {})
    found = program.values(codes)["ram"]
    assert (found <= true).all() and (found == np.round(found)).all()
    least = solve(program, {"ram": 1.0}, {})
    assert least is not None and least.objective == true.min()
    kept = solve(program, {"flash": 1.0}, {"ram": float(true.min())})
    assert kept is not None and kept.values["ram"] <= true.min()
