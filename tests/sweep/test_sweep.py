"""Decision groups, sensitivities and errors per layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.evaluate.cases import dataset, lowering
from tests.networks import small_cnn
from workbench.evaluate import Evaluator
from workbench.graph.ir import Node
from workbench.ops.conv2d import Conv2dAttrs
from workbench.precision import PrecisionPlan
from workbench.sweep import decision_groups, layer_errors, one_at_a_time

LAYERS = ("conv1", "dw2", "pw3", "fc6")


def test_weight_widths_alone_tie_nothing() -> None:
    groups = decision_groups(small_cnn(), LAYERS, ["w8a8", "w4a8"])
    assert [g.layers for g in groups] == [("conv1",), ("dw2",), ("pw3",), ("fc6",)]


def test_residual_addition_ties_layers_when_activation_types_differ() -> None:
    groups = decision_groups(small_cnn(), LAYERS, ["w8a8", "w8a16"])
    assert [g.layers for g in groups] == [("conv1", "pw3"), ("dw2",), ("fc6",)]


def test_shared_weights_tie() -> None:
    graph = small_cnn()
    extra = Node("pw3b", "conv2d", ("t3", "w3", "b3"), ("t3b",), Conv2dAttrs())
    tensors = {**graph.tensors, "t3b": replace(graph.tensors["t3"], name="t3b")}
    nodes = [*graph.nodes[:3], extra, *graph.nodes[3:]]
    groups = decision_groups(graph.with_nodes(nodes, tensors), ("conv1", "dw2", "pw3", "pw3b", "fc6"), ["w8a8"])
    assert ("pw3", "pw3b") in [g.layers for g in groups]


def test_sensitivities_compare_with_the_baseline_sample_by_sample() -> None:
    low, data = lowering(), dataset(60)
    baseline = PrecisionPlan.of("w8a8")
    groups = decision_groups(low.graph, low.layers, ["w8a8", "w2a8"])
    evaluator = Evaluator(low, data)
    base, found = one_at_a_time(evaluator, [(g, "w2a8") for g in groups], baseline)
    assert [s.group.name for s in found] == list(LAYERS)
    for s in found:
        assert s.change is not None and s.record.correct is not None and base.correct is not None
        assert s.change.estimate == float(s.record.correct.mean() - base.correct.mean())
        assert s.change.low <= s.change.estimate <= s.change.high or s.flips > 0
        assert s.flips == int((s.record.predictions != base.predictions).sum())


def test_a_sensitivity_has_its_own_plan_whatever_plan_the_journal_knows_it_by() -> None:
    low, baseline = lowering(), PrecisionPlan.of("w8a8")
    evaluator = Evaluator(low, dataset(20))
    same = PrecisionPlan.of("w4a8", {"conv1": "w8a8", "dw2": "w8a8", "pw3": "w8a8"})
    (known,) = evaluator.evaluate([same]).values()
    (group,) = [g for g in decision_groups(low.graph, low.layers, ["w8a8", "w4a8"]) if g.name == "fc6"]
    _, (found,) = one_at_a_time(evaluator, [(group, "w4a8")], baseline)
    assert found.record is known
    assert found.plan == PrecisionPlan.of("w8a8", {"fc6": "w4a8"})


def test_first_layer_local_and_cumulative_errors_agree_and_later_ones_accumulate() -> None:
    low, data = lowering(), dataset(40)
    errors = {e.layer: e for e in layer_errors(low, data, PrecisionPlan.of("w8a8"))}
    assert list(errors) == list(LAYERS)
    assert errors["conv1"].local_sqnr_db == errors["conv1"].cumulative_sqnr_db
    assert errors["fc6"].cumulative_sqnr_db < errors["fc6"].local_sqnr_db
    coarse = {e.layer: e for e in layer_errors(low, data, PrecisionPlan.of("w8a8", {"dw2": "w2a8"}))}
    assert coarse["dw2"].local_sqnr_db < errors["dw2"].local_sqnr_db - 10
    assert np.isclose(coarse["pw3"].local_sqnr_db, errors["pw3"].local_sqnr_db)
