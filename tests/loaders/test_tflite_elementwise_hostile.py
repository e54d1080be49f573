"""Files of elementwise operators, comparisons and reductions that are damaged or mean nothing: one message with the operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.errors import ModelError
from workbench.loaders.tflite import load_tflite

INT8 = {"scale": [0.1], "zero": [0]}


def two(kind: str, options: tuple[str, dict[str, Any]], a: T, b: T, y: T) -> bytes:
    return Net([a, b, y], [Op(kind, [0, 1], [2], options)], inputs=[i for i, t in enumerate((a, b)) if t.data is None]).bytes()


def over(kind: str, axes: list[int], dtype: Any, shape: tuple[int, ...] = (1,)) -> bytes:
    tensors = [x(dtype), const(np.array(axes), np.int32), x(dtype, "y", shape)]
    return Net(tensors, [Op(kind, [0, 1], [2], ("ReducerOptions", {}))]).bytes()


def prelu(dtype: Any, slope: T, **more: Any) -> bytes:
    return Net([x(dtype, **more), slope, x(dtype, "y", **more)], [Op("PRELU", [0, 1], [2])]).bytes()


def x(dtype: Any, name: str = "x", shape: tuple[int, ...] = (1, 4), **more: Any) -> T:
    return T(shape, dtype, name, **more)


RELU = {"FusedActivationFunction": 1}
BAD = {
    "a fused activation of integers": (
        two("ADD", ("AddOptions", RELU), x(np.int32), x(np.int32, "b"), x(np.int32, "y")), "ADD #0: a fused relu of int32",
    ),
    "an unknown activation": (
        two("DIV", ("DivOptions", {"FusedActivationFunction": 77}), x(np.float32), x(np.float32, "b"), x(np.float32, "y")),
        "DIV #0: fused activation 77",
    ),
    "types that differ": (
        two("MAXIMUM", ("MaximumMinimumOptions", {}), x(np.int32), x(np.int64, "b"), x(np.int32, "y")), "MAXIMUM #0: types",
    ),
    "a sum of bools": (two("ADD", ("AddOptions", {}), x(np.bool_), x(np.bool_, "b"), x(np.bool_, "y")), "ADD #0: types bool"),
    "an integer divided by zero while folding": (
        Net([x(np.int32), const([[4, 4, 4, 4]], np.int32), const([[1, 0, 1, 1]], np.int32), x(np.int32, "c"), x(np.int32, "y")],
            [Op("DIV", [1, 2], [3], ("DivOptions", {})), Op("ADD", [0, 3], [4], ("AddOptions", {}))]).bytes(),
        "DIV #0: an integer is divided by zero",
    ),
    "a comparison that is no bool": (
        two("LESS", ("LessOptions", {}), x(np.float32), x(np.float32, "b"), x(np.float32, "y")), "LESS #0: types",
    ),
    "an order of bools": (
        two("LESS", ("LessOptions", {}), x(np.bool_), x(np.bool_, "b"), x(np.bool_, "y")), "LESS #0: compares bool",
    ),
    "a comparison of bytes with and without a scale": (
        two("EQUAL", ("EqualOptions", {}), x(np.uint8), x(np.uint8, "b", **INT8), x(np.bool_, "y")), "EQUAL #0: types",
    ),
    "a logical operator on numbers": (
        two("LOGICAL_AND", ("LogicalAndOptions", {}), x(np.int32), x(np.int32, "b"), x(np.int32, "y")), "LOGICAL_AND #0: types int32",
    ),
    "shapes that do not fit": (
        two("POW", ("PowOptions", {}), x(np.float32), x(np.float32, "b", (1, 3)), x(np.float32, "y")),
        "POW #0: elementwise operator: shapes",
    ),
    "an output of another shape": (
        two("DIV", ("DivOptions", {}), x(np.float32), x(np.float32, "b"), x(np.float32, "y", (1, 5))), "DIV #0: makes shape",
    ),
    "a slope wider than the input": (prelu(np.float32, const(np.ones((1, 3, 4)), np.float32)), "PRELU #0: prelu: the slope"),
    "an int16 slope": (
        prelu(np.int16, const([[1, 2, 3, 4]], np.int16, **INT8), **INT8), "PRELU #0: the slope is int16; int16 values fit int8",
    ),
    "bits of scaled integers": (
        two("BITWISE_XOR", ("BitwiseXorOptions", {}), x(np.int8, **INT8), x(np.int8, "b", **INT8), x(np.int8, "y", **INT8)),
        "BITWISE_XOR #0: combines the bits of int8",
    ),
    "an axis outside": (over("REDUCE_MAX", [2], np.float32), "REDUCE_MAX #0: axis 2 is outside"),
    "no axis": (over("SUM", [], np.float32), "SUM #0:"),
    "any of numbers": (over("REDUCE_ANY", [1], np.int32), "REDUCE_ANY #0: types int32"),
    "a negative radius": (
        Net([x(np.float32, shape=(1, 1, 1, 4)), x(np.float32, "y", (1, 1, 1, 4))],
            [Op("LOCAL_RESPONSE_NORMALIZATION", [0], [1], ("LocalResponseNormalizationOptions", {"Radius": -3, "Bias": 1.0}))]).bytes(),
        "LOCAL_RESPONSE_NORMALIZATION #0: local_response_normalization: radius -3",
    ),
    "sums of different shapes": (
        two("ADD_N", ("AddNOptions", {}), x(np.float32), x(np.float32, "b", (1, 1)), x(np.float32, "y")),
        "ADD_N #0: add_n: all inputs must have one shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_means_nothing_is_refused_with_its_operator(what: str) -> None:
    data, message = BAD[what]
    with pytest.raises(ModelError) as caught:
        load_tflite("bad.tflite", data)
    assert message in str(caught.value)
