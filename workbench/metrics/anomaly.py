"""AUC of an anomaly score: the chance that an anomalous file scores above a normal one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.metrics.base import F64, METRICS, Array, Metric, Raw, Scores, Truth


def auc(weights: F64, scores: F64, anomaly: Array) -> F64:
    """Return sum(wp * wn * ([sp > sn] + [sp = sn] / 2)) / sum(wp * wn) for every row of weights [B, U].

    scores: [U]. anomaly: bool [U]. NaN where a row has no normal or no anomalous file. Source: Mann-Whitney U.
    """
    order = np.argsort(scores, kind="stable")
    level = np.cumsum(np.r_[0, np.diff(scores[order]) > 0])  # files of one score share a level
    w = np.asarray(weights, np.float64)[:, order]
    starts = np.flatnonzero(np.r_[1, np.diff(level)])
    positive = np.add.reduceat(w * anomaly[order], starts, axis=1)
    negative = np.add.reduceat(w * ~anomaly[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((positive * (below + 0.5 * negative)).sum(axis=1) / pairs, np.float64)


def _score(outputs: Sequence[Raw], part: slice, truth: Truth) -> F64:
    """Return the anomaly score of every sample (window), [n, 1]."""
    y = outputs[0].real().astype(np.float64)
    if truth.samples is not None:
        return np.asarray(((y - truth.samples[part].astype(np.float64)) ** 2).mean(axis=1)[:, None])
    return y[:, -1:]  # the second of two classes, or the only output


def _by_file(scores: Scores, truth: Truth) -> F64:
    """Return (mean score of its windows, label) of every file, [P, U, 2]."""
    assert truth.targets is not None
    windows = scores.extra["auc"][..., 0]
    files = np.arange(windows.shape[1]) if truth.files is None else truth.files
    names, first, index = np.unique(files, return_index=True, return_inverse=True)
    counts = np.bincount(index)
    means = np.stack([np.bincount(index, row, len(names)) / counts for row in windows])
    return np.stack((means, np.broadcast_to(truth.targets[first].astype(np.float64), means.shape)), axis=-1)


def _combine(weights: F64, evidence: F64) -> F64:
    return auc(weights, evidence[:, 0], evidence[:, 1] == 1.0)


def _figures(scores: Scores, truth: Truth) -> F64:
    evidence = _by_file(scores, truth)
    return np.concatenate([_combine(np.ones((1, len(own))), own) for own in evidence])


METRICS.add(
    "auc",
    Metric(
        "auc", "AUC", "share", "binary", True, "chance that an anomaly scores above a normal file (windows averaged by file)",
        _figures, "bootstrap", _by_file, _combine, lambda evidence: evidence[:, 1] == 1.0, _score,
    ),
)  # fmt: skip
