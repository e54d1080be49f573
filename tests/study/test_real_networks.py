"""Real networks without class labels: anomalies in windows of recordings, pictures without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import workbench as wb
from workbench.study import run_study

TARGET = "stm32l4r5-cortex-m4-tflm"


def spec(name: str, model: Path, calibration: dict[str, Any], evaluation: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {
        "study": name, "model": str(model), "data": {"calibration": calibration, "evaluation": evaluation}, "hardware": [TARGET],
        "formats": {"search": ["w8a8", "w4a8"], "baseline": "w8a8"}, "report": ["csv"],
        "choose": {"minimize": "flash", "subject_to": {"metric_drop": "20 %"}}, **keys,
    }  # fmt: skip


def test_anomalies_of_a_machine_in_windows_of_recordings(tmp_path: Path, models_dir: Path) -> None:
    """MLPerf Tiny's autoencoder: a folder of recordings, the score of each is the mean error of its windows."""
    windows = np.load(models_dir / "data/ad01_one_normal_file.npz")["windows"]
    rng, made = np.random.default_rng(0), []
    for i in range(24):
        kind = "anomaly" if i % 4 >= 2 else "normal"
        x = windows[rng.integers(0, len(windows), 6)] + rng.normal(0, 1, (6, 640)) * (
            1.5 * rng.random() if kind == "anomaly" else 0
        )
        made.append((f"{kind}/{i:02d}.npy", x.astype(np.float32)))
        (tmp_path / "wav" / kind).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "wav" / made[-1][0], made[-1][1])
    np.save(tmp_path / "cal.npy", windows[:64] + np.float32(0.01))
    model = models_dir / "mlperf_tiny/ad01_fp32.tflite"
    evaluation = {"file": str(tmp_path / "wav"), "labels": "folders", "classes": ["normal", "anomaly"]}
    study = spec("ad", model, {"file": str(tmp_path / "cal.npy")}, evaluation, metric="auc")
    study["data"]["confirm"] = 0.0
    (target,) = run_study(study, tmp_path / "out").result.targets
    assert target.baseline is not None and target.baseline.samples == 24 * 6
    calibration = np.load(tmp_path / "cal.npy")
    errors = {}
    for name, x in made:
        (y,) = wb.emulate(model, x, TARGET, "w8a8", calibration=calibration).values()
        errors[name] = float(((y.astype(np.float64) - x) ** 2).mean())
    bad, good = (np.array([v for k, v in errors.items() if k.startswith(kind)]) for kind in ("anomaly", "normal"))
    want = ((bad[:, None] > good) + 0.5 * (bad[:, None] == good)).mean()
    assert target.baseline.metrics["auc"] == pytest.approx(want, rel=1e-12)
    assert "AUC" in target.verdict and target.reference_figure is not None


@pytest.mark.slow
def test_pictures_without_labels_are_judged_by_agreement(tmp_path: Path, models_dir: Path) -> None:
    """MobileNetV1-0.25 on pictures of another size than its input."""
    pictures = np.load(models_dir / "data/vww_fidelity14.npz")["x"]
    for i, pixels in enumerate(pictures):
        for turned, name in ((pixels, "a"), (pixels[:, ::-1], "b")):
            Image.fromarray(turned).resize((120, 110)).save(tmp_path / f"{i:02d}{name}.png")
    source = {"file": str(tmp_path), "preprocess": {"resize": [96, 96], "scale": 1 / 255}}
    study = spec("vww", models_dir / "mlperf_tiny/vww_96_float.tflite", {**source, "count": 8}, {**source, "first": 8})
    (target,) = run_study(study, tmp_path / "out").result.targets
    assert target.metric.name == "agreement" and target.baseline is not None
    assert "agreement with the float reference" in target.verdict
    assert target.baseline.metrics["agreement"] >= 0.8
