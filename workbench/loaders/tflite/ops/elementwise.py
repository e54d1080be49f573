"""Translators of functions of one value (activations, abs, exp, sqrt, floor, ...), softmax, log_softmax, normalizations; quantize and
dequantize."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.ops.arithmetic import one_type
from workbench.ops.base import NoAttrs
from workbench.ops.elu import EluAttrs
from workbench.ops.gelu import GeluAttrs
from workbench.ops.l2_normalization import L2NormalizationAttrs
from workbench.ops.leaky_relu import LeakyReluAttrs
from workbench.ops.local_response_normalization import LocalResponseNormalizationAttrs
from workbench.ops.log_softmax import LogSoftmaxAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.tensor import dequantize

_LIMITS = {"RELU": (0.0, math.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}
_BARE = {
    "ABS": "AbsOptions", "LOGISTIC": "", "TANH": "", "HARD_SWISH": "HardSwishOptions", "EXP": "ExpOptions", "LOG": "", "RSQRT": "",
    "SQRT": "", "SQUARE": "SquareOptions", "NEG": "NegOptions", "FLOOR": "", "CEIL": "", "ROUND": "", "SIGN": "SignOptions", "SIN": "",
    "COS": "CosOptions",
}  # fmt: skip
"""Operators without attributes -> their options, which hold nothing."""
_WHOLE = {"ABS": ("int32",), "NEG": ("int32", "int64"), "SIGN": ("int32",)}
"""Operator -> types without a scale that it takes."""


def _relu(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    call.emit("relu", [x], ReluAttrs(*_LIMITS[call.operator.kind]))


def _bare(call: Call) -> None:
    x = call.input(0)
    one_type(call, x, plain=_WHOLE.get(call.operator.kind, ()))
    call.emit(call.operator.kind.lower(), [x], NoAttrs())


for _kind in _LIMITS:
    translates(_kind, (1, 1))(_relu)
for _kind, _options in _BARE.items():
    translates(_kind, (1, 1), _options)(_bare)


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


@translates("L2_NORMALIZATION", (1, 1), "L2NormOptions")
def _l2_normalization(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    if call.activation != "none":
        raise call.error(f"a fused {call.activation} is not supported; the runtimes refuse it too.")
    call.emit("l2_normalization", [x], L2NormalizationAttrs(), mixes=len(x.shape) < 2)


@translates("LOCAL_RESPONSE_NORMALIZATION", (1, 1), "LocalResponseNormalizationOptions")
def _local_response_normalization(call: Call) -> None:
    x = call.input(0)
    call.same_type(x, types=("float32",))
    if len(x.shape) != 4:
        raise call.error(f"the input must be [N, H, W, C], it is {list(x.shape)}.")
    alpha, beta, bias = (float(call.options.get(name, 0.0)) for name in ("Alpha", "Beta", "Bias"))
    attrs = LocalResponseNormalizationAttrs(int(call.option("Radius")), alpha, beta, bias)
    call.emit("local_response_normalization", [x], attrs)


@translates("QUANTIZE", (1, 1), "QuantizeOptions")
def _quantize(call: Call) -> None:
    x, y = call.input(0), call.output
    if x.dtype not in ("float32", "int8", "uint8", "int16") or y.dtype not in ("int8", "uint8", "int16"):
        raise call.error(f"types {x.dtype} -> {y.dtype}; expected float32, int8, uint8 or int16 -> int8, uint8 or int16.")
    if (x.dtype, y.dtype) == ("int16", "uint8"):
        raise call.error("types int16 -> uint8, which no runtime converts; expected int8 or int16.")
    if x.is_plain or y.is_plain:
        plain = x if x.is_plain else y
        raise call.error(f"'{plain.name[:80]}' is {plain.dtype} without a scale. Bytes without one become numbers by CAST.")
    call.emit("quantize", [x], NoAttrs())


@translates("DEQUANTIZE", (1, 1), "DequantizeOptions")
def _dequantize(call: Call) -> None:
    """Constants are dequantized here (float16 and weight-only models): the runtimes compute with floats, whatever the file stores."""
    x, y = call.input(0), call.output
    if x.dtype not in ("float16", "int4", "int8", "uint8", "int16") or y.dtype != "float32":
        raise call.error(f"types {x.dtype} -> {y.dtype}; expected float16, int4, int8, uint8 or int16 -> float32.")
    if x.data is None:
        call.emit("dequantize", [x], NoAttrs())
        return
    if x.dtype != "float16" and x.quant is None:
        raise call.error(f"'{x.name[:80]}' is {x.dtype} without a scale.")
    call.builder.file.tensors.charge(4 * x.data.size, call.where)
    real: Any = dequantize(x.data, x.quant) if x.quant is not None else x.data.astype(np.float32)
    call.constant(real, quant=None)
