"""The export pages show the scripts as they are, and the PyTorch one runs where torch is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from workbench.execute import run_reference
from workbench.loaders import load_model


@pytest.mark.parametrize("kind", ["pytorch", "keras"])
def test_the_page_shows_the_script_that_was_run(kind: str) -> None:
    script = (ROOT / "examples" / f"export_{kind}.py").read_text(encoding="utf-8")
    assert script.rstrip() in (ROOT / "docs" / f"{kind}.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_pytorch_exports_equals_onnx_runtime(tmp_path: Path) -> None:
    for package in ("torch", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extras 'train' and 'verify'")
    import onnxruntime

    script = ROOT / "examples" / "export_pytorch.py"
    subprocess.run([sys.executable, "-W", "ignore", str(script)], cwd=tmp_path, check=True, capture_output=True, timeout=600)
    inputs = {
        "cnn": np.random.default_rng(0).normal(0, 1, (5, 3, 32, 32)).astype(np.float32),
        "encoder": np.random.default_rng(1).integers(0, 100, (5, 16)),
    }
    for name, x in inputs.items():
        session = onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        (want,) = session.run(None, {session.get_inputs()[0].name: x})
        graph = load_model(tmp_path / f"{name}.onnx")
        (got,) = run_reference(graph, {graph.inputs[0]: x}).values()
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
    assert load_model(tmp_path / "encoder_int8.onnx").nodes
