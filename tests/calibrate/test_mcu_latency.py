"""Latency on processors: strange rows, what falls back to what, and published rows that took no part."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path

import numpy as np
import pytest

from workbench.calibrate import layer_rows, store
from workbench.calibrate.families import mcu_latency
from workbench.calibrate.family import Sample, Split
from workbench.calibrate.mcu_model import Facts, Processors, fit_processors, keys, keys_of, load_processors
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.runtimes import runtime
from workbench.calibrate.work import KINDS, Layer, of_layers
from workbench.hardware.costs import Basis
from workbench.validate.cost import FamilyCheck, check_family, figures

CONSTANTS = dict(zip(KINDS, (1.1, 1.3, 2.2, 3.0, 2.5, 10.0, 8.0, 2000.0, 1000.0), strict=True))
"""Cycles of the made-up Cortex-M4 whose rows the quick tests are fitted to."""
SPEEDS = {"cortex-m4": 1.0, "cortex-m7": 0.6, "cortex-m0plus": 5.5}


def facts(core: str = "cortex-m4", device: str = "", ran: str = "X-CUBE-AI 9.0", macs: float = 4e6, deep: float = 0.1) -> Facts:
    layers = [
        Layer("convolution", 1e5, 1e4, 432, 3, 9), Layer("convolution", macs * (1 - deep), macs / 64, macs / 400, 64, 1),
        Layer("depthwise", macs * deep, macs / 90, 500, 1, 9), Layer("fully_connected", 640, 10, 640, 64), Layer("other", elements=64),
    ]  # fmt: skip
    name = f"net {macs:g} {deep:g}"
    return Facts(core, runtime(ran), device or f"a {core}", name, "net", of_layers(layers), 1e8)


def seconds(f: Facts) -> float:
    return SPEEDS[f.core] * sum(n * CONSTANTS[k] for k, n in f.work.counts.items()) / f.clock_hz


@pytest.fixture(scope="module")
def made_up() -> Processors:
    rows = [facts(core, macs=macs, deep=deep) for core in SPEEDS for macs in (5e5, 2e6, 8e6) for deep in (0.05, 0.2)]
    return fit_processors([(f, seconds(f)) for f in rows])


def test_new_networks_and_devices_of_a_known_class(made_up: Processors) -> None:
    for f in (facts(macs=4e6, deep=0.12), facts("cortex-m7", "another one", macs=4e6), facts(ran="X-CUBE-AI 42.0")):
        assert made_up.seconds(f) == pytest.approx(seconds(f), rel=0.05)


def test_basis_says_what_is_known(made_up: Processors) -> None:
    ran = runtime("X-CUBE-AI 9.0")
    assert made_up.basis("cortex-m4", ran, "a cortex-m4") == "same device and runtime"
    assert made_up.basis("cortex-m4", ran, "another one") == "same core class"
    assert (
        made_up.basis("cortex-m33", ran, "another one")
        == made_up.basis("cortex-m4", runtime("new"), "a cortex-m4")
        == "assumed"
    )


def test_constants_of_less_known_targets_are_less_sure(made_up: Processors) -> None:
    ran = runtime("X-CUBE-AI 9.0")
    spreads = [
        np.mean(made_up.spread(keys_of(core, of, device)))
        for core, of, device in (
            ("cortex-m4", ran, "a cortex-m4"), ("cortex-m4", ran, "?"), ("cortex-m4", runtime("new"), "?"),
            ("rxv2", runtime("new"), "?"),
        )
    ]  # fmt: skip
    assert spreads == sorted(spreads) and spreads[0] < spreads[-1]


def test_a_processor_without_kernels_for_its_vectors_is_its_scalar_twin() -> None:
    """The reference kernels are plain C: an ESP32-S3 that runs them has the constants of a core without a vector unit."""
    assert keys(facts("xtensa-simd", ran="TFLM without ESP-NN"))["core*"] == "xtensa"
    assert keys(facts("xtensa-simd", ran="TFLM with ESP-NN"))["core*"] == "xtensa-simd"


def test_a_runtime_without_a_version_has_that_of_its_round(tmp_path: Path) -> None:
    """Two rounds of a benchmark are two versions where the text names none (the MVP's kernels got 2 times faster in between)."""
    cells = {**NETWORK, "benchmark": "ic", "model": "ResNet-8", "latency_ms": "3", "macs": "12501632"}
    rows = [{**cells, "runtime": ran, "version": of} for ran in ("Hale", "Hale 1.0") for of in ("v0.7", "v1.0", "")]
    table(tmp_path, "mlperf_tiny.csv", rows)
    found = [keys(s.facts) for s in mcu_latency.samples(Tables(tmp_path)).kept]
    assert [k["version"] for k in found] == ["hale v0.7", "hale v1.0", "hale"] + 3 * ["hale 1.0"]
    assert {k["runtime"] for k in found} == {"hale"}
    assert found[1]["device version"] == "STM32L4R5/hale v1.0"


def test_weights_lie_outside_only_where_there_is_an_inside() -> None:
    large = replace(facts().work, weights=3e6)
    for device, outside in (
        ("STM32H747", True),
        ("ESP32-S3", False),
        ("ESP32", False),
        ("RP2040", False),
        ("i.MX RT1060", False),
    ):
        assert replace(facts(device=device), work=large).outside == outside
    assert not facts(device="STM32H747").outside and not replace(facts("cortex-a7"), work=large).outside


def test_json_gives_the_same_model(made_up: Processors) -> None:
    stored = mcu_latency.Latency(made_up).to_json()
    again = load_processors(json.loads(json.dumps(stored)))
    for f in (facts(), replace(facts(), floats=True, streaming=True), facts("cortex-a76", "unknown", "unknown 7")):
        assert again.seconds(f) == pytest.approx(made_up.seconds(f), rel=1e-3)


NETWORK = {"device": "STM32L4R5", "core": "Cortex-M4", "clock_mhz": "120", "runtime": "X-CUBE-AI 9.0", "precision": "int8"}


def table(folder: Path, name: str, rows: list[Mapping[str, str]]) -> None:
    columns = sorted(
        {c for r in rows for c in r} | {"macs", "latency_ms", "notes", "model", "isa_fpu_npu", "resolution", "params"}
    )
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"model": "x", "macs": "1000"}, "no latency"),
        ({"model": "x", "macs": "1000", "latency_ms": "1", "clock_mhz": ""}, "no clock"),
        ({"model": "x", "latency_ms": "1"}, "neither multiply-accumulates"),
        ({"model": "x", "latency_ms": "1", "macs": "5", "core": "FPGA dataflow"}, "no processor (fpga)"),
        ({"model": "x", "latency_ms": "1", "macs": "5", "core": "Hailo NPU"}, "no processor (npu-hailo)"),
    ],
)
def test_rows_left_out_say_why(cells: dict[str, str], reason: str, tmp_path: Path) -> None:
    table(tmp_path, "tinyengine_h743.csv", [{**NETWORK, **cells}])
    found = mcu_latency.samples(Tables(tmp_path))
    assert not found.kept and reason in found.left_out[0][1]


def test_strange_rows_are_predicted_or_named(made_up: Processors, tmp_path: Path) -> None:
    """Unknown words in every column: a prediction that is a number, or a reason."""
    words = ("", "?", "ein Gerät (2040) v3.1-rc", "0", "RISC-V + NPU", "Cortex-M99", "x" * 400, "\u4f60\u597d", "1x1x1", "none")
    rows = [
        {**NETWORK, "latency_ms": "3", "macs": macs, **dict.fromkeys(chosen, word)}
        for word in words
        for chosen in (
            ("device",),
            ("core",),
            ("runtime",),
            ("model", "resolution"),
            ("precision", "notes"),
            ("device", "core", "runtime"),
        )
        for macs in ("1e6", "")
    ]
    for name in mcu_latency.NETWORK_TABLES:
        table(tmp_path, name, rows)
    columns = ("op", "kernel_variant", "in_shape", "w_shape")
    table(tmp_path, layer_rows.TABLE, [{**NETWORK, "us": "5", "macs": "9", **dict.fromkeys(columns, w)} for w in words])
    found = mcu_latency.samples(Tables(tmp_path))
    model = mcu_latency.Latency(made_up)
    assert len(found.kept) + len(found.left_out) == len(mcu_latency.NETWORK_TABLES) * len(rows) + len(words)
    assert all(isfinite(model.predict(s)) and model.predict(s) > 0 for s in found.kept) and all(
        why for _, why in found.left_out
    )


@pytest.mark.parametrize(
    ("cells", "counts"),
    [
        ({"op": "conv1x1", "in_shape": "24x24x16", "w_shape": "32x1x1x16", "out_shape": "24x24x32", "macs": "294912"},
         {"pointwise": 294912, "output": 18432, "layer": 1, "inference": 0}),
        ({"op": "dw", "in_shape": "24x24x32", "w_shape": "1x3x3x32", "out_shape": "12x12x32", "macs": "41472"},
         {"depthwise": 41472, "output": 4608}),
        ({"op": "convolution", "in_shape": "10x10x3", "w_shape": "64x3x3x3", "out_shape": "8x8x64", "macs": "110592"},
         {"shallow": 110592 * 4 / 3, "output": 4096}),
        ({"op": "fully connected", "in_shape": "271", "out_shape": "3", "macs": "813"}, {"fully_connected": 813, "output": 3}),
        ({"op": "max pool", "notes": "input(16,16), filter (1x3x3x16)"}, {"element": 4096}),
        ({"op": "softmax", "notes": "h: 8, w: 32"}, {"element": 256}),
    ],
)  # fmt: skip
def test_layers_are_counted_in_the_kinds_of_networks(cells: dict[str, str], counts: dict[str, float]) -> None:
    found = layer_rows.facts_of(
        Row(layer_rows.TABLE, 2, {"clock_mhz": "125", "core": "Cortex-M0+", "kernel_variant": "v", **cells})
    )
    assert isinstance(found, Facts)
    assert {k: found.work.counts[k] for k in counts} == counts


@pytest.fixture(scope="module")
def checked(ground_truth: Path) -> FamilyCheck:
    return check_family(mcu_latency.FAMILY, Tables(ground_truth))


@pytest.mark.parametrize(
    ("split", "bases", "quantity", "median", "p90"),
    [
        ("network", mcu_latency.KNOWN, "latency_s", 0.10, 0.28),
        ("device", mcu_latency.ALIKE, "latency_s", 0.13, 0.30),
        ("network", mcu_latency.KNOWN, "layer_s", 0.10, 1.0),
    ],
)
def test_published_rows_that_took_no_part(
    checked: FamilyCheck, split: Split, bases: tuple[Basis, ...], quantity: str, median: float, p90: float
) -> None:
    """What cross-validation reaches (docs/cost-accuracy.md), so that a change that loses it is seen."""
    found = figures([c for c in checked.of(split, quantity) if c.prediction.basis in bases])
    assert found is not None and found.rows > 100
    assert found.median <= median and found.p90 <= p90 and found.gain > 0.3


def test_every_published_row_is_predicted_or_named(checked: FamilyCheck, ground_truth: Path) -> None:
    samples = mcu_latency.samples(Tables(ground_truth))
    rows = sum(len(Tables(ground_truth).rows(name)) for name in mcu_latency.FAMILY.tables)
    assert len(samples.kept) + len(samples.left_out) == rows
    assert {c.sample.row.where for c in checked.checked} == {s.row.where for s in samples.kept}


def test_the_stored_fit_is_that_of_the_published_rows(ground_truth: Path) -> None:
    kept: tuple[Sample, ...] = mcu_latency.samples(Tables(ground_truth)).kept
    again, stored = mcu_latency.fit(kept), store.load("mcu_latency").full
    assert max(abs(np.log(again.predict(s) / stored.predict(s))) for s in kept) < 0.01
