"""Labels as metrics want them: checked once, one message that says what came, what fits and the way out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.data import Names
from workbench.errors import InputError
from workbench.metrics.base import Array, Metric
from workbench.metrics.settings import MetricSettings

Shape = tuple[int, ...]


class Labels(NamedTuple):
    """classes: int64 [N] for what every evaluation keeps, or None. targets: what the metric reads, or None. settings: axis found."""

    classes: npt.NDArray[np.int64] | None
    targets: Array | None
    settings: MetricSettings


def check_labels(
    metric: Metric,
    settings: MetricSettings,
    labels: Array | None,
    shape: Shape,
    count: int,
    where: str,
    names: Names | None = None,
) -> Labels:
    """Return the labels of `count` samples for a metric on an output of a shape (without the batch), or raise InputError.

    names: of classes, where the labels were names.
    """
    _check_axis(settings, shape, where)
    if labels is None:
        if metric.needs_labels:
            raise InputError(
                f"{where}: metric '{metric.name}' needs labels ({WANTED[metric.needs]}), and there are none.\n"
                "Give data.evaluation.labels, or take a metric without labels: agreement, sqnr_db, kl, mse, cosine."
            )
        return Labels(None, None, settings)
    if len(labels) != count:
        raise InputError(f"{where}: {len(labels)} labels for {count} samples.")
    check_least(metric, shape, where)
    _check_names(metric, names, shape, where)
    if metric.needs in ("", "classes"):
        return Labels(_classes(labels, shape, where), None, settings)
    if metric.needs == "any":
        return Labels(None, labels, settings)
    check = {"numbers": _numbers, "maps": _maps, "tokens": _tokens, "sequences": _sequences, "binary": _binary}[metric.needs]
    targets, settings = check(labels, settings, shape, f"{where}: metric '{metric.name}'")
    return Labels(None, targets, settings)


WANTED = {
    "classes": "integers [N]", "numbers": "numbers of the output's shape", "maps": "a class per position",
    "tokens": "the next token of every position", "sequences": "integers [N, L], padded with -1",
    "binary": "0 (normal) or 1 (anomaly) per sample",
}  # fmt: skip
"""What labels a metric reads, in words."""


def classes_of(shape: Shape) -> int:
    """Return how many classes an output of a shape tells apart: a single number tells two."""
    return max(int(np.prod(shape, dtype=np.int64)), 2)


def check_least(metric: Metric, shape: Shape, where: str) -> None:
    """Raise InputError when a metric of classes is met by whatever an output of a shape holds."""
    if metric.needs == "classes" and metric.least_classes > classes_of(shape):
        raise InputError(
            f"{where}: metric '{metric.name}' cannot fail: the model has {classes_of(shape)} classes. Take top1, or a k below their "
            "number."
        )


def _check_names(metric: Metric, names: Names | None, shape: Shape, where: str) -> None:
    """Raise InputError unless names of classes stand for the model's own: all of them, in an order that is known."""
    if names is None:
        return
    count = 2 if metric.needs == "binary" else classes_of(shape) if metric.needs in ("", "classes") else len(names.names)
    if len(names.names) != count:
        what = f"names {len(names.names)} classes ({', '.join(names.names[:8])}{', ...' if names.names[8:] else ''})"
        raise InputError(
            f"{where}: {what if names.given else f'labels have {what[6:]}'}; the model has {count}. A name's place says which output "
            f"is meant: give all {count} in the model's order, classes: [...]."
        )
    if metric.needs == "binary" and not names.given:
        raise InputError(
            f"{where}: labels are names, and which is the anomaly is not known: say classes: [NORMAL, ANOMALY], of "
            f"{' and '.join(names.names)}."
        )


def _classes(y: Array, shape: Shape, where: str) -> npt.NDArray[np.int64]:
    if y.ndim != 1 or y.dtype.kind not in "iub":
        raise InputError(f"{where}: labels of shape {y.shape}, type {y.dtype}; expected integers ({len(y)},).")
    return _in_range(y.astype(np.int64), classes_of(shape), where)


def _in_range(y: npt.NDArray[np.int64], count: int, where: str, ignore: int | None = None) -> npt.NDArray[np.int64]:
    counted = y if ignore is None else y[y != ignore]
    low, high = int(counted.min(initial=0)), int(counted.max(initial=0))
    if low < 0 or high >= count:
        way = f"\nA label that does not count is named by metric.ignore: {low if low < 0 else high}." if y.ndim > 1 else ""
        raise InputError(f"{where}: labels from {low} to {high}; the model has classes 0 to {count - 1}.{way}")
    return y


def _numbers(y: Array, settings: MetricSettings, shape: Shape, where: str) -> tuple[Array, MetricSettings]:
    size = int(np.prod(shape, dtype=np.int64))
    if y.dtype.kind not in "fiu" or y.size != len(y) * size:
        raise InputError(f"{where} wants {size} numbers per sample, as the output {shape}; labels are {y.dtype} {y.shape}.")
    values = y.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{where}: the labels contain NaN or infinite values.")
    return values.reshape(len(y), size), settings


def _maps(y: Array, settings: MetricSettings, shape: Shape, where: str) -> tuple[Array, MetricSettings]:
    _check_integers(y, where)
    if settings.axis is None and y.shape[1:] == shape:
        return y.astype(np.int64), settings
    axis = _find_axis(y.shape[1:], settings, shape, where)
    if int(np.prod(y.shape[1:], dtype=np.int64)) == 1:
        raise InputError(f"{where} wants a class per position; the output {shape} has one per sample. Take top1.")
    targets = _in_range(y.astype(np.int64), max(shape[axis - 1], 2), where, settings.ignore)
    return targets, settings.model_copy(update={"axis": axis})


def _tokens(y: Array, settings: MetricSettings, shape: Shape, where: str) -> tuple[Array, MetricSettings]:
    _check_integers(y, where)
    axis = _find_axis(y.shape[1:], settings, shape, where)
    targets = _in_range(y.astype(np.int64), shape[axis - 1], where, settings.ignore)
    return targets, settings.model_copy(update={"axis": axis})


def _sequences(y: Array, settings: MetricSettings, shape: Shape, where: str) -> tuple[Array, MetricSettings]:
    _check_integers(y, where)
    if y.ndim != 2 or len(shape) != 2:
        raise InputError(
            f"{where} wants outputs [N, T, V] and labels [N, L] padded with -1; the output is [N, {', '.join(map(str, shape))}], "
            f"labels are {y.shape}."
        )
    axis = 2 if settings.axis is None else settings.axis % 3
    if settings.blank is not None and not 0 <= settings.blank < shape[axis - 1]:
        raise InputError(f"{where}: blank is {settings.blank}; the output has classes 0 to {shape[axis - 1] - 1}.")
    ended = np.maximum.accumulate(y < 0, axis=1)
    if y.min() < -1 or y.max() >= shape[axis - 1] or (ended & (y >= 0)).any():
        raise InputError(f"{where}: labels must be 0 to {shape[axis - 1] - 1}, and -1 after the last of a sample alone.")
    return y.astype(np.int64), settings.model_copy(update={"axis": axis})


def _binary(y: Array, settings: MetricSettings, shape: Shape, where: str) -> tuple[Array, MetricSettings]:
    if y.ndim != 1 or y.dtype.kind not in "iub" or not np.isin(y, (0, 1)).all() or len(np.unique(y)) < 2:
        raise InputError(
            f"{where} wants 0 (normal) or 1 (anomaly) per sample, and both of them; labels are {y.dtype} {y.shape}."
        )
    return y.astype(np.int64), settings


def _check_integers(y: Array, where: str) -> None:
    if y.dtype.kind not in "iub":
        raise InputError(f"{where} wants integer labels; they are {y.dtype}.")


def _check_axis(settings: MetricSettings, shape: Shape, where: str) -> None:
    rank = len(shape) + 1
    if settings.axis is not None and not (1 <= settings.axis < rank or -rank < settings.axis <= -1):
        raise InputError(f"{where}: metric.axis is {settings.axis}; the output has axes 1 to {rank - 1} beside the batch.")


def _find_axis(positions: Shape, settings: MetricSettings, shape: Shape, where: str) -> int:
    """Return the axis (from 1) of the classes: the one without which the output has the shape of the labels."""
    rank = len(shape) + 1
    given = range(1, rank) if settings.axis is None else (settings.axis % rank,)
    fitting = [a for a in given if (*shape[: a - 1], *shape[a:]) == positions]
    if len(fitting) == 1:
        return fitting[0]
    found = f"labels have {positions} per sample, the output {shape}"
    if fitting:
        raise InputError(f"{where}: {found}: axes {' and '.join(map(str, fitting))} could hold the classes; say metric.axis.")
    raise InputError(f"{where}: {found}; expected the output's shape without the axis of the classes.")
