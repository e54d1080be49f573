"""Translators of operators on single values: add, sub, mul, activations (elu and gelu among them), abs, exp, log, rsqrt; softmax and
log_softmax; quantize, dequantize."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.elu import EluAttrs
from workbench.ops.gelu import GeluAttrs
from workbench.ops.leaky_relu import LeakyReluAttrs
from workbench.ops.log_softmax import LogSoftmaxAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.tensor import dequantize

_BINARY = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}
_LIMITS = {"RELU": (0.0, math.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
_PLAIN = ("ABS", "LOGISTIC", "TANH", "HARD_SWISH", "EXP", "LOG", "RSQRT")


def _binary(call: Call) -> None:
    a, b = call.input(0), call.input(1)
    call.same_type(a, b)
    rank = max(len(a.shape), len(b.shape))
    a, b = _aligned(call, a, rank), _aligned(call, b, rank)
    attrs = BinaryAttrs(call.activation, bool(call.options.get("PotScaleInt16", call.operator.kind != "MUL")))
    # A constant with a row per sample, or one that makes more samples than there are, ties the graph to the declared batch.
    mixes = any(t.is_constant and len(t.shape) == rank and rank > 0 and t.shape[0] != 1 for t in (a, b))
    call.emit(call.operator.kind.lower(), [a, b], attrs, mixes)


def _aligned(call: Call, tensor: Tensor, rank: int) -> Tensor:
    """Return an activation with leading ones, so that dimension 0 is the batch for both operands.

    With one declared sample, [1, C] beside [1, H, W, C] means the same as [1, 1, 1, C], where every sample has its own.
    """
    missing = rank - len(tensor.shape)
    if tensor.is_constant or not missing:
        return tensor
    return call.reshaped(tensor, (*(1,) * missing, *tensor.shape))


def _relu(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    call.emit("relu", [x], ReluAttrs(*_LIMITS[call.operator.kind]))


def _plain(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    call.emit(call.operator.kind.lower(), [x], NoAttrs())


for _kind, _options in _BINARY.items():
    translates(_kind, (2, 2), _options)(_binary)
for _kind in _LIMITS:
    translates(_kind, (1, 1))(_relu)
for _kind in _PLAIN:
    translates(_kind, (1, 1))(_plain)


@translates("LEAKY_RELU", (1, 1), "LeakyReluOptions")
def _leaky_relu(call: Call) -> None:
    x, alpha = call.input(0), float(call.option("Alpha"))
    call.same_type(x)
    if not math.isfinite(alpha):
        raise call.error(f"alpha is {alpha}; it must be finite.")
    call.emit("leaky_relu", [x], LeakyReluAttrs(alpha))


@translates("SOFTMAX", (1, 1), "SoftmaxOptions")
def _softmax(call: Call) -> None:
    x, beta = call.input(0), float(call.option("Beta"))
    if (x.dtype, call.output.dtype) != ("int8", "int16"):
        call.same_type(x)
    if not (math.isfinite(beta) and beta > 0):
        raise call.error(f"beta is {beta}; it must be finite and > 0.")
    call.emit("softmax", [x], SoftmaxAttrs(beta, -1), mixes=len(x.shape) < 2)


@translates("LOG_SOFTMAX", (1, 1), "LogSoftmaxOptions")
def _log_softmax(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    call.emit("log_softmax", [x], LogSoftmaxAttrs(-1), mixes=len(x.shape) < 2)


@translates("ELU", (1, 1))
def _elu(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    call.emit("elu", [x], EluAttrs())


@translates("GELU", (1, 1), "GeluOptions")
def _gelu(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    call.emit("gelu", [x], GeluAttrs(bool(call.options.get("Approximate", False))))


@translates("QUANTIZE", (1, 1), "QuantizeOptions")
def _quantize(call: Call) -> None:
    x, y = call.input(0), call.output
    if x.dtype not in ("float32", "int8", "int16") or y.dtype not in ("int8", "int16"):
        raise call.error(f"types {x.dtype} -> {y.dtype}; expected float32, int8 or int16 -> int8 or int16.")
    call.emit("quantize", [x], NoAttrs())


@translates("DEQUANTIZE", (1, 1), "DequantizeOptions")
def _dequantize(call: Call) -> None:
    """Constants are dequantized here (float16 and weight-only models); their integers stay known for layers with weights."""
    x, y = call.input(0), call.output
    if x.dtype not in ("float16", "int4", "int8", "int16") or y.dtype != "float32":
        raise call.error(f"types {x.dtype} -> {y.dtype}; expected float16, int4, int8 or int16 -> float32.")
    if x.data is None:
        call.emit("dequantize", [x], NoAttrs())
        return
    if x.dtype != "float16" and x.quant is None:
        raise call.error(f"'{x.name[:80]}' is {x.dtype} without a scale.")
    call.builder.file.tensors.charge(4 * x.data.size, call.where)
    real: Any = dequantize(x.data, x.quant) if x.quant is not None else x.data.astype(np.float32)
    call.constant(real, quant=None)
    if x.dtype in ("int4", "int8") and x.quant is not None and not x.quant.zero_point.any():
        call.builder.integers[y.name] = x
