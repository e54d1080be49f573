"""Operators of float16 ONNX files: read as float32 with the stored values, while the runtime rounds each result to float16."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from tests.operators.case import Case
from tests.operators.onnx_nets import Fed, case, floats, node

HALF_STEP = 1e-3
"""Of the largest value: results and the sums in them are rounded to 11 bits."""


def cases() -> Iterator[Case]:
    image = (1, 3, 7, 6)
    yield _half("Conv", "3x3", [node("Conv", "x w b", pads=[1, 1, 1, 1])], image, w=floats(4, 3, 3, 3), b=floats(4))
    yield _half("Conv", "depthwise", [node("Conv", "x w", group=3, strides=[2, 1])], image, w=floats(3, 1, 3, 3))
    yield _half("Gemm", "bias", [node("Gemm", "x w b", transB=1)], (1, 12), w=floats(5, 12), b=floats(5))
    yield _half("MatMul", "weights", [node("MatMul", "x w")], (1, 4, 12), w=floats(12, 5))
    yield _half("Relu", "values", [node("Relu", "x")], (1, 4, 12))
    yield _half("Add", "channels", [node("Add", "x c")], image, c=floats(3, 1, 1))
    yield _half("MaxPool", "2x2", [node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])], image)
    yield _half("AveragePool", "3x2", [node("AveragePool", "x", kernel_shape=[3, 2])], image)
    yield _half("GlobalAveragePool", "image", [node("GlobalAveragePool", "x")], image)
    yield _half("Softmax", "last axis", [node("Softmax", "x", axis=-1)], (1, 4, 12))


def _half(op: str, name: str, nodes: Sequence[onnx.NodeProto], shape: Sequence[int], **constants: Any) -> Case:
    """Return a case whose input, constants and output are float16."""
    narrow: Mapping[str, Any] = {k: v.astype(np.float16) for k, v in constants.items()}
    fed = {"x": Fed(tuple(shape), "float16", low=-2.0, high=2.0)}
    return case(op, name, nodes, fed, narrow, {"y": "float16"}, tolerance=HALF_STEP)
