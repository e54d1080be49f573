"""The profiles against published rows of their own device and runtime: the sheets say of whole graphs what the fit says of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.runtimes import runtime
from workbench.calibrate.targets import TARGETS
from workbench.cost import estimate
from workbench.hardware import load_profile
from workbench.loaders import load_model

FILES = {"ad": "ad01_int8", "kws": "kws_ref_int8", "ic": "ic_resnet8_int8", "vww": "vww_96_int8"}


def rows_of(ground_truth: Path, name: str) -> list[Row]:
    """Return the rows of MLPerf Tiny of a target, at the clock of its profile (sww: with audio front end)."""
    target, clock = TARGETS[name], load_profile(name).clock_hz
    return [
        row
        for row in Tables(ground_truth).rows("mlperf_tiny.csv")
        if row.device.split(" (")[0] == target.device and runtime(row.runtime) == runtime(target.runtime)
        and row.text("division") == "closed" and row.precision == "int8" and row.network in FILES and row.clock_hz == clock
        and "weights in RAM" not in row.notes
    ]  # fmt: skip


@pytest.fixture(scope="module")
def ratios(ground_truth: Path, models_dir: Path) -> dict[str, list[tuple[float, bool]]]:
    """Profile -> (predicted / measured, inside the interval) of each row."""
    graphs = {key: load_model(models_dir / "mlperf_tiny" / f"{file}.tflite") for key, file in FILES.items()}
    found: dict[str, list[tuple[float, bool]]] = {}
    for name in TARGETS:
        for row in rows_of(ground_truth, name):
            got = estimate(graphs[row.network], load_profile(name))
            inside = got.latency_low_s <= row.latency_s <= got.latency_high_s
            found.setdefault(name, []).append((got.latency_s / row.latency_s, inside))
    return found


def test_profiles_of_measured_boards_are_near_their_rows(ratios: dict[str, list[tuple[float, bool]]]) -> None:
    errors = [abs(ratio - 1) for rows in ratios.values() for ratio, _ in rows]
    assert len(ratios) >= 8 and len(errors) >= 30
    assert np.median(errors) < 0.15 and np.quantile(errors, 0.9) < 0.35


def test_their_intervals_hold_what_was_measured(ratios: dict[str, list[tuple[float, bool]]]) -> None:
    inside = [held for rows in ratios.values() for _, held in rows]
    assert np.mean(inside) >= 0.8  # they took part in the fit: at least what is stated of new ones
