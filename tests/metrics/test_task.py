"""Task metrics follow their definitions: slow Python, SciPy, or counting by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax

from tests.metrics.cases import figure, scores_of, truth_of
from workbench.errors import InputError
from workbench.metrics import METRICS, PROBABILITY_FLOOR, MetricSettings, auc, make_metric, named_metric, usual
from workbench.metrics.sequences import edits, greedy_words

RNG = np.random.default_rng(5)
Y = RNG.standard_normal((23, 6)).astype(np.float32)
REFERENCE = Y + RNG.standard_normal((23, 6)).astype(np.float32) / 3
CLASSES = RNG.integers(0, 6, 23)


@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_top_k_counts_labels_among_the_k_largest(k: int) -> None:
    want = np.mean([label in np.argsort(-row, kind="stable")[:k] for row, label in zip(Y, CLASSES, strict=True)])
    assert figure(f"top{k}", Y, REFERENCE, CLASSES) == want
    ties = np.round(Y)
    want = np.mean([label in np.argsort(-row, kind="stable")[:k] for row, label in zip(ties, CLASSES, strict=True)])
    assert figure(f"top{k}", ties, REFERENCE, CLASSES) == want, "of equal outputs the first ranks first"


def test_kl_of_logits_and_of_probabilities() -> None:
    p, q = softmax(REFERENCE.astype(np.float64), axis=1), softmax(Y.astype(np.float64), axis=1)
    assert figure("kl", Y, REFERENCE, None) == pytest.approx(rel_entr(p, q).sum(axis=1).mean(), rel=1e-12)
    truth = truth_of(METRICS["kl"], p.astype(np.float32), None, probabilities=True)
    floored = [np.maximum(v.astype(np.float32).astype(np.float64), PROBABILITY_FLOOR) for v in (p, q)]
    a, b = (v / v.sum(axis=1, keepdims=True) for v in floored)
    got = METRICS["kl"].figures(scores_of([q, p], truth), truth)
    assert got[0] == pytest.approx(rel_entr(a, b).sum(axis=1).mean(), rel=1e-12)
    assert got[1] == 0.0, "the same outputs lose nothing, however small their probabilities"


def test_kl_of_outputs_per_position_is_averaged_over_them() -> None:
    x, y = RNG.standard_normal((2, 4, 3, 5)).astype(np.float32)
    each = [figure("kl", y[:, t], x[:, t], None) for t in range(3)]
    assert figure("kl", y, x, None) == pytest.approx(np.mean(each), rel=1e-12)
    assert figure("kl", np.moveaxis(y, 2, 1), np.moveaxis(x, 2, 1), None, axis=1) == pytest.approx(np.mean(each), rel=1e-12)


def test_cosine_and_mean_absolute_error() -> None:
    dot = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for a, b in zip(Y.astype(float), REFERENCE.astype(float), strict=True)
    ]
    assert figure("cosine", Y, REFERENCE, None) == pytest.approx(np.mean(dot), rel=1e-12)
    nothing = np.zeros_like(Y)
    assert figure("cosine", nothing, nothing, None) == 1.0 and figure("cosine", Y, nothing, None) == 0.0
    target = RNG.standard_normal((23, 6))
    assert figure("mae", Y, REFERENCE, target) == pytest.approx(np.abs(Y.astype(float) - target).mean(), rel=1e-12)
    assert figure("mae", Y[:, :1], REFERENCE[:, :1], np.arange(23)) == pytest.approx(np.abs(Y[:, 0] - np.arange(23.0)).mean())


def test_miou_over_all_positions_of_all_samples() -> None:
    y = RNG.standard_normal((9, 4, 5, 3)).astype(np.float32)
    labels = RNG.integers(0, 3, (9, 4, 5))
    labels[0, :2] = 255
    found, counts = y.argmax(axis=3), labels != 255
    shares = []
    for c in range(3):
        a, b = (found == c) & counts, (labels == c) & counts
        shares.append((a & b).sum() / (a | b).sum())
    assert figure("miou", y, y, labels, ignore=255) == pytest.approx(np.mean(shares), rel=1e-12)
    first = np.moveaxis(y, -1, 1)
    assert figure("miou", first, first, labels, ignore=255) == pytest.approx(np.mean(shares), rel=1e-12)
    with pytest.raises(InputError, match=r"labels from 0 to 255; the model has classes 0 to 2.\n.*metric.ignore: 255"):
        figure("miou", y, y, labels)


def test_miou_of_one_output_per_position_and_of_classes() -> None:
    y = RNG.standard_normal((9, 4, 5)).astype(np.float32)
    labels = RNG.integers(0, 2, (9, 4, 5))
    masks = [((y > 0) == c, labels == c) for c in (0, 1)]
    want = np.mean([(a & b).sum() / (a | b).sum() for a, b in masks])
    assert figure("miou", y, y, labels) == pytest.approx(want, rel=1e-12)
    assert figure("miou", y[..., None], y[..., None], labels) == pytest.approx(want, rel=1e-12)
    ids = RNG.integers(0, 4, (9, 4, 5))
    truth = truth_of(METRICS["miou"], ids, labels * 3, plain=True)
    got = METRICS["miou"].figures(scores_of([ids], truth), truth)[0]
    both = [((ids == c) & (labels * 3 == c)).sum() / ((ids == c) | (labels * 3 == c)).sum() for c in range(4)]
    assert got == pytest.approx(np.mean(both), rel=1e-12)


def test_perplexity_of_labels_and_of_the_inputs_themselves() -> None:
    y = RNG.standard_normal((5, 7, 11)).astype(np.float32)
    tokens = RNG.integers(0, 11, (5, 7))
    log_p = log_softmax(y.astype(np.float64), axis=2)
    each = -np.take_along_axis(log_p, tokens[..., None], axis=2)[..., 0]
    assert figure("perplexity", y, y, tokens) == pytest.approx(math.exp(each.mean()), rel=1e-12)
    padded = tokens.copy()
    padded[:, 5:] = -100
    assert figure("perplexity", y, y, padded, ignore=-100) == pytest.approx(math.exp(each[:, :5].mean()), rel=1e-12)
    truth = truth_of(METRICS["perplexity"], y, None, samples=tokens)
    shifted = -np.take_along_axis(log_p[:, :-1], tokens[:, 1:, None], axis=2).mean()
    assert METRICS["perplexity"].figures(scores_of([y], truth), truth)[0] == pytest.approx(math.exp(shifted), rel=1e-12)
    assert figure("perplexity", y[:, 0], y[:, 0], tokens[:, 0]) == pytest.approx(math.exp(each[:, 0].mean()), rel=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("kitten", "sitting", 3),
        ("abc", "", 3),
        ("", "ab", 2),
        ("flaw", "lawn", 2),
        ("abc", "abc", 0),
        ("ab", "ba", 2),
    ],
)
def test_edits_between_sequences(a: str, b: str, distance: int) -> None:
    assert edits([*map(ord, a)], [*map(ord, b)]) == edits([*map(ord, b)], [*map(ord, a)]) == distance


def test_word_accuracy_of_greedy_ctc() -> None:
    path = [[0, 1, 1, 0, 1, 2], [3, 3, 0, 0, 0, 0], [1, 2, 3, 3, 2, 1]]
    y = np.eye(4, dtype=np.float32)[path]
    assert [greedy_words(row, 0) for row in y] == [[1, 1, 2], [3], [1, 2, 3, 2, 1]]
    labels = np.array([[1, 1, 2, -1], [2, 3, -1, -1], [1, 2, 3, 1]])
    assert figure("word_accuracy", y, y, labels, blank=0) == 1.0 - (0 + 1 + 1) / (3 + 2 + 4)
    assert [greedy_words(row, 3) for row in y] == [[0, 1, 0, 1, 2], [0], [1, 2, 2, 1]]  # of any blank, class 0 is a word
    plain = np.array(path)
    plain[0, 0] = 2
    assert figure("word_accuracy", y, y, plain) == 1.0 - 1 / 18
    with pytest.raises(InputError, match="-1 after the last of a sample alone"):
        figure("word_accuracy", y, y, np.array([[1, -1, 2], [1, 1, 1], [1, 1, 1]]), blank=0)


def pairs(scores: np.ndarray, anomaly: np.ndarray, weights: np.ndarray) -> float:
    """Return the AUC by counting pairs."""
    total = won = 0.0
    for i in np.flatnonzero(anomaly):
        for j in np.flatnonzero(~anomaly):
            total += weights[i] * weights[j]
            won += weights[i] * weights[j] * (1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0)
    return won / total


def test_auc_counts_pairs_weighted_or_not() -> None:
    scores, anomaly = np.round(RNG.standard_normal(40), 1), RNG.random(40) < 0.4
    weights = np.stack([np.ones(40), RNG.integers(0, 4, 40)]).astype(np.float64)
    np.testing.assert_allclose(auc(weights, scores, anomaly), [pairs(scores, anomaly, w) for w in weights], rtol=1e-13)


def test_auc_averages_the_windows_of_a_file() -> None:
    x = RNG.standard_normal((30, 8)).astype(np.float32)
    y = x + RNG.standard_normal((30, 8)).astype(np.float32) * RNG.random(30).astype(np.float32)[:, None]
    files = np.sort(RNG.integers(0, 7, 30))
    by_file = np.arange(7) % 2
    truth = truth_of(METRICS["auc"], y, by_file[files], samples=x, files=files)
    error = ((y.astype(np.float64) - x) ** 2).mean(axis=1)
    means = np.array([error[files == f].mean() for f in range(7)])
    scores = scores_of([y], truth)
    assert METRICS["auc"].figures(scores, truth)[0] == pytest.approx(pairs(means, by_file == 1, np.ones(7)), rel=1e-12)
    evidence = METRICS["auc"].evidence(scores, truth)
    assert evidence.shape == (1, 7, 2)
    own = replace(truth, samples=None, files=None)
    again = scores_of([y], own)
    assert METRICS["auc"].figures(again, own)[0] == pytest.approx(pairs(y[:, -1], by_file[files] == 1, np.ones(30)))


def test_several_outputs_join_the_error_but_not_the_classes() -> None:
    from workbench.metrics import Raw, Scores

    truth = truth_of(METRICS["cosine"], REFERENCE, None, others=(Y[:, :2].astype(np.float64),), shapes=((6,), (2,)))
    scores = Scores.empty(1, truth)
    scores.put(0, 0, [Raw(Y), Raw(Y[:, :2] * np.float32(1.5))], truth)
    both, want = np.concatenate((Y, Y[:, :2] * np.float32(1.5)), axis=1), np.concatenate((REFERENCE, Y[:, :2]), axis=1)
    noise, signal = ((both - want.astype(np.float64)) ** 2).sum(), (want.astype(np.float64) ** 2).sum()
    assert METRICS["sqnr_db"].figures(scores, truth)[0] == pytest.approx(10 * math.log10(signal / noise), rel=1e-6)
    assert METRICS["mse"].figures(scores, truth)[0] == pytest.approx(noise / both.size, rel=1e-6)
    assert METRICS["agreement"].figures(scores, truth)[0] == (Y.argmax(axis=1) == REFERENCE.argmax(axis=1)).mean()


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_one_output_tells_two_classes_apart(threshold: float) -> None:
    y, labels = RNG.random((23, 1)).astype(np.float32) - np.float32(0.5 - threshold), RNG.integers(0, 2, 23)
    truth = truth_of(METRICS["top1"], y, labels, threshold=threshold)
    scores = scores_of([y], truth)
    assert METRICS["top1"].figures(scores, truth)[0] == ((y[:, 0] > threshold) == labels).mean()
    p = y[:, 0].astype(np.float64) if threshold else 1 / (1 + np.exp(-y[:, 0].astype(np.float64)))
    own = np.maximum(np.where(labels == 1, p, 1 - p), PROBABILITY_FLOOR if threshold else 0.0)
    assert METRICS["cross_entropy"].figures(scores, truth)[0] == pytest.approx(-np.log(own).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "labels", "says"),
    [
        ("top1", None, "metric 'top1' needs labels"),
        ("mae", np.zeros((23, 5)), "wants 6 numbers per sample"),
        ("mae", np.full((23, 6), np.nan), "labels contain NaN"),
        ("auc", np.zeros(23, int), "0 .normal. or 1 .anomaly. per sample, and both"),
        ("miou", np.zeros((23, 4), int), "labels have .4,. per sample, the output .6,."),
        ("top5", np.full(23, 6), "the model has classes 0 to 5"),
        ("top5", np.zeros(22, int), "22 labels for 23 samples"),
        ("tpo1", CLASSES, "unknown metric 'tpo1'. Did you mean 'top1'"),
        ("word_accuracy", CLASSES, r"wants outputs \[N, T, V\]"),
    ],
)
def test_labels_that_do_not_fit_are_refused(name: str, labels: np.ndarray | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        figure(name, Y, REFERENCE, labels)


def test_an_axis_that_could_be_two_must_be_said() -> None:
    y, labels = np.zeros((2, 3, 3), np.float32), np.zeros((2, 3), int)
    with pytest.raises(InputError, match=r"axes 1 and 2 could hold the classes; say metric\.axis"):
        figure("perplexity", y, y, labels)
    assert figure("perplexity", y, y, labels, axis=-1) == pytest.approx(3.0)
    with pytest.raises(InputError, match=r"metric\.axis is 3; the output has axes 1 to 2"):
        figure("perplexity", y, y, labels, axis=3)


def test_the_usual_metric() -> None:
    assert usual(True, ((5,),)) == "top1"
    assert usual(False, ((5,),)) == usual(False, ((1, 1, 5),)) == usual(False, ((1,),)) == "agreement"
    assert usual(False, ((5, 4),)) == usual(False, ((5,), (5,))) == "sqnr_db"
    assert make_metric(MetricSettings(), True, ((5,),)) is METRICS["top1"]
    assert named_metric("top3").name == "top3" and named_metric("top1") is METRICS["top1"]


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.needs == ""])
def test_a_plan_has_the_same_figures_alone_in_pieces_and_among_others(name: str) -> None:
    metric = METRICS[name]
    plans = [Y + np.float32(k / 10) * RNG.standard_normal(Y.shape).astype(np.float32) for k in range(4)]
    truth = truth_of(metric, REFERENCE, None)
    together = metric.figures(scores_of(plans, truth), truth)
    for k, plan in enumerate(plans):
        for chunk in (1, 5, 23):
            assert metric.figures(scores_of([plan], truth, chunk), truth)[0] == together[k]
