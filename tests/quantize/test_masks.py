"""Masks of attention: where they may be, what ranges hold of them, what narrow types store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.loaders.onnx_cases import load, model, node, rand
from workbench.api import emulate
from workbench.execute import run_reference
from workbench.graph.ir import Graph
from workbench.metrics.basic import sqnr_db
from workbench.quantize.calibrate import calibrate
from workbench.quantize.masks import FROM, MARGIN, find_masks
from workbench.quantize.ranges import BINS, Observed

LOW = {"infinite": -np.inf, "lowest": float(np.finfo(np.float32).min), "BERT": -10000.0}


def scores(folder: Path, low: float, shown: bool = False) -> Graph:
    """softmax(x + mask) z, the mask a constant; `shown`: the sum is an output too."""
    nodes = [node("Add", "x m", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p z", "y")]
    mask = np.where(np.tri(5) > 0, 0.0, low).astype(np.float32)
    return load(model(nodes, {"x": ("N", 5, 5), "z": ("N", 5, 3)}, {"m": mask}, ("y", "s") if shown else ("y",)), folder)


@pytest.mark.parametrize("low", LOW.values(), ids=LOW)
def test_range_of_scores_ends_below_the_lowest_that_is_no_mask(low: float, tmp_path: Path) -> None:
    graph = scores(tmp_path, low)
    feed = {"x": rand(8, 5, 5, low=-3.0, high=3.0), "z": rand(8, 5, 3)}
    seen = calibrate(graph, feed).observed["s"]
    kept = feed["x"][:, np.tri(5) > 0]
    assert seen.low == pytest.approx(kept.min() - MARGIN)
    assert seen.high == pytest.approx(kept.max())


def test_scores_that_others_read_keep_their_range(tmp_path: Path) -> None:
    feed = {"x": rand(8, 5, 5), "z": rand(8, 5, 3)}
    graph = scores(tmp_path, -1e6, shown=True)
    assert not find_masks(graph).way
    assert calibrate(graph, feed).observed["s"].low < -1e5


def test_numbers_above_the_masks_are_nobody_s_mask(tmp_path: Path) -> None:
    feed = {"x": rand(8, 5, 5), "z": rand(8, 5, 3)}
    graph = scores(tmp_path, FROM + 10)
    assert calibrate(graph, feed).observed["s"].low < FROM + 12


@pytest.mark.parametrize("low", LOW.values(), ids=LOW)
@pytest.mark.parametrize(("profile", "plan", "error"), [("x86-vnni-onnxruntime", "w8a8", 0.05), ("nvidia-h100", "fp16", 2e-3)])
def test_what_is_masked_has_no_share_in_narrow_types(low: float, profile: str, plan: str, error: float, tmp_path: Path) -> None:
    graph = scores(tmp_path, low)
    feed = {"x": rand(8, 5, 5, low=-3.0, high=3.0), "z": rand(8, 5, 3)}
    want = run_reference(graph, feed)["y"]
    got = emulate(graph, feed, profile, plan, calibration=feed)["y"].astype(np.float32)
    np.testing.assert_allclose(got, want, rtol=0, atol=error * float(np.abs(want).max()))
    other = {**feed, "z": feed["z"].copy()}
    other["z"][:, 3:] += 1.0 - 2 * (other["z"][:, 3:] > 0)  # the first three queries do not see the last two keys
    again = emulate(graph, other, profile, plan, calibration=feed)["y"].astype(np.float32)
    np.testing.assert_array_equal(again[:, :3], got[:, :3])


def given_mask(folder: Path) -> Graph:
    """softmax(x + (m - 1) * 10000) z, as exporters of BERT write a mask that is an input; the mask serves two layers."""
    nodes = [
        node("Sub", "m one", "m1"), node("Mul", "m1 far", "m2"), node("Identity", "m2", "m3"), node("Add", "x m3", "s"),
        node("Softmax", "s", "p", axis=-1), node("MatMul", "p z", "h"), node("MatMul", "h w", "v"), node("Add", "v m3", "t"),
        node("Softmax", "t", "r", axis=-1), node("MatMul", "r z", "y"),
    ]  # fmt: skip
    constants = {"one": np.float32(1), "far": np.float32(10000), "w": rand(3, 5, low=-4.0, high=4.0)}
    return load(model(nodes, {"x": ("N", 5, 5), "z": ("N", 5, 3), "m": ("N", 5, 5)}, constants), folder)


@pytest.mark.parametrize(
    "profile", ["x86-litert-reference", "x86-litert-builtin", "x86-litert-xnnpack", "x86-vnni-onnxruntime"]
)
@pytest.mark.parametrize("kind", ["infinite", "BERT", "input"])
def test_a_mask_saturates_integer_scores_on_every_target(kind: str, profile: str, tmp_path: Path) -> None:
    """A mask whose scale is far above that of the sum would overflow the 16 bits that some additions have between."""
    feed = {"x": rand(40, 5, 5, low=-3.0, high=3.0), "z": rand(40, 5, 3, seed=1)}
    if kind == "input":
        graph = given_mask(tmp_path)
        feed["m"] = (rand(40, 5, 5, seed=2) > -0.4).astype(np.float32)
        feed["m"][:, :, 0] = 1.0
    else:
        graph = scores(tmp_path, LOW[kind])
    want = run_reference(graph, feed)["y"]
    got = emulate(graph, feed, profile, "w8a8", calibration=feed)["y"].astype(np.float64)
    assert sqnr_db(float((want.astype(np.float64) ** 2).sum()), float(((got - want) ** 2).sum())) >= 25


def test_numbers_below_the_new_end_of_a_range_move_to_it() -> None:
    counts = np.zeros(BINS, np.int64)
    counts[[0, BINS // 2, BINS - 1]] = 7, 2, 5
    seen = Observed(-10000.0, 4.0, counts).above(-6000.0)
    assert (seen.low, seen.high, seen.counts.sum(), seen.counts[0], seen.counts[-1]) == (-6000.0, 4.0, 14, 7, 5)
    assert seen.above(-7000.0) is seen
