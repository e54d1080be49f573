"""The study of saturation under ONNX Runtime: it loads, pairs saturate in the shipped network, and seven-bit weights cure it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.data import read_arrays
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.overflow import analyse
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate
from workbench.resources import resource_folder
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


def test_seven_bit_weights_cannot_saturate(network: tuple[dict[str, Lowering], Any]) -> None:
    assert np.array_equal(*outputs(network, PrecisionPlan.of("w7a8")))
    lowering = network[0]["x86-avx2-onnxruntime"]
    assert all(report.proven for report in analyse(lowering.program(PrecisionPlan.of("w7a8"))))
    assert not all(report.proven for report in analyse(lowering.program(PrecisionPlan.of("w8a8"))))
    quantized = lowering.quantized(PrecisionPlan.of("w7a8"))
    weights = [t for t in quantized.tensors.values() if t.dtype == "int7"]
    assert len(weights) == len(lowering.layers)
    assert all(t.data is not None and np.abs(t.data.astype(int)).max() == 64 for t in weights)
