"""A metric that a study brings as a Python function. It runs code: that of a file in the study's own folder, and no other."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.metrics.base import F64, Array, Metric, Raw, Scores, Truth
from workbench.metrics.settings import MetricSettings

GROUPS = 20
"""A function that gives one number for all samples is asked again without each of so many groups of them (jackknife)."""
MAX_BYTES = 4 * 2**30
"""Most memory for the outputs of one plan, which a function gets all together."""

UserFunction = Callable[[Any, Any, Any], Any]


def user_metric(settings: MetricSettings, folder: Path) -> Metric:
    """Return the metric of a study's function `f(outputs, references, labels)`: one number per sample, or one for all of them.

    outputs, references: float32 [N, ...], of several outputs a dict by name; labels: as the study gives them, or None. Numbers
    per sample are averaged.
    """
    assert settings.python is not None
    path, name = source_file(settings.python, folder)
    function = _load(path, name)
    where = f"metric '{settings.python}'"

    last: list[tuple[Scores, F64]] = []  # figures and evidence ask for the same: the function is called once

    def evidence(scores: Scores, truth: Truth) -> F64:
        if not last or last[0][0] is not scores:
            found = np.stack([_numbers(function, kept, truth, where) for kept in scores.extra[name]])
            last[:] = [(scores, found)]
        return last[0][1]

    def figures(scores: Scores, truth: Truth) -> F64:
        found = evidence(scores, truth)
        return np.array([own[0, 0] if own.shape[1] == 2 else _mean(own[:, 0]) for own in found])

    return Metric(
        name, name, settings.unit, "any", settings.higher_is_better, f"function {name} of {path.name}", figures, "jackknife",
        evidence, score=_keep, columns=_columns, kept=np.float32,
    )  # fmt: skip


def source_file(spec: str, folder: Path) -> tuple[Path, str]:
    """Return (file, function) of 'file.py:function'; InputError unless the file lies in the folder itself."""
    file, _, name = spec.partition(":")
    path = folder / file
    if path.resolve().parent != folder.resolve() or not path.is_file():
        raise InputError(
            f"metric '{spec}': no file {file} in {folder.resolve()}; code is run from the study's own folder alone."
        )
    return path, name


def source_digest(settings: MetricSettings, folder: Path | None) -> str:
    """Return the content hash of a study's function, '' without one: part of the key of its results."""
    if settings.python is None or folder is None:
        return ""
    return hashlib.sha256(source_file(settings.python, folder)[0].read_bytes()).hexdigest()


def _load(path: Path, name: str) -> UserFunction:
    spec = importlib.util.spec_from_file_location(f"_study_metric_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        raise InputError(f"{path}: the code of the metric cannot be run: {type(problem).__name__}: {problem}.") from None
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"{path}: has no function '{name}'.")
    return function  # type: ignore[no-any-return]


def _keep(outputs: Sequence[Raw], part: slice, truth: Truth) -> Array:
    return np.concatenate([raw.real() for raw in outputs], axis=1)


def _columns(truth: Truth) -> int:
    columns = truth.reference.shape[1] + sum(r.shape[1] for r in truth.others)
    if 4 * columns * len(truth.reference) > MAX_BYTES:
        raise InputError(
            f"a metric in Python gets all outputs at once: {4 * columns * len(truth.reference):,} bytes, more than {MAX_BYTES:,}.\n"
            "Give fewer samples (data.evaluation.count) or name one output (metric.output)."
        )
    return int(columns)


def _numbers(function: UserFunction, kept: Array, truth: Truth, where: str) -> F64:
    """Return one number per sample [N, 1]; or (number, of how many samples) of all and without each group, [1 + groups, 2]."""
    outputs, references = _split(kept, truth), _split(_references(truth), truth)
    first = _call(function, outputs, references, truth.targets, where, len(kept))
    if first.ndim:
        return first[:, None]
    group = np.arange(len(kept)) * min(GROUPS, len(kept)) // len(kept)
    found = [(float(first), len(kept))]
    for g in range(int(group[-1]) + 1) if group[-1] else ():
        rest = group != g
        labels = None if truth.targets is None else truth.targets[rest]
        value = _call(function, _take(outputs, rest), _take(references, rest), labels, where, int(rest.sum()))
        if value.ndim:
            raise InputError(f"{where}: gives one number for {len(kept)} samples, but an array for {rest.sum()}.")
        found.append((float(value), int(rest.sum())))
    return np.array(found, np.float64)


def _call(function: UserFunction, outputs: Any, references: Any, labels: Array | None, where: str, count: int) -> F64:
    try:
        found = np.asarray(function(outputs, references, labels))
    except Exception as problem:
        raise InputError(f"{where} fails: {type(problem).__name__}: {problem}.") from None
    if found.dtype.kind not in "fiub" or found.shape not in ((), (count,)) or not np.isfinite(found).all():
        raise InputError(
            f"{where} returns {found.dtype} {found.shape}; expected one finite number, or one per sample ({count},)."
        )
    return found.astype(np.float64)


def _references(truth: Truth) -> Array:
    return np.concatenate([truth.reference, *truth.others], axis=1).astype(np.float32)


def _split(rows: Array, truth: Truth) -> Any:
    """Return outputs in their own shapes, read-only; by name where there are several."""
    found, start = {}, 0
    for name, shape in zip(truth.names, truth.shapes, strict=True):
        size = int(np.prod(shape, dtype=np.int64))
        found[name] = rows[:, start : start + size].reshape(len(rows), *shape)
        found[name].flags.writeable = False
        start += size
    return found if len(found) > 1 else next(iter(found.values()))


def _take(values: Any, index: Array) -> Any:
    return {k: v[index] for k, v in values.items()} if isinstance(values, Mapping) else values[index]


def _mean(values: F64) -> float:
    """Return the mean, added from left to right."""
    total = 0.0
    for value in values.tolist():
        total += value
    return total / len(values)
