"""Layers of narrow activations and weights: every width of input, weights and output, and accumulators as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.linear_layers import Layer, extremes
from tests.oracles import linear
from workbench.errors import UnsupportedError
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import RANGES

Array = np.ndarray[Any, Any]
UNITS = (np.float32(2.0**-5), np.float32(2.0**-3))
WIDTHS = [
    ("int4", "int4", "int4"), ("int2", "int2", "int2"), ("int4", "int8", "int2"), ("int8", "int1", "int4"), ("int8", "binary", "int8"),
    ("int4", "ternary", "int8"), ("int8", "int8", "int16"), ("int2", "int4", "int32"), ("int8", "int2", "int32"),
]  # fmt: skip


def numbers(seed: int, dtype: str, shape: tuple[int, ...]) -> Array:
    values = extremes(np.random.default_rng(seed), *RANGES[dtype], shape, np.int8)
    return np.where(values < 0, -1, 1).astype(np.int8) if dtype == "binary" else values


def layer(op: str, x: str, w: str, y: str, rule: str) -> Layer:
    """A layer with zero points in the input and (where it is no accumulator) in the output."""
    shapes = {"conv2d": (5, 3, 3, 6), "depthwise_conv2d": (1, 3, 3, 6), "fully_connected": (21, 6)}
    attrs = {
        "conv2d": Conv2dAttrs(pads=(1, 1, 1, 1), activation="relu"),
        "depthwise_conv2d": DepthwiseConv2dAttrs(pads=(1, 1, 1, 1)),
        "fully_connected": FullyConnectedAttrs(),
    }[op]
    image = (2, 4, 5, 6) if op != "fully_connected" else (3, 6)
    outputs = shapes[op][3] if op == "depthwise_conv2d" else shapes[op][0]
    bias = np.random.default_rng(9).integers(-60, 60, outputs).astype(np.int32)
    exponent = 0 if y in ("int16", "int32") else -3
    units = UNITS if y != "int32" else (UNITS[0], np.float32(UNITS[0] * np.float32(0.25)))
    scale = np.array([1.0 if y == "int32" else 2.0**exponent])
    zero_points = (RANGES[x][0], 0 if y in ("int16", "int32") else RANGES[y][0], 0)
    arithmetic = Arithmetic(requantize=rule, layer_output="any_width")  # type: ignore[arg-type]
    return Layer(
        op, attrs, numbers(1, x, image), numbers(2, w, shapes[op]), bias, scale, zero_points, arithmetic, w, units, x, y
    )


@pytest.mark.parametrize(("x", "w", "y"), WIDTHS)
@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_every_width_equals_the_oracle(op: str, x: str, w: str, y: str) -> None:
    made = layer(op, x, w, y, "icn" if y in ("int4", "int2") else "power_of_two_half_up")
    got = made.run()
    assert got.dtype == {"int16": np.int16, "int32": np.int32}.get(y, np.int8)
    assert got.tolist() == made.expected().tolist()


def test_an_unsigned_layer_is_its_signed_twin() -> None:
    """CMix-NN's own words, on unsigned integers: y = usat4(((acc * m0) >> 32 >> n) + zy), acc of x - zx by w - 8."""
    x, w = np.random.default_rng(5).integers(0, 16, (4, 12)), np.random.default_rng(6).integers(0, 16, (7, 12))
    m0, n = 1_717_986_944, 3  # as many bits as a float32 scale of weights holds
    made = layer("fully_connected", "int4", "int4", "int4", "icn")
    scale = np.array([m0 * 2.0 ** (-32 - n)])
    twin = replace(
        made, x=(x - 8).astype(np.int8), w=(w - 8).astype(np.int8), bias=None, scale=scale, zero_points=(2 - 8, 1 - 8, 0),
        units=(np.float32(1.0), np.float32(1.0)),
    )  # fmt: skip
    want = [
        [
            max(0, min(15, ((sum((a - 2) * (b - 8) for a, b in zip(row, column, strict=True)) * m0 >> 32) >> n) + 1))
            for column in w.tolist()
        ]
        for row in x.tolist()
    ]
    assert (twin.run().astype(int) + 8).tolist() == want


def test_an_output_of_32_bits_is_the_accumulator() -> None:
    made = layer("fully_connected", "int8", "int8", "int32", "power_of_two_half_up")
    acc = linear.fully_connected(made.x.tolist(), made.w.tolist(), made.bias.tolist(), made.zero_points[0])  # type: ignore[union-attr]
    assert made.run().tolist() == acc
    with pytest.raises(UnsupportedError, match="is the accumulator"):
        replace(made, scale=np.array([0.5])).run()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"arithmetic": Arithmetic()}, "same type"),
        ({"w": np.zeros((21, 6), np.int8), "w_type": "binary"}, "0 excepted"),
        ({"w": np.full((21, 6), 1, np.int8), "w_type": "int1"}, "outside of int1"),
    ],
)
def test_what_a_target_does_not_have_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        replace(layer("fully_connected", "int8", "int8", "int16", "power_of_two_half_up"), **change).run()
