"""A layer with weight-only storage, from its name in a plan to its bytes: computed with the decoded values, stored packed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from tests.networks import small_cnn
from workbench.cost import LayerCost, estimate
from workbench.cost.counts import constant_bytes, layer_work, stored_bits
from workbench.cost.flash import weight_bytes
from workbench.execute import run_reference
from workbench.graph.ir import Tensor
from workbench.graph.node_format import node_format
from workbench.hardware import load_profile
from workbench.numerics.codings import CODINGS, SPARSE
from workbench.precision import PrecisionPlan, parse_format
from workbench.quantize import Lowering, read_plan

X = np.random.default_rng(5).standard_normal((4, 8, 8, 1)).astype(np.float32)
LAYERS = {"conv1": ("w1", 0), "dw2": ("w2", 3), "pw3": ("w3", 0), "fc6": ("w6", 0)}
ROWS = {"conv1": (8, 9), "dw2": (8, 9), "pw3": (8, 8), "fc6": (3, 8)}
"""Layer -> output channels, weights of each."""


def lowering() -> Lowering:
    return Lowering(small_cnn(), load_profile("x86-litert-builtin"))


@pytest.mark.parametrize("coding", [c for c in CODINGS if c != SPARSE])
def test_a_layer_reads_back_its_format_and_counts_its_packed_bytes(coding: str) -> None:
    low = lowering()
    graph = low.quantized(PrecisionPlan.of(f"{coding}-fp32"))
    for node in graph.nodes:
        if node.name not in LAYERS:
            continue
        name, axis = LAYERS[node.name]
        rows, length = ROWS[node.name]
        work = layer_work(graph, node)
        assert node_format(graph, node) == work.format == f"{coding}-fp32"
        size = CODINGS[coding].stored_bytes(rows, length, 32)
        assert work.weight_bytes == size == constant_bytes(graph.tensors[name], axis)
        assert low.profile.costs is None or weight_bytes(graph, node, work, low.profile, low.profile.costs.memory) == size
        assert work.weight_bits == stored_bits(graph.tensors[name]) == CODINGS[coding].bits(32)
        first = np.moveaxis(low.graph.tensors[name].data, axis, 0).reshape(rows, length)
        want = CODINGS[coding].round_trip(first)
        np.testing.assert_array_equal(np.moveaxis(graph.tensors[name].data, axis, 0).reshape(rows, length), want)


@pytest.mark.parametrize(("compute", "kind"), [("fp32", np.float32), ("fp16", np.float16), ("bf16", ml_dtypes.bfloat16)])
def test_decoded_values_are_rounded_to_the_type_that_computes(compute: str, kind: type[np.generic]) -> None:
    low = lowering()
    decoded = low.quantized(PrecisionPlan.of("q4_1-fp32")).tensors["w6"].data
    data = low.quantized(PrecisionPlan.of(f"q4_1-{compute}")).tensors["w6"].data
    assert decoded is not None and data is not None and data.dtype == kind
    np.testing.assert_array_equal(data, decoded.astype(kind))


def test_the_program_computes_with_the_decoded_weights() -> None:
    low = lowering()
    program = low.program(PrecisionPlan.of("fp32", {"pw3": "nf4-fp32", "fc6": "mxfp4-fp32"}))
    tensors = dict(low.graph.tensors)
    for name, coding in (("w3", "nf4"), ("w6", "mxfp4")):
        data = tensors[name].data
        assert data is not None
        rows = data.reshape(len(data), -1)
        tensors[name] = replace(tensors[name], data=CODINGS[coding].round_trip(rows).reshape(data.shape))
    want = run_reference(replace(low.graph, tensors=tensors), {"x": X})["y"]
    np.testing.assert_array_equal(program.run({"x": X})[program.outputs[0].name], want)
    assert not np.array_equal(want, run_reference(low.graph, {"x": X})["y"])


def test_a_plan_file_brings_the_same_weights_back(tmp_path: Path) -> None:
    low = lowering()
    plan = PrecisionPlan.of("fp32", {"conv1": "q5_0-fp32", "dw2": "int8-fp32", "fc6": "mxfp6_e2m3-fp32"})
    (tmp_path / "plan.yaml").write_text(low.plan_file(plan).to_yaml())
    file = read_plan(tmp_path / "plan.yaml")
    assert file.plan == plan
    again = Lowering(low.graph, low.profile, None, file.options, file.scales)
    assert again.quantized(file.plan).digest == low.quantized(plan).digest


@pytest.mark.parametrize(
    ("name", "compute"), [("nvidia-v100", "fp16"), ("nvidia-b200", "bf16"), ("x86-litert-reference", "fp32")]
)
def test_every_coding_runs_and_is_priced_on_gpus_and_on_a_cpu(name: str, compute: str) -> None:
    """`decode` takes room for the 3 x 8 decoded weights; a kernel that reads the coding itself takes none."""
    profile = load_profile(name)
    low, size = Lowering(small_cnn(), profile), 24 * parse_format(compute).activation_bits // 8

    def row(plan: PrecisionPlan) -> LayerCost:
        return next(r for r in estimate(low.quantized(plan), profile).layers if r.layer == "fc6")

    plain, how = row(PrecisionPlan.of(compute)), set()
    for coding in (c for c in CODINGS if c != SPARSE):
        plan = PrecisionPlan.of(compute, {"fc6": f"{coding}-{compute}"})
        program = low.program(plan)
        assert np.isfinite(program.run({"x": X})[program.outputs[0].name].astype(np.float32)).all()
        coded = row(plan)
        assert coded.latency_s > 0
        assert coded.ram_bytes == plain.ram_bytes + (size if coded.emulation == "decode" else 0)
        how.add(coded.emulation)
    assert "decode" in how


def test_rows_shorter_than_a_block_pay_for_the_whole_block() -> None:
    """A depthwise layer of 3 x 3 windows takes a block of 32 (18 bytes) for every 9 weights: 16 bits a weight, not 4.5."""
    graph = lowering().quantized(PrecisionPlan.of("q4_0-fp32"))
    work = layer_work(graph, next(n for n in graph.nodes if n.name == "dw2"))
    assert (work.weights, work.weight_bits, work.weight_bytes) == (72, 4.5, 8 * 18)


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [
        ((16, 8), "int8", 80),
        ((16, 8), "float16", 144),
        ((4, 3, 3, 16), "int8", 360),
        ((16, 6), "int8", 80),
        ((5, 4), "int8", 13),
    ],
)
def test_sparse_weights_are_stored_in_fours_of_input_channels(shape: tuple[int, ...], dtype: str, size: int) -> None:
    kind = {"int8": np.int8, "float16": np.float16}[dtype]
    assert constant_bytes(Tensor("w", shape, dtype, data=np.zeros(shape, kind), coding=SPARSE)) == size
