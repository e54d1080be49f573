"""Metrics that look at whole outputs: top-k, KL, cosine, mean absolute error, mIoU, perplexity, word accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.metrics.base import F64, METRICS, PROBABILITY_FLOOR, Array, Metric, Raw, Scores, Truth, column_sums
from workbench.metrics.sequences import word_errors

Score = Callable[[Sequence[Raw], slice, Truth], Array]


def _real(outputs: Sequence[Raw]) -> F64:
    return outputs[0].real().astype(np.float64)


def _classes_last(rows: F64, truth: Truth) -> F64:
    """Return outputs per position, classes last: [n, ..., C]."""
    y = rows.reshape(len(rows), *truth.shape)
    axis = truth.settings.axis
    return y if axis is None else np.moveaxis(y, axis, -1)


def _mean_metric(name: str, title: str, unit: str, needs: str, higher: bool, summary: str, score: Score) -> Metric:
    """Return a metric that is the mean of one number per sample."""
    return Metric(
        name, title, unit, needs, higher, summary,  # type: ignore[arg-type]
        lambda scores, truth: column_sums(scores.extra[name])[:, 0] / scores.extra[name].shape[1], "mean",
        lambda scores, truth: scores.extra[name], score=score,
    )  # fmt: skip


def _sum_metric(
    name: str, title: str, unit: str, needs: str, higher: bool, summary: str, score: Score, ratio: Callable[[F64], F64],
    columns: Callable[[Truth], int], optional_labels: bool = False,
) -> Metric:  # fmt: skip
    """Return a metric that is a function of sums over samples: ratio(sums [..., K]) -> [...]."""
    return Metric(
        name, title, unit, needs, higher, summary,  # type: ignore[arg-type]
        lambda scores, truth: ratio(column_sums(scores.extra[name])), "bootstrap", lambda scores, truth: scores.extra[name],
        lambda weights, evidence: ratio(weights @ evidence), score=score, columns=columns, optional_labels=optional_labels,
    )  # fmt: skip


def top_k(k: int) -> Metric:
    """Return the metric 'top<k>': a label is met when fewer than k outputs rank before it (equal ones by their position)."""
    name = f"top{k}"

    def score(outputs: Sequence[Raw], part: slice, truth: Truth) -> Array:
        assert truth.labels is not None
        y, labels = _real(outputs), truth.labels[part]
        own = np.take_along_axis(y, labels[:, None], axis=1)
        before = np.arange(y.shape[1]) < labels[:, None]
        rank = ((y > own) | ((y == own) & before)).sum(axis=1)
        return np.asarray((rank < k) & ~np.isnan(own[:, 0]))[:, None]

    def right(scores: Scores, truth: Truth) -> Array:
        return scores.extra[name][..., 0]

    return Metric(
        name, f"top-{k}", "share", "classes", True, f"share of samples whose label is among the {k} largest outputs",
        lambda scores, truth: np.asarray(right(scores, truth).mean(axis=1), np.float64), "binary", right,
        score=score, kept=np.bool_, least_classes=k + 1,
    )  # fmt: skip


def _log_softmax(y: F64, probabilities: bool) -> F64:
    """Return log p along the last axis. Probabilities are floored (a stored 0 may have been half a step) and sum to 1 again."""
    if probabilities:
        p = np.maximum(y, PROBABILITY_FLOOR)
        return np.asarray(np.log(p) - np.log(p.sum(axis=-1, keepdims=True)))
    shifted = y - y.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _two_classes(y: F64, truth: Truth) -> F64:
    """Return a single output as the logits, or the probabilities, of two classes."""
    if y.shape[-1] != 1:
        return y
    return np.concatenate((1.0 - y, y) if truth.threshold > 0.0 else (np.zeros_like(y), y), axis=-1)


def _kl(outputs: Sequence[Raw], part: slice, truth: Truth) -> F64:
    """Return KL(reference || target) of every sample, positions averaged; nat."""
    both = (truth.reference[part], _real(outputs))
    probabilities = truth.probabilities or (truth.reference.shape[1] == 1 and truth.threshold > 0.0)
    log_p, log_q = (_log_softmax(_two_classes(_per_class(y, truth), truth), probabilities) for y in both)
    found = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
    return np.asarray(found.reshape(len(found), -1).mean(axis=1)[:, None])


def _per_class(rows: F64, truth: Truth) -> F64:
    """Return outputs with their classes last: per position where there are several, else all of a sample together."""
    several = sum(size > 1 for size in truth.shape) > 1
    return _classes_last(rows, truth) if several or truth.settings.axis is not None else rows


def _cosine(outputs: Sequence[Raw], part: slice, truth: Truth) -> F64:
    """Return the cosine between all outputs and the reference's; 1 where both are 0."""
    dot, a, b = np.zeros(3)[:, None] * np.zeros(part.stop - part.start)
    for output, reference in zip(outputs, (truth.reference, *truth.others), strict=False):
        y, x = output.real().astype(np.float64), reference[part]
        dot, a, b = dot + (x * y).sum(axis=1), a + (x * x).sum(axis=1), b + (y * y).sum(axis=1)
    norm = np.sqrt(a) * np.sqrt(b)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(norm > 0.0, dot / norm, (a == b) * 1.0))[:, None]


def _mae(outputs: Sequence[Raw], part: slice, truth: Truth) -> F64:
    assert truth.targets is not None
    y = _real(outputs)
    return np.asarray(np.abs(y - truth.targets[part].reshape(y.shape)).mean(axis=1)[:, None])


def _is_per_position(truth: Truth) -> bool:
    """True when the output has one number per position: classes (an arg max at the end) or whether it is the second of two."""
    assert truth.targets is not None
    return truth.targets.shape[1:] == truth.shape and truth.settings.axis is None


def map_classes(truth: Truth) -> int:
    """Return how many classes a segmentation has: 2 for one real output per position; where outputs are classes, all that occur."""
    assert truth.targets is not None
    if _is_per_position(truth):
        ignored = truth.targets == truth.settings.ignore
        return max(int(truth.targets[~ignored].max(initial=1)), int(truth.reference.max())) + 1 if truth.plain else 2
    return max((0, *truth.shape)[-1 if truth.settings.axis is None else truth.settings.axis], 2)


def _map(rows: F64, truth: Truth) -> Array:
    """Return the class of every position, int64 [n, positions]."""
    if _is_per_position(truth):
        found = rows if truth.plain else rows > truth.threshold
    else:
        y = _classes_last(rows, truth)
        found = y[..., 0] > truth.threshold if y.shape[-1] == 1 else np.argmax(y, axis=-1)
    return np.asarray(found, np.int64).reshape(len(rows), -1)


def _overlaps(outputs: Sequence[Raw], part: slice, truth: Truth) -> F64:
    """Return, per sample, the positions in which label and class are c, and those in which one of them is: [n, 2 C]."""
    assert truth.targets is not None
    count, classes = map_classes(truth), _map(_real(outputs), truth)
    labels = truth.targets[part].reshape(classes.shape)
    counts = labels != truth.settings.ignore if truth.settings.ignore is not None else np.ones(labels.shape, np.bool_)
    found = np.empty((len(labels), 2 * count))
    for c in range(count):
        is_label, is_class = (labels == c) & counts, (classes == c) & counts
        found[:, c] = (is_label & is_class).sum(axis=1)
        found[:, count + c] = (is_label | is_class).sum(axis=1)
    return found


def _mean_ratio(sums: F64) -> F64:
    """Return the mean of intersection / union over classes that occur: sums [..., 2 C] -> [...]."""
    both, either = np.split(sums, 2, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(either > 0, both / either, 0.0)
        return np.asarray(shares.sum(axis=-1) / (either > 0).sum(axis=-1), np.float64)


def _next_tokens(outputs: Sequence[Raw], part: slice, truth: Truth) -> F64:
    """Return (sum of -log p of the next tokens, how many), [n, 2]. Without labels the inputs are those tokens, one step later."""
    y = _classes_last(_real(outputs), truth)
    y = y[:, None] if y.ndim == 2 else y
    if truth.targets is not None:
        labels = truth.targets[part].reshape(len(y), -1)
    else:
        assert truth.samples is not None
        y, labels = y[:, :-1], truth.samples[part].reshape(len(y), -1)[:, 1:].astype(np.int64)
    counts = np.ones(labels.shape, np.bool_) if truth.settings.ignore is None else labels != truth.settings.ignore
    log_p = _log_softmax(y, truth.probabilities)
    own = np.take_along_axis(log_p, np.where(counts, labels, 0)[..., None], axis=-1)[..., 0]
    return np.stack((np.where(counts, -own, 0.0).sum(axis=1), counts.sum(axis=1)), axis=1)


def _perplexity(sums: F64) -> F64:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.asarray(np.exp(sums[..., 0] / sums[..., 1]))


def _words(outputs: Sequence[Raw], part: slice, truth: Truth) -> F64:
    assert truth.targets is not None
    return word_errors(_classes_last(_real(outputs), truth), truth.targets[part], truth.settings.blank)


def _word_accuracy(sums: F64) -> F64:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1.0 - sums[..., 0] / sums[..., 1])


for _metric in (
    top_k(5),
    _mean_metric("kl", "KL divergence", "nat", "", False, "mean KL(reference || target) of softmax outputs", _kl),
    _mean_metric("cosine", "cosine similarity", "", "", True, "mean cosine between outputs and the reference's", _cosine),
    _mean_metric("mae", "mean absolute error", "", "numbers", False, "mean |output - label|", _mae),
    _sum_metric(
        "miou", "mIoU", "share", "maps", True, "mean over classes of intersection over union, all positions of all samples",
        _overlaps, _mean_ratio, lambda truth: 2 * map_classes(truth),
    ),
    _sum_metric(
        "perplexity", "perplexity", "", "tokens", False, "exp of the mean -log p(next token), in nats",
        _next_tokens, _perplexity, lambda truth: 2, True,
    ),
    _sum_metric(
        "word_accuracy", "word accuracy", "share", "sequences", True, "1 - word error rate: edits over words of the labels",
        _words, _word_accuracy, lambda truth: 2,
    ),
):  # fmt: skip
    METRICS.add(_metric.name, _metric)
