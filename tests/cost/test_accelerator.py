"""Accelerators: roofs, memory on the chip, launches; estimates with the shipped profiles against published rows and data sheets."""

from __future__ import annotations

import csv
from dataclasses import replace
from math import isclose
from pathlib import Path

import numpy as np
import pytest

from tests.cost.graphs import activation, dense, weight
from tests.networks import small_cnn
from workbench.cost import CostEstimate, estimate
from workbench.cost.accelerator import outside_terms, roofline, streamed_share
from workbench.cost.counts import layer_work
from workbench.graph.ir import Graph, Node
from workbench.hardware import load_profile
from workbench.hardware.costs import Array, Constant, OnChip
from workbench.loaders import load_model
from workbench.ops import OPS
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate

N6, CORAL, T4, ETHOS = "stm32n6-neural-art", "coral-edgetpu", "nvidia-t4", "ethos-u55-128"


def pointwise(side: int, channels: int, kind: str = "int8", per_channel: bool = True) -> Graph:
    """Return one 1x1 convolution of a square image."""
    scales = channels if per_channel else None
    w = weight("w", (channels, 1, 1, channels), kind, scales)
    tensors = [activation("x", (1, side, side, channels)), w, activation("y", (1, side, side, channels))]
    node = Node("conv", "conv2d", ("x", "w", ""), ("y",), OPS["conv2d"].attrs())
    return Graph("pointwise", (node,), {t.name: t for t in tensors}, ("x",), ("y",))


def constant(value: float) -> Constant:
    return Constant(value=value, basis="assumed", uncertainty=1.0, source="test")


def test_the_roof_is_the_cheapest_multiply_accumulate_and_the_rates_are_those_of_the_profile() -> None:
    profile = load_profile(N6)
    assert profile.costs is not None
    latency = profile.costs.latency
    row = latency.operators["conv2d"][0]
    assert row.mac is not None and latency.flash_bytes_per_cycle is not None
    roofs = roofline(profile, "w8a8")
    assert roofs is not None
    assert isclose(roofs.macs_per_s, profile.clock_hz / row.mac.value)
    assert roofs.bytes_per_s == {"flash": latency.flash_bytes_per_cycle.value * profile.clock_hz}
    assert roofline(profile, "w8a16") is None and roofline(profile.model_copy(update={"costs": None}), "w8a8") is None


def test_no_layer_is_faster_than_its_roof() -> None:
    for name, kind in ((N6, "int8"), (CORAL, "int8"), ("hailo-8", "int8"), ("gap9-ne16", "int8")):
        profile = load_profile(name)
        (row,) = estimate(pointwise(56, 64, kind), profile).layers
        roofs = roofline(profile, "w8a8")
        assert roofs is not None and row.macs / row.latency_s <= roofs.macs_per_s


def test_an_ethos_u_has_the_peak_of_its_name() -> None:
    roofs = roofline(load_profile(ETHOS), "w8a8")
    assert roofs is not None and roofs.macs_per_s == pytest.approx(128 * 500e6, rel=0.1)  # 128 a cycle at 500 MHz


@pytest.mark.parametrize(
    ("kept", "weights", "share"), [(0, 100, 1.0), (100, 100, 0.0), (40, 100, 0.6), (500, 100, 0.0), (50, 0, 1.0)]
)
def test_weights_that_stay_on_the_chip_are_not_read_again(kept: int, weights: int, share: float) -> None:
    assert streamed_share(OnChip(weight_bytes=kept, source="test"), weights) == pytest.approx(share)
    assert streamed_share(None, weights) == 1.0


def test_a_network_pays_for_the_weights_beyond_the_chip_only() -> None:
    profile = load_profile(CORAL)
    assert profile.costs is not None and profile.costs.latency.flash_bytes_per_cycle is not None
    rate = profile.costs.latency.flash_bytes_per_cycle.value * profile.clock_hz
    small, large = (estimate(dense(inputs=n, outputs=2000), profile) for n in (2000, 8000))
    assert small.layers[0].memory_s == 0.0
    assert large.layers[0].memory_s == pytest.approx((large.flash_bytes - 8_000_000) / rate, rel=1e-3)
    assert large.layers[0].bound == "memory"


def test_activations_cost_outside_only_when_most_of_them_are_there() -> None:
    chip = OnChip(activation_bytes=1000, outside=constant(2.0), decompressed=constant(3.0), source="test")
    profile = load_profile(N6)
    assert profile.costs is not None
    latency = profile.costs.latency.model_copy(update={"on_chip": chip})

    def cycles(kind: str, peak: int) -> float:
        graph = pointwise(4, 8, kind)
        return sum(t.amount for t in outside_terms(latency, [layer_work(graph, n) for n in graph.nodes], peak))

    assert cycles("int8", 900) == cycles("int8", 2000) == cycles("int4", 2000) == 0.0
    assert cycles("int8", 2500) == 1500 * 2.0 and cycles("int4", 2500) == 1500 * 2.0 * (1 + 3.0)
    assert outside_terms(profile.costs.latency.model_copy(update={"on_chip": None}), [], 10**9) == []


def test_four_bits_are_faster_from_flash_and_slower_when_the_activations_are_outside() -> None:
    profile = load_profile(N6)

    def seconds(side: int, channels: int) -> tuple[float, float]:
        w8, w4 = (estimate(pointwise(side, channels, kind), profile).latency_s for kind in ("int8", "int4"))
        return w8, w4

    inside, outside = seconds(14, 512), seconds(224, 96)
    assert inside[1] < inside[0] and outside[1] > outside[0]


@pytest.mark.parametrize(
    ("side", "inputs", "outputs", "blocks"), [(5, 3, 7, (4, 8, 16)), (8, 64, 65, (1, 1, 64)), (4, 16, 8, (4, 8, 16))]
)
def test_an_array_works_on_whole_blocks(side: int, inputs: int, outputs: int, blocks: tuple[int, int, int]) -> None:
    tensors = [activation("x", (1, side, side, inputs)), weight("w", (outputs, 3, 3, inputs), "int8", outputs),
               activation("y", (1, side, side, outputs))]  # fmt: skip
    node = Node("conv", "conv2d", ("x", "w", ""), ("y",), OPS["conv2d"].attrs(pads=(1, 1, 1, 1)))
    work = layer_work(Graph("conv", (node,), {t.name: t for t in tensors}, ("x",), ("y",)), node)
    pixels, out, into = blocks
    started = [len(range(0, count, block)) * block for count, block in ((side * side, pixels), (outputs, out), (inputs, into))]
    assert (
        work.padded_macs(Array(pixels=pixels, out_channels=out, in_channels=into)) == 9 * started[0] * started[1] * started[2]
    )
    assert work.padded_macs(Array(pixels=1, out_channels=1, in_channels=1)) == work.macs


def test_a_layer_of_few_channels_uses_little_of_an_array() -> None:
    profile = load_profile("max78000")  # 64 input channels at a time
    half = estimate(pointwise(16, 32, per_channel=False), profile).layers[0]
    assert half.macs / half.compute_s == pytest.approx(32 * profile.clock_hz, rel=1e-6)


@pytest.fixture(scope="module")
def lowered() -> tuple[Lowering, CostEstimate]:
    graph = small_cnn()
    x = np.random.default_rng(1).standard_normal((8, 8, 8, 1)).astype(np.float32)
    low = Lowering(graph, load_profile(T4), calibrate(graph, x))
    return low, estimate(low.quantized(PrecisionPlan.of("fp16", {})), low.profile)


def test_on_a_gpu_eight_bits_are_slower_where_launches_are_the_time(lowered: tuple[Lowering, CostEstimate]) -> None:
    low, half = lowered
    mixed = estimate(low.quantized(PrecisionPlan.of("fp16", {"pw3": "w8a8"})), low.profile)
    assert all(row.bound == "overhead" for row in half.layers if row.latency_s)
    assert len(mixed.layers) > len(half.layers) and mixed.latency_s > half.latency_s


def test_on_a_gpu_eight_bits_are_faster_where_arithmetic_is_the_time() -> None:
    profile = load_profile(T4)
    roofs = {fmt: roofline(profile, fmt) for fmt in ("fp16", "fp32", "w8a8")}
    peaks = [found.macs_per_s for found in roofs.values() if found is not None]
    assert len(peaks) == 3 and peaks[2] > peaks[0] > peaks[1]


def test_a_gpu_reaches_less_than_its_peak(ground_truth: Path) -> None:
    with (ground_truth / "gpu_specs.csv").open(newline="") as file:
        specs = {row["gpu"]: row for row in csv.DictReader(file)}
    for name, gpu in ((T4, "T4"), ("nvidia-a100", "A100 SXM 80GB"), ("nvidia-h100", "H100 SXM")):
        profile = load_profile(name)
        for fmt, column in (("fp32", "fp32_tflops"), ("fp16", "fp16_tc"), ("w8a8", "int8_tc_tops")):
            roofs = roofline(profile, fmt)
            assert roofs is not None
            assert 0.1 < roofs.macs_per_s / (float(specs[gpu][column]) * 1e12 / 2) < 1.0
            assert roofs.bytes_per_s["ram"] == pytest.approx(float(specs[gpu]["mem_gb_s"]) * 1e9, rel=0.01)


@pytest.mark.parametrize(("benchmark", "file"), [("ad", "ad01_int8"), ("ic", "ic_resnet8_int8"), ("kws", "kws_ref_int8")])
def test_gap9_is_near_its_published_rows(benchmark: str, file: str, ground_truth: Path, models_dir: Path) -> None:
    with (ground_truth / "mlperf_tiny.csv").open(newline="") as table:
        rows = [r for r in csv.DictReader(table) if "GAP9" in r["device"] and r["benchmark"] == benchmark]
    got = estimate(load_model(models_dir / "mlperf_tiny" / f"{file}.tflite"), load_profile("gap9-ne16"))
    assert rows
    for row in rows:
        assert got.latency_low_s < float(row["latency_ms"]) / 1e3 < got.latency_high_s


def test_a_wider_bus_makes_only_memory_bound_layers_faster() -> None:
    profile = load_profile(N6)
    assert profile.costs is not None
    latency = profile.costs.latency
    faster = latency.model_copy(update={"flash_bytes_per_cycle": constant(1e9)})
    quick = profile.model_copy(update={"costs": profile.costs.model_copy(update={"latency": faster})})
    bound, free = dense(inputs=4096, outputs=1000), replace(pointwise(112, 32), name="maps")
    assert (
        estimate(bound, profile).layers[0].bound == "memory"
        and estimate(bound, quick).latency_s < 0.5 * estimate(bound, profile).latency_s
    )
    assert (
        estimate(free, profile).layers[0].bound == "compute"
        and estimate(free, quick).latency_s > 0.9 * estimate(free, profile).latency_s
    )
