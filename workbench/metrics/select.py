"""From what a study says to the metric that decides."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.errors import InputError, nearest
from workbench.metrics.base import METRICS, Metric
from workbench.metrics.settings import MetricSettings
from workbench.metrics.task import top_k
from workbench.metrics.user import user_metric

_TOP = re.compile(r"top([1-9]\d{0,4})")


def make_metric(
    settings: MetricSettings, labelled: bool, shapes: tuple[tuple[int, ...], ...], folder: Path | None = None
) -> Metric:
    """Return the metric that a study names, or the usual one. shapes: of the model's outputs without the batch.

    folder: of the study, the only place from which a function is taken. Raises InputError for an unknown name.
    """
    if settings.python is not None:
        if folder is None:
            raise InputError(f"metric '{settings.python}': a function needs a study, whose folder it lies in.")
        return user_metric(settings, folder)
    return named_metric(settings.name or usual(labelled, shapes))


def named_metric(name: str) -> Metric:
    """Return a metric by name, 'top<k>' for any k included."""
    match = _TOP.fullmatch(name)
    if match and name not in METRICS:
        return top_k(int(match[1]))
    if name not in METRICS:
        raise InputError(f"unknown metric '{name}'.{nearest(name, METRICS)} Known: {', '.join(METRICS)}, top<k>")
    return METRICS[name]


def usual(labelled: bool, shapes: tuple[tuple[int, ...], ...]) -> str:
    """Return the metric that decides unless a study names one: top-1 with labels, else agreement of the classes with the float
    reference, or SQNR where outputs are not one class per sample."""
    if labelled:
        return "top1"
    one_class = len(shapes) == 1 and sum(size > 1 for size in shapes[0]) <= 1
    return "agreement" if one_class else "sqnr_db"
