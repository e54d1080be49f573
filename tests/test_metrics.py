"""Figures of plans: equal to their definitions, the same alone and among others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.metrics import METRICS, PROBABILITY_FLOOR, Metric, Raw, Scores, Truth, sqnr_db

ALWAYS: dict[str, Metric] = {name: metric for name, metric in METRICS.items() if metric.score is None}


def filled(plans: int, samples: int, probabilities: bool, labels: bool = True) -> tuple[Scores, Truth, np.ndarray]:
    rng = np.random.default_rng(4)
    real = rng.random((plans, samples, 6)).astype(np.float32)
    truth = Truth(rng.random((samples, 6)), rng.integers(0, 6, samples) if labels else None, probabilities)
    scores = Scores.empty(plans, truth)
    for plan in range(plans):
        for first in range(0, samples, 10):
            scores.put(plan, first, [Raw(real[plan, first : first + 10])], truth)
    return scores, truth, real.astype(np.float64)


@pytest.mark.parametrize("probabilities", [True, False])
def test_figures_follow_their_definitions(probabilities: bool) -> None:
    scores, truth, real = filled(3, 37, probabilities)
    assert truth.labels is not None
    figures = {name: metric.figures(scores, truth) for name, metric in ALWAYS.items()}
    for plan in range(3):
        top = real[plan].argmax(axis=1)
        noise = ((real[plan] - truth.reference) ** 2).sum()
        own = real[plan][np.arange(37), truth.labels]
        entropy = -np.log(np.maximum(own, PROBABILITY_FLOOR)) if probabilities else np.log(np.exp(real[plan]).sum(axis=1)) - own
        assert figures["top1"][plan] == (top == truth.labels).mean()
        assert figures["agreement"][plan] == (top == truth.reference.argmax(axis=1)).mean()
        assert figures["cross_entropy"][plan] == pytest.approx(entropy.mean(), rel=1e-13)
        assert figures["mse"][plan] == pytest.approx(noise / (37 * 6), rel=1e-13)
        assert figures["sqnr_db"][plan] == pytest.approx(10 * math.log10((truth.reference**2).sum() / noise), rel=1e-13)


def test_a_plan_has_the_same_figures_alone_and_among_others() -> None:
    scores, truth, _ = filled(5, 37, True)
    for metric in ALWAYS.values():
        together = metric.figures(scores, truth)
        for plan in range(5):
            alone = Scores(*(a[plan : plan + 1] for a in (scores.classes, scores.error, scores.entropy)))
            assert metric.figures(alone, truth)[0] == together[plan]


def test_without_labels_the_other_figures_stand() -> None:
    scores, truth, _ = filled(2, 20, True, labels=False)
    labelled, same_with_labels, _ = filled(2, 20, True)
    for metric in ALWAYS.values():
        if not metric.needs_labels:
            assert metric.figures(scores, truth).tolist() == metric.figures(labelled, same_with_labels).tolist()
    assert scores.entropy.size == 0


@pytest.mark.parametrize(("classes", "kind"), [(2, np.uint8), (256, np.uint8), (257, np.uint16), (65537, np.uint32)])
def test_classes_take_the_smallest_unsigned_type(classes: int, kind: type) -> None:
    assert Scores.empty(1, Truth(np.zeros((1, classes)), None, True)).classes.dtype == kind


def test_sqnr_of_nothing() -> None:
    assert sqnr_db(1.0, 0.0) == math.inf
    assert sqnr_db(0.0, 1.0) == -math.inf
    assert sqnr_db(100.0, 1.0) == 20.0
