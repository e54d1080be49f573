"""Integer convolutions, rows and matrices of any geometry, type, rule and accumulator == nested loops in plain integers."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.linear_layers import Layer, extremes, guarded, matrices
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import _convolution, _depthwise, _linear
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import RANGES

FIXED_POINT = ["double", "double_half_up", "double_half_up_simd8", "single"]
RULES = [*FIXED_POINT, "float32_half_even", "float64_half_away"]
USUAL = {"bytes": RULES, "pairs": ["float32_half_even"]}
"""Rules of a kind of layer in the ordinary tests (others: FIXED_POINT): every further family of rules is code to compile."""
WIDE_RULES = ["reduced_multiplier", "float64_half_away"]
PRODUCTS = 25_000
"""Of one layer: the loops take about a tenth of a microsecond each."""


@st.composite
def numbers(draw: st.DrawFn, kind: str, every: bool) -> dict[str, Any]:
    """What decides the arithmetic of a layer: types, accumulator, rule, zero points. every: rule with every kind."""
    int16 = kind in ("words", "wide", "saturate_words", "saturate_wide")
    arithmetic: dict[str, Any] = {"requantize": draw(st.sampled_from(RULES if every else USUAL.get(kind, FIXED_POINT)))}
    if kind == "wrap":
        arithmetic["accumulator_bits"] = draw(st.integers(8, 32))
    if kind in ("saturate", "saturate_words"):
        arithmetic.update(overflow="saturate", accumulator_bits=draw(st.integers(8, 30)))
    if kind == "exotic":
        arithmetic.update(overflow="saturate", accumulator_bits=draw(st.sampled_from([31, 32])))
    if kind == "tiles":
        arithmetic.update(
            overflow="saturate_tiles", accumulator_bits=draw(st.integers(8, 32)), accumulator_tile=draw(st.integers(1, 40))
        )
    if kind == "saturate_wide":
        arithmetic.update(
            overflow=draw(st.sampled_from(["saturate", "saturate_tiles"])), requantize_wide=draw(st.sampled_from(WIDE_RULES)),
            accumulator_bits_wide=draw(st.sampled_from([64, 48, 24])),
        )  # fmt: skip
    if kind == "pairs":
        arithmetic["overflow"] = "saturate_int16_pairs"
    if kind == "wide":
        arithmetic.update(
            requantize_wide=draw(st.sampled_from(WIDE_RULES)), accumulator_bits_wide=draw(st.sampled_from([64, 48, 40, 20]))
        )
    low, high = (0, 0) if int16 else (-128, 127)
    point = st.sampled_from([low, high]) | st.integers(low, high)
    return {
        "dtype": np.int16 if int16 else np.int8,
        "bias_type": np.int64 if kind.endswith("wide") else np.int32,
        "weights": draw(st.sampled_from(["int8", "int8", "int4", "int2"])),
        "bias": draw(st.sampled_from([0, 9_000, 2**31 - 1])) if kind != "words" else draw(st.sampled_from([9_000, 2**31 - 1])),
        "zero_points": (draw(point), draw(point), 0),
        "activation": draw(st.sampled_from(["none", "relu", "relu6", "relu_n1_to_1"])),
        "spread": draw(st.sampled_from([0.0, 3.0, 20.0])),
        "arithmetic": Arithmetic(**arithmetic),
    }


def layer(
    rng: np.random.Generator, n: dict[str, Any], op: str, attrs: Any, x: tuple[int, ...], w: tuple[int, ...], depth: int
) -> Layer:
    """Random operands, and a scale that brings sums of `depth` products to some hundred steps of the output."""
    outputs = w[3] if op == "depthwise_conv2d" else w[0]
    limits = np.iinfo(n["dtype"])
    data = extremes(rng, limits.min, limits.max, x, n["dtype"])
    weights = extremes(rng, *RANGES[n["weights"]], w, np.int8)
    bias = rng.integers(-n["bias"], n["bias"] + 1, outputs).astype(n["bias_type"]) if n["bias"] else None
    scale = 90.0 / np.sqrt(depth) / (float(np.abs(weights.astype(np.int64)).max()) + 1) / 128
    scale = np.minimum(scale * 2.0 ** rng.uniform(-n["spread"], n["spread"], outputs if rng.random() < 0.7 else 1), 2.0**13)
    return Layer(op, attrs, data, weights, bias, scale, n["zero_points"], n["arithmetic"], n["weights"])


def check(made: Layer) -> None:
    with guarded():
        got = made.run()
    want = made.expected()
    assert got.dtype == want.dtype and np.array_equal(got, want)


@st.composite
def geometry(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> tuple[dict[str, Any], tuple[int, int], tuple[int, int]]:
    """Return (attributes, kernel, (H, W)) whose output is 1 to 5 lines of 1 to 9 positions."""
    kernel = draw(st.tuples(sizes, sizes))
    stride, dilation = draw(st.tuples(*[st.integers(1, 3)] * 2)), draw(st.tuples(*[st.integers(1, 2)] * 2))
    outputs = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    pads, size = [0] * 4, [0, 0]
    for axis in (0, 1):
        covered = (outputs[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1
        unused = draw(st.integers(0, stride[axis] - 1))  # lines and columns that no window reaches
        before = draw(st.integers(0, min(kernel[axis], covered + unused - 1)))
        after = draw(st.integers(0, min(kernel[axis], covered + unused - 1 - before)))
        pads[axis], pads[axis + 2], size[axis] = before, after, covered + unused - before - after
    return {"stride": stride, "dilation": dilation, "pads": tuple(pads)}, kernel, (size[0], size[1])


def output_count(attrs: dict[str, Any], kernel: tuple[int, int], size: tuple[int, int]) -> int:
    count = 1
    for axis in (0, 1):
        padded = size[axis] + attrs["pads"][axis] + attrs["pads"][axis + 2]
        count *= (padded - attrs["dilation"][axis] * (kernel[axis] - 1) - 1) // attrs["stride"][axis] + 1
    return count


def check_conv2d(data: st.DataObject, kind: str, every: bool) -> None:
    attrs, kernel, size = data.draw(geometry(st.integers(1, 5)))
    n, seed = data.draw(numbers(kind, every)), data.draw(st.integers(0, 2**32 - 1))
    groups, depth = data.draw(st.sampled_from([1, 1, 1, 2, 3])), data.draw(st.integers(1, 40))
    per_output = output_count(attrs, kernel, size) * kernel[0] * kernel[1] * depth
    batch = data.draw(st.integers(1, max(1, min(3, PRODUCTS // per_output))))
    outputs = groups * data.draw(st.integers(1, max(1, min(50, PRODUCTS // (per_output * batch * groups)))))
    budget = data.draw(st.sampled_from([1, 700, 48 * 1024]))
    made = Conv2dAttrs(groups=groups, activation=n["activation"], **attrs)
    shapes = (batch, *size, depth * groups), (outputs, *kernel, depth)
    made_layer = layer(np.random.default_rng(seed), n, "conv2d", made, *shapes, kernel[0] * kernel[1] * depth)
    with mock.patch.object(_convolution, "BAND_BYTES", budget), small_tiles(data):
        check(made_layer)


def small_tiles(data: st.DataObject) -> Any:
    """Sometimes only 8 rows at a time, so that there are several bands."""
    rows = data.draw(st.sampled_from([8, 48]))
    return mock.patch.multiple(_linear, TILE_ROWS=rows, ROW_BYTES=1 if rows == 8 else 32 * 1024)


def check_depthwise(data: st.DataObject, kind: str, every: bool) -> None:
    attrs, kernel, size = data.draw(geometry(st.integers(1, 5)))
    n, seed = data.draw(numbers(kind, every)), data.draw(st.integers(0, 2**32 - 1))
    per_channel = output_count(attrs, kernel, size) * kernel[0] * kernel[1]
    if kind.endswith("wide"):
        n["bias"] = max(n["bias"], 5)  # an int16 depthwise needs the bias to say which accumulator
    multiplier = data.draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels = data.draw(st.integers(1, max(1, min(40, PRODUCTS // per_channel // multiplier))))
    batch = data.draw(st.integers(1, 3))
    shapes = (batch, *size, channels), (1, *kernel, channels * multiplier)
    made = DepthwiseConv2dAttrs(activation=n["activation"], **attrs)
    made_layer = layer(np.random.default_rng(seed), n, "depthwise_conv2d", made, *shapes, kernel[0] * kernel[1])
    with mock.patch.object(_depthwise, "BAND_BYTES", data.draw(st.sampled_from([1, 3000, 48 * 1024]))):
        check(made_layer)


def check_fully_connected(data: st.DataObject, kind: str, every: bool) -> None:
    n, seed = data.draw(numbers(kind, every)), data.draw(st.integers(0, 2**32 - 1))
    depth, rows = data.draw(st.integers(1, 70) | st.integers(250, 600)), data.draw(st.integers(1, 30))
    outputs = data.draw(st.integers(1, max(1, min(130, PRODUCTS // (rows * depth)))))
    attrs = FullyConnectedAttrs(n["activation"])
    with small_tiles(data):
        check(layer(np.random.default_rng(seed), n, "fully_connected", attrs, (rows, depth), (outputs, depth), depth))


def check_batch_matmul(data: st.DataObject, kind: str, every: bool) -> None:
    n, seed = data.draw(numbers(kind, every)), data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    batch, m, k, columns = (data.draw(st.integers(1, most)) for most in (3, 9, 70, 20))
    limits = np.iinfo(n["dtype"])
    x, y = (extremes(rng, limits.min, limits.max, (batch, rows, k), n["dtype"]) for rows in (m, columns))
    zero_points = (*n["zero_points"][:2], 0 if kind.endswith("wide") else data.draw(st.integers(-128, 127)))
    check(matrices(x, y, 90.0 / np.sqrt(k) / 128 / 128, zero_points, n["arithmetic"]))


KINDS = ["bytes", "wrap", "saturate", "exotic", "tiles", "pairs", "words", "saturate_words", "wide", "saturate_wide"]
WITHOUT_WORDS = [kind for kind in KINDS if not kind.endswith("words")]  # int16 of these operators has int64 sums
CHECKS = [
    *[(check_conv2d, kind) for kind in KINDS],
    *[(check_depthwise, kind) for kind in WITHOUT_WORDS],
    *[(check_fully_connected, kind) for kind in KINDS],
    *[(check_batch_matmul, kind) for kind in WITHOUT_WORDS],
]
COMPILED_FOR_THEM_ALONE = [
    (check_batch_matmul, "bytes"),
    (check_conv2d, "saturate_words"),
    (check_fully_connected, "saturate_words"),
]


def name(case: tuple[Any, str]) -> str:
    return f"{case[0].__name__.removeprefix('check_')}-{case[1]}"


@pytest.mark.parametrize("case", [case for case in CHECKS if case not in COMPILED_FOR_THEM_ALONE], ids=name)
@settings(max_examples=15)
@given(data=st.data())
def test_any_layer_equals_loops(case: tuple[Any, str], data: st.DataObject) -> None:
    operator, kind = case
    operator(data, kind, every=False)


@pytest.mark.slow
@pytest.mark.parametrize("case", CHECKS, ids=name)
@settings(max_examples=200)
@given(data=st.data())
def test_many_layers_equal_loops(case: tuple[Any, str], data: st.DataObject) -> None:
    operator, kind = case
    operator(data, kind, every=True)


@pytest.mark.parametrize(
    ("x", "w", "stride", "pads"),
    [
        ((2, 3, 3, 3), (9, 3, 3, 3), (3, 3), (1, 1, 1, 1)),
        ((2, 1, 3, 3), (9, 1, 3, 3), (8, 2), (2, 0, 0, 0)),
        ((5, 5, 1, 3), (24, 5, 1, 3), (3, 2), (1, 1, 0, 0)),
        ((5, 1, 1, 12), (12, 1, 1, 12), (3, 8), (0, 1, 2, 3)),
    ],
)
def test_padding_before_one_window_as_large_as_the_image(x: Any, w: Any, stride: Any, pads: Any) -> None:
    """The window starts in the padding, so the image is not its row, although both have the same size."""
    n = {"dtype": np.int8, "weights": "int8", "bias": 9_000, "bias_type": np.int32, "zero_points": (-100, 11, 0), "spread": 0.0}
    n["arithmetic"] = Arithmetic()
    attrs = Conv2dAttrs(stride=stride, pads=pads)
    check(layer(np.random.default_rng(1), n, "conv2d", attrs, x, w, w[1] * w[2] * w[3]))


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2), (2, 3)])
def test_8_channels_with_dilation(dilation: tuple[int, int]) -> None:
    n = {"dtype": np.int8, "weights": "int8", "bias": 9_000, "bias_type": np.int32, "zero_points": (-7, 11, 0), "spread": 0.0}
    n["arithmetic"] = Arithmetic()
    attrs = Conv2dAttrs(dilation=dilation, pads=(1, 1, 1, 1))
    check(layer(np.random.default_rng(1), n, "conv2d", attrs, (2, 9, 8 + 2 * dilation[1], 5), (8, 3, 3, 5), 45))
