"""Files of one layer with weights, for the cases of such layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tflite

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import rng

SAME, VALID = 0, 1
Array = np.ndarray[Any, Any]


def weights(shape: Sequence[int], axis: int, scales: str, bits: int = 8, seed: int = 0, span: float = 0.02) -> T:
    """Return integer weights. scales: 'tensor', or 'channel' along `axis`. bits: 8, or 4 packed in two a byte."""
    source, limit = rng("weights", seed, bits, *shape), (1 << (bits - 1)) - 1
    data = source.integers(-limit, limit + 1, shape).astype(np.int8)
    count = shape[axis] if scales == "channel" else 1
    scale = source.uniform(span / 10, span, count).astype(np.float32)
    tensor = T(shape, np.int8, "w", data=data, scale=scale.tolist(), zero=[0] * count, axis=axis if count > 1 else 0)
    if bits == 4:
        flat = np.append(data.reshape(-1), 0) if data.size % 2 else data.reshape(-1)
        tensor.raw = ((flat[0::2] & 15) | ((flat[1::2] & 15) << 4)).astype(np.uint8).tobytes()
        tensor.code = tflite.TensorType.INT4
    return tensor


def floats(name: str, *shape: int, shift: float = 0.0) -> Array:
    """Return normal float32 numbers around `shift`, the same for the same name and shape."""
    return (rng(name, *shape).normal(size=shape) + shift).astype(np.float32)


def outputs_of(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Return how many positions a window has along one dimension."""
    return -(-size // stride) if padding == SAME else (size - (kernel - 1) * dilation - 1) // stride + 1


def window_options(padding: int, stride: int, dilation: int, activation: int) -> dict[str, int]:
    """Return the options that convolutions share."""
    return {
        "Padding": padding, "StrideW": stride, "StrideH": stride, "DilationWFactor": dilation, "DilationHFactor": dilation,
        "FusedActivationFunction": activation,
    }  # fmt: skip


def window_net(
    kind: str, x: T, w: T, bias: T | None, out: T, kernel: int, padding: int, stride: int = 1, dilation: int = 1, activation: int = 0,
    bias_type: int | None = None,
) -> bytes:  # fmt: skip
    """Return a file of one convolution ('CONV_2D' or 'DEPTHWISE_CONV_2D'); the shape of `out` is made here."""
    options: dict[str, Any] = window_options(padding, stride, dilation, activation)
    if kind == "DEPTHWISE_CONV_2D":
        options["DepthMultiplier"] = w.shape[3] // x.shape[3]
    if bias_type is not None:
        options["QuantizedBiasType"] = bias_type
    height, width = (outputs_of(x.shape[i], kernel, stride, dilation, padding) for i in (1, 2))
    out.shape = (x.shape[0], height, width, w.shape[0 if kind == "CONV_2D" else 3])
    name = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}[kind]
    tensors = [x, w, out] if bias is None else [x, w, bias, out]
    last = len(tensors) - 1
    return Net(tensors, [Op(kind, list(range(last)), [last], (name, options))]).bytes()


def dense_net(x: T, w: T, bias: T | None, out: T, activation: int = 0, keep: bool = False, **options: Any) -> bytes:
    """Return a file of one FULLY_CONNECTED; the shape of `out` is made here."""
    rows = math.prod(x.shape) // w.shape[1]
    out.shape = (*x.shape[:-1], w.shape[0]) if keep else (rows, w.shape[0])
    options = {"FusedActivationFunction": activation, "KeepNumDims": keep, **options}
    tensors = [x, w, out] if bias is None else [x, w, bias, out]
    last = len(tensors) - 1
    inputs = [0, 1, -1] if bias is None else [0, 1, 2]
    return Net(tensors, [Op("FULLY_CONNECTED", inputs, [last], ("FullyConnectedOptions", options))]).bytes()


def transposed_net(x: T, w: T, bias: T | None, out: T, padding: int, stride: int, activation: int = 0, **options: Any) -> bytes:
    """Return a file of one TRANSPOSE_CONV; the shape of `out` is made here."""
    height, width = (n * stride if padding == SAME else (n - 1) * stride + w.shape[1] for n in x.shape[1:3])
    out.shape = (x.shape[0], height, width, w.shape[0])
    shape = const(out.shape, np.int32, name="shape")
    tensors = [shape, w, x, out] if bias is None else [shape, w, x, bias, out]
    last = len(tensors) - 1
    options = {"Padding": padding, "StrideW": stride, "StrideH": stride, "FusedActivationFunction": activation, **options}
    return Net(
        tensors, [Op("TRANSPOSE_CONV", list(range(last)), [last], ("TransposeConvOptions", options))], inputs=(2,)
    ).bytes()


def matrix_net(x: T, y: T, out: T, adj_x: bool = False, adj_y: bool = False, **options: Any) -> bytes:
    """Return a file of one BATCH_MATMUL; the shape of `out` is made here."""
    rows = x.shape[-1] if adj_x else x.shape[-2]
    columns = y.shape[-2] if adj_y else y.shape[-1]
    out.shape = (*np.broadcast_shapes(tuple(x.shape[:-2]), tuple(y.shape[:-2])), rows, columns)
    op = Op("BATCH_MATMUL", [0, 1], [2], ("BatchMatMulOptions", {"AdjX": adj_x, "AdjY": adj_y, **options}))
    return Net([x, y, out], [op], inputs=[i for i, t in enumerate((x, y)) if t.data is None]).bytes()
