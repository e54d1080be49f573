"""What is measured on outputs: one registry entry per metric, always from per-sample scores, so comparisons can be paired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.kernels.scores import score_outputs, sum_rows
from workbench.registry import Registry

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]

PROBABILITY_FLOOR = 1.0 / 512.0
"""Half a step of an int8 softmax (scale 1/256): what a stored 0 may have been. Cross-entropy of quantized outputs uses it."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What outputs are judged by, for N samples: the reference's outputs [N, C], labels [N] or None; logits or probabilities."""

    reference: F64
    labels: npt.NDArray[np.int64] | None
    probabilities: bool


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of P plans on N samples.

    classes: unsigned, as small as they fit [P, N]. error: sum of squared differences from the reference, float64 [P, N].
    entropy: -log p(label), float64 [P, N]; [P, 0] without labels.
    """

    classes: Array
    error: F64
    entropy: F64

    @staticmethod
    def empty(plans: int, truth: Truth) -> Scores:
        """Return scores to be filled by `put`."""
        samples, classes = truth.reference.shape
        return Scores(
            np.empty((plans, samples), np.min_scalar_type(classes - 1)),
            np.empty((plans, samples)),
            np.empty((plans, 0 if truth.labels is None else samples)),
        )

    def put(self, plan: int, first: int, raw: Array, scale: np.float32, zero_point: int, truth: Truth) -> None:
        """Score one plan's outputs raw [n, C] of the samples from `first` on; real = scale * (raw - zero_point)."""
        labels = _NO_LABELS if truth.labels is None else truth.labels
        floor = PROBABILITY_FLOOR if truth.probabilities else 0.0
        score_outputs(
            raw, scale, zero_point, truth.reference, labels, floor, first,
            self.classes[plan], self.error[plan], self.entropy[plan],
        )  # fmt: skip


_NO_LABELS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Metric:
    """figures(scores, truth) -> float64 [P], the same for any number of plans together. higher_is_better orders plans."""

    name: str
    unit: str
    needs_labels: bool
    higher_is_better: bool
    figures: Callable[[Scores, Truth], F64]
    summary: str


METRICS: Registry[Metric] = Registry("metric")


def _register(metric: Metric) -> None:
    METRICS.add(metric.name, metric)


def predictions(real: F64) -> npt.NDArray[np.int64]:
    """Return the class of each sample: the first of the largest outputs."""
    return np.asarray(np.argmax(real.reshape(len(real), -1), axis=1), np.int64)


def sqnr_db(signal: float, noise: float) -> float:
    """Return 10 log10(signal / noise); +inf without noise, -inf without signal."""
    if noise == 0.0:
        return float("inf")
    return float(10.0 * np.log10(signal / noise)) if signal > 0.0 else float("-inf")


def _sums(values: F64) -> F64:
    sums = np.empty(len(values))
    sum_rows(values, sums)
    return sums


def _top1(scores: Scores, truth: Truth) -> F64:
    return np.asarray(np.count_nonzero(scores.classes == truth.labels, axis=1) / scores.classes.shape[1], np.float64)


def _agreement(scores: Scores, truth: Truth) -> F64:
    same = scores.classes == predictions(truth.reference)
    return np.asarray(np.count_nonzero(same, axis=1) / same.shape[1], np.float64)


def _cross_entropy(scores: Scores, truth: Truth) -> F64:
    return np.asarray(_sums(scores.entropy) / scores.entropy.shape[1])


def _sqnr(scores: Scores, truth: Truth) -> F64:
    signal = float(_sums((truth.reference**2).reshape(1, -1))[0])
    return np.array([sqnr_db(signal, noise) for noise in _sums(scores.error).tolist()])


def _mse(scores: Scores, truth: Truth) -> F64:
    return np.asarray(_sums(scores.error) / truth.reference.size)


_register(Metric("top1", "share", True, True, _top1, "share of samples whose largest output is the label"))
_register(Metric("cross_entropy", "nat", True, False, _cross_entropy, "mean -log p(label)"))
_register(Metric("agreement", "share", False, True, _agreement, "share of samples with the float reference's class"))
_register(Metric("sqnr_db", "dB", False, True, _sqnr, "power of the reference output over power of the error"))
_register(Metric("mse", "", False, False, _mse, "mean squared error against the float reference"))
