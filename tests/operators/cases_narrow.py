"""Weights of 4 and 2 bits as files store them: two and four in a byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tflite

from tests.loaders.tflite_writer import T
from tests.operators.case import LITERT, TFLITE, Case, rng
from tests.operators.cases_uint8 import bias, op_case
from workbench.loaders.tflite.tensor import INT2

CODES = {4: tflite.TensorType.INT4, 2: INT2}
SCALES: dict[Any, tuple[dict[str, Any], dict[str, Any]]] = {
    np.int8: ({"scale": [0.03], "zero": [3]}, {"scale": [0.06], "zero": [-5]}),
    np.int16: ({"scale": [0.0002], "zero": [0]}, {"scale": [0.0004], "zero": [0]}),
}


def packed(shape: tuple[int, ...], bits: int, per_channel: bool) -> T:
    """Return constant weights, lowest bits first, filled with zeros to whole bytes."""
    half, per_byte = 1 << (bits - 1), 8 // bits
    flat = rng(str(shape), bits).integers(-half, half, shape).reshape(-1)
    codes = np.concatenate([flat, np.zeros(-len(flat) % per_byte, np.int64)]).reshape(-1, per_byte) & ((1 << bits) - 1)
    raw = (codes << (bits * np.arange(per_byte))).sum(axis=1).astype(np.uint8).tobytes()
    scale = np.linspace(0.02, 0.05, shape[0] if per_channel else 1).tolist()
    return T(shape, np.int8, "w", raw=raw, scale=scale, zero=[0] * len(scale), code=CODES[bits])


def cases() -> Iterator[Case]:
    for bits in CODES:
        for per_channel in (True, False):
            for dtype, (qx, qy) in SCALES.items():
                types = f"{np.dtype(dtype).name} by int{bits}"
                name = "per channel" if per_channel else "per tensor"
                x, y = T((2, 33), dtype, "x", **qx), T((2, 5), dtype, "y", **qy)
                micro = bits == 4 and dtype == np.int8 and not per_channel
                yield op_case(
                    "FULLY_CONNECTED", name, [x, packed((5, 33), bits, per_channel)], y, ("FullyConnectedOptions", {}),
                    TFLITE if micro else LITERT, types,
                )  # fmt: skip
    qx, qy = SCALES[np.int8]
    x, y = T((1, 6, 5, 3), np.int8, "x", **qx), T((1, 4, 3, 7), np.int8, "y", **qy)
    options = ("Conv2DOptions", {"Padding": 1, "StrideH": 1, "StrideW": 1})
    inputs = [x, packed((7, 3, 3, 3), 4, True), bias(7, "conv", 0.0006)]
    yield op_case("CONV_2D", "per channel", inputs, y, options, TFLITE, "int8 by int4")
