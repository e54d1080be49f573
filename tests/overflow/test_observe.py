"""What is seen on data equals a count by the oracles; flips are those of the two programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.linear_layers import Layer, extremes, matrices
from tests.networks import small_cnn
from tests.overflow.test_bounds import ARITHMETICS, recording
from workbench.execute import Program, Step
from workbench.graph.ir import Node
from workbench.hardware import HardwareProfile, load_profile
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.overflow import analyse, observe
from workbench.overflow.bounds import bits_for
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate

SHAPES: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "fully_connected": (FullyConnectedAttrs(), (9, 20), (6, 20)),
    "conv2d": (Conv2dAttrs(groups=2, pads=(1, 0, 1, 2), stride=(2, 1), dilation=(1, 2)), (5, 6, 5, 6), (4, 3, 2, 3)),
    "depthwise_conv2d": (DepthwiseConv2dAttrs(pads=(1, 1, 1, 1)), (5, 4, 5, 3), (1, 3, 3, 6)),
}


def program_of(made: Layer) -> Program:
    site = made.site()
    site = replace(site, inputs=tuple(replace(t, name=n) if t else None for n, t in zip("xwb", site.inputs, strict=True)))
    node = Node("layer", made.op, tuple(t.name if t else "" for t in site.inputs), ("y",), made.attrs)
    return Program((Step(node, site, "", OPS[made.op].prepare(site)),), (site.y,))


def check(made: Layer, feed: dict[str, Any]) -> None:
    program = program_of(made)
    (report,) = analyse(program)
    assert report.layer is not None
    seen = observe(program, [report], feed, batch=2).layers["layer"]
    sums = report.layer.sums[0]
    with recording(sums):
        found = np.array(made._accumulators(), dtype=object).reshape(-1, 2)
    outside = (found[:, 0] < sums.limits[0]) | (found[:, 1] > sums.limits[1])
    assert (seen.outputs, seen.overflowed) == (len(found), outside.sum())
    assert (seen.low, seen.high) == (found[:, 0].min(), found[:, 1].max())
    assert seen.headroom_bits == sums.bits - bits_for(seen.low, seen.high)
    assert report.proven or 0 < outside.sum() < len(found) or sums.bits == 32


@pytest.mark.parametrize("overflow", ARITHMETICS)
@pytest.mark.parametrize("op", SHAPES)
def test_layers_are_counted_as_by_the_oracle(op: str, overflow: str) -> None:
    attrs, x, w = SHAPES[op]
    rng = np.random.default_rng(len(op))
    outputs = w[3] if op == "depthwise_conv2d" else w[0]
    spread = 1 if overflow != "pairs" else 127
    weights = np.clip(rng.integers(-4, 5, w) * spread, -128, 127).astype(np.int8)
    bias = rng.integers(-300, 300, outputs).astype(np.int32)
    data = extremes(rng, -128, 127, x, np.int8)
    made = Layer(op, attrs, data, weights, bias, np.ones(1), (-7, 3, 0), ARITHMETICS[overflow])
    check(made, {"x": data})


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_matrix_products_are_counted_as_by_the_oracle(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    x, y = (rng.integers(-90, 91, (4, rows, 7)).astype(dtype) for rows in (3, 5))
    zero_points = (-2, 0, 4) if dtype == np.int8 else (0, 0, 0)
    arithmetic = Arithmetic(accumulator_bits=14, accumulator_bits_wide=14, overflow="saturate")
    check(matrices(x, y, 1.0, zero_points, arithmetic), {"x": x, "w": y})


def narrow(profile: HardwareProfile, bits: int, overflow: str) -> HardwareProfile:
    rules = {**profile.arithmetic_base, "accumulator_bits": bits, "overflow": overflow}
    return profile.model_copy(update={"name": f"narrow{bits}{overflow}", "arithmetic_base": rules})


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_flips_are_those_between_narrow_and_wide_programs(overflow: str) -> None:
    graph, rng = small_cnn(1), np.random.default_rng(3)
    feed = {"x": (rng.normal(0, 2, (90, 8, 8, 1)) * rng.uniform(0, 1, (90, 1, 1, 1))).astype(np.float32)}
    seen = calibrate(graph, feed, False)
    wide = load_profile("stm32l4r5-cortex-m4-tflm")
    programs = [Lowering(graph, p, seen).program(PrecisionPlan.of("w8a8")) for p in (narrow(wide, 14, overflow), wide)]
    reports = analyse(programs[0])
    found = observe(programs[0], reports, feed, batch=32)
    a, b = (next(iter(p.run(feed).values())) for p in programs)
    assert found.samples == 90
    assert found.changed == (a != b).any(axis=1).sum()
    assert found.flips == (a.argmax(axis=1) != b.argmax(axis=1)).sum() > 0
    assert {name for name, layer in found.layers.items() if layer.overflowed} <= {r.name for r in reports if not r.proven}
    assert all(layer.flips == 0 for name, layer in found.layers.items() if not layer.overflowed and layer.headroom_bits > 2)
