"""Tables of accelerators: facts of names, the sum of many effects, and what it predicts of published rows that took no part."""

from __future__ import annotations

from math import exp, isfinite, log
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from workbench.calibrate import tables_model
from workbench.calibrate.device_constants import device_constants
from workbench.calibrate.device_facts import engine
from workbench.calibrate.effects import Prior
from workbench.calibrate.families import coral, hailo, rockchip, tensorrt
from workbench.calibrate.family import Family, Sample, Split
from workbench.calibrate.folds import cross_validate
from workbench.calibrate.mac_line import Lines
from workbench.calibrate.many_effects import GRID, fit_many_effects, packed, unpacked
from workbench.calibrate.network_facts import facts, guessed_macs, resolution
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.table_facts import table_facts
from workbench.calibrate.tables_model import TablesModel

PUBLISHED_GMACS = {
    "resnet:resnet50-v2-7": 4.09, "mobilenet_v2": 0.30, "vgg16": 15.47, "alexnet": 0.71, "densenet121": 2.83, "swin_tiny": 4.49,
    "efficientnet_b0": 0.39, "convnext_tiny": 4.46, "shufflenet_v2": 0.14, "googlenet": 1.50, "wideresnet50": 11.40,
}  # fmt: skip
"""GFLOPS of torchvision's table of classification weights (which counts multiply-accumulates)."""


def _row(table: str = "made.csv", **cells: str) -> Row:
    return Row(table, 2, cells)


def test_facts_are_those_of_torchvision() -> None:
    for name, gmacs in PUBLISHED_GMACS.items():
        known = facts(name)
        assert known is not None
        assert known.macs / 1e9 == pytest.approx(gmacs, rel=0.04), name


def test_facts_agree_with_what_a_vendor_publishes(ground_truth: Path) -> None:
    """The columns of the Hailo zoo (OPS / 2, parameters) against the counted definitions: other exports, so not the same to a digit."""
    ratios = []
    for row in Tables(ground_truth).rows("hailo_npu.csv"):
        known = facts(row.network, *resolution(row.notes.split("input ")[-1].split(";")[0]))
        if known is not None:
            ratios.append(known.macs / row.macs)
    assert len(ratios) > 150
    assert np.mean([0.8 < r < 1.25 for r in ratios]) > 0.85


def test_macs_grow_with_pixels_and_parameters_do_not() -> None:
    small, large = facts("yolov8n", 320, 320), facts("yolov8n", 640, 640)
    assert small is not None
    assert large is not None
    assert large.macs == pytest.approx(4 * small.macs)
    assert large.params == small.params


def test_a_size_is_not_taken_for_another() -> None:
    sizes = [facts(f"yolov5{size}") for size in "nsmlx"]
    macs = [f.macs for f in sizes if f is not None]
    assert len(macs) == 5
    assert macs == sorted(macs)
    assert facts("no_such_network_7") is None
    assert facts("yolov5xs_wo_spp") is None  # neither x nor s


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("224x224", (224, 224)),
        ("[1, 3, 480, 640]", (480, 640)),
        ("1x3x224", (224, 224)),
        ("1x5x64x2048", (64, 2048)),
        ("x", None),
    ],
)
def test_resolution(text: str, size: tuple[float, float] | None) -> None:
    found = resolution(text)
    assert found == size if size else not any(isfinite(v) for v in found)


def test_guess_of_macs_is_right_to_a_factor_of_two() -> None:
    for name in ("resnet50", "yolov8n", "yolov8m", "regnet_y_800mf", "convnext_tiny", "mobilenet_v2"):
        known = facts(name)
        assert known is not None
        assert 0.5 < guessed_macs(known.params, known.height, known.width) / known.macs < 2, name


def test_engine_of_a_row() -> None:
    one = engine(_row(device="Board (Cortex-A53 1.2GHz x 4)", core="CPU", runtime="ncnn threads=1"), "fp32")
    four = engine(_row(device="Board (Cortex-A53 1.2GHz x 4)", core="CPU", runtime="ncnn threads=8"), "fp32")
    assert (one.kind, one.name) == ("cpu", "cortex-a53")
    assert four.log_rate - one.log_rate == pytest.approx(log(4))  # no more threads than cores
    assert engine(_row(device="T4", core="GPU", runtime="TensorRT"), "int8").kind == "gpu"
    assert engine(_row(device="Samsung Galaxy S25", core="Hexagon NPU", runtime="tflite"), "int8").kind == "npu"


def _made(seed: int = 1, outliers: int = 0) -> tuple[list[dict[tuple[str, str], float]], list[float], dict[str, float]]:
    rng = np.random.default_rng(seed)
    device = {f"d{i}": float(v) for i, v in enumerate(rng.normal(0, 1, 15))}
    network = {f"n{i}": float(v) for i, v in enumerate(rng.normal(0, 1, 20))}
    rows, values = [], []
    for d, a in device.items():
        for n, b in network.items():
            rows.append({("all", ""): 1.0, ("device", d): 1.0, ("network", n): 1.0, ("copy", f"{n}|x"): 1.0})
            values.append(2.0 + a + b + float(rng.normal(0, 0.05)))
    for i in range(outliers):
        values[7 * i] += 3.0
    return rows, values, device


PRIORS = {"all": Prior(0.0, 5.0), "device": Prior(), "network": Prior(), "copy": Prior()}
GUESSES = {"device": 0.5, "network": 0.5, "copy": 0.5}


@pytest.mark.parametrize("outliers", [0, 15])
def test_many_effects_find_the_truth_past_outliers(outliers: int) -> None:
    rows, values, truth = _made(outliers=outliers)
    found = fit_many_effects(rows, values, PRIORS, GUESSES)
    for d, a in truth.items():
        wanted = a - truth["d0"]
        assert found.values["device", d] - found.values["device", "d0"] == pytest.approx(wanted, abs=0.08)
    assert not any(kind == "copy" for kind, _ in found.values)  # another name for `network`


def test_packed_effects_come_back() -> None:
    found = fit_many_effects(*_made()[:2], PRIORS, GUESSES)
    again = unpacked(packed(found))
    for effect, value in found.values.items():
        assert again.values.get(effect, 0.0) == pytest.approx(value, abs=0.51 * GRID)
    assert packed(again) == packed(found)


def _samples(count: int, slope: float) -> list[Sample]:
    made = []
    for i in range(count):
        row = _row(device="T4", core="GPU", runtime="TensorRT", precision="int8", model=f"net{i}", macs=str(1e9 * 2**i))
        known = table_facts(row)
        made.append(Sample(row, "latency_s", 1e-3 * 2 ** (slope * i), "T4", known.runtime, known.network, "g", known))
    return made


@pytest.mark.parametrize("slope", [1.0, 0.5])
def test_line_in_macs_is_exact_where_latency_is_one(slope: float) -> None:
    samples = _samples(6, slope)
    line = Lines.fit(samples)
    assert all(line.predict(s) == pytest.approx(s.measured, rel=1e-6) for s in samples)
    assert Lines.load(line.to_json()).predict(samples[0]) == pytest.approx(samples[0].measured, rel=0.05)


def _errors(family: Family, samples: list[Sample], split: Split) -> tuple[float, float]:
    own, naive = [], []
    for fold in cross_validate(family, samples, split):
        for i in fold.left_out:
            base = fold.fitted.baseline(samples[i])
            if base is not None:
                own.append(abs(fold.fitted.predict(samples[i]) / samples[i].measured - 1))
                naive.append(abs(base / samples[i].measured - 1))
    return median(own), median(naive)


@pytest.mark.parametrize("family", [hailo.FAMILY, rockchip.FAMILY, coral.FAMILY, tensorrt.FAMILY], ids=lambda f: f.name)
@pytest.mark.parametrize("split", ["network", "device"])
def test_better_than_macs_alone_on_rows_that_took_no_part(ground_truth: Path, family: Family, split: Split) -> None:
    samples = list(family.samples(Tables(ground_truth)).kept)
    own, naive = _errors(family, samples, split)
    assert own <= 0.7 * naive


STRANGE = (
    {"model": "", "precision": "", "runtime": "", "core": "", "device": "?|?"},
    {"model": "a|b:c (0x0)", "macs": "0", "params": "0", "runtime": "ncnn threads=0", "core": "CPU", "device": "x 0 GHz x 0"},
    {
        "model": "Ünet",
        "params": "-3Q",
        "layers": "0",
        "npu_layers": "7",
        "device": "T4 | T4",
        "core": "GPU",
        "precision": "int3",
    },
    {"model": "resnet50", "macs": "1e30", "params": "9B", "input_resolution": "1x1x1x99999999", "core": "Hexagon NPU"},
)


@pytest.fixture(scope="module")
def fitted() -> TablesModel:
    return tables_model.fit(_samples(6, 0.8))


@pytest.mark.parametrize("cells", STRANGE)
def test_strange_rows_are_predicted(fitted: TablesModel, cells: dict[str, str]) -> None:
    row = _row(**cells)
    known = table_facts(row)
    sample = Sample(row, "latency_s", 1.0, row.device, known.runtime, known.network, "g", known)
    assert 0 < fitted.predict(sample) < exp(20)
    again = tables_model.load(fitted.to_json())
    assert again.predict(sample) == pytest.approx(fitted.predict(sample), rel=0.1)
    tables_model.load(tables_model.fit([*_samples(4, 1.0), sample]).to_json())


def test_basis_says_what_was_seen(fitted: TablesModel) -> None:
    def basis(**cells: str) -> str:
        row = _row(model="net1", precision="int8", runtime="TensorRT", **cells)
        known = table_facts(row)
        return fitted.basis(Sample(row, "latency_s", 1.0, row.device, known.runtime, "net1", "g", known))

    assert basis(device="T4", core="GPU") == "same device and runtime"
    assert basis(device="B7", core="GPU") == "same core class"
    assert basis(device="Hailo-8", core="Hailo NPU") == "assumed"


def test_throughput_and_missing_latencies(tmp_path: Path) -> None:
    (tmp_path / "hailo_npu.csv").write_text(
        "device,core,model,macs,latency_ms,notes\n"
        "Hailo-8,Hailo NPU,a,1e9,1.0,from FPS batch 1\nHailo-8,Hailo NPU,b,1e9,2.0,\n"
        "Hailo-8,Hailo NPU,c,1e9,,\nHailo-8,Hailo NPU,d,1e9,3,SUSPECT\n"
    )
    found = hailo.FAMILY.samples(Tables(tmp_path))
    assert [s.quantity for s in found.kept] == ["throughput_period_s", "latency_s"]
    assert found.kept[0].runtime != found.kept[1].runtime
    assert [why for _, why in found.left_out] == ["no latency", "marked SUSPECT by the source"]


def test_constants_of_a_gpu_stay_below_its_data_sheet(ground_truth: Path) -> None:
    model = tables_model.fit(tensorrt.FAMILY.samples(Tables(ground_truth)).kept)
    cells = {"device": "T4", "core": "GPU", "isa_fpu_npu": "tensor cores", "runtime": "TensorRT"}
    found = device_constants(model, cells, ("fp32", "fp16", "int8"))
    peaks = {"fp32": 8.1e12 / 2, "fp16": 65e12 / 2, "int8": 130e12 / 2}  # multiply-accumulates a second: gpu_specs.csv
    rates = {p: 1 / c.mac_s for p, c in found.items()}
    assert all(rates[p] < peak for p, peak in peaks.items())
    assert rates["fp32"] < rates["fp16"] < rates["int8"]
    assert all(c.fixed_s >= 0 and c.log_sd > 0 and c.basis == "same device and runtime" for c in found.values())
