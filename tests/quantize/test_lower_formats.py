"""Lowering to every kind of format, alone and mixed: what stands between neighbours, its bits, and what the network computes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from tests.networks import small_cnn, two_branches
from tests.oracles import conversions
from tests.oracles import tensor_core as oracle
from tests.sites import tensor
from workbench.cost import support
from workbench.execute import Program, prepare, prepare_step, run_reference, run_step
from workbench.graph.ir import Graph, Node
from workbench.hardware import load_profile
from workbench.numerics.codings import SPARSE, two_of_four
from workbench.ops import OPS
from workbench.ops.base import NoAttrs
from workbench.precision import PrecisionPlan, is_float, parse_format
from workbench.quantize import Lowering, calibrate
from workbench.tensor import STORAGE

HOPPER = "nvidia-h100"
X = np.random.default_rng(7).standard_normal((24, 8, 8, 1)).astype(np.float32)
SCALES = {"int8": (0.0371, 5), "float8_e4m3": (0.0123, 0), "float8_e5m2": (0.0077, 0)}
FLOATS = ("float32", "tfloat32", "float16", "bfloat16")
PAIRS = [p for p in itertools.permutations((*FLOATS, *SCALES), 2) if not p[0].startswith("float8")]
"""All that lowering can ask for: layers in float8 write float16, so nothing reads float8 but those layers."""


def values(dtype: str) -> Any:
    """Return stored values of a type: all codes, or numbers of all sizes within +-40 with zeros of both signs and ties."""
    if dtype == "int8":
        return np.arange(-128, 128, dtype=np.int8)
    rng = np.random.default_rng(3)
    spread = rng.standard_normal(300) * 10.0 ** rng.integers(-6, 1, 300)
    ties = np.arange(-40, 41) * 0.5 * SCALES["int8"][0]
    real = np.clip(np.concatenate([spread, ties, [0.0, -0.0, 40.0, -40.0]]), -40, 40).astype(np.float32)
    return real.astype(STORAGE[dtype])


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversion_between_every_pair_of_types_is_exact(source: str, target: str) -> None:
    x = values(source)
    op = "cast" if is_float(source) and is_float(target) else "dequantize" if is_float(target) else "quantize"
    tensors = {n: tensor(n, (1, x.size), t, SCALES.get(t)) for n, t in (("x", source), ("y", target))}
    node = Node("n", op, ("x",), ("y",), NoAttrs())
    arrays = {"x": x.reshape(1, -1)}
    run_step(prepare_step(node, tensors, load_profile(HOPPER)), arrays)
    got = arrays["y"].reshape(-1)
    assert got.dtype == STORAGE[target]

    def exact(dtype: str) -> tuple[Fraction, int] | None:
        return (Fraction(float(np.float32(SCALES[dtype][0]))), SCALES[dtype][1]) if dtype in SCALES else None

    want = [conversions.convert(Fraction(float(v)), exact(source), target, exact(target)) for v in x]
    assert [Fraction(float(v)) for v in got] == want


@lru_cache(maxsize=8)
def lowering(network: str, sparse: bool = False) -> Lowering:
    """Return the lowering of a network to the H100. sparse: every weight with four input channels is pruned to 2:4."""
    graph = small_cnn() if network == "small_cnn" else two_branches()
    if sparse:
        graph = pruned(graph)
    return Lowering(graph, load_profile(HOPPER), calibrate(graph, inputs(graph)))


def pruned(graph: Graph) -> Graph:
    """Return a graph in which the two smallest of every four weights along the input channels are 0."""
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        w = graph.tensors[node.inputs[1]] if node.op in ("conv2d", "fully_connected") else None
        if w is None or w.data is None or w.shape[-1] % 4:
            continue
        fours = w.data.reshape(-1, 4).copy()
        np.put_along_axis(fours, np.argsort(np.abs(fours), axis=1)[:, :2], 0.0, axis=1)
        tensors[w.name] = replace(w, data=fours.reshape(w.shape))
    return replace(graph, tensors=tensors)


def inputs(graph: Graph) -> Any:
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    return np.random.default_rng(11).standard_normal((24, *shape)).astype(np.float32)


def sqnr(low: Lowering, program: Program) -> float:
    """Return the SQNR in dB of a program's output against the float reference."""
    x = {low.graph.inputs[0]: inputs(low.graph)}
    want = run_reference(low.graph, x)[low.graph.outputs[0]].astype(np.float64)
    got = program.run(x)[program.outputs[0].name].astype(np.float64)
    assert program.outputs[0].dtype == "float32"
    return float(10 * np.log10((want**2).sum() / max(((got - want) ** 2).sum(), 1e-300)))


MIXES = [
    ("small_cnn", "fp8", {"dw2": "fp16"}, 22), ("small_cnn", "bf16", {}, 35), ("small_cnn", "tf32", {}, 50),
    ("small_cnn", "fp32", {}, 90),
    ("small_cnn", "fp8-e5m2", {"dw2": "bf16", "conv1": "w8a8"}, 15), ("small_cnn", "w8a8", {"pw3": "fp8", "fc6": "fp16"}, 22),
    ("small_cnn", "fp16", {"conv1": "tf32", "dw2": "bf16", "pw3": "w8a8", "fc6": "fp8"}, 22),
    ("small_cnn", "fp16", {"fc6": "q4_0-fp16"}, 15), ("small_cnn", "bf16", {"fc6": "nf4-fp16", "pw3": "fp32"}, 15),
    ("two_branches", "fp8", {"dw3": "w8a8", "conv1": "bf16"}, 20), ("two_branches", "w8a8", {"conv2": "fp8", "conv4": "bf16"}, 20),
    ("two_branches", "tf32", {"conv2": "fp16", "dw3": "bf16", "conv4": "fp8", "fc5": "w8a8"}, 20),
]  # fmt: skip


@pytest.mark.parametrize(("network", "default", "layers", "db"), MIXES)
def test_mixtures_are_legal_run_and_stay_near_the_reference(
    network: str, default: str, layers: dict[str, str], db: float
) -> None:
    low, plan = lowering(network), PrecisionPlan.of(default, layers)
    graph = low.quantized(plan)
    assert support(graph, low.profile) == []
    for name in low.layers:
        fmt, node = plan.format_of(name), graph.node(name)
        x, w, y = (graph.tensors[n] for n in (*node.inputs[:2], node.outputs[0]))
        assert (x.dtype, w.dtype, y.dtype, w.coding) == (fmt.activation, fmt.weight, fmt.output, fmt.coding)
    for node in graph.nodes:  # no conversion into the type that is there already
        if node.op in ("cast", "quantize", "dequantize"):
            a, b = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
            assert a.dtype != b.dtype or a.quant != b.quant
    program = low.program(plan)
    assert sqnr(low, program) > db
    feed = {low.graph.inputs[0]: inputs(low.graph)}
    again = prepare(graph, low.profile).run(feed)[program.outputs[0].name]  # the lowered graph says it all
    np.testing.assert_array_equal(again, program.run(feed)[program.outputs[0].name])


def test_an_activation_is_converted_once_for_all_its_readers() -> None:
    low = lowering("two_branches")
    graph = low.quantized(PrecisionPlan.of("fp8", {"conv1": "fp16", "dw3": "fp16"}))
    made = [n for n in graph.nodes if n.op == "quantize" and n.inputs == ("t1",)]
    assert len(made) == 1 and graph.tensors[made[0].outputs[0]].dtype == "float8_e4m3"
    assert graph.node("dw3").inputs[0] == "t1"


def test_two_of_four_is_refused_until_the_weights_are_pruned_to_it() -> None:
    plan = PrecisionPlan.of("fp16", {"pw3": f"fp16-{SPARSE}", "fc6": f"w8a8-{SPARSE}"})
    low = lowering("small_cnn")
    problems = support(low.quantized(plan), low.profile)
    assert [(p.node, p.nearest) for p in problems] == [("pw3", "fp16"), ("fc6", "w8a8")]
    assert all("not pruned" in p.reason for p in problems)
    low = lowering("small_cnn", sparse=True)
    graph = low.quantized(plan)
    assert support(graph, low.profile) == [] and two_of_four(graph.tensors["w3"].data)
    assert sqnr(low, low.program(plan)) > 22
    first = PrecisionPlan.of("fp16", {"conv1": f"fp16-{SPARSE}"})  # one input channel: there are no four neighbours
    assert len(support(low.quantized(first), low.profile)) == 1


def test_int8_pruned_to_two_of_four_has_the_bits_of_int8() -> None:
    low = lowering("small_cnn", sparse=True)
    feed = {"x": X}
    plain, sparse = (low.program(PrecisionPlan.of("w8a8", {"pw3": f, "fc6": f})).run(feed) for f in ("w8a8", "w8a8-2:4"))
    for a, b in zip(plain.values(), sparse.values(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("fmt", "input_format"), [("fp16-2:4", "fp16"), ("bf16-2:4", "bf16")])
def test_sparse_steps_are_those_of_the_compressed_operand(fmt: str, input_format: str) -> None:
    """A step of the profile holds twice the positions of k; the oracle takes 16 products of the operand without its zeros."""
    rng, length, outputs = np.random.default_rng(5), 96, 6
    w = (rng.standard_normal((outputs, length)) * 2.0 ** rng.integers(-9, 4, (outputs, length))).astype(np.float32)
    fours = w.reshape(-1, 4)
    np.put_along_axis(fours, np.argsort(rng.random(fours.shape), axis=1)[:, :2], 0.0, axis=1)
    kind = parse_format(fmt).activation
    x = (rng.standard_normal((5, length)) * 2.0 ** rng.integers(-9, 4, (5, length))).astype(STORAGE[kind])
    stored = fours.reshape(w.shape).astype(STORAGE[kind])
    tensors = {
        "x": tensor("x", (1, length), kind), "y": tensor("y", (1, outputs), kind),
        "w": replace(tensor("w", stored.shape, kind, data=stored), coding=SPARSE),
    }  # fmt: skip
    node = Node("n", "fully_connected", ("x", "w", ""), ("y",), OPS["fully_connected"].attrs())
    arrays = {"x": x}
    step = prepare_step(node, tensors, load_profile(HOPPER))
    assert step.site.arithmetic.float_products_per_step == 32
    run_step(step, arrays)
    bits, dense = x.view(np.uint16).astype(int), 0
    for m, n in itertools.product(range(len(x)), range(outputs)):
        kept = np.flatnonzero(stored[n].view(np.uint16) & 0x7FFF)
        a, b = bits[m][kept].tolist(), stored[n].view(np.uint16)[kept].astype(int).tolist()
        acc = oracle.dot_add(a, b, 0, (input_format, input_format), 16, 25, "f32")
        real = Fraction(float(np.uint32(acc).view(np.float32)))
        assert Fraction(float(arrays["y"][m, n])) == conversions.round_to(real, kind)
        every = bits[m].tolist(), stored[n].view(np.uint16).astype(int).tolist()
        dense += oracle.dot_add(*every, 0, (input_format, input_format), 16, 25, "f32") != acc
    assert dense > 0  # with the zeros left in place the steps are others, and so are some bits
