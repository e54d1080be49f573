"""What is measured on outputs: one registry entry per metric, always from per-sample values, so comparisons can be paired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.registry import Registry

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]

PROBABILITY_FLOOR = 1.0 / 512.0
"""Half a step of an int8 softmax (scale 1/256): what a stored 0 may have been. Cross-entropy of quantized outputs uses it."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of a network on N samples: real values [N, C], the reference's, labels [N] or None, logits or probabilities."""

    real: F64
    reference: F64
    labels: npt.NDArray[np.int64] | None
    probabilities: bool


@dataclass(frozen=True)
class Metric:
    """per_sample(outputs) -> [N] or [N, 2]; reduce(per-sample) -> the figure. higher_is_better orders plans."""

    name: str
    unit: str
    needs_labels: bool
    higher_is_better: bool
    per_sample: Callable[[Outputs], F64]
    reduce: Callable[[F64], float]
    summary: str


METRICS: Registry[Metric] = Registry("metric")


def _register(metric: Metric) -> None:
    METRICS.add(metric.name, metric)


def _mean(values: F64) -> float:
    return float(values.mean())


def predictions(real: F64) -> npt.NDArray[np.int64]:
    """Return the class of each sample: the first of the largest outputs."""
    return np.asarray(np.argmax(real.reshape(len(real), -1), axis=1), np.int64)


def _labels(outputs: Outputs) -> npt.NDArray[np.int64]:
    assert outputs.labels is not None, "checked by the evaluator"
    return outputs.labels


def _top1(outputs: Outputs) -> F64:
    return np.asarray(predictions(outputs.real) == _labels(outputs), np.float64)


def _agreement(outputs: Outputs) -> F64:
    return np.asarray(predictions(outputs.real) == predictions(outputs.reference), np.float64)


def _cross_entropy(outputs: Outputs) -> F64:
    rows = np.arange(len(outputs.real))
    if outputs.probabilities:
        return -np.log(np.maximum(outputs.real[rows, _labels(outputs)], PROBABILITY_FLOOR))
    shifted = outputs.real - outputs.real.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, _labels(outputs)])


def _power(outputs: Outputs) -> F64:
    axes = tuple(range(1, outputs.real.ndim))
    error = (outputs.real - outputs.reference) ** 2
    return np.stack([(outputs.reference**2).sum(axis=axes), error.sum(axis=axes)], axis=1)


def sqnr_db(signal: float, noise: float) -> float:
    """Return 10 log10(signal / noise); +inf without noise, -inf without signal."""
    if noise == 0.0:
        return float("inf")
    return float(10.0 * np.log10(signal / noise)) if signal > 0.0 else float("-inf")


def _sqnr(values: F64) -> float:
    return sqnr_db(float(values[:, 0].sum()), float(values[:, 1].sum()))


def _mse(outputs: Outputs) -> F64:
    return np.asarray(((outputs.real - outputs.reference) ** 2).reshape(len(outputs.real), -1).mean(axis=1), np.float64)


_register(Metric("top1", "share", True, True, _top1, _mean, "share of samples whose largest output is the label"))
_register(Metric("cross_entropy", "nat", True, False, _cross_entropy, _mean, "mean -log p(label)"))
_register(Metric("agreement", "share", False, True, _agreement, _mean, "share of samples with the float reference's class"))
_register(Metric("sqnr_db", "dB", False, True, _power, _sqnr, "power of the reference output over power of the error"))
_register(Metric("mse", "", False, False, _mse, _mean, "mean squared error against the float reference"))
