"""Ethos-U: cycles, SRAM and encoded weights beside those of the Vela compiler, which are estimates themselves."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from math import ceil, inf, log2
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.cost.graphs import activation, weight
from tests.cost.vela_networks import NETWORKS, TABLE
from workbench.cost import estimate
from workbench.cost.ethos_blocks import find_blocks, part_kernel
from workbench.cost.ethos_engine import ENGINES, Engine, Size, round_up
from workbench.cost.ethos_ops import POINT, Kernel, Kind
from workbench.cost.ethos_u import EthosNetwork, ethos_layers
from workbench.cost.ethos_weights import two_of_four
from workbench.errors import ProfileError
from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import load_profile
from workbench.hardware.costs_ethos import EthosUCosts
from workbench.loaders import load_model
from workbench.ops import OPS
from workbench.resources import resource_folder
from workbench.tensor import QuantParams

FILES = {
    "kws_ref_model": "kws_ref_int8",
    "pretrainedResnet_quant": "ic_resnet8_int8",
    "str_ww_ref_model": "sww_int8",
}
"""Network of Vela's tables -> file, where the names differ."""


def settings(accelerator: str) -> EthosUCosts:
    """Return what surrounds an accelerator: that of the profile of its family."""
    family = accelerator.split("-")[1]
    costs = load_profile({"u55": "ethos-u55-128", "u65": "ethos-u65-256", "u85": "ethos-u85-256"}[family]).costs
    assert costs is not None and costs.ethos_u is not None
    return costs.ethos_u.model_copy(update={"accelerator": accelerator.removeprefix("ethos-")})


def golden(golden_dir: Path, models_dir: Path, name: str) -> Iterator[tuple[Any, EthosNetwork]]:
    table = pd.read_csv(golden_dir / "vela_summary.csv")
    for row in table[table.model == name].itertuples():
        graph = load_model(models_dir / "mlperf_tiny" / f"{FILES.get(name, name)}.tflite")
        yield row, ethos_layers(graph, settings(row.accelerator))


@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "str_ww_ref_model", "vww_96_int8"])
def test_networks_cost_what_vela_says(golden_dir: Path, models_dir: Path, name: str) -> None:
    for row, got in golden(golden_dir, models_dir, name):
        where = f"{name} on {row.accelerator}"
        assert got.cycles == pytest.approx(row.cycles_total, rel=0.02), where
        encoded = got.weight_bytes / 1024
        if row.off_chip_flash_memory_used:
            assert encoded == pytest.approx(row.off_chip_flash_memory_used, rel=0.03), where
        else:  # in the DRAM, with the activations that the host exchanges
            assert encoded + got.storage_map_bytes / 1024 == pytest.approx(row.dram_memory_used, rel=0.04), where
        if (name, row.accelerator) == ("ad01_int8", "ethos-u85-128"):
            continue  # one buffer of 2.7 KiB, gained or lost by three cycles
        assert got.sram_bytes / 1024 == pytest.approx(row.sram_memory_used, rel=0.02), where


@pytest.mark.parametrize("accelerator", ["ethos-u55-32", "ethos-u55-128", "ethos-u65-256", "ethos-u85-256"])
@pytest.mark.parametrize("name", ["ad01_int8", "pretrainedResnet_quant", "vww_96_int8"])
def test_layers_cost_what_vela_says(golden_dir: Path, models_dir: Path, name: str, accelerator: str) -> None:
    table = pd.read_csv(golden_dir / "vela_per_layer.csv")
    table = table[(table.model == name) & (table.accelerator == accelerator)]
    kinds = ["Conv2D", "DepthwiseConv2D", "FullyConnected", "AvgPool"]
    theirs = table[table["NNG Operator"].isin(kinds)]["Op Cycles"].to_list()
    graph = load_model(models_dir / "mlperf_tiny" / f"{FILES.get(name, name)}.tflite")
    ours = ethos_layers(graph, settings(accelerator)).layers
    got = [ours[n.name].cycles for n in graph.nodes if n.op in ("conv2d", "depthwise_conv2d", "fully_connected", "avg_pool2d")]
    assert got == pytest.approx(theirs, rel=0.06)


def networks(tmp_path: Path) -> Iterator[tuple[dict[str, str], Graph]]:
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, build in NETWORKS.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(build().bytes())
        graph = load_model(path)
        yield from ((row, graph) for row in rows if row["network"] == name)


def test_other_networks_cost_what_vela_says(tmp_path: Path) -> None:
    """Other shapes than those of MLPerf Tiny, also networks whose maps do not all fit the NPU's own SRAM."""
    for row, graph in networks(tmp_path):
        got, where = ethos_layers(graph, settings(row["accelerator"])), f"{row['network']} on {row['accelerator']}"
        overflows = row["network"] == "wide" and settings(row["accelerator"]).staging_bytes is not None
        assert got.cycles == pytest.approx(float(row["cycles"]), rel=0.15 if overflows else 0.05), where
        assert got.sram_bytes == pytest.approx(1024 * float(row["sram_kib"]), rel=0.17 if overflows else 0.03), where
        if not overflows:
            stored = (got.weight_bytes + got.storage_map_bytes) / 1024
            assert stored == pytest.approx(float(row["storage_kib"]), rel=0.05, abs=1.5), where


def brute_force(engine: Engine, kind: Kind, out: Size, ifm: Size, kernel: Kernel) -> float:
    """Return the least cost of a block that fits the shared buffer: fetches per output, by three loops (8-bit, no ties broken)."""
    shram, u = engine.shram, engine.ublock
    assert shram is not None
    first = kind == "conv" and part_kernel(ifm.c, 8, kernel)
    least = inf
    for c in {*range(16, round_up(min(out.c, 128), u.c) + 1, 16), round_up(min(out.c, 128), u.c)}:
        for h in range(u.h, round_up(min(out.h, 32), u.h) + 1, u.h):
            for w in range(u.w, round_up(min(out.w, 64), u.w) + 1, u.w):
                read_h = round_up((h - 1) * kernel.stride_h + min(kernel.h, 8), u.h)
                read_w = round_up((w - 1) * kernel.stride_w + min(kernel.w, 8), u.w)
                read_c = c if kind == "depthwise" else round_up(min(ifm.c, 16 if first else 32), 8)
                banks = round_up(2 * ceil(read_h * read_w * round_up(read_c, 8) / 1024), shram.ifm[8])
                banks += round_up(2 * ceil(h * w * round_up(c, 8) * 32 / 8 / 1024), shram.acc[32])
                if banks > shram.banks - 2 - shram.table_banks:
                    continue
                planes = ceil(out.h / h) * ceil(out.w / w)
                fetch = read_h * read_w * ifm.c * (out.h / h) * (out.w / w)
                weights = kernel.area * ifm.c * planes
                if kind == "conv":
                    fetch, weights = fetch * ceil(out.c / c), weights * (out.c / c) * c
                cost = (fetch + weights) / out.volume
                least = min(least, cost / 2 if ifm.volume < read_h * read_w * read_c * 2 else cost)
    return least


@pytest.mark.parametrize("name", ["u55-32", "u55-128", "u55-256"])
@pytest.mark.parametrize(
    ("kind", "out", "ifm", "kernel"),
    [
        ("conv", Size(12, 10, 40), Size(12, 10, 24), Kernel(3, 3)),
        ("conv", Size(9, 9, 16), Size(18, 18, 3), Kernel(5, 5, 2, 2)),
        ("conv", Size(16, 16, 64), Size(16, 16, 96), POINT),
        ("depthwise", Size(14, 14, 48), Size(14, 14, 48), Kernel(3, 3)),
        ("depthwise", Size(7, 30, 16), Size(14, 60, 16), Kernel(3, 5, 2, 2)),
    ],
)
def test_blocks_are_the_best_that_fit(name: str, kind: Kind, out: Size, ifm: Size, kernel: Kernel) -> None:
    engine = ENGINES[name]
    found = find_blocks(engine, kind, out, ifm, False, 8, kernel, False)
    planes = ceil(out.h / found.out.h) * ceil(out.w / found.out.w)
    fetch = found.ifm.area * ifm.c * (out.h / found.out.h) * (out.w / found.out.w)
    weights = kernel.area * ifm.c * planes
    if kind == "conv":
        fetch, weights = fetch * ceil(out.c / found.out.c), weights * out.c
    cost = (fetch + weights) / out.volume / (2 if ifm.volume < found.ifm.volume * 2 else 1)
    assert cost == pytest.approx(brute_force(engine, kind, out, ifm, kernel), rel=1e-5)


def chain(values: np.ndarray[Any, Any], dtype: str = "int8") -> Graph:
    """Return two convolutions of 3 x 3 with the same weights [O, 3, 3, I], O = I."""
    out = values.shape[0]
    shape, quant = (1, 24, 24, out), QuantParams(np.full(out, 0.01, np.float32), np.zeros(out, np.int64), 0)
    tensors: dict[str, Tensor] = {
        "x": activation("x", shape, dtype),
        "y": activation("y", shape, dtype),
        "z": activation("z", shape, dtype),
    }
    tensors["w"] = Tensor("w", values.shape, "int8", quant, values)
    tensors["b"] = weight("b", (out,), "int32")
    attrs = OPS["conv2d"].attrs(stride=(1, 1), dilation=(1, 1), pads=(1, 1, 1, 1), groups=1, activation="none")
    nodes = tuple(Node(name, "conv2d", (x, "w", "b"), (y,), attrs) for name, x, y in (("one", "x", "y"), ("two", "y", "z")))
    return Graph("g", nodes, tensors, ("x",), ("z",))


def random_weights(most: int, zeros: float = 0.0) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(0)
    values = random.integers(-most, most + 1, (64, 3, 3, 64)).astype(np.int8)
    values[random.random(values.shape) < zeros] = 0
    return values


def test_few_values_are_smaller_and_no_faster_to_compute() -> None:
    wide, narrow = (ethos_layers(chain(random_weights(n)), settings("ethos-u55-128")) for n in (127, 7))
    assert narrow.weight_bytes < 0.65 * wide.weight_bytes
    assert narrow.layers["two"].cycles == pytest.approx(wide.layers["two"].cycles, rel=0.001)
    assert narrow.layers["two"].bound == "compute"


def test_code_is_never_shorter_than_the_entropy_of_its_values() -> None:
    for most, zeros in ((127, 0.0), (7, 0.0), (1, 0.0), (30, 0.5), (30, 0.9)):
        values = random_weights(most, zeros)
        share = np.unique(values, return_counts=True)[1] / values.size
        bits = -sum(p * log2(p) for p in share) * values.size
        got = ethos_layers(chain(values), settings("ethos-u55-128")).layers["one"].weight_bytes - 64 * 10
        assert 0.99 * bits / 8 < got < 1.2 * bits / 8 + 300


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"])
def test_16_bit_activations_take_twice_the_cycles(accelerator: str) -> None:
    values = random_weights(20)
    narrow, wide = (ethos_layers(chain(values, dtype), settings(accelerator)) for dtype in ("int8", "int16"))
    assert 1.6 < wide.layers["two"].cycles / narrow.layers["two"].cycles < 2.4
    assert wide.sram_bytes > 1.4 * narrow.sram_bytes


def test_two_of_four_zeros_are_skipped_by_a_u85_alone() -> None:
    dense, sparse = random_weights(20), random_weights(20)
    sparse[..., 0::4] = sparse[..., 3::4] = 0
    assert [two_of_four(chain(v).tensors["w"]) for v in (dense, sparse)] == [False, True]
    u85 = [ethos_layers(chain(v), settings("ethos-u85-256")).layers["two"].cycles for v in (dense, sparse)]
    u55 = [ethos_layers(chain(v), settings("ethos-u55-256")).layers["two"].cycles for v in (dense, sparse)]
    assert u85[1] < 0.7 * u85[0] and u55[0] == u55[1]


def test_layers_of_the_host_are_not_counted() -> None:
    graph = chain(random_weights(20))
    both, one = ethos_layers(graph, settings("ethos-u55-128")), ethos_layers(graph, settings("ethos-u55-128"), ["two"])
    assert list(one.layers) == ["one"] and 0 < one.cycles < both.cycles


def test_an_addition_writes_over_what_it_reads() -> None:
    graph = chain(random_weights(20))
    total = replace(graph.tensors["z"], name="t")
    node = Node("sum", "add", ("y", "z"), ("t",), OPS["add"].attrs())
    last = Node("three", "conv2d", ("t", "w", "b"), ("u",), graph.nodes[0].attrs)
    tensors = {**graph.tensors, "t": total, "u": replace(total, name="u")}
    added = Graph("g", (*graph.nodes, node, last), tensors, ("x",), ("u",))
    got = ethos_layers(added, settings("ethos-u55-128"))
    one = 24 * 24 * 64
    assert 2 * one <= got.layers["sum"].live_bytes < 3 * one  # two maps for three names, and the weights of the next layer


def test_an_estimate_of_a_profile_is_that_of_the_npu() -> None:
    graph = chain(random_weights(20))
    for name in ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u85-256"):
        profile = load_profile(name)
        got, npu = estimate(graph, profile), ethos_layers(graph, settings(name))
        assert got.latency_s * profile.clock_hz == pytest.approx(npu.cycles)
        assert (got.ram_peak_bytes, sum(row.weight_bytes for row in got.layers)) == (npu.sram_bytes, npu.weight_bytes)
        assert got.latency_low_s < got.latency_s < got.latency_high_s and got.basis == "data sheet"
        assert [row.bound for row in got.layers] == [npu.layers[row.layer].bound for row in got.layers]


def test_an_accelerator_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    text = (resource_folder("hw_profiles") / "ethos-u55-256.yaml").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("accelerator: u55-256", "accelerator: u55-512"))
    with pytest.raises(ProfileError, match="accelerator is 'u55-512'"):
        load_profile(path)
