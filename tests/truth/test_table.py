"""What a table says is what the evaluator says plan by plan; its views are tables that were made on their own."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from tests.evaluate.cases import lowering
from tests.truth.cases import FORMATS, evaluator, space, table
from tests.truth.test_frontier import by_definition
from workbench.cost import estimate
from workbench.errors import InputError
from workbench.hardware import load_profile
from workbench.quantize import Lowering
from workbench.truth import Live, build_table
from workbench.truth.prices import plan_costs


def test_figures_are_those_of_the_evaluator_and_costs_those_of_estimate() -> None:
    found, own = table(), evaluator()
    numbers = np.random.default_rng(0).choice(81, 12, replace=False)
    for number, plan in zip(numbers.tolist(), space().plans(space().codes(numbers)), strict=True):
        record = own.evaluate([plan])[plan]
        assert {name: values[number] for name, values in found.figures.items()} == dict(record.metrics)
        np.testing.assert_array_equal(found.right(np.array([number]))[0], record.correct)
        cost = estimate(own.lowering.quantized(plan), own.lowering.profile)
        assert found.costs is not None
        flash, ram = cost.flash_bytes + cost.runtime_flash_bytes, cost.ram_peak_bytes + cost.runtime_ram_bytes
        assert found.costs[number].tolist() == [flash, ram, cost.latency_s, cost.energy_j]


@pytest.mark.parametrize(
    ("metric", "labelled"),
    [(None, True), ("cross_entropy", True), (None, False), ("sqnr_db", False), ("mse", False), ("sqnr_db", True)],
)
def test_replay_is_live(metric: str | None, labelled: bool) -> None:
    found = table(metric, labelled)
    live = Live(evaluator(metric, labelled=labelled), space(), found.axes, plan_costs(lowering(), space()))
    replay = found.oracle()
    codes = space().draw(25, np.random.default_rng(1))
    a, b = live.evaluate(codes), replay.evaluate(codes)
    assert found.losses is not None and found.losses.exact
    np.testing.assert_array_equal(a.badness, b.badness)
    np.testing.assert_array_equal(a.losses, b.losses)
    assert (a.correct is None) == (b.correct is None) == (metric is not None)
    np.testing.assert_array_equal(live.costs(codes), replay.costs(codes))
    assert (replay.axes, replay.samples, replay.metric.name) == (live.axes, live.samples, live.metric.name)
    if (metric, labelled) == ("sqnr_db", True):  # its loss is the cross-entropy
        with pytest.raises(InputError, match="'sqnr_db' on a part of the samples is not in a table"):
            replay.evaluate(codes, np.arange(5))
        return
    part = np.array([4, 80, 7, 33, 34, 11])
    a, b = live.evaluate(codes[:7], part), replay.evaluate(codes[:7], part)
    np.testing.assert_allclose(b.badness, a.badness, rtol=1e-13)  # of SQNR the power of the reference is added in another order
    np.testing.assert_array_equal(a.losses, b.losses)
    if a.correct is not None and b.correct is not None:
        np.testing.assert_array_equal(a.correct, b.correct)
    assert live.spent == replay.spent == 25 + 7 * 6 / 90


def test_another_metric_of_the_table_may_decide() -> None:
    codes = space().draw(9, np.random.default_rng(2))
    a, b = table().oracle("cross_entropy").evaluate(codes), table("cross_entropy").oracle().evaluate(codes)
    np.testing.assert_array_equal(a.badness, b.badness)
    with pytest.raises(InputError, match=r"metric 'top2' is not in this table\..* Known: top1, "):
        table().oracle("top2")


def test_fewer_formats_are_the_table_of_fewer_formats() -> None:
    own, fewer = evaluator(), space(("w8a8", "w2a8"))
    want = build_table(own, fewer, plan_costs(own.lowering, fewer))
    got = table().sub(["w2a8", "w8a8"])
    assert got.space == fewer and got.digests() == want.digests()
    np.testing.assert_array_equal(got.costs, want.costs)
    np.testing.assert_array_equal(got.keys, want.keys)
    assert got.losses is not None and want.losses is not None
    np.testing.assert_array_equal(got.losses.values(slice(None)), want.losses.values(slice(None)))
    with pytest.raises(InputError, match=r"'w3a8' is not in this table. It has w2a8, w4a8, w8a8"):
        table().sub(["w3a8"])


def test_costs_of_a_target_with_the_same_bits() -> None:
    low = lowering()
    other = Lowering(low.graph, load_profile("stm32u575-cortex-m33-tflm"), low.calibration)
    eight, space8 = table().sub(["w8a8"]), table().sub(["w8a8"]).space
    got = eight.with_costs(other, plan_costs(other, space8))
    cost = estimate(other.quantized(space8.plan([0, 0, 0, 0])), other.profile)
    assert got.costs is not None and got.costs[0, 2] == cost.latency_s and got.origin.profile == "stm32u575-cortex-m33-tflm"
    assert got.digests() == eight.digests() and not np.array_equal(got.costs, eight.costs)
    rounds = Lowering(low.graph, load_profile("cortex-m-cmsis-nn-single-rounding"), low.calibration)
    with pytest.raises(InputError, match=r"computes plan 'w8a8' otherwise than 'stm32l4r5-cortex-m4-tflm'"):
        eight.with_costs(rounds, plan_costs(rounds, space8))


@pytest.mark.parametrize("axes", [("flash", "metric"), ("loss", "ram", "energy"), ("latency",), ("sqnr_db", "flash", "top1")])
def test_frontier_is_what_no_plan_beats(axes: tuple[str, ...]) -> None:
    frame = table().frame().assign(loss=table().mean_loss)
    turned = frame.assign(metric=-frame["top1"], top1=-frame["top1"], sqnr_db=-frame["sqnr_db"])
    values = turned[list(axes)].to_numpy()
    found = table().front(axes)
    assert set(found.tolist()) == by_definition(values)
    assert (np.diff(values[found, 0]) >= 0).all()


def test_axes_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match=r"axis 'flahs' is not in this table. Did you mean 'flash'\?"):
        table().front(["flahs"])
    with pytest.raises(InputError, match="no axes"):
        table().front([])
    without = build_table(evaluator(samples=8), space(("w8a8",)), None)
    assert without.axes == () and without.oracle().costs(np.zeros((3, 4), np.uint8)).shape == (3, 0)
    with pytest.raises(InputError, match="Profile 'stm32l4r5-cortex-m4-tflm' has no costs"):
        without.front(["flash", "metric"])


def test_frame_has_metrics_costs_and_formats() -> None:
    frame = table().frame()
    assert list(frame) == [*table().figures, "flash", "ram", "latency", "energy", "conv1", "dw2", "pw3", "fc6"]
    want = pd.DataFrame(itertools.product(FORMATS, repeat=4), columns=["conv1", "dw2", "pw3", "fc6"])
    pd.testing.assert_frame_equal(frame[list(want)], want, check_dtype=False)


def test_without_losses_nothing_is_replayed() -> None:
    found = build_table(evaluator(samples=8), space(("w8a8", "w4a8")), None, losses=False)
    assert found.losses is None and len(found.front(["metric"])) == 1
    with pytest.raises(InputError, match="stored without losses"):
        found.oracle().evaluate(found.space.codes(range(2)))
