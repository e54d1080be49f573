"""Layers off and cumulative, carried errors, proxies, and all views in one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.cases import PROFILE, dataset, lowering
from tests.evaluate.test_walk import with_fixed_batch
from tests.networks import small_cnn, two_branches
from tests.stream_nets import delay_line
from workbench.data import Dataset
from workbench.errors import StudyError
from workbench.evaluate import Evaluator
from workbench.execute import check_inputs, prepare, real_values, run_reference
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite
from workbench.metrics import predictions
from workbench.precision import PrecisionPlan
from workbench.progress import Silent, Tick
from workbench.quantize import Lowering, calibrate
from workbench.study.spec import load_study
from workbench.sweep import Group, decision_groups, one_at_a_time
from workbench.sweep.contexts import cumulative, one_off
from workbench.sweep.effects import part_of
from workbench.sweep.layer_effects import layer_effects
from workbench.sweep.layer_errors import layer_errors
from workbench.sweep.proxies import proxies
from workbench.sweep.records import VIEWS
from workbench.sweep.views import expected_evaluations, find_views, with_chosen

BASE = PrecisionPlan.of("w8a8")
Changes = list[tuple[Group, str]]


def case(samples: int = 60, threads: int = 1) -> tuple[Evaluator, Changes]:
    low = lowering()
    groups = decision_groups(low.graph, low.layers, ["w8a8", "w4a8", "w2a8"])
    return Evaluator(low, dataset(samples), threads=threads), [(g, f) for g in groups for f in ("w4a8", "w2a8")]


def test_one_off_is_the_low_network_with_one_group_back() -> None:
    evaluator, changes = case()
    low = PrecisionPlan.of("w2a8")
    rows = {e.group.name: e.effect for e in one_off(evaluator, changes, BASE) if e.format == "w2a8"}
    for name, effect in rows.items():
        plan = low.replace({name: "w8a8"})
        records = evaluator.evaluate([low, plan])
        a, b = records[low], records[plan]
        assert a.correct is not None and b.correct is not None
        assert effect.loss_delta == b.metrics["cross_entropy"] - a.metrics["cross_entropy"]
        assert effect.change.estimate == pytest.approx(b.correct.mean() - a.correct.mean())
        assert effect.flips == int((a.predictions != b.predictions).sum())


def test_cumulative_begins_with_the_single_change_and_ends_with_all() -> None:
    evaluator, changes = case()
    rows = [e for e in cumulative(evaluator, changes, BASE) if e.format == "w4a8"]
    _, singles = one_at_a_time(evaluator, changes, BASE)
    assert rows[0].effect.loss_delta == singles[0].predicted_loss
    everything = evaluator.evaluate([PrecisionPlan.of("w4a8"), BASE])
    whole, base = everything[PrecisionPlan.of("w4a8")], everything[BASE]
    assert rows[-1].effect.loss_delta == whole.metrics["cross_entropy"] - base.metrics["cross_entropy"]


def test_signals_agree_with_layer_errors_and_their_definitions() -> None:
    evaluator, _ = case(40)
    plan = PrecisionPlan.of("w8a8", {"dw2": "w2a8"})
    old = {e.layer: e for e in layer_errors(evaluator.lowering, evaluator.data, plan)}
    for one in layer_effects(evaluator, plan):
        assert one.local.sqnr_db == pytest.approx(old[one.layer].local_sqnr_db)
        assert one.cumulative.sqnr_db == pytest.approx(old[one.layer].cumulative_sqnr_db)
    last = layer_effects(evaluator, plan)[-1].cumulative
    low, feed = evaluator.lowering, check_inputs(evaluator.lowering.graph, evaluator.data.inputs)
    program = prepare(low.quantized(plan), low.profile)
    have = real_values(program.outputs[0], program.run(dict(feed))[program.outputs[0].name]).astype(np.float64)
    want = run_reference(low.graph, dict(feed))["y"].astype(np.float64)
    assert last.mse == pytest.approx(((have - want) ** 2).mean())
    cosine = (have * want).sum(axis=1) / np.linalg.norm(have, axis=1) / np.linalg.norm(want, axis=1)
    assert last.cosine == pytest.approx(cosine.mean())


def test_carried_errors_of_the_last_layer_are_those_of_the_outputs() -> None:
    """Nothing comes after it: cumulative is the whole network as deployed, whatever its records say."""
    evaluator, _ = case(40)
    plan = PrecisionPlan.of("w4a8")
    record = evaluator.evaluate([plan])[plan]
    last = layer_effects(evaluator, plan)[-1].carried_cumulative
    assert last is not None and last.kl is not None
    assert last.cross_entropy == pytest.approx(record.metrics["cross_entropy"], rel=1e-6)
    assert record.correct is not None and last.figure == record.correct.mean()
    reference = evaluator.reference
    assert last.flips == int((record.predictions != predictions(reference)).sum())
    low, feed = evaluator.lowering, check_inputs(evaluator.lowering.graph, evaluator.data.inputs)
    program = prepare(low.quantized(plan), low.profile)
    y = real_values(program.outputs[0], program.run(dict(feed))[program.outputs[0].name]).astype(np.float64)
    p, q = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (reference, y))
    assert last.kl == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-4)


def test_a_carried_error_is_that_of_a_float_network_behind_the_layer() -> None:
    """The error of conv1 goes on through both ways to the addition: the rest of the network is run as a network of its own."""
    evaluator, _ = case(40)
    low, plan = evaluator.lowering, PrecisionPlan.of("w8a8", {"conv1": "w2a8"})
    first = layer_effects(evaluator, plan)[0]
    feed = check_inputs(low.graph, evaluator.data.inputs)
    program = prepare(low.quantized(plan), low.profile)
    t1 = real_values(low.quantized(plan).tensors["t1"], program.run(dict(feed), keep_all=True)["t1"])
    rest = replace(low.graph, nodes=low.graph.nodes[1:], inputs=("t1",))
    y = run_reference(rest, {"t1": t1})["y"]
    assert first.carried_local == first.carried_cumulative
    assert first.carried_local is not None
    assert first.carried_local.flips == int((y.argmax(axis=1) != evaluator.reference.argmax(axis=1)).sum())
    assert first.carried_local.figure == float((y.argmax(axis=1) == evaluator.data.labels).mean())


def test_every_proxy_says_what_it_is_and_ranks() -> None:
    evaluator, changes = case(80)
    _, singles = one_at_a_time(evaluator, changes, BASE)
    losses = [s.predicted_loss for s in singles]
    part = part_of(evaluator, 40)
    assert len(part.data) == 40
    found = {p.name: p for p in proxies(evaluator, part, changes, losses, BASE, draws=4)}
    assert {"weight_mse", "weight_noise", "hessian_trace", "fisher_trace", "gradient", "fisher", "taylor", "curvature"} <= set(
        found
    )
    for one in found.values():
        assert len(one.scores) == len(changes) and one.source and -1.0 <= one.tau <= 1.0
    assert found["weight_mse"].passes == 0.0 and found["hessian_trace"].passes == 0.5 * (1 + 2 * 4) * 4
    fine, coarse = found["weight_noise"].scores[0::2], found["weight_noise"].scores[1::2]
    assert all(a < b for a, b in zip(fine, coarse, strict=True))


def test_all_views_in_one_call_count_what_they_said_and_have_the_same_bits_on_any_threads() -> None:
    evaluator, changes = case(50)
    wanted = expected_evaluations(VIEWS, changes, BASE)
    assert wanted["off"] == 8 + 2 and wanted["pairs"] == 6 * 4 + 64
    one = find_views(evaluator, VIEWS, changes, BASE, samples=20, draws=2)
    assert 0 < one.evaluations <= sum(wanted.values())
    assert len(one.off) == len(one.cumulative) == len(one.losses) == 8 and one.pairs is not None
    assert {e.format for e in one.layers} == {"w8a8", "w4a8", "w2a8"} and len(one.layers) == 12
    assert {"output_noise", "output_kl"} <= {p.name for p in one.proxies}
    three, _ = case(50, threads=3)
    assert repr(find_views(three, VIEWS, changes, BASE, samples=20, draws=2)) == repr(one)
    more = with_chosen(one, evaluator, BASE, {"chosen": PrecisionPlan.of("w4a8")})
    assert more.additivity is not None and one.additivity is not None
    assert more.additivity.mixes[:-1] == one.additivity.mixes and more.additivity.mixes[-1].label == "chosen"


def test_a_view_says_how_many_plans_it_takes_before_it_starts() -> None:
    evaluator, changes = case(20)
    said: list[str] = []

    class Heard(Silent):
        @contextmanager
        def phase(self, title: str) -> Iterator[Tick]:
            said.append(title)
            yield lambda done, total: None

    find_views(evaluator, ("layers", "off"), changes, BASE, samples=7, reporter=Heard(), where="m4")
    assert said == ["m4: view off, at most 10 plans", "m4: view layers, 7 samples in float"]


def test_nothing_asked_evaluates_nothing() -> None:
    evaluator, changes = case(20)
    assert find_views(evaluator, (), changes, BASE).asked == () and not evaluator.journal.records


def test_a_study_asks_for_views_by_their_names(tmp_path: Path) -> None:
    """`off` is a word here, although YAML 1.1 reads it as false."""
    path = tmp_path / "study.yaml"
    path.write_text(
        "study: views\nmodel: m.onnx\ndata: {evaluation: d.npz#test}\nhardware: nvidia-h100\n"
        "formats: {search: [w4a8], baseline: w8a8}\n"
        f"sweep: {{kind: one_at_a_time, views: [{', '.join(VIEWS)}]}}\n"
    )
    assert load_study(path)[0].sweep.views == VIEWS
    path.write_text(path.read_text().replace("proxies", "proxys"))
    with pytest.raises(StudyError, match=r"Unknown view 'proxys'. Did you mean 'proxies'"):
        load_study(path)


def test_branches_and_groups_of_several_layers_have_all_views() -> None:
    graph = two_branches()
    low = lowering(graph)
    groups = decision_groups(graph, low.layers, ["w8a8", "w8a16"])
    assert any(len(g.layers) > 1 for g in groups)
    evaluator = Evaluator(low, dataset(30, graph), threads=1)
    found = find_views(evaluator, VIEWS, [(g, "w8a16") for g in groups], BASE, samples=15, draws=2)
    assert all(p.part == "activations" for p in found.parts if p.basis == "emulated")
    scores = {p.name: p.scores for p in found.proxies}
    assert set(scores["weight_mse"]) == {0.0} and all(s < 0 for s in scores["output_noise"])  # wider activations lose less


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_networks_with_state_have_all_views_but_carried_errors(dtype: type) -> None:
    graph = load_tflite("model.tflite", delay_line(dtype).bytes())
    x = np.random.default_rng(3).normal(size=(6, 5, 4))
    x = x.astype(np.float32) if dtype == np.float32 else (30 * x).astype(np.int8)
    profile = load_profile(PROFILE)
    low = Lowering(graph, profile, calibrate(graph, x) if dtype == np.float32 else None)
    labels = np.random.default_rng(1).integers(0, 5, x.shape[:2])
    evaluator = Evaluator(low, Dataset("streams", x, labels), threads=1)
    changes = [(g, "w2a8") for g in decision_groups(graph, low.layers, ["w8a8", "w2a8"])]
    found = find_views(evaluator, VIEWS, changes, BASE, samples=3, draws=2)
    assert found.float_samples == 3 and len(part_of(evaluator, 3).judged) == 15
    assert found.layers and all(e.carried_local is None for e in found.layers)
    assert {p.name for p in found.proxies} >= {"hessian_trace", "fisher", "output_noise"}
    both = [p for p in found.parts if p.part == "both" and p.format == "w2a8"]
    assert len(both) == 1 and both[0].effect.sqnr_db < 30


def test_samples_that_belong_together_stay_together() -> None:
    low = lowering()
    batched = Lowering(with_fixed_batch(small_cnn(), 5), low.profile, low.calibration)
    evaluator = Evaluator(batched, dataset(40), threads=1)
    part = part_of(evaluator, 12)
    assert np.array_equal(part.data.one_input, evaluator.data.one_input[[*range(5), *range(20, 25)]])
    changes = [(g, "w2a8") for g in decision_groups(low.graph, low.layers, ["w8a8", "w2a8"])]
    one = find_views(evaluator, ("parts", "layers", "proxies"), changes, BASE, samples=12, draws=2)
    alike = Evaluator(low, part.data, threads=1)
    two = find_views(alike, ("parts", "layers", "proxies"), changes, BASE, samples=12, draws=2)
    assert [p for p in one.parts if p.basis == "fake-quantized"] == [p for p in two.parts if p.basis == "fake-quantized"]
    assert one.layers[0].carried_local == two.layers[0].carried_local
