"""Scores of plans on made-up outputs, for the tests of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.metrics import Metric, MetricSettings, Raw, Scores, Truth, check_labels, make_metric


def truth_of(
    metric: Metric, reference: np.ndarray, labels: np.ndarray | None, settings: MetricSettings | None = None, **keys: object
) -> Truth:
    """Return what outputs [N, ...] are judged by, labels checked as an evaluator does."""
    shape = reference.shape[1:]
    found = check_labels(metric, settings or MetricSettings(), labels, shape, len(reference), "test")
    rows = reference.reshape(len(reference), -1).astype(np.float64)
    truth = Truth(
        rows, found.classes, False, shapes=(shape,), names=("y",), targets=found.targets, settings=found.settings,
        extras=(metric,) if metric.score is not None else (),
    )  # fmt: skip
    return replace(truth, **keys)  # type: ignore[arg-type]


def scores_of(plans: Sequence[np.ndarray], truth: Truth, chunk: int = 7) -> Scores:
    """Return the scores of plans' outputs float32 [N, ...], put in pieces."""
    scores = Scores.empty(len(plans), truth)
    for k, y in enumerate(plans):
        rows = y.reshape(len(y), -1).astype(np.float32)
        for first in range(0, len(rows), chunk):
            scores.put(k, first, [Raw(rows[first : first + chunk])], truth)
    return scores


def figure(name: str, y: np.ndarray, reference: np.ndarray, labels: np.ndarray | None, **settings: object) -> float:
    """Return one metric of one plan."""
    given = MetricSettings.model_validate({"name": name, **settings})
    metric = make_metric(given, labels is not None, (reference.shape[1:],))
    truth = truth_of(metric, reference, labels, given)
    return float(metric.figures(scores_of([y], truth), truth)[0])
