"""Ranges of activations: as narrow as what made them allows, and never passed when a network runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.networks import random_network, small_cnn, two_branches
from tests.sites import site, tensor
from workbench.execute import Program, Step
from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import load_profile
from workbench.hardware.profile import Scheme
from workbench.ops import OPS
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.concat import ConcatAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.overflow.activations import activation_ranges
from workbench.overflow.analyse import inputs_of
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate

X = (1, 2, 2, 3)


def step(op: str, attrs: Any, inputs: list[Tensor], y: Tensor, **arithmetic: Any) -> Step:
    place = site(op, attrs, inputs, y, **arithmetic)
    return Step(Node("n", op, tuple(t.name for t in inputs), (y.name,), attrs), place, "", OPS[op].prepare(place))


def one(op: str, attrs: Any, y: tuple[str, float, int], x: tuple[str, float, int] = ("int8", 0.1, -20)) -> tuple[int, int]:
    """The range of the output of one operator on a whole int8 (or int16) input."""
    made = step(op, attrs, [tensor("x", X, x[0], x[1:])], tensor("y", X, y[0], y[1:]))
    return activation_ranges([made], [made.site.x])["y"]


def test_an_operator_leaves_integers_out() -> None:
    assert one("relu", ReluAttrs(), ("int8", 0.1, -20)) == (-20, 127)
    assert one("relu", ReluAttrs(maximum=6.0), ("int8", 0.1, -20)) == (-20, 40)
    assert one("relu", ReluAttrs(), ("int8", 0.3, -128)) == (-128, -79)  # 14.7 / 0.3 steps above -128
    assert one("logistic", NoAttrs(), ("int8", 1 / 256, -128), ("int8", 0.01, 0)) == (-72, 72)  # 0.22 to 0.78
    assert one("softmax", SoftmaxAttrs(axis=3), ("int16", 1 / 32768, 0), ("int16", 1e-4, 0)) == (0, 32767)
    assert one("quantize", NoAttrs(), ("int8", 0.2, -20)) == (-74, 54)


def test_operators_that_copy_or_average_keep_the_range() -> None:
    x, small = tensor("x", X, "int8", (0.1, -20)), tensor("t", X, "int8", (0.1, -20))
    relu = step("relu", ReluAttrs(maximum=6.0), [x], small)
    shape = (1, 1, 1, 3)
    pooled = step("avg_pool2d", PoolAttrs((2, 2)), [small], tensor("p", shape, "int8", (0.1, -20)))
    padded = step("avg_pool2d", PoolAttrs((2, 2), activation="relu"), [small], tensor("q", shape, "int8", (0.1, -20)))
    join = step("concat", ConcatAttrs(axis=3), [small, x], tensor("c", (1, 2, 2, 6), "int8", (0.1, -20)))
    both = step("add", BinaryAttrs(activation="relu"), [small, x], tensor("a", X, "int8", (0.2, -128)))
    found = activation_ranges([relu, pooled, padded, join, both], [x])
    assert found == {"x": (-128, 127), "t": (-20, 40), "p": (-20, 40), "q": (-20, 40), "c": (-128, 127), "a": (-128, 127)}


def test_an_average_by_a_rounded_reciprocal_may_leave_the_range() -> None:
    """1 / 58 in 7 bits is 71 / 4096, half a percent too much."""
    x, small = tensor("x", (1, 2, 29, 1), "int8", (1.0, 0)), tensor("t", (1, 2, 29, 1), "int8", (1.0, 0))
    relu = step("relu", ReluAttrs(maximum=100.0), [x], small)
    rule = {"avg_pool": "reciprocal7_half_even"}
    pool = step("avg_pool2d", PoolAttrs((2, 29)), [small], tensor("p", (1, 1, 1, 1), "int8", (1.0, 0)), **rule)
    assert pool.run([np.full((1, 2, 29, 1), 100, np.int8)])[0].item() > 100
    assert activation_ranges([relu, pool], [x])["p"] == (-128, 127)


@pytest.mark.parametrize("graph", [small_cnn(), two_branches(), random_network(3), random_network(8)], ids=lambda g: g.name)
def test_no_activation_of_a_network_leaves_its_range(graph: Graph) -> None:
    rng = np.random.default_rng(1)
    feed = {name: rng.normal(0, 4, (40, *graph.tensors[name].shape[1:])).astype(np.float32) for name in graph.inputs}
    # Symmetric scales: what comes out of a relu then has no negative integers.
    profile = load_profile("stm32l4r5-cortex-m4-tflm").model_copy(update={"quantization": Scheme(activations="symmetric")})
    lowering = Lowering(graph, profile, calibrate(graph, {k: v / 3 for k, v in feed.items()}, False))
    program: Program = lowering.program(PrecisionPlan.of("w8a8"))
    ranges = activation_ranges(program.steps, inputs_of(program))
    values = program.run(feed, keep_all=True)
    integers = {name: v for name, v in values.items() if v.dtype == np.int8}
    assert integers.keys() <= ranges.keys()
    assert all(ranges[name][0] <= v.min() and v.max() <= ranges[name][1] for name, v in integers.items())
    assert any(ranges[name] != (-128, 127) for name in integers)
