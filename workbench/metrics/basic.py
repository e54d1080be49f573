"""Metrics made of what every evaluation keeps: classes, squared errors, -log p(label)."""

from __future__ import annotations

import numpy as np

from workbench.metrics.base import B8, F64, METRICS, Metric, Scores, Truth, predictions, sums


def sqnr_db(signal: float, noise: float) -> float:
    """Return 10 log10(signal / noise); +inf without noise, -inf without signal."""
    if noise == 0.0:
        return float("inf")
    return float(10.0 * np.log10(signal / noise)) if signal > 0.0 else float("-inf")


def _right(scores: Scores, truth: Truth) -> B8:
    return np.asarray(scores.classes == truth.labels)


def _same(scores: Scores, truth: Truth) -> B8:
    return np.asarray(scores.classes == predictions(truth.reference, truth.threshold))


def _top1(scores: Scores, truth: Truth) -> F64:
    return np.asarray(np.count_nonzero(_right(scores, truth), axis=1) / scores.classes.shape[1], np.float64)


def _agreement(scores: Scores, truth: Truth) -> F64:
    same = _same(scores, truth)
    return np.asarray(np.count_nonzero(same, axis=1) / same.shape[1], np.float64)


def _cross_entropy(scores: Scores, truth: Truth) -> F64:
    return np.asarray(sums(scores.entropy) / scores.entropy.shape[1])


def _signal(truth: Truth) -> F64:
    """Return the power of the reference's outputs, sample by sample."""
    return np.asarray(sum((r**2).sum(axis=1) for r in (truth.reference, *truth.others)), np.float64)


def _sqnr(scores: Scores, truth: Truth) -> F64:
    signal = sum(float(sums((r**2).reshape(1, -1))[0]) for r in (truth.reference, *truth.others))
    return np.array([sqnr_db(signal, noise) for noise in sums(scores.error).tolist()])


def _signal_and_error(scores: Scores, truth: Truth) -> F64:
    return np.stack((np.broadcast_to(_signal(truth), scores.error.shape), scores.error), axis=-1)


def _ratio_db(weights: F64, evidence: F64) -> F64:
    both = weights @ evidence
    return np.array([sqnr_db(signal, noise) for signal, noise in both.tolist()])


def _mse(scores: Scores, truth: Truth) -> F64:
    return np.asarray(sums(scores.error) / truth.elements)


def _mean_error(scores: Scores, truth: Truth) -> F64:
    return np.asarray(scores.error[..., None] * (len(truth.reference) / truth.elements))


for _metric in (
    Metric("top1", "top-1", "share", "classes", True, "share of samples whose largest output is the label", _top1, "binary", _right),
    Metric(
        "cross_entropy", "cross-entropy", "nat", "classes", False, "mean -log p(label)", _cross_entropy, "mean",
        lambda scores, truth: scores.entropy[..., None],
    ),
    Metric(
        "agreement", "agreement with the float reference", "share", "", True, "share of samples with the float reference's class",
        _agreement, "binary", _same,
    ),
    Metric(
        "sqnr_db", "output SQNR", "dB", "", True, "power of the reference output over power of the error", _sqnr, "bootstrap",
        _signal_and_error, _ratio_db,
    ),
    Metric("mse", "mean squared error", "", "", False, "mean squared error against the float reference", _mse, "mean", _mean_error),
):  # fmt: skip
    METRICS.add(_metric.name, _metric)
