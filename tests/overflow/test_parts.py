"""Output phases of transposed convolutions and gates of LSTMs: bounds, tiles and data against the oracles of the whole operator."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.lstm_nets import LstmNet
from tests.oracles import linear
from tests.overflow.test_bounds import ARITHMETICS, Array, Range, recording
from workbench.execute import Program, Step, prepare
from workbench.graph.ir import Node, Tensor
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs, lines
from workbench.overflow import analyse, observe
from workbench.overflow.bounds import bounds_of
from workbench.overflow.layer import Sums
from workbench.overflow.parts import parts_of
from workbench.overflow.tables import overflow_tables
from workbench.tensor import QuantParams

ZERO, SPEC = -7, OPS["transpose_conv2d"]
STRIDE_2 = TransposeConv2dAttrs(stride=(2, 2))


def transposed(attrs: TransposeConv2dAttrs, shape: tuple[int, ...], w: Array, bias: Array, arithmetic: Arithmetic) -> Program:
    x = Tensor("x", (1, *shape), "int8", QuantParams.per_tensor(0.02, ZERO))
    weights = Tensor("w", w.shape, "int8", QuantParams.per_tensor(1.0, 0), w)
    y = Tensor("y", SPEC.infer_shape(attrs, [x.shape, w.shape])[0], "int8", QuantParams.per_tensor(40.0, 0))
    site = Site(
        "layer", "transpose_conv2d", attrs, (x, weights, Tensor("b", bias.shape, "int32", None, bias)), (y,), arithmetic
    )
    node = Node("layer", site.op, ("x", "w", "b"), ("y",), attrs)
    return Program((Step(node, site, "", SPEC.prepare(site)),), (y,))


def oracle(program: Program, x: Array, sums: Sums | None = None) -> Array:
    """Return the accumulators of the whole operator [N, OH, OW, O], or (smallest, largest) of the sums that matter."""
    site = program.steps[0].site
    attrs, rules = site.attrs, site.arithmetic
    w, bias = (np.asarray(site.input(i).data) for i in (1, 2))
    tile = rules.accumulator_tile if rules.overflow == "saturate_tiles" else 1
    arguments: Any = (
        x.tolist(), w.tolist(), bias.tolist(), ZERO, attrs.stride, attrs.dilation, attrs.pads[:2], site.y.shape[1:3], attrs.groups,
        rules.accumulator_bits, rules.overflow, tile,
    )  # fmt: skip
    if sums is None:
        return np.array(linear.transpose_conv2d(*arguments), dtype=object)
    with recording(sums):
        return np.array(linear.transpose_conv2d(*arguments), dtype=object)


@pytest.mark.parametrize("overflow", ARITHMETICS)
@pytest.mark.parametrize("x", [(-9, -6), (4, 6)])
def test_bounds_of_a_phase_are_what_all_inputs_together_reach(overflow: str, x: Range) -> None:
    """Every phase for itself: 2 x 1 taps of 2 channels, begun before the picture, and outputs that are the bias alone."""
    rng = np.random.default_rng(7)
    w, bias = rng.integers(-128, 128, (3, 3, 1, 2)).astype(np.int8), rng.integers(-900, 900, 3).astype(np.int32)
    attrs = TransposeConv2dAttrs(stride=(2, 2), pads=(1, 0, 0, 0))
    program = transposed(attrs, (2, 1, 2), w, bias, ARITHMETICS[overflow])
    site = program.steps[0].site
    rows, columns = lines(attrs, w.shape, site.y.shape[1:3])  # type: ignore[arg-type]
    inputs = np.array([*itertools.product(range(x[0], x[1] + 1), repeat=4)], np.int8).reshape(-1, 2, 1, 2)
    parts = parts_of(site, {"x": x})
    for part, (row, column) in zip(parts, itertools.product(rows, columns), strict=True):
        for sums in part.sums:
            found = oracle(program, inputs, sums)[:, row.first :: 2, column.first :: 2].reshape(-1, 3, 2)
            bounds = bounds_of(part, sums)
            assert (list(bounds.low), list(bounds.high)) == (
                found[..., 0].min(axis=0).tolist(),
                found[..., 1].max(axis=0).tolist(),
            )


@pytest.mark.parametrize("overflow", ARITHMETICS)
@pytest.mark.parametrize("groups", [1, 2])
def test_the_tile_of_a_phase_overflows_in_the_transposed_layer(overflow: str, groups: int) -> None:
    rng = np.random.default_rng(groups)
    w, bias = rng.integers(-128, 128, (4, 4, 4, 4 // groups)).astype(np.int8), rng.integers(-900, 900, 4).astype(np.int32)
    attrs = replace(STRIDE_2, groups=groups)
    (report,) = analyse(transposed(attrs, (5, 5, 4), w, bias, ARITHMETICS[overflow]))
    witness = report.witness
    assert witness is not None and not report.proven and len(report.parts) == 4
    program = transposed(attrs, witness.tiles[0].shape, w, bias, ARITHMETICS[overflow])
    tile = witness.tiles[0][None]
    (y,) = program.steps[0].run([tile, w, bias])
    found = oracle(program, tile)[0, ..., witness.channel]
    at = (found == witness.trace.acc) & (y[0, ..., witness.channel] == witness.output)
    assert at.any()
    ends = oracle(program, tile, witness.sums)[0][at][:, witness.channel]
    low, high = witness.sums.limits
    assert (ends[:, 0] < low).any() or (ends[:, 1] > high).any()


def test_a_phase_has_the_rules_of_its_layer_not_those_of_a_grouped_convolution() -> None:
    """Here a grouped conv2d with weights below 8 bits has no rule at all; a transposed one has that of narrow weights."""
    rules = Arithmetic(accumulator_bits=10, requantize_subbyte="single")
    rng = np.random.default_rng(8)
    w, bias = rng.integers(-8, 8, (4, 2, 2, 4)).astype(np.int8), np.zeros(4, np.int32)
    program = transposed(replace(STRIDE_2, groups=2), (3, 3, 8), w, bias, rules)
    (step,) = program.steps
    x, weights, b = step.site.inputs
    assert weights is not None
    site = replace(step.site, inputs=(x, replace(weights, dtype="int4"), b))
    (report,) = analyse(replace(program, steps=(replace(step, site=site, run=SPEC.prepare(site)),)))
    assert report.witness is not None


@pytest.mark.parametrize("overflow", ARITHMETICS)
def test_phases_are_counted_on_data_as_by_the_oracle(overflow: str) -> None:
    rng = np.random.default_rng(3)
    spread = 30 if overflow == "pairs" else 1
    w, bias = (rng.integers(-4, 5, (3, 3, 4, 2)) * spread).astype(np.int8), rng.integers(-300, 300, 3).astype(np.int32)
    program = transposed(TransposeConv2dAttrs((2, 3), (1, 1), (3, 4, 1, 0)), (4, 3, 2), w, bias, ARITHMETICS[overflow])
    x = rng.integers(-128, 128, (4, 4, 3, 2)).astype(np.int8)
    (report,) = analyse(program)
    seen = observe(program, [report], {"x": x}, batch=3).layers["layer"]
    sums = report.parts[0].sums[0]
    found = oracle(program, x, sums).reshape(-1, 2)
    outside = (found[:, 0] < sums.limits[0]) | (found[:, 1] > sums.limits[1])
    assert (seen.outputs, seen.overflowed) == (len(found), outside.sum())
    assert (seen.low, seen.high) == (found[:, 0].min(), found[:, 1].max())


def test_gates_of_an_lstm_have_a_proof() -> None:
    """Both products by hand: the input with the bias, and the hidden state, which may hold every integer of its type."""
    net = LstmNet((2, 5, 3), 4)
    program = prepare(load_tflite("m.tflite", net.net().bytes()), load_profile("x86-litert-reference"))
    (report,) = analyse(program)
    assert report.proven and report.witness is None and len(report.parts) == 2
    site = program.steps[0].site
    biases = np.asarray(site.input(2).data).tolist()
    products = (report.parts[0], site.input(1), net.x[1], biases), (report.parts[1], site.input(3), net.y[1], [0] * 16)
    for part, weights, zero, bias in products:
        (bounds,) = (bounds_of(part, sums) for sums in part.sums)
        rows = np.asarray(weights.data).tolist()
        assert bounds.low == tuple(
            b + sum(min(k * (-128 - zero), k * (127 - zero)) for k in row) for row, b in zip(rows, bias, strict=True)
        )
        assert bounds.high == tuple(
            b + sum(max(k * (-128 - zero), k * (127 - zero)) for k in row) for row, b in zip(rows, bias, strict=True)
        )
    x = np.zeros(net.shape, np.int8)
    lines_ = overflow_tables("m", [report], observe(program, [report], {program.steps[0].site.x.name: x}))[1:]
    assert "1 of 1 layers" in str(lines_[0])


def test_a_gate_whose_bias_overflows_says_that_it_is_not_known() -> None:
    net = LstmNet((2, 5, 3), 4).net()
    bias = net.tensors[net.ops[0].inputs[12]]
    bias.data = np.full(4, 2**31 - 1, np.int32)
    (report,) = analyse(prepare(load_tflite("m.tflite", net.bytes()), load_profile("x86-litert-reference")))
    assert not report.proven and report.witness is None
    table, *text = overflow_tables("m", [report], None)
    assert "not known" in str([*table.columns[-1].cells]) and text == ["  No layer of 1 is proven."]  # type: ignore[union-attr]
