"""Bounds of sums: equal to what all inputs of tiny layers reach, never passed by any input of others; witnesses pass them in truth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.linear_layers import Layer, extremes, matrices
from tests.ops.test_linear_geometry import geometry, layer, numbers
from tests.oracles import linear as oracle
from workbench.kernels.gemm import FINAL, RUNNING, TILES
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.overflow.bounds import Bounds, bits_for, bounds_of
from workbench.overflow.layer import Sums, layer_of
from workbench.overflow.witness import Witness, find_witness
from workbench.tensor import RANGES

Array = np.ndarray[Any, Any]
Range = tuple[int, int]
ARITHMETICS = {
    "wrap": Arithmetic(accumulator_bits=12),
    "saturate": Arithmetic(accumulator_bits=12, overflow="saturate"),
    "tiles": Arithmetic(accumulator_bits=12, overflow="saturate_tiles", accumulator_tile=3),
    "pairs": Arithmetic(overflow="saturate_int16_pairs"),
}


@contextmanager
def recording(sums: Sums) -> Iterator[None]:
    """Let the oracles return (smallest, largest) of the sums that matter instead of an accumulator."""

    def reach(pairs: Any, start: int, bits: int, overflow: str, zero_point: int = 0, tile: int = 1) -> Range:
        if sums.kind == TILES:
            found = oracle.tile_sums([(x + zero_point + 128, w) for x, w in pairs], 2)
        else:
            found = oracle.running_sums(pairs, start, sums.tile)
        found = found[-1:] if sums.kind == FINAL else found
        return min(found), max(found)

    with mock.patch.object(oracle, "accumulate", reach):
        yield


def reached(made: Layer, sums: Sums) -> tuple[list[int], list[int]]:
    """Return the smallest and the largest sums of every output channel on the layer's own input."""
    with recording(sums):
        found = np.array(made._accumulators(), dtype=object)
    if made.op == "batch_matmul":
        return [found[..., 0].min()], [found[..., 1].max()]
    flat = found.reshape(-1, *found.shape[-2:])
    return flat[..., 0].min(axis=0).tolist(), flat[..., 1].max(axis=0).tolist()


def all_bounds(made: Layer, x: Range | None = None, y: Range | None = None) -> list[Bounds]:
    whole = RANGES[made.x.dtype.name]
    seen = layer_of(made.site(), {"x": x or whole, "w": y or whole})
    assert seen is not None
    return [bounds_of(seen, sums) for sums in seen.sums]


def every_input(made: Layer, x: Range) -> Layer:
    """Return the layer with a batch of all inputs whose integers lie in x."""
    values = list(itertools.product(range(x[0], x[1] + 1), repeat=made.x[0].size))
    return replace(made, x=np.array(values, made.x.dtype).reshape(-1, *made.x.shape[1:]))


TINY: dict[str, tuple[str, Any, tuple[int, ...], tuple[int, ...]]] = {
    "rows": ("fully_connected", FullyConnectedAttrs(), (1, 5), (4, 5)),
    "image": ("conv2d", Conv2dAttrs(), (1, 1, 5, 1), (3, 1, 5, 1)),
    "padded": ("conv2d", Conv2dAttrs(pads=(1, 1, 1, 1)), (1, 2, 2, 1), (3, 3, 3, 1)),
    "only_padded": ("conv2d", Conv2dAttrs(pads=(0, 3, 0, 3)), (1, 1, 2, 2), (3, 1, 4, 2)),
    "grouped": ("conv2d", Conv2dAttrs(groups=2, pads=(0, 1, 0, 0), stride=(1, 2)), (1, 1, 2, 2), (4, 1, 2, 1)),
    "dilated": ("conv2d", Conv2dAttrs(dilation=(1, 3), pads=(0, 1, 0, 1)), (1, 1, 5, 1), (2, 1, 2, 1)),
    "depthwise": ("depthwise_conv2d", DepthwiseConv2dAttrs(pads=(0, 1, 0, 0)), (1, 1, 2, 2), (1, 1, 2, 4)),
}


@pytest.mark.parametrize("overflow", ARITHMETICS)
@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(("zero_point", "x"), [(-7, (-8, -5)), (1, (-2, 1)), (90, (126, 127))])
def test_bounds_are_what_all_inputs_together_reach(name: str, overflow: str, zero_point: int, x: Range) -> None:
    op, attrs, shape, kernel = TINY[name]
    rng = np.random.default_rng(len(name))
    w = rng.integers(-128, 128, kernel).astype(np.int8)
    outputs = kernel[3] if op == "depthwise_conv2d" else kernel[0]
    bias = rng.integers(-900, 900, outputs).astype(np.int32)
    made = Layer(op, attrs, np.zeros(shape, np.int8), w, bias, np.ones(1), (zero_point, 0, 0), ARITHMETICS[overflow])
    for bounds in all_bounds(made, x):
        low, high = reached(every_input(made, x), bounds.sums)
        assert (list(bounds.low), list(bounds.high)) == (low, high)
        assert bounds.proof == (bounds.sums.limits[0] <= min(low) and max(high) <= bounds.sums.limits[1])


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "tiles"])
def test_bounds_of_two_activations_are_what_all_inputs_reach(overflow: str) -> None:
    ranges, zero_points = ((-3, -1), (4, 6)), (-1, 0, 7)
    x, y = (np.array([*itertools.product(range(low, high + 1), repeat=3)], np.int8)[None] for low, high in ranges)
    made = matrices(x, y, 1.0, zero_points, ARITHMETICS[overflow])
    for bounds in all_bounds(made, *ranges):
        assert (list(bounds.low), list(bounds.high)) == reached(made, bounds.sums)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("adjoint", [False, True])
def test_a_constant_operand_of_a_matrix_product_is_known(first: bool, adjoint: bool) -> None:
    """x by constant y, or constant x by y: the bounds are those of its own rows."""
    rng = np.random.default_rng(5)
    data = rng.integers(-128, 128, (3, 4)).astype(np.int8)  # 3 rows of 4 products
    stored = data if adjoint != first else np.ascontiguousarray(data.T)
    attrs = BatchMatmulAttrs(adj_x=adjoint) if first else BatchMatmulAttrs(adj_y=adjoint)
    made = matrices(np.zeros((1, 2, 4), np.int8), np.zeros((1, 3, 4), np.int8), 1.0, (-7, 0, 3), Arithmetic())
    site = made.site()
    inputs = list(site.inputs)
    inputs[0 if first else 1] = replace(site.input(0 if first else 1), shape=(1, *stored.shape), data=stored[None])  # type: ignore[arg-type]
    seen = layer_of(replace(site, attrs=attrs, inputs=tuple(inputs)), {"x": (-128, 127), "w": (-128, 127)})
    assert seen is not None and seen.w is not None
    constant, other = (-7, 3) if first else (3, -7)
    want = [
        sum(max((v - constant) * (x - other) for x in (-128, 127)) for v in row)
        for row in data.tolist()
    ]  # fmt: skip
    assert list(bounds_of(seen, seen.sums[0]).high) == want


KINDS = ["wrap", "saturate", "tiles", "pairs", "words", "wide", "saturate_wide", "bytes"]


def random_layer(data: st.DataObject, kind: str) -> Layer:
    """A small layer of any operator, its input full of extremes."""
    n, rng = data.draw(numbers(kind, False)), np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n["bias"] = min(n["bias"], 2**20) or n["bias"]
    op = data.draw(st.sampled_from(["conv2d", "depthwise_conv2d", "fully_connected", "batch_matmul"]))
    if op == "depthwise_conv2d" and kind == "words":
        op = "conv2d"  # an int16 depthwise has an int64 bias
    if op == "batch_matmul":
        limits = np.iinfo(n["dtype"])
        x, y = (extremes(rng, limits.min, limits.max, (2, rows, 9), n["dtype"]) for rows in (3, 4))
        return matrices(x, y, 1e-4, (*n["zero_points"][:2], 0), n["arithmetic"])
    if op == "fully_connected":
        return layer(rng, n, op, FullyConnectedAttrs(), (4, 21), (5, 21), 21)
    attrs, kernel, size = data.draw(geometry(st.integers(1, 3)))
    depth = data.draw(st.integers(1, 4))
    if op == "depthwise_conv2d":
        n["bias"] = max(n["bias"], 5)
        return layer(rng, n, op, DepthwiseConv2dAttrs(**attrs), (1, *size, depth), (1, *kernel, 2 * depth), 9)
    groups = data.draw(st.sampled_from([1, 2]))
    shapes = (1, *size, depth * groups), (2 * groups, *kernel, depth)
    return layer(rng, n, op, Conv2dAttrs(groups=groups, **attrs), *shapes, 9)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(data=st.data())
def test_no_input_passes_the_bounds(kind: str, data: st.DataObject) -> None:
    made = random_layer(data, kind)
    for bounds in all_bounds(made):
        low, high = reached(made, bounds.sums)
        assert all(b <= v for b, v in zip(bounds.low, low, strict=True))
        assert all(b >= v for b, v in zip(bounds.high, high, strict=True))


def one_window(made: Layer, witness: Witness) -> Layer:
    """Return the witness as a layer of one window, for the oracles."""
    if made.op == "batch_matmul":
        return replace(made, x=witness.tiles[0][None], w=np.ascontiguousarray(np.swapaxes(witness.tiles[1], 0, 1))[None])
    attrs = made.attrs if made.op == "fully_connected" else replace(made.attrs, stride=(1, 1), pads=(0, 0, 0, 0))
    return replace(made, x=witness.tiles[0][None], attrs=attrs)


@pytest.mark.parametrize("kind", ["wrap", "saturate", "tiles", "pairs", "saturate_wide"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.filter_too_much])  # many layers cannot overflow
@given(data=st.data())
def test_a_witness_leaves_the_register_and_the_kernel_gives_the_bits_of_the_oracle(kind: str, data: st.DataObject) -> None:
    made = random_layer(data, kind)
    seen = layer_of(made.site(), dict.fromkeys("xw", RANGES[made.x.dtype.name]))
    assert seen is not None
    open_ = [b for b in all_bounds(made) if not b.proof]
    assume(open_)
    witness = find_witness(seen, open_[0])
    window = one_window(made, witness)
    channel = 0 if made.op == "batch_matmul" else witness.channel
    low, high = (side[channel] for side in reached(window, witness.sums))
    limits = witness.sums.limits
    assert low < limits[0] or high > limits[1]
    assert witness.trace.beyond < limits[0] or witness.trace.beyond > limits[1]
    accumulator = np.array(window._accumulators(), dtype=object).reshape(-1)[channel]
    assert witness.trace.acc == accumulator
    assert witness.output == window.expected().reshape(-1)[channel]
    wide = replace(made.arithmetic, overflow="wrap", accumulator_bits=32, accumulator_bits_wide=64)
    exact = replace(window, arithmetic=wide)
    assert (
        witness.trace.exact == np.array(exact._accumulators(), dtype=object).reshape(-1)[channel]
        or witness.exact_output is None
    )
    if witness.exact_output is not None:
        assert witness.exact_output == exact.expected().reshape(-1)[channel]


def test_a_final_sum_may_fit_where_a_partial_one_does_not() -> None:
    """127 * 127 + 127 * 127 - ...: beyond 15 bits after two products, within them at the end; a register that wraps comes back."""
    w = np.array([[127, 127, -127]], np.int8)
    made = Layer("fully_connected", FullyConnectedAttrs(), np.zeros((1, 3), np.int8), w, None, np.ones(1), (0, 0, 0))
    narrow = {
        overflow: all_bounds(replace(made, arithmetic=Arithmetic(accumulator_bits=15, overflow=overflow)), (126, 127))[0]  # type: ignore[arg-type]
        for overflow in ("wrap", "saturate")
    }
    assert narrow["wrap"].proof and narrow["wrap"].sums.kind == FINAL
    assert not narrow["saturate"].proof and narrow["saturate"].sums.kind == RUNNING
    assert narrow["saturate"].high == (2 * 127 * 127,)


def test_a_bias_alone_can_fill_a_register_that_saturates() -> None:
    w, bias = np.array([[1, 1]], np.int8), np.array([200], np.int32)
    arithmetic = Arithmetic(accumulator_bits=8, overflow="saturate")
    made = Layer(
        "fully_connected", FullyConnectedAttrs(), np.zeros((1, 2), np.int8), w, bias, np.ones(1), (0, 0, 0), arithmetic
    )
    seen = layer_of(made.site(), {"x": (-128, 127)})
    assert seen is not None
    witness = find_witness(seen, bounds_of(seen, seen.sums[0]))
    assert (witness.trace.beyond, witness.trace.products) == (200, 0)


@pytest.mark.parametrize(("bias", "proof"), [(2**31 - 1 - 254, True), (2**31 - 254, False)])
def test_a_32_bit_bias_can_wrap(bias: int, proof: bool) -> None:
    w = np.array([[1, 1]], np.int8)
    made = Layer(
        "fully_connected",
        FullyConnectedAttrs(),
        np.zeros((1, 2), np.int8),
        w,
        np.array([bias], np.int32),
        np.ones(1),
        (0, 0, 0),
    )
    (bounds,) = all_bounds(made)
    assert (bounds.proof, bounds.sums.bits) == (proof, 32)
    if not proof:
        seen = layer_of(made.site(), {"x": (-128, 127)})
        assert seen is not None
        witness = find_witness(seen, bounds)
        assert witness.exact_output is None and witness.trace.acc == witness.trace.exact - 2**32


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (5, 9, 5)],
)
def test_bits_for_is_the_narrowest_signed_width(low: int, high: int, bits: int) -> None:
    assert bits_for(low, high) == bits
    assert -(1 << (bits - 1)) <= low and high < 1 << (bits - 1)
