"""A small study with something to choose: a dense network of four layers whose classes depend on every layer's bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import workbench as wb
from tests.study import nets

TARGETS = ("stm32l4r5-cortex-m4-tflm", "ethos-u55-128")


def write(folder: Path) -> None:
    """Write tiny.onnx and d.npz: 400 samples, labels of the float network, every ninth wrong."""
    nets.dense(folder / "tiny.onnx", [12, 16, 16, 16, 6])
    x = (4 * np.random.default_rng(1).standard_normal((500, 12))).astype(np.float32)
    y = wb.emulate(folder / "tiny.onnx", x, TARGETS[0], "fp32")["y"].argmax(axis=1)
    y[::9] = (y[::9] + 1) % 6
    np.savez(folder / "d.npz", cal_x=x[:100], cal_y=y[:100], test_x=x[100:], test_y=y[100:])


def study(folder: Path, sweep: Any, **changes: Any) -> dict[str, Any]:
    """Return a study of it. sweep: as in a YAML; the errors of single layers are left out."""
    kind = {"kind": sweep} if isinstance(sweep, str) else sweep
    return {
        "study": "choice", "model": str(folder / "tiny.onnx"),
        "data": {"calibration": f"{folder / 'd.npz'}#cal", "evaluation": f"{folder / 'd.npz'}#test"},
        "hardware": list(TARGETS[:1]), "formats": {"search": ["w8a8", "w4a8", "w2a8"], "baseline": "w8a8"},
        "sweep": {"layer_error_samples": 0, **kind}, "report": ["csv"],
        "choose": {"minimize": "flash", "subject_to": {"top1_drop": "5 %"}}, **changes,
    }  # fmt: skip
