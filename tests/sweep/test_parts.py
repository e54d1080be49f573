"""Weights only, activations only, and the programs of the float reference behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluate.cases import dataset, lowering
from tests.networks import small_cnn, two_branches
from workbench.evaluate import Evaluator
from workbench.execute import check_inputs, run_reference
from workbench.graph.ir import Array, Graph
from workbench.precision import PrecisionPlan
from workbench.sweep import decision_groups
from workbench.sweep.effects import program_losses
from workbench.sweep.parts import between, emulated_parts, fake_quantized, fake_quantized_parts
from workbench.sweep.reference_steps import LayerChange, ReferenceSteps, grids_in, weights_in
from workbench.tensor import dequantize, quantize

BASE = PrecisionPlan.of("w8a8")


@pytest.mark.parametrize("graph", [small_cnn(), two_branches()])
def test_without_changes_a_program_is_the_reference_bit_for_bit(graph: Graph) -> None:
    data = dataset(20, graph)
    feed = check_inputs(graph, data.inputs)
    want = run_reference(graph, dict(feed))
    found = ReferenceSteps(graph).program({}).run(dict(feed))
    assert all(np.array_equal(want[name], found[name]) for name in graph.outputs)


def test_changed_weights_are_those_of_a_graph_with_them() -> None:
    low, data = lowering(), dataset(20)
    rounded = weights_in(low, "pw3", "w2a8")
    tensors = {**low.graph.tensors, "w3": replace(low.graph.tensors["w3"], data=rounded)}
    other = replace(low.graph, tensors=tensors)
    feed = check_inputs(low.graph, data.inputs)
    found = ReferenceSteps(low.graph).program({"pw3": LayerChange(rounded)}).run(dict(feed))
    assert np.array_equal(found["y"], run_reference(other, dict(feed))["y"])


def test_grids_round_what_a_layer_reads_and_writes() -> None:
    low, data = lowering(), dataset(20)
    feed = check_inputs(low.graph, data.inputs)
    values = run_reference(low.graph, dict(feed), keep_all=True)
    reads, writes = grids_in(low, "pw3", "w8a8")
    found = ReferenceSteps(low.graph).program({"pw3": LayerChange(None, reads, writes)}).run(dict(feed), keep_all=True)

    def on_grid(name: str, x: Array) -> Array:
        params = low.params(name, "int8")
        assert params is not None
        return dequantize(quantize(x, params, "int8"), params)

    w3, b3 = (low.graph.tensors[n].data for n in ("w3", "b3"))
    assert w3 is not None and b3 is not None
    want = on_grid("t3", (on_grid("t2", values["t2"]).astype(np.float64) @ w3[:, 0, 0].T + b3).astype(np.float32))
    assert writes is not None and writes.params is not None
    off = np.abs(found["t3"] - want) > 1e-5  # sums in another order may round to the neighbour
    assert off.mean() < 1e-3 and np.abs(found["t3"] - want).max() < 1.01 * writes.params.scale[0]
    assert np.array_equal(found["t1"], values["t1"])


def test_strength_goes_part_of_the_way() -> None:
    low, data = lowering(), dataset(10)
    feed = check_inputs(low.graph, data.inputs)
    _, writes = grids_in(low, "fc6", "w8a8")
    whole, half, none = (
        ReferenceSteps(low.graph).program({"fc6": LayerChange(writes=writes, strength=t)}).run(dict(feed))["y"] for t in (1.0, 0.5, 0.0)
    )  # fmt: skip
    assert np.array_equal(none, run_reference(low.graph, dict(feed))["y"])
    assert np.allclose(half, (whole + none) / 2, atol=1e-6) and not np.array_equal(whole, none)


@pytest.mark.parametrize(
    ("base", "fmt", "want"),
    [
        ("w8a8", "w4a16", [("weights", "w4a8"), ("activations", "w8a16")]),
        ("w8a8", "w4a8", [("weights", "w4a8")]),
        ("w8a8", "w8a16", [("activations", "w8a16")]),
        ("w8a8", "w8a8", []),
        ("w8a8", "w8a8-per-tensor", [("weights", "w8a8-per-tensor")]),
        ("w8a8", "fp16", []),
        ("w8a16", "w4a4-per-tensor", [("weights", "w4a16-per-tensor"), ("activations", "w8a4")]),
    ],
)
def test_the_parts_of_a_change_of_format(base: str, fmt: str, want: list[tuple[str, str]]) -> None:
    assert between(base, fmt) == want


def test_emulated_parts_are_the_records_of_their_plans() -> None:
    low, data = lowering(), dataset(60)
    evaluator = Evaluator(low, data, threads=1)
    groups = decision_groups(low.graph, low.layers, ["w8a8", "w4a16"])
    found = emulated_parts(evaluator, [(g, "w4a16") for g in groups], BASE)
    assert {(p.group.name, p.part) for p in found} >= {("conv1", "weights"), ("conv1", "activations")}
    for part in found:
        plan = part.group.plan(BASE, part.through)
        records = evaluator.evaluate([BASE, plan])
        want = records[plan].metrics["cross_entropy"] - records[BASE].metrics["cross_entropy"]
        assert part.basis == "emulated" and part.effect.loss_delta == want


def test_fake_quantized_parts_compare_with_the_float_reference() -> None:
    low, data = lowering(), dataset(60)
    evaluator = Evaluator(low, data, threads=1)
    groups = decision_groups(low.graph, low.layers, ["w8a8", "w2a8"])
    found = fake_quantized_parts(evaluator, [(g, "w2a8") for g in groups], BASE)
    assert len(found) == len(groups) * 2 * 3
    rows = {(p.group.name, p.format, p.part): p for p in found}
    coarse, fine = rows["pw3", "w2a8", "weights"], rows["pw3", "w8a8", "weights"]
    assert coarse.effect.sqnr_db < fine.effect.sqnr_db - 10
    assert rows["pw3", "w2a8", "activations"].effect == rows["pw3", "w8a8", "activations"].effect  # the same activations
    steps = ReferenceSteps(low.graph)
    programs = [steps.program({}), fake_quantized(steps, low, groups[2], "w2a8", "weights")]
    losses = program_losses(evaluator, programs).mean(axis=1)
    assert coarse.effect.loss_delta == pytest.approx(losses[1] - losses[0], abs=1e-12)


def test_same_bits_for_any_number_of_threads() -> None:
    low, data = lowering(), dataset(61)
    groups = decision_groups(low.graph, low.layers, ["w8a8", "w2a8"])
    changes = [(g, "w2a8") for g in groups]
    one, three = (fake_quantized_parts(Evaluator(low, data, threads=t), changes, BASE) for t in (1, 3))
    assert one == three
