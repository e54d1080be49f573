"""Two small networks of many operators, one of integers and one of floats."""

from __future__ import annotations

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const


def small_networks() -> list[bytes]:
    rng = np.random.default_rng(3)
    scale = {"scale": [0.05], "zero": [3]}
    q = {"dtype": np.int8, **scale}
    window = {"Padding": 0, "StrideW": 1, "StrideH": 2, "FusedActivationFunction": 1}
    integers = Net(
        [
            T((1, 6, 6, 3), name="x", **q),
            const(rng.integers(-127, 127, (4, 3, 3, 3)), np.int8, scale=[0.01, 0.02, 0.03, 0.02]),
            const(rng.integers(-99, 99, 4), np.int32),
            T((1, 3, 6, 4), name="c", **q),
            T((1, 2, 5, 4), name="p", **q),
            const([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32),
            T((1, 3, 6, 4), name="d", **q),
            T((1, 3, 6, 4), name="e", **q),
            const([1, 72], np.int32),
            T((1, 72), name="r", **q),
            const(rng.integers(-9, 9, (5, 72)), np.int8, scale=[0.1]),
            T((1, 5), name="f", **q),
            T((1, 5), np.int8, "s", scale=[1 / 256], zero=[-128]),
            T((1, 5), name="y"),
        ],
        [
            Op("CONV_2D", [0, 1, 2], [3], ("Conv2DOptions", {**window, "DilationHFactor": 1, "DilationWFactor": 1})),
            Op(
                "MAX_POOL_2D",
                [3],
                [4],
                ("Pool2DOptions", {"Padding": 1, "StrideW": 1, "StrideH": 1, "FilterWidth": 2, "FilterHeight": 2}),
            ),
            Op("PAD", [4, 5], [6]),
            Op("ADD", [6, 3], [7], ("AddOptions", {})),
            Op("RESHAPE", [7, 8], [9]),
            Op("FULLY_CONNECTED", [9, 10, -1], [11], ("FullyConnectedOptions", {})),
            Op("SOFTMAX", [11], [12], ("SoftmaxOptions", {"Beta": 1.0})),
            Op("DEQUANTIZE", [12], [13]),
        ],
    )
    floats = Net(
        [
            T((1, 4, 5, 3), name="x"),
            const([0, 2, 1, 3], np.int32),
            T((1, 5, 4, 3), name="t"),
            const([0, 1, 0, 0], np.int32),
            const([0, 4, 9, 0], np.int32),
            const([1, 2, 1, 1], np.int32),
            T((1, 2, 4, 3), name="s"),
            const(rng.normal(size=(4, 3)), np.float16),
            T((4, 3), name="h"),
            T((1, 2, 4, 3), name="m"),
            const([1, 2], np.int32),
            T((1, 3), name="n"),
            T((1, 3), name="l"),
            T((1, 6), name="j"),
            const(rng.normal(size=(6, 5)), np.float32),
            T((1, 5), name="b"),
            T((1, 5), name="y"),
        ],
        [
            Op("TRANSPOSE", [0, 1], [2]),
            Op("STRIDED_SLICE", [2, 3, 4, 5], [6], ("StridedSliceOptions", {"BeginMask": 1, "EndMask": 9})),
            Op("DEQUANTIZE", [7], [8]),
            Op("MUL", [6, 8], [9], ("MulOptions", {})),
            Op("MEAN", [9, 10], [11], ("ReducerOptions", {})),
            Op("LEAKY_RELU", [11], [12], ("LeakyReluOptions", {"Alpha": 0.1})),
            Op("CONCATENATION", [11, 12], [13], ("ConcatenationOptions", {"Axis": 1})),
            Op("BATCH_MATMUL", [13, 14], [15], ("BatchMatMulOptions", {})),
            Op("HARD_SWISH", [15], [16]),
        ],
    )
    return [integers.bytes(), floats.bytes()]
