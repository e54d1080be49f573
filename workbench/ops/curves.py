"""Smooth and piecewise activations of ONNX: erf, softplus, softsign, mish, celu, selu, hard_sigmoid, thresholded_relu.

Each is evaluated in float64 and rounded once to float32. Source: the ONNX operator specification.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.ops._functions import register_function
from workbench.ops._lut import Floats, in_float64


@dataclass(frozen=True)
class HardSigmoidAttrs:
    """y = clip(alpha * x + beta, 0, 1)."""

    alpha: float = 0.2
    beta: float = 0.5


@dataclass(frozen=True)
class CeluAttrs:
    """alpha: limit of the negative side with the sign turned, and its width."""

    alpha: float = 1.0


@dataclass(frozen=True)
class SeluAttrs:
    """y = gamma * x, or gamma * alpha * (exp(x) - 1) below zero."""

    alpha: float = 1.67326319217681884765625
    gamma: float = 1.05070102214813232421875


@dataclass(frozen=True)
class ThresholdedReluAttrs:
    """y = x above alpha, else 0."""

    alpha: float = 1.0


def _finite(name: str, *numbers: float) -> None:
    if not all(map(math.isfinite, numbers)):
        raise ModelError(f"{name}: attributes {', '.join(map(str, numbers))} must be finite.")


def _erf(_: Any, x: Floats) -> Floats:
    from scipy.special import erf  # slow to import, seldom needed

    return in_float64(erf)(x)


def _softplus(x: Any) -> Any:
    return np.logaddexp(0.0, x)


def _hard_sigmoid(attrs: HardSigmoidAttrs, x: Floats) -> Floats:
    _finite("hard_sigmoid", attrs.alpha, attrs.beta)
    alpha, beta = float(np.float32(attrs.alpha)), float(np.float32(attrs.beta))
    return in_float64(lambda v: np.clip(alpha * v + beta, 0.0, 1.0))(x)


def _celu(attrs: CeluAttrs, x: Floats) -> Floats:
    _finite("celu", attrs.alpha)
    if attrs.alpha == 0:
        raise ModelError("celu: alpha is 0; it divides.")
    alpha = float(np.float32(attrs.alpha))
    return in_float64(lambda v: np.maximum(v, 0.0) + np.minimum(alpha * np.expm1(v / alpha), 0.0))(x)


def _selu(attrs: SeluAttrs, x: Floats) -> Floats:
    _finite("selu", attrs.alpha, attrs.gamma)
    alpha, gamma = float(np.float32(attrs.alpha)), float(np.float32(attrs.gamma))
    return in_float64(lambda v: gamma * np.where(v > 0, v, alpha * np.expm1(np.minimum(v, 0.0))))(x)


def _thresholded_relu(attrs: ThresholdedReluAttrs, x: Floats) -> Floats:
    _finite("thresholded_relu", attrs.alpha)
    return np.where(x > np.float32(attrs.alpha), x, np.float32(0.0))


ERF = register_function("erf", _erf, "error function", table=True)
SOFTPLUS = register_function("softplus", lambda _, x: in_float64(_softplus)(x), "log(1 + exp(x))", table=True)
SOFTSIGN = register_function("softsign", lambda _, x: in_float64(lambda v: v / (1 + np.abs(v)))(x), "x / (1 + |x|)", table=True)
MISH = register_function(
    "mish", lambda _, x: in_float64(lambda v: v * np.tanh(_softplus(v)))(x), "x * tanh(softplus(x))", table=True
)
CELU = register_function("celu", _celu, "x, or alpha * (exp(x / alpha) - 1) below zero", CeluAttrs, table=True)
SELU = register_function("selu", _selu, "gamma * x, or gamma * alpha * (exp(x) - 1) below zero", SeluAttrs, table=True)
HARD_SIGMOID = register_function("hard_sigmoid", _hard_sigmoid, "clip(alpha * x + beta, 0, 1)", HardSigmoidAttrs, table=True)
THRESHOLDED_RELU = register_function(
    "thresholded_relu", _thresholded_relu, "x above alpha, else 0", ThresholdedReluAttrs, table=True
)
