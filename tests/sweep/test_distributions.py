"""Distributions and ranges against loops over single values, and neighbours in rank against counted samples."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.evaluate.cases import dataset, lowering
from tests.report.sample import target
from workbench.execute import run_reference
from workbench.hardware import load_profile
from workbench.metrics import METRICS
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering
from workbench.statistics.power import rounded
from workbench.study.selection import cannot_tell
from workbench.sweep.distributions import BINS, Distribution, FormatRange, distributions
from workbench.sweep.neighbours import rank_neighbours

FORMATS = ("w8a8", "w4a8", "w2a8")


def found(samples: int = 40) -> dict[tuple[str, str], Distribution]:
    plans = {f: PrecisionPlan.of(f) for f in FORMATS}
    return {(d.layer, d.kind): d for d in distributions(lowering(), dataset(samples), plans)}


def test_histograms_count_every_value_of_the_reference_once() -> None:
    low, data = lowering(), dataset(40)
    values = run_reference(low.graph, {low.graph.inputs[0]: data.inputs}, keep_all=True)
    for (layer, kind), d in found().items():
        node = low.graph.node(layer)
        x = values[node.outputs[0]] if kind == "activations" else low.graph.tensors[node.inputs[1]].data
        assert x is not None
        assert d.counts.sum() == x.size
        assert (d.edges[0], d.edges[-1]) == (x.min(), x.max())
        inside = [int(((x >= a) & (x < b)).sum()) for a, b in zip(d.edges[:-1], d.edges[1:], strict=True)]
        inside[-1] += int((x == d.edges[-1]).sum())
        assert len(inside) == BINS
        assert inside == d.counts.tolist()


def test_ranges_of_weights_are_those_of_the_stored_numbers() -> None:
    """Each weight is rounded on its own with Python numbers; ends are scale times the first and last integer of the type."""
    low = lowering()
    for fmt, bits in (("w8a8", 8), ("w4a8", 4), ("w2a8", 2)):
        graph = low.quantized(PrecisionPlan.of(fmt))
        for layer in low.layers:
            stored = graph.tensors[graph.node(layer).inputs[1]]
            real = low.graph.tensors[low.graph.node(layer).inputs[1]].data
            assert stored.data is not None and stored.quant is not None and real is not None
            axis = stored.quant.axis
            zeros = sum(
                1
                for q, w in zip(stored.data.reshape(-1).tolist(), real.reshape(-1).tolist(), strict=True)
                if q == 0 and w != 0.0
            )
            scales = stored.quant.scale.astype(float)
            bottom = -(2 ** (bits - 1)) if bits == 2 else 1 - 2 ** (bits - 1)
            got = found(8)[layer, "weights"].ranges[fmt]
            assert axis is not None
            assert got.vanished == zeros / real.size
            assert (got.low, got.high) == (
                pytest.approx(bottom * scales.max()),
                pytest.approx((2 ** (bits - 1) - 1) * scales.max()),
            )
            assert got.narrow_high == pytest.approx((2 ** (bits - 1) - 1) * scales.min())
            assert got.step == pytest.approx(float(np.median(scales)))
            assert got.levels == 2 ** (bits - 1) - bottom
            assert got.clipped == 0.0  # scales are those of the largest magnitudes


def test_activations_beyond_the_calibrated_range_are_counted_as_clipped() -> None:
    low, data = lowering(), dataset(40)
    louder = replace(data, inputs=data.inputs * np.float32(3.0))
    plans = {"w8a8": PrecisionPlan.of("w8a8")}
    shown = {(d.layer, d.kind): d for d in distributions(low, louder, plans)}
    values = run_reference(low.graph, {low.graph.inputs[0]: louder.inputs}, keep_all=True)
    some = 0
    for layer in low.layers:
        name = low.graph.node(layer).outputs[0]
        quant = low.quantized(plans["w8a8"]).tensors[name].quant
        assert quant is not None
        scale, zero = quant.scalar
        codes = values[name].astype(np.float64) / float(scale) + zero
        beyond = int(((codes < -128.5) | (codes > 127.5)).sum())
        some += beyond
        assert shown[layer, "activations"].ranges["w8a8"].clipped == beyond / values[name].size
    assert some > 0


def test_a_format_is_shown_for_the_layers_that_have_it() -> None:
    mixed = PrecisionPlan.of("w8a8", {"dw2": "w4a8"})
    for d in distributions(lowering(), dataset(8), {"w4a8": mixed}):
        assert list(d.ranges) == (["w4a8"] if d.layer == "dw2" else [])


def test_float16_has_its_own_range_and_spacing() -> None:
    low = lowering()
    shown = distributions(Lowering(low.graph, load_profile("nvidia-h100")), dataset(8), {"fp16": PrecisionPlan.of("fp16")})
    for d in shown:
        one = d.ranges["fp16"]
        assert (one.type, one.low, one.high, one.levels) == ("float16", -65504.0, 65504.0, None)
        real = low.graph.tensors[low.graph.node(d.layer).inputs[1]].data
        if d.kind == "weights" and real is not None:
            rms = np.float16(np.sqrt(np.mean(real.astype(np.float64) ** 2)))
            assert one.step == float(np.spacing(rms))


def test_neighbours_follow_each_other_in_harm_and_are_told_apart_by_counting() -> None:
    t = target("made")
    assert t.baseline is not None
    pairs = rank_neighbours(t.sensitivities, t.metric)
    for fmt in t.formats[1:]:
        mine = [s for s in t.sensitivities if s.format == fmt]
        chain = [n for n in pairs if n.format == fmt]
        order = [chain[0].first, *(n.second for n in chain)]
        assert sorted(order) == sorted(s.group.name for s in mine)
        wrong = {s.group.name: int((~s.record.correct).sum()) for s in mine if s.record.correct is not None}
        assert [wrong[name] for name in order] == sorted(wrong.values(), reverse=True)
        assert [n.rank for n in chain] == list(range(1, len(mine)))
        for n in chain:
            assert n.change.estimate == pytest.approx((wrong[n.second] - wrong[n.first]) / t.baseline.samples)
            assert n.apart == (n.change.high < 0.0 or n.change.low > 0.0)
            if not n.apart and wrong[n.first] != wrong[n.second]:
                assert n.samples is not None and n.samples > t.baseline.samples
    assert any(n.apart for n in pairs)
    assert any(not n.apart for n in pairs)


def test_neighbours_that_differ_by_the_same_on_every_sample_need_more_samples_than_there_are() -> None:
    metric = METRICS["cross_entropy"]

    def fake(name: str, loss: float) -> Any:
        record, change = SimpleNamespace(evidence=np.full((20, 1), loss)), SimpleNamespace(estimate=loss)
        return SimpleNamespace(
            format="w4a8", group=SimpleNamespace(name=name), record=record, change=change, predicted_loss=0.0
        )

    [pair] = rank_neighbours([fake("a", 0.5), fake("b", 0.49)], metric)
    assert (pair.first, pair.apart) == ("a", False)
    assert pair.samples is not None and pair.samples > 20
    assert cannot_tell(metric, [fake("a", 0.5), fake("b", 0.49)]) == (
        f"The data cannot tell `a` in w4a8 and `b` in w4a8 apart; about {rounded(pair.samples)} samples would.",
    )
    [unknown] = rank_neighbours([fake("a", 0.5), fake("b", np.nan)], metric)
    assert (unknown.apart, unknown.samples) == (False, None)
    assert cannot_tell(metric, [fake("a", 0.5), fake("b", np.nan)]) == ()


def test_a_record_of_a_range_compares_by_value() -> None:
    one = found(8)["conv1", "activations"].ranges
    assert isinstance(one["w8a8"], FormatRange)
    assert one["w8a8"] == one["w4a8"]  # both write int8 with the same scale
