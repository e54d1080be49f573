"""Estimates on every shipped microcontroller: finite, in the order of their cores, and able to say that fewer bits are slower."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import numpy as np
import pytest

from tests.cost.graphs import activation, dense, weight
from workbench.cost import estimate, support
from workbench.graph.ir import Graph, Node
from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.loaders import load_model
from workbench.ops import OPS
from workbench.tensor import QuantParams

NETWORKS = {"ad": "ad01_int8", "kws": "kws_ref_int8", "ic": "ic_resnet8_int8", "vww": "vww_96_int8", "sww": "sww_int8"}
FLOAT = {"ad": "ad01_fp32", "kws": "kws_ref_float32", "ic": "ic_resnet8_float32", "vww": "vww_96_float"}


def priced(kind: str) -> list[str]:
    return [n for n in list_profiles() if (p := load_profile(n)).kind == kind and p.costs is not None]


def cycles_per_mac(graph: Graph, name: str) -> float:
    profile = load_profile(name)
    got = estimate(graph, profile)
    return got.latency_s * profile.clock_hz / got.macs


def convolution(weights: str, channels: int = 32, side: int = 16) -> Graph:
    """Return one 3x3 convolution of int8 activations with weights of a width."""
    w = weight("w", (channels, 3, 3, channels), weights, channels)
    bias = activation("b", (channels,), "int32")
    constant = type(bias)("b", (channels,), "int32", QuantParams.per_tensor(0.125), np.zeros(channels, np.int32))
    tensors = [activation("x", (1, side, side, channels)), w, constant, activation("y", (1, side, side, channels))]
    node = Node("conv", "conv2d", ("x", "w", "b"), ("y",), OPS["conv2d"].attrs(pads=(1, 1, 1, 1)))
    return Graph("conv", (node,), {t.name: t for t in tensors}, ("x",), ("y",))


def test_there_are_thirty_profiles_and_the_boards_that_were_asked_for() -> None:
    names = list_profiles()
    assert len(names) >= 30
    for part in (
        "stm32l4r5-cortex", "stm32l4r5-smps", "stm32u575", "stm32h7a3", "stm32f746", "stm32h747", "nrf5340", "ra8d1", "rx65n",
        "stm32g0b1", "rp2040", "esp32-lx6", "esp32-s3", "esp32-p4", "esp32-c3", "efr32mg24",
    ):  # fmt: skip
        assert any(name.startswith(part) for name in names), part


@pytest.fixture(scope="module")
def networks(models_dir: Path) -> dict[str, Graph]:
    return {key: load_model(models_dir / "mlperf_tiny" / f"{file}.tflite") for key, file in NETWORKS.items()}


@pytest.mark.parametrize("name", priced("mcu"))
def test_the_five_networks_cost_a_finite_and_positive_time(networks: dict[str, Graph], name: str) -> None:
    profile = load_profile(name)
    for key, graph in networks.items():
        if support(graph, profile):
            continue
        got = estimate(graph, profile)
        assert isfinite(got.latency_s) and 1e-5 < got.latency_s < 60, key
        assert got.latency_low_s < got.latency_s < got.latency_high_s < 40 * got.latency_low_s, key
        assert isfinite(got.energy_j) and got.energy_j > 0
        assert all(isfinite(row.latency_s) and row.latency_s >= 0 for row in got.layers)


LADDERS = [
    ("rp2040-cortex-m0plus-tflm", "stm32l4r5-cortex-m4-tflm", "stm32f746-cortex-m7-tflm", "ra8d1-cortex-m85-tflm"),
    ("stm32g0b1-cortex-m0plus-tflm", "nrf5340-cortex-m33-tflm", "ra8d1-cortex-m85-tflm"),
    ("stm32l4r5-cortex-m4-tflm", "stm32l4r5-cortex-m4-xcubeai"),
    ("esp32-c3-rv32-tflm-espnn", "esp32-s3-tflm-espnn"),
    ("esp32-lx6-tflm-espnn", "esp32-s3-tflm-espnn"),
    ("stm32l4r5-cortex-m4-tflm", "efr32mg24-mvp-tflm"),
    ("stm32l4r5-cortex-m4-xcubeai", "stm32h7a3-cortex-m7-xcubeai", "ethos-u55-128"),
]
"""Slower to faster at one clock, as their cores and kernels say."""


@pytest.mark.parametrize("ladder", LADDERS, ids=lambda names: " > ".join(n.split("-")[0] for n in names))
def test_cores_stand_in_their_order_at_one_clock(networks: dict[str, Graph], ladder: tuple[str, ...]) -> None:
    for key in ("kws", "ic", "vww"):
        got = [cycles_per_mac(networks[key], name) for name in ladder]
        assert got == sorted(got, reverse=True), (key, dict(zip(ladder, got, strict=True)))


def latency(graph: Graph, profile: HardwareProfile) -> float:
    return estimate(graph, profile).latency_s


@pytest.mark.parametrize("name", ["stm32l4r5-cortex-m4-tflm", "stm32g0b1-cortex-m0plus-tflm", "nrf5340-cortex-m33-tflm"])
def test_narrower_weights_are_slower_where_they_are_taken_apart(name: str) -> None:
    profile = load_profile(name)
    assert latency(convolution("int4"), profile) > latency(convolution("int8"), profile)
    assert latency(convolution("int2"), profile) > latency(convolution("int8"), profile)


def test_narrower_weights_are_faster_where_they_come_from_a_slow_flash_and_are_used_once() -> None:
    """STM32N6: a fully connected layer waits for the bytes of its weights, which the unit unpacks as they come."""
    profile = load_profile("stm32n6-neural-art")
    layer = {kind: dense(kind, inputs=640, outputs=128) for kind in ("int8", "int4")}
    assert latency(layer["int4"], profile) < 0.8 * latency(layer["int8"], profile)


def test_what_narrow_weights_cost_depends_on_how_often_they_are_read() -> None:
    """RP2040: the flash outside gives back on each weight what taking it apart costs, but only where it is used once."""
    profile = load_profile("rp2040-cortex-m0plus-tflm")
    matrix = {kind: dense(kind, per_channel=False, inputs=640, outputs=128) for kind in ("int8", "int4")}
    conv = {kind: convolution(kind) for kind in ("int8", "int4")}
    ratio = {
        name: latency(g["int4"], profile) / latency(g["int8"], profile) for name, g in (("matrix", matrix), ("conv", conv))
    }
    assert ratio["matrix"] < 1.15 < 1.3 < ratio["conv"]


def test_a_library_without_kernels_for_narrow_weights_falls_back_to_slow_ones() -> None:
    """ESP-NN has none: TFLM unpacks 4-bit weights and runs its reference kernel, some ten times slower than the vector unit."""
    profile = load_profile("esp32-s3-tflm-espnn")
    assert latency(convolution("int4"), profile) > 10 * latency(convolution("int8"), profile)


def test_float_without_an_fpu_costs_a_multiple(models_dir: Path) -> None:
    for key in ("ad", "kws", "ic", "vww"):
        whole, real = (load_model(models_dir / "mlperf_tiny" / f"{files[key]}.tflite") for files in (NETWORKS, FLOAT))
        libgcc, rom, fpu = ("stm32g0b1-cortex-m0plus-tflm", "rp2040-cortex-m0plus-tflm", "stm32l4r5-cortex-m4-tflm")
        per_mac = {name: cycles_per_mac(real, name) for name in (libgcc, rom, fpu)}
        assert per_mac[libgcc] > 1.2 * per_mac[rom] > 3 * per_mac[fpu]
        for name in (libgcc, rom):
            assert per_mac[name] > 5 * cycles_per_mac(whole, name)
