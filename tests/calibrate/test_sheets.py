"""Cost sheets: complete, the same bytes twice, and the ones that the fit in the repository gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from workbench.calibrate.cores import core_class
from workbench.calibrate.fit_constants import Known, Spread, stored
from workbench.calibrate.mcu_model import ALL_KINDS
from workbench.calibrate.mcu_sheets import sheet, write_sheets
from workbench.calibrate.rows import Tables
from workbench.calibrate.targets import TARGETS, Target
from workbench.cost.latency import find_row
from workbench.errors import ProfileError
from workbench.hardware import load_profile
from workbench.hardware.costs import LatencyCosts
from workbench.resources import resource_folder
from workbench.strict_yaml import load_yaml, validate

SHEETS = resource_folder("hw_profiles") / "costs"


class Flat:
    """A fit that says one cycle for everything."""

    def constants(self, target: Target, floats: bool = False) -> Mapping[str, Known]:
        return dict.fromkeys(ALL_KINDS, Known(1.0, 0.1, "same core class"))

    def operator(self, target: Target, op: str) -> Known | None:
        return Known(3.0, 0.2, "same device and runtime") if op == "hard_swish" else None

    def spread(self, target: Target) -> Spread:
        return Spread(0.2, 0.4, f'residuals of "{target.core}"')


def latency(text: str, folder: Path) -> LatencyCosts:
    path = folder / "sheet.yaml"
    path.write_text(text, encoding="utf-8")
    return validate(LatencyCosts, load_yaml(path, ProfileError), str(path), ProfileError)


@pytest.mark.parametrize("name", list(TARGETS))
def test_every_target_is_a_profile_that_names_its_sheet(name: str) -> None:
    raw = load_yaml(resource_folder("hw_profiles") / f"{name}.yaml", ProfileError)
    assert raw["costs"]["latency"]["sheet"] == name and raw["kind"] == "mcu"
    device = TARGETS[name].device.lower().replace("renesas ", "").replace("xg24", "mg24")
    assert name.startswith(device) or name == "cortex-m-cmsis-nn-single-rounding"


def test_core_classes_are_those_of_the_rows(ground_truth: Path) -> None:
    """The class that a target's constants come from is the one that its device's rows were put into."""
    seen = set()
    for table in ("mlperf_tiny.csv", "st_modelzoo_mcu.csv", "espressif_nordic.csv"):
        for row in Tables(ground_truth).rows(table):
            for target in TARGETS.values():
                if row.device.split(" (")[0] == target.device:
                    assert core_class(row.core, row.text("isa_fpu_npu"), row.device) == target.core, row.where
                    seen.add(row.device)
    assert seen >= {"STM32L4R5", "STM32U575", "STM32H7A3", "STM32F746", "STM32H747", "ESP32", "ESP32-S3", "ESP32-P4"}


@pytest.mark.parametrize("name", ["stm32l4r5-cortex-m4-tflm", "esp32-c3-rv32-tflm-espnn", "rp2040-cortex-m0plus-tflm"])
def test_a_sheet_prices_every_operator_in_every_format(tmp_path: Path, name: str) -> None:
    costs = latency(sheet(name, TARGETS[name], Flat()), tmp_path)
    profile = load_profile(name, costs=False)
    for op in profile.operators:
        for fmt in (*profile.formats(op), *profile.operators[op].files):
            find_row(profile, costs, op, fmt)
    assert costs.network_uncertainty == 0.2 and costs.layer.value == 1 and costs.layer.basis == "same core class"
    assert costs.uncertainty_source == "residuals of 'cortex-m4'" or TARGETS[name].core != "cortex-m4"
    int8, four = costs.operators["conv2d"][0], costs.operators["conv2d"][1]
    assert int8.mac is not None and int8.mac.value == 1 and int8.mac.uncertainty == pytest.approx(0.137, abs=1e-3)
    assert four.mac is not None and four.mac.value > 1 and four.mac.basis == "assumed"
    known = costs.operators["hard_swish"][0].element
    assert known is not None and known.value == pytest.approx(3) and known.basis == "same core class"  # the weaker of the two
    assert (costs.memory == "added") == TARGETS[name].external_flash


def test_fully_connected_layers_have_no_kernel_sizes(tmp_path: Path) -> None:
    costs = latency(sheet("stm32l4r5-cortex-m4-xcubeai", TARGETS["stm32l4r5-cortex-m4-xcubeai"], Flat()), tmp_path)
    assert costs.operators["fully_connected"][0].pointwise is None and costs.operators["conv2d"][0].pointwise is not None


def test_software_floats_reach_every_operator(tmp_path: Path) -> None:
    """Without an FPU, float costs more than with one: products, sums, softmax, conversions."""
    hard = latency(sheet("stm32l4r5-cortex-m4-tflm", TARGETS["stm32l4r5-cortex-m4-tflm"], Flat()), tmp_path)
    soft = latency(sheet("stm32g0b1-cortex-m0plus-tflm", TARGETS["stm32g0b1-cortex-m0plus-tflm"], Flat()), tmp_path)
    for op in ("add", "mul", "softmax", "logistic", "max_pool2d", "avg_pool2d", "quantize", "dequantize", "relu", "mean"):
        prices = []
        for costs in (hard, soft):
            row = next(r for r in costs.operators[op] if "fp32" in r.formats or op.endswith("quantize"))
            assert row.element is not None
            prices.append(row.element.value)
        assert prices[1] > prices[0] + 50, op
    copies = [next(r for r in costs.operators["pad"] if "fp32" in r.formats).element for costs in (hard, soft)]
    assert copies[0] is not None and copies[1] is not None and copies[1].value < copies[0].value + 20


def test_the_same_fit_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (write_sheets(Flat(), tmp_path / name) for name in "ab")
    assert [p.stem for p in first] == list(TARGETS)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert all(p.read_text(encoding="utf-8").startswith("# Made by `make calibrate`") for p in first)


@pytest.mark.parametrize("name", list(TARGETS))
def test_sheets_are_what_the_fit_in_the_repository_gives(name: str) -> None:
    assert (SHEETS / f"{name}.yaml").read_text(encoding="utf-8") == sheet(name, TARGETS[name], stored()), "run make calibrate"
