"""`fitted/<family>.json`: the fit, the fits of its cross-validation, and the residuals that make its intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, isfinite, log
from pathlib import Path

import numpy as np

from workbench.calibrate.family import Family, Fitted, Json, Sample, Split, families
from workbench.calibrate.folds import cross_validate
from workbench.errors import InputError
from workbench.hardware.costs import Basis

FOLDER = Path(__file__).parent / "fitted"
LOW, HIGH = 0.1, 0.9
GROUP_ROWS = 20
"""Residuals of a group weigh against all residuals like n / (n + GROUP_ROWS)."""


@dataclass(frozen=True)
class Prediction:
    """A predicted quantity with its 80 % interval. split: what is new about the row. seen: the row took part in the full fit, so
    this comes from a fit without it. baseline: of the same fit.
    """

    value: float
    low: float
    high: float
    basis: Basis
    split: Split
    seen: bool
    baseline: float | None


@dataclass(frozen=True)
class Residual:
    """log(measured / predicted) of one training row that the fit of its fold had not seen."""

    group: str
    fold: int
    value: float


@dataclass(frozen=True)
class Calibration:
    """A fitted family. rows: sample key -> split -> fold. residuals: split -> one per training row. targets: known (device,
    runtime). networks: known ones.
    """

    family: Family
    full: Fitted
    folds: Mapping[Split, Sequence[Fitted]]
    rows: Mapping[str, Mapping[Split, int]]
    residuals: Mapping[Split, Sequence[Residual]]
    targets: frozenset[tuple[str, str]]
    networks: frozenset[str]

    def predictions(self, sample: Sample) -> list[Prediction]:
        """Return one prediction per split for a training row (from fits that had not seen it), else the one of its category."""
        if sample.key in self.rows:
            places = self.rows[sample.key]
            return [self._one(self.folds[s][fold], sample, s, fold) for s, fold in places.items()]
        return [self._one(self.full, sample, self.category(sample), None)]

    def category(self, sample: Sample) -> Split:
        """Return what is new about a row that took no part."""
        splits = self.family.splits
        if (sample.device, sample.runtime) not in self.targets and "device" in splits:
            return "device"
        if sample.network not in self.networks and "network_everywhere" in splits:
            return "network_everywhere"
        return splits[0]

    def interval(self, group: str, split: Split, fold: int | None = None) -> tuple[float, float]:
        """Return the factors low and high of the 80 % interval. fold: its own residuals are left out."""
        found = [r for r in self.residuals[split] if r.fold != fold] or list(self.residuals[split])
        everything = np.array([r.value for r in found])
        own = np.array([r.value for r in found if r.group == group])
        weight = len(own) / (len(own) + GROUP_ROWS)
        ends = []
        for level in (LOW, HIGH):
            end = _quantile(everything, level)
            ends.append(exp(weight * _quantile(own, level) + (1 - weight) * end if len(own) else end))
        return ends[0], ends[1]

    def _one(self, fitted: Fitted, sample: Sample, split: Split, fold: int | None) -> Prediction:
        value = fitted.predict(sample)
        low, high = self.interval(sample.group, split, fold)
        seen = fold is not None
        return Prediction(value, value * low, value * high, fitted.basis(sample), split, seen, fitted.baseline(sample))


def calibrate(family: Family, samples: Sequence[Sample]) -> Json:
    """Return what is stored of a family fitted on samples: see `load`."""
    full = family.fit(samples)
    places: list[dict[str, int]] = [{} for _ in samples]
    stored: dict[str, list[Json]] = {}
    residuals: dict[str, list[float]] = {}
    for split in family.splits:
        folds = cross_validate(family, samples, split)
        stored[split] = [fold.fitted.to_json() for fold in folds]
        values = [float("nan")] * len(samples)
        for number, fold in enumerate(folds):
            for i in fold.left_out:
                places[i][split] = number
                values[i] = _log_ratio(samples[i], fold.fitted.predict(samples[i]))
        residuals[split] = values
    rows = [
        [s.key, s.device, s.runtime, s.network, s.group, places[i], {k: round(residuals[k][i], 5) for k in places[i]}]
        for i, s in enumerate(samples)
    ]
    return {"family": family.name, "made_by": "make calibrate", "fit": full.to_json(), "folds": stored, "rows": rows}


def write(family: Family, samples: Sequence[Sample], folder: Path = FOLDER) -> Path:
    """Fit a family, cross-validate it and write its file (the same bytes for the same rows)."""
    path = folder / f"{family.name}.json"
    text = json.dumps(_short(calibrate(family, samples)), separators=(",", ":"), sort_keys=True, allow_nan=False)
    path.write_text(text.replace('],["', '],\n["') + "\n", encoding="utf-8")
    return path


@lru_cache(maxsize=64)
def load(name: str, folder: Path = FOLDER) -> Calibration:
    """Return the calibration of a family; InputError when it was never made."""
    family = families()[name]
    path = folder / f"{name}.json"
    if not path.is_file():
        raise InputError(f"{path}: the family '{name}' has no fit. Make it: make calibrate DATA=FOLDER.")
    return read(family, json.loads(path.read_text(encoding="utf-8")))


def read(family: Family, value: Json) -> Calibration:
    """Return the calibration that `calibrate` made."""
    rows = value["rows"]
    return Calibration(
        family=family,
        full=family.load(value["fit"]),
        folds={split: [family.load(fold) for fold in folds] for split, folds in value["folds"].items()},
        rows={key: folds for key, _, _, _, _, folds, _ in rows},
        residuals={
            split: [Residual(row[4], row[5][split], row[6][split]) for row in rows if split in row[5]]
            for split in value["folds"]
        },
        targets=frozenset((device, runtime) for _, device, runtime, *_ in rows),
        networks=frozenset(network for _, _, _, network, *_ in rows),
    )


def _log_ratio(sample: Sample, predicted: float) -> float:
    if not (isfinite(predicted) and predicted > 0):
        raise ValueError(f"{sample.row.where}: the model predicts {predicted} {sample.quantity}")
    return log(sample.measured / predicted)


def _quantile(values: np.ndarray, level: float) -> float:
    """Return a quantile that a new value stays on its side of with that probability, finite samples counted ((n + 1) rule)."""
    n = len(values)
    if n == 0:
        return 0.0
    rank = level * (n + 1) - 1
    return float(np.interp(rank, np.arange(n), np.sort(values)))


def _short(value: object) -> object:
    """Return the same JSON with floats of six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {str(k): _short(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_short(v) for v in value]
    return value
