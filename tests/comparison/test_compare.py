"""Comparisons whose answer is known by hand, or by a plain loop over all hybrids."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.comparison.cases import TFLM, XCUBEAI, halving_layers, profile, with_operator
from tests.networks import random_network, small_cnn
from workbench.comparison.hybrid import Hybrids
from workbench.comparison.results import Comparison, Effects, Sizes
from workbench.comparison.separate import separate
from workbench.comparison.sides import Samples, make_sides
from workbench.comparison.switches import chosen
from workbench.errors import InputError, UnsupportedError
from workbench.execute import check_inputs, run_reference
from workbench.graph.ir import Array, Graph
from workbench.hardware import load_profile
from workbench.precision import PrecisionPlan

HALF_EVEN = "float32_half_even"
X = np.array([[4, 5], [5, 4], [6, 2], [5, 7]], np.int8)  # halves: 2 2.5 | 2.5 2 | 3 1 | 2.5 3.5


def by_hand(labels: list[int] | None = None, **options: Any) -> Comparison:
    """Ties: `double` rounds 2.5 to 3 (away from zero), half even to 2; 3.5 is 4 in both."""
    return wb.compare(TFLM, profile(requantize=HALF_EVEN, softmax="float_table"), halving_layers(), X,
                      None if labels is None else np.array(labels), **options)  # fmt: skip


def test_first_difference_and_its_example() -> None:
    first = by_hand().first
    assert first is not None
    assert (first.layer, first.op, first.tensor, first.position, first.tensors) == ("fc0", "fully_connected", "t1", 1, 1)
    assert first.sizes == Sizes(3, 3, 1, 3) and (first.elements, first.samples, first.unit) == (8, 4, "step")
    assert (first.sample, first.index, first.a, first.b) == (0, (1,), 3, 2)
    assert first.changes == (f"requantize double -> {HALF_EVEN}",)
    assert first.context == (
        "exact accumulator 5 x scale 0.5 = 2.500000 (a tie), zero point 0: 2.500000 (a tie) before it is rounded",
    )


def test_flips_with_labels_are_gained_lost_or_wrong_both_times() -> None:
    # A: [2 3] [3 2] [3 1] [3 4], classes 1 0 0 1. B: [2 2] [2 2] [3 1] [2 4], classes 0 0 0 1.
    flips = by_hand([0, 0, 0, 0]).flips
    assert flips is not None and [(f.sample, f.a, f.b, f.label) for f in flips.flipped] == [(0, 1, 0, 0)]
    assert (flips.correct_a, flips.correct_b, flips.gained, flips.lost, flips.both_wrong) == (2, 3, 1, 0, 0)
    lost = by_hand([1, 0, 0, 0]).flips
    assert lost is not None and (lost.gained, lost.lost, lost.both_wrong) == (0, 1, 0)
    assert flips.change is not None and flips.change.estimate == 0.25 and flips.output_samples == 3


def test_a_rule_that_no_operator_reads_takes_no_part() -> None:
    attribution = by_hand([0, 0, 0, 0]).attribution
    assert attribution is not None and attribution.coalitions == 2 and attribution.exact
    (only,) = attribution.contributions
    assert only.switch == "requantization rule"
    assert only.share == only.alone == attribution.total == Effects(3, 1, 1)


def test_a_rule_that_is_read_and_changes_nothing_has_no_share() -> None:
    other = profile(requantize="double", product_precision="float32")
    both = with_operator(other, "fully_connected", requantize=HALF_EVEN)
    attribution = wb.compare(TFLM, both, halving_layers(), X, np.zeros(4, np.int64)).attribution
    assert attribution is not None and attribution.coalitions == 4
    shares = {c.switch: c.share for c in attribution.contributions}
    assert shares == {"requantization rule": Effects(3, 1, 1), "multiplier precision": Effects(0, 0, 0)}


def test_layers_share_what_only_both_of_them_do() -> None:
    # 5: A 2.5 -> 3 -> 1.5 -> 2; B 2.5 -> 2 -> 1. With one rule in each layer: 2 -> 1 and 3 -> 1.5 -> 2.
    found = wb.compare(TFLM, profile(requantize=HALF_EVEN), halving_layers(2), np.array([[5, 4]], np.int8), by="layers")
    assert found.attribution is not None
    assert {c.switch: c.share.outputs for c in found.attribution.contributions} == {"fc0": 1, "fc1": 0}
    # 10: 5 -> 2.5: the second layer alone.
    found = wb.compare(TFLM, profile(requantize=HALF_EVEN), halving_layers(2), np.array([[10, 4]], np.int8), by="layers")
    assert found.attribution is not None
    assert {c.switch: c.share.outputs for c in found.attribution.contributions} == {"fc0": 0, "fc1": 1}


def test_local_differences_leave_out_what_a_layer_inherits() -> None:
    # [5, 10]: t1 differs in 5 (3, 2) alone; t2 from 3 and 5: A 2, 3; B from 2 and 5: 1, 2; B's layer on A's 3, 5: 2, 2.
    found = wb.compare(TFLM, profile(requantize=HALF_EVEN), halving_layers(2), np.array([[5, 10]], np.int8))
    first, second = found.layers
    assert first.cumulative == first.local == Sizes(1, 1, 1, 1)
    assert second.cumulative == Sizes(2, 1, 1, 2) and second.local == Sizes(1, 1, 1, 1)


@pytest.mark.parametrize("by", ["rules", "operators", "layers"])
def test_a_target_against_itself_differs_in_nothing(by: Any) -> None:
    found = wb.compare(TFLM, TFLM, halving_layers(2), X, np.zeros(4, np.int64), by=by)
    assert found.first is None and found.flips is not None and found.flips.flipped == ()
    assert all(row.cumulative == row.local == Sizes() for row in found.layers)
    assert found.attribution is not None and found.attribution.contributions == () and found.attribution.exact
    assert found.attribution.total == Effects(0, 0, 0)


def random_data(graph: Graph, count: int = 24) -> tuple[Array, Array]:
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    x = np.random.default_rng(1).standard_normal((count, *shape)).astype(np.float32)
    return x, run_reference(graph, {graph.inputs[0]: x})[graph.outputs[0]].argmax(axis=1)


SCHEME = {"scales": "power_of_two", "bias_bits": 8, "weights": "full"}


def scheme_profile() -> Any:
    base = profile("scheme", requantize="single", accumulator_bits=13, overflow="saturate")
    return base.model_copy(update={"quantization": base.quantization.model_copy(update=SCHEME)})


@pytest.mark.parametrize(
    ("b", "plan_b", "by"),
    [
        (XCUBEAI, None, "operators"),
        ("scheme", None, "rules"),
        (TFLM, PrecisionPlan.of("w2a8", {"fc6": "w8a8"}), "layers"),
        ("scheme", "w4a8", "rules"),
    ],
)
def test_shares_are_those_of_a_plain_loop_over_all_orders(b: str, plan_b: Any, by: Any) -> None:
    graph = small_cnn(3)
    x, y = random_data(graph)
    other = scheme_profile() if b == "scheme" else load_profile(b)
    options = {"plan": "w8a8", "plan_b": plan_b, "calibration": x}
    attribution = wb.compare(TFLM, other, graph, x, y, by=by, **options).attribution
    assert attribution is not None and attribution.exact
    hybrids, switches = hybrids_of(graph, x, other, plan_b, by)
    assert [s.name for s in switches] == [c.switch for c in attribution.contributions]
    outcomes = [outcome(hybrids, chosen(switches, mask), graph, x, y) for mask in range(1 << len(switches))]
    orders = list(permutations(range(len(switches))))
    for field in (0, 1, 2):
        shares = [Fraction(0)] * len(switches)
        for order in orders:
            mask = 0
            for i in order:
                shares[i] += Fraction(value(outcomes, mask | 1 << i, y)[field] - value(outcomes, mask, y)[field], len(orders))
                mask |= 1 << i
        name = ("outputs", "flips", "correct")[field]
        assert [getattr(c.share, name) for c in attribution.contributions] == shares


@pytest.mark.parametrize(("b", "plan_b"), [(XCUBEAI, "w8a8"), ("scheme", "w4a8")])
def test_hybrids_with_all_switches_and_with_none_are_the_targets(b: str, plan_b: str) -> None:
    graph = small_cnn(3)
    x, _ = random_data(graph)
    other = scheme_profile() if b == "scheme" else load_profile(b)
    hybrids, switches = hybrids_of(graph, x, other, plan_b, "layers")
    for places, target, plan in ((frozenset(), TFLM, "w8a8"), (chosen(switches, (1 << len(switches)) - 1), other, plan_b)):
        found = hybrids.program(places).run({"x": x}, keep_all=True)
        want = wb.emulate(graph, x, target, plan, tensors=True, calibration=x)
        assert found.keys() == want.keys() and all(np.array_equal(found[k], want[k]) for k in want)


def test_a_hybrid_is_the_profile_that_says_the_same() -> None:
    graph = small_cnn(3)
    x, _ = random_data(graph)
    hybrids, switches = hybrids_of(graph, x, load_profile(XCUBEAI), "w8a8", "operators")
    mask = sum(
        1 << i for i, s in enumerate(switches) if s.name in ("requantization rule of conv2d", "pooling, means and sums of mean")
    )
    written = with_operator(with_operator(load_profile(TFLM), "conv2d", requantize=HALF_EVEN), "mean", mean="xnnpack")
    found = hybrids.program(chosen(switches, mask)).run({"x": x}, keep_all=True)
    want = wb.emulate(graph, x, written, "w8a8", tensors=True, calibration=x)
    assert all(np.array_equal(found[k], want[k]) for k in want)


def hybrids_of(graph: Graph, x: Array, b: Any, plan_b: Any, by: Any) -> tuple[Hybrids, list[Any]]:
    feed = check_inputs(graph, x)
    sides = make_sides(graph, Samples(feed, len(x), len(x)), (TFLM, b), ("w8a8", plan_b or "w8a8"), x)
    hybrids = sides.hybrids(graph)
    assert hybrids is not None
    switches, _, notes = separate(hybrids, hybrids.switches(by, hybrids.changes({k: v[:1] for k, v in feed.items()})))
    assert not notes
    return hybrids, switches


def outcome(hybrids: Hybrids, places: Any, graph: Graph, x: Array, y: Array) -> Array:
    return hybrids.program(places).run(check_inputs(graph, x))[hybrids.program(places).outputs[0].name]


def value(outcomes: list[Array], mask: int, y: Array) -> tuple[int, int, int]:
    a, h = outcomes[0], outcomes[mask]
    flips = a.argmax(axis=1) != h.argmax(axis=1)
    correct = (h.argmax(axis=1) == y).sum() - (a.argmax(axis=1) == y).sum()
    return int((a != h).any(axis=1).sum()), int(flips.sum()), int(correct)


@pytest.mark.parametrize("seed", [0, 5])
def test_every_tensor_of_a_random_network_is_compared_as_it_is_emulated(seed: int) -> None:
    graph = random_network(seed)
    x, y = random_data(graph, 40)
    one, two = (wb.emulate(graph, x, p, "w8a8", tensors=True, calibration=x) for p in (TFLM, XCUBEAI))
    found = wb.compare(TFLM, XCUBEAI, graph, x, y, plan="w8a8", calibration=x, threads=1)
    for row in found.layers:
        a, b = one[row.tensor], two[row.tensor]
        assert row.elements == a.size and row.cumulative.differing == (a != b).sum()
        assert row.cumulative.samples == (a != b).reshape(len(a), -1).any(axis=1).sum()
        size = np.abs(a.astype(np.float64) - b)
        assert row.cumulative.largest == size.max() and row.cumulative.total == pytest.approx(size.sum(), rel=1e-12)
    assert found.attribution is not None and found.attribution.exact
    assert found == wb.compare(TFLM, XCUBEAI, graph, x, y, plan="w8a8", calibration=x, threads=3)


def test_the_first_samples_alone_give_what_they_give_alone() -> None:
    assert by_hand([0, 0, 0, 0], samples=2) == wb.compare(
        TFLM, profile(requantize=HALF_EVEN, softmax="float_table"), halving_layers(), X[:2], np.zeros(2, np.int64)
    )


def test_more_switches_than_the_limit_are_blocks_of_neighbours() -> None:
    found = wb.compare(TFLM, profile(requantize=HALF_EVEN), halving_layers(5), 11 * X, by="layers", limit=2).attribution
    assert found is not None and found.coalitions == 4 and found.exact
    assert [c.switch for c in found.contributions] == ["fc0 to fc1", "fc2 to fc4"]
    assert found.notes == ("5 switches differ; neighbours are switched together, to make 2 (2**2 hybrids)",)


# -- recordings ------------------------------------------------------------------------------------------------------------


def test_recorded_outputs_and_tensors() -> None:
    graph = halving_layers(2)
    own = wb.emulate(graph, X, TFLM, tensors=True)
    same = wb.compare(TFLM, own, graph, X)
    assert same.first is None and [row.tensor for row in same.layers] == ["t1", "t2"] and same.attribution is None
    changed = {"t2": own["t2"].copy()}
    changed["t2"][3, 1] += 7
    found = wb.compare(changed, TFLM, graph, X, np.zeros(4, np.int64))
    assert found.first is not None and (found.first.layer, found.first.sample, found.first.index) == ("fc1", 3, (1,))
    assert found.first.a - found.first.b == 7 and found.layers[0].cumulative == Sizes(1, 1, 7, 7)
    assert wb.compare(changed, own, graph, X).layers[0].cumulative == Sizes(1, 1, 7, 7)


def test_a_named_array_of_real_outputs_is_put_on_the_grid(tmp_path: Path) -> None:
    graph, path = halving_layers(), tmp_path / "log.npz"
    own = wb.emulate(graph, X, TFLM)["t1"]
    np.savez(path, board=2.0 * own + 0.5, other=2.0 * own + 1.5)  # the scale of t1 is 2: 0.25 and 0.75 of a step away
    found = wb.compare(f"{path}#board", TFLM, graph, X)
    assert found.first is None and found.a == f"{path}#board"
    assert (
        found.notes[0]
        == f"{path}#board: real numbers, put on the output's grid of integers; the farthest was 0.25 of a step away"
    )
    assert wb.compare(f"{path}#other", TFLM, graph, X).layers[0].cumulative == Sizes(8, 4, 1, 8)
    with pytest.raises(InputError, match="no array has the name of a tensor"):
        wb.compare(TFLM, path, graph, X)
    with pytest.raises(InputError, match=r"no array 'bord'\. Did you mean 'board'"):
        wb.compare(TFLM, f"{path}#bord", graph, X)


@pytest.mark.parametrize("value", [256.5, 1e30, -1e300])
def test_real_numbers_beyond_the_grid_are_refused(tmp_path: Path, value: float) -> None:
    graph, path = halving_layers(), tmp_path / "log.npz"
    own = 2.0 * wb.emulate(graph, X, TFLM)["t1"]
    own[2, 1] = value  # the grid is -256 to 254 in steps of 2
    np.savez(path, board=own)
    with pytest.raises(
        InputError, match=r"sample 2 \[1\] is .* steps beyond what the output can be: -256 to 254 in steps of 2"
    ):
        wb.compare(f"{path}#board", TFLM, graph, X)
    own[2, 1] = 256.0  # one step: what a softmax of scale 1/256 does with a probability of 1
    np.savez(path, board=own)
    assert "the farthest was 1 of a step away" in wb.compare(f"{path}#board", TFLM, graph, X).notes[0]


@pytest.mark.parametrize(
    ("recorded", "says"),
    [
        ({"t1": np.zeros((4, 3), np.int8)}, r"array 't1' is int8 \(4, 3\); the network's is int8 \(N, 2\)"),
        ({"t1": np.zeros((4, 2), np.int16)}, "array 't1' is int16"),
        ({"t1": np.zeros((3, 2), np.int8)}, "'t1' has 3 samples; the data have 4"),
        ({"t0": X + 1, "t1": X}, "it was recorded on other samples"),
        ({"a": X, "b": X}, "a, b all fit the output"),
        ({"a": X[:, :1]}, "none has the type and shape of the output"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(recorded: Mapping[str, Array], says: str) -> None:
    with pytest.raises(InputError, match=says):
        wb.compare(TFLM, recorded, halving_layers(), X)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"by": "layer"}, "Did you mean 'layers'"),
        ({"samples": 5}, "samples is 5; 1 to 4 fit"),
        ({"limit": 0}, "limit of switches is 0"),
        ({"limit": 17}, "limit of switches is 17"),
        ({"labels": np.zeros(3, np.int64)}, "3 labels for 4 samples"),
        ({"labels": np.full(4, 2)}, "the model has classes 0 to 1"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        wb.compare(TFLM, profile(requantize=HALF_EVEN), halving_layers(), X, **options)


def test_a_model_that_a_side_does_not_run_is_refused() -> None:
    less = load_profile(TFLM).model_copy(update={"name": "less", "operators": {"add": load_profile(TFLM).operators["add"]}})
    with pytest.raises(UnsupportedError, match="profile 'less'"):
        wb.compare(TFLM, less, halving_layers(), X)
