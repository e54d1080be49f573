"""Accelerators: constants found again from totals, physical bounds on those of published rows, sheets as calibrated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench.calibrate import accelerator_sheets, accelerators
from workbench.calibrate.accelerator_targets import KINDS, MACHINES, THROUGHPUT
from workbench.calibrate.accelerators import Fit, Point
from workbench.calibrate.rows import Row, Tables
from workbench.hardware import load_profile
from workbench.resources import resource_folder

MACHINE = replace(MACHINES["coral-edgetpu"], weight_bytes=0)
TRUTH = {"inference": 4e-4, "layer": 8e-6, "element": 4e-11, "weight": 2e-9, "depthwise": 15.0, "mac 0": 1e-12}


def seconds(p: Point) -> float:
    macs = p.macs + TRUTH["depthwise"] * p.depthwise
    moved = TRUTH["element"] * p.elements + TRUTH["weight"] * p.streamed
    return TRUTH["inference"] + TRUTH["layer"] * p.layers + moved + TRUTH["mac 0"] * macs


def made_points(noise: float) -> list[Point]:
    """Return networks of all shapes, timed by the known truth with some noise."""
    rng = np.random.default_rng(5)
    points = []
    for i in range(60):
        macs, share = 10 ** rng.uniform(7, 10.5), rng.choice([0.0, 0.0, 0.08])
        bare = Point(f"net {i}", 0, macs * (1 - share), macs * share, macs / 10 ** rng.uniform(1.5, 2.7), float(rng.integers(10, 200)),
                     float(rng.choice([0.0, 10 ** rng.uniform(6, 8)])), 0.0)  # fmt: skip
        points.append(replace(bare, seconds=seconds(bare) * float(np.exp(noise * rng.standard_normal()))))
    return points


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_a_known_truth_is_found_again_within_the_stated_error(noise: float) -> None:
    fit = accelerators.fit(MACHINE, made_points(noise))
    for name in ("mac 0", "weight", "layer"):
        found = fit.constants[name]
        assert found.basis == "same device and runtime"
        assert abs(np.log(found.value / TRUTH[name])) < 3 * found.sd + 0.05
    assert fit.unseen < 4 * noise + 0.05


def test_one_wild_row_moves_little() -> None:
    points = made_points(0.05)
    plain = accelerators.fit(MACHINE, points)
    wild = accelerators.fit(MACHINE, [replace(points[0], seconds=100 * points[0].seconds), *points[1:]])
    assert wild.constants["mac 0"].value == pytest.approx(plain.constants["mac 0"].value, rel=0.15)


def test_without_rows_that_tell_the_priors_stay_and_say_so() -> None:
    points = [p for p in made_points(0.05) if p.streamed == 0 and p.depthwise == 0]
    fit = accelerators.fit(MACHINE, points)
    for name in ("weight", "depthwise"):
        assert fit.constants[name].basis == "assumed"
        assert fit.constants[name].value == pytest.approx(MACHINE.priors[name][0], rel=0.05)


def test_rows_that_say_nothing_of_the_accelerator_are_no_points(tmp_path: Path) -> None:
    cells = {"device": "Samsung Galaxy S25", "core": "Hexagon NPU", "runtime": "qnn_dlc", "precision": "w8a8", "latency_ms": "1.2",
             "model": "mobilenet_v2", "input_resolution": "224x224", "layers": "70", "npu_layers": "70"}  # fmt: skip
    rows = [cells, {**cells, "npu_layers": "12"}, {**cells, "latency_ms": ""}, {**cells, "precision": "int3"},
            {**cells, "model": "a network of next year"}, {**cells, "device": "Samsung Galaxy S26"}]  # fmt: skip
    text = "\n".join([",".join(cells), *(",".join(r.values()) for r in rows)])
    (tmp_path / "qualcomm_aihub.csv").write_text(text)
    machine = MACHINES["snapdragon-8-elite-hexagon-qnn"]
    (point,) = accelerators.points(machine, Tables(tmp_path))
    assert point.network == "mobilenet_v2" and point.macs + point.depthwise == pytest.approx(
        301e6, rel=0.02
    )  # torchvision: 0.30 G
    assert accelerators.fits(Tables(tmp_path)).keys() == {"snapdragon-8-elite-hexagon-qnn"}


def test_machines_name_profiles_whose_formats_they_price() -> None:
    for name, machine in MACHINES.items():
        profile = load_profile(name, costs=False)
        assert set(machine.priors) == set(KINDS)
        for form in machine.formats:
            assert set(form.formats) <= set(profile.formats("conv2d"))
            assert set(form.plain) <= set(profile.formats("add"))
        assert machine.owns(Row(machine.table, 2, {})) is False


@pytest.fixture(scope="module")
def fits(ground_truth: Path) -> dict[str, Fit]:
    return accelerators.fits(Tables(ground_truth))


def test_no_machine_beats_its_data_sheet(fits: dict[str, Fit]) -> None:
    macs_per_s = {  # half of the TOPS that the vendors state for 8 bits
        "coral-edgetpu": 2e12, "hailo-8": 13e12, "rk3588-npu": 1e12, "qcs8550-hexagon-tflite": 24e12, "nvidia-t4": 65e12,
    }  # fmt: skip
    for name, peak in macs_per_s.items():
        index = next(i for i, f in enumerate(MACHINES[name].formats) if "w8a8" in f.formats)
        assert 1 / fits[name].constants[f"mac {index}"].value < peak
    assert 1 / fits["coral-edgetpu"].constants["weight"].value < 625e6  # USB 3.0: 5 Gbit/s


def test_throughput_is_called_throughput(ground_truth: Path) -> None:
    for machine in MACHINES.values():
        rows = [row for row in Tables(ground_truth).rows(machine.table) if machine.owns(row)]
        assert rows and (machine.remark == THROUGHPUT) == any(row.from_throughput for row in rows)


def test_sheets_are_what_calibrate_writes(ground_truth: Path, tmp_path: Path) -> None:
    written = accelerator_sheets.write_sheets(Tables(ground_truth), tmp_path)
    assert {p.stem for p in written} >= {*MACHINES, accelerator_sheets.N6, "nvidia-a100", "nvidia-h100"}
    for path in written:
        shipped = resource_folder("hw_profiles") / "costs" / path.name
        assert path.read_text() == shipped.read_text(), "run make calibrate"
