"""The study of saturation under ONNX Runtime: it loads, pairs saturate in the shipped network, and seven-bit weights cure it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.data import read_arrays
from workbench.errors import StudyError
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.overflow import analyse
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate
from workbench.resources import resource_folder
from workbench.study.run import run_study
from workbench.study.spec import load_study

PROFILES = ("x86-vnni-onnxruntime", "x86-avx2-onnxruntime")
STUDIES = resource_folder("studies")


@pytest.fixture(scope="module")
def network() -> tuple[dict[str, Lowering], Any]:
    """Both targets of the shipped network, with scales from its calibration samples, and 200 images."""
    graph = load_model(STUDIES / "models" / "fashion_cnn.onnx")
    data = read_arrays(STUDIES / "data" / "fashion_mnist.npz")
    x, seen = (data[k].astype(np.float32) * np.float32(1 / 255) for k in ("test_x", "calibration_x"))
    calibration = calibrate(graph, {graph.inputs[0]: seen}, False)
    return {p: Lowering(graph, load_profile(p), calibration) for p in PROFILES}, x[:200]


def outputs(network: tuple[dict[str, Lowering], Any], plan: PrecisionPlan) -> list[Any]:
    found = []
    for lowering in network[0].values():
        program = lowering.program(plan)
        found.append(program.run({lowering.graph.inputs[0]: network[1]})[program.outputs[0].name])
    return found


def test_the_study_loads() -> None:
    study, _ = load_study(Path(STUDIES / "onnxruntime-saturation.yaml"))
    assert tuple(study.hardware) == PROFILES


def test_saturation_flips_decisions_and_the_first_layer_alone_is_to_blame(network: tuple[dict[str, Lowering], Any]) -> None:
    exact, saturated = outputs(network, PrecisionPlan.of("w8a8"))
    flips = int((exact.argmax(axis=1) != saturated.argmax(axis=1)).sum())
    assert flips > 0
    mended = outputs(network, PrecisionPlan.of("w8a8", {"conv1": "w7a8"}))
    assert int((mended[0].argmax(axis=1) != mended[1].argmax(axis=1)).sum()) < flips
    assert np.square(mended[0] - mended[1]).sum() < 0.05 * np.square(exact - saturated).sum()


def test_the_study_says_how_many_decisions_flip_and_where(tmp_path: Path) -> None:
    """The section of the report, on the first images and without the search; counted again here from both outputs."""
    study, folder = load_study(Path(STUDIES / "onnxruntime-saturation.yaml"))
    value = study.resolved(folder)
    value["data"]["evaluation"]["count"] = 300
    value["formats"] = {"search": ["w8a8"], "baseline": ["w8a8"]}
    value["sweep"]["layer_error_samples"] = 0
    done = run_study(value, tmp_path)
    (found,) = done.result.comparisons
    (listed,) = json.loads((done.folder / "results.json").read_text())["comparisons"]
    targets = {t.profile.name: t for t in done.result.targets}
    records = [[r.correct for r in (targets[p].baseline, targets[p].baseline_confirm) if r is not None] for p in PROFILES]
    exact, saturated = (np.concatenate([c for c in parts if c is not None]) for parts in records)
    assert (found.a, found.b) == PROFILES
    assert (listed["flips"]["gained"], listed["flips"]["lost"]) == ((~exact & saturated).sum(), (exact & ~saturated).sum())
    shares = {c["switch"]: c["share"]["flips"]["value"] for c in listed["attribution"]["contributions"]}
    flips = len(listed["flips"]["flipped"])
    assert sum(shares.values()) == flips > 0
    assert max(shares, key=lambda name: shares[name]) == "conv1"
    assert f"the class of {flips} of 300 samples flips" in found.verdict
    page = (done.folder / "report.html").read_text()
    assert f"{PROFILES[1]} against {PROFILES[0]}" in page and "What it is due to, by layer" in page


def test_a_pair_of_an_unknown_target_is_refused() -> None:
    study, folder = load_study(Path(STUDIES / "onnxruntime-saturation.yaml"))
    value = study.resolved(folder)
    value["compare"]["pairs"] = [["x86-vnni-onnxruntime", "x86-avx2-onnxruntim"]]
    with pytest.raises(StudyError, match=r"no target of this study. Did you mean 'x86-avx2-onnxruntime'"):
        load_study(value)


def test_seven_bit_weights_cannot_saturate(network: tuple[dict[str, Lowering], Any]) -> None:
    assert np.array_equal(*outputs(network, PrecisionPlan.of("w7a8")))
    lowering = network[0]["x86-avx2-onnxruntime"]
    assert all(report.proven for report in analyse(lowering.program(PrecisionPlan.of("w7a8"))))
    assert not all(report.proven for report in analyse(lowering.program(PrecisionPlan.of("w8a8"))))
    quantized = lowering.quantized(PrecisionPlan.of("w7a8"))
    weights = [t for t in quantized.tensors.values() if t.dtype == "int7"]
    assert len(weights) == len(lowering.layers)
    assert all(t.data is not None and np.abs(t.data.astype(int)).max() == 64 for t in weights)
