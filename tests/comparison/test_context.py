"""Accumulators of single elements against nested loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracles.linear import conv2d, depthwise_as_conv2d, fully_connected
from tests.sites import site, tensor
from workbench.comparison.context import accumulator
from workbench.graph.ir import Array
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs

RNG = np.random.default_rng(4)
GEOMETRY = {"stride": (2, 1), "dilation": (1, 2), "pads": (1, 2, 0, 1)}


def integers(*shape: int) -> Array:
    return RNG.integers(-128, 128, shape).astype(np.int8)


def check(op: str, attrs: Any, x: Array, w: Array, want: Any, bias: Array | None) -> None:
    want = np.array(want)
    data = [] if bias is None else [tensor("b", bias.shape, "int32", (1.0, 0), bias)]
    inputs = [tensor("x", x.shape, "int8", (0.5, 3)), tensor("w", w.shape, "int8", (1.0, 0), w), *data]
    place = site(op, attrs, inputs, tensor("y", want.shape, "int8", (2.0, 0)))
    args = [x, w] if bias is None else [x, w, bias]
    assert [accumulator(place, args, i) for i in np.ndindex(want.shape[1:])] == want[0].reshape(-1).tolist()


@pytest.mark.parametrize("groups", [1, 2])
def test_conv2d(groups: int) -> None:
    x, w, bias = integers(1, 5, 6, 4), integers(6, 3, 2, 4 // groups), RNG.integers(-999, 999, 6).astype(np.int32)
    want = conv2d(x.tolist(), w.tolist(), bias.tolist(), 3, **GEOMETRY, groups=groups)
    check("conv2d", Conv2dAttrs(**GEOMETRY, groups=groups), x, w, want, bias)


def test_depthwise_with_two_outputs_per_channel() -> None:
    x, w = integers(1, 5, 6, 3), integers(1, 3, 2, 6)
    want = conv2d(x.tolist(), depthwise_as_conv2d(w.tolist()), [0] * 6, 3, **GEOMETRY, groups=3)
    check("depthwise_conv2d", DepthwiseConv2dAttrs(**GEOMETRY), x, w, want, None)


def test_fully_connected() -> None:
    x, w, bias = integers(1, 7), integers(3, 7), np.array([5, -6, 7], np.int32)
    check("fully_connected", FullyConnectedAttrs(), x, w, fully_connected(x.tolist(), w.tolist(), bias.tolist(), 3), bias)
