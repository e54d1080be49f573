"""Integer layers whose sums reach the ends of their accumulators == nested loops in plain integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.linear_layers import Layer, guarded
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops._linear import accumulator_of
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs

FIXED_POINT = ["double", "double_half_up", "double_half_up_simd8", "single"]
ENDS = (-(2**31), 2**31 - 1)


def check(layer: Layer) -> None:
    with guarded():
        assert np.array_equal(layer.run(), layer.expected())


@pytest.mark.parametrize("rule", ["reduced_multiplier", "float64_half_away"])
@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("depth", [256, 257, 512, 1025])
def test_int16_sums_of_the_largest_products_leave_int32(rule: str, weight: int, depth: int) -> None:
    """512 * 2**15 * 2**7 = 2**31."""
    x = np.full((5, depth), -32768, np.int16)
    x[1::2] = 32767
    w = np.full((3, depth), weight, np.int8)
    bias = np.array([0, 2**40, -(2**40)])
    arithmetic = Arithmetic(requantize_wide=rule)  # type: ignore[arg-type]
    scale = np.array([20_000 / (depth * 2**22), 2.0**-26, 2.0**-26])
    check(Layer("fully_connected", FullyConnectedAttrs(), x, w, bias, scale, (0, 0, 0), arithmetic))


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected"])
@pytest.mark.parametrize("zero_points", [(-128, 127, 0), (127, -128, 0), (0, 0, 0)])
@pytest.mark.parametrize("rule", FIXED_POINT)
def test_a_bias_at_the_ends_of_int32(op: str, zero_points: tuple[int, int, int], rule: str) -> None:
    """Sums beyond them wrap. Every scale from 1/2 to 2**-31: the bias decides which channels are constant and what could overflow."""
    rng = np.random.default_rng(len(rule))
    channels = 31
    shapes: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
        "conv2d": (Conv2dAttrs(pads=(1, 1, 1, 1)), (1, 3, 8, 2), (channels, 3, 3, 2)),
        "depthwise_conv2d": (DepthwiseConv2dAttrs(pads=(1, 1, 1, 1)), (1, 3, 8, channels), (1, 3, 3, channels)),
        "fully_connected": (FullyConnectedAttrs(), (9, 5), (channels, 5)),
    }
    attrs, x_shape, w_shape = shapes[op]
    x, w = (rng.integers(-128, 128, shape).astype(np.int8) for shape in (x_shape, w_shape))
    scale = 2.0 ** -np.arange(1.0, channels + 1) * 0.999
    for bias in (np.full(channels, ENDS[0]), np.full(channels, ENDS[1]), np.full(channels, 2**30), np.full(channels, 5)):
        for inside in (0, 10**6):  # all sums within int32, or some beyond
            inward = (bias - np.sign(bias) * inside).astype(np.int32)
            check(Layer(op, attrs, x, w, inward, scale, zero_points, Arithmetic(requantize=rule)))  # type: ignore[arg-type]


def test_a_single_channel_beyond_int32_takes_the_careful_rule_with_the_others() -> None:
    x, w = np.full((4, 4), 127, np.int8), np.full((20, 4), 127, np.int8)
    bias = np.arange(-10_000, 10_000, 1000).astype(np.int32)
    for edge in (2**31 - 1 - 4 * 127 * 127, 2**31 - 4 * 127 * 127, 2**31 - 1):
        bias[13] = edge
        check(Layer("fully_connected", FullyConnectedAttrs(), x, w, bias, np.full(1, 0.001), (0, 0, 0)))


@pytest.mark.parametrize(("overflow", "tile"), [("saturate", 16), ("saturate_tiles", 3)])
@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_a_register_that_no_input_fills_is_an_ordinary_one(op: str, overflow: str, tile: int) -> None:
    """Zero point 28: |x - 28| <= 156. 2 * 5 * 156 + 487 = 2047 fills 12 bits to the last unit, one more does not fit."""
    shapes: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
        "conv2d": (Conv2dAttrs(), (2, 1, 3, 2), (1, 1, 1, 2)),
        "depthwise_conv2d": (DepthwiseConv2dAttrs(), (2, 1, 3, 1), (1, 1, 2, 1)),
        "fully_connected": (FullyConnectedAttrs(), (2, 2), (1, 2)),
    }
    attrs, x, w = shapes[op]
    arithmetic = Arithmetic(accumulator_bits=12, overflow=overflow, accumulator_tile=tile)  # type: ignore[arg-type]
    for bias, native in ((487, True), (488, False), (-487, True), (-488, False)):
        for value in (-128, 127):
            data, weights = np.full(x, value, np.int8), np.full(w, -5 if bias > 0 else 5, np.int8)
            layer = Layer(op, attrs, data, weights, np.array([bias], np.int32), np.full(1, 0.05), (28, 0, 0), arithmetic)
            assert accumulator_of(layer.site()).native == native
            check(layer)
