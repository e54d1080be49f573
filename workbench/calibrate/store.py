"""`fitted/<family>.json`: the fit, the fits of its cross-validation, and the residuals that make its intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import exp, hypot, isfinite, log
from pathlib import Path
from typing import Any

import numpy as np

from workbench.calibrate.family import Family, Fitted, Json, Sample, Split, families
from workbench.calibrate.folds import cross_validate
from workbench.errors import InputError
from workbench.hardware.costs import BASES, Basis

FOLDER = Path(__file__).parent / "fitted"
COVERAGE = 0.8
NAMED = ("quantity", "device", "runtime", "network", "group")
"""What is stored of a sample, by its number in a list of names."""
LEAST_ROWS = 20
"""Fewer residuals of one kind are not looked at alone."""
GROUP_UNITS = 20
"""Residuals of a group weigh against all residuals like n / (n + GROUP_UNITS), n what was left out together: rows of one device that
no fit had seen err alike, so that they say of the next device what one does."""


@dataclass(frozen=True)
class Prediction:
    """A predicted quantity with its 80 % interval. split: what is new about the row. seen: its network took part on its device, so
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
    """log(measured / predicted) of one training row that the fit of its fold had not seen. basis: of that prediction. unit: what was
    left out together.
    """

    quantity: str
    group: str
    unit: str
    basis: str
    fold: int
    value: float


@dataclass(frozen=True)
class Calibration:
    """A fitted family. left_out: split -> what it leaves out together (`unit`) -> fold. residuals: split -> one per training row.
    targets: known (device, runtime). networks: known ones.
    """

    family: Family
    full: Fitted
    folds: Mapping[Split, Sequence[Fitted]]
    left_out: Mapping[Split, Mapping[str, int]]
    residuals: Mapping[Split, Sequence[Residual]]
    targets: frozenset[tuple[str, str]]
    networks: frozenset[str]

    def predictions(self, sample: Sample) -> list[Prediction]:
        """Return one prediction per split where the network took part on this device, each from the fit without it; else one.

        Device and network decide, not the row: a second measurement, another version of the runtime or another copy of a table is
        no news to a fit that has seen the pair.
        """
        found = {split: units.get(unit(split, sample.device, sample.network)) for split, units in self.left_out.items()}
        if found[self.family.splits[0]] is not None:
            return [self._one(self.folds[s][fold], sample, s, fold) for s, fold in found.items() if fold is not None]
        return [self._one(self.full, sample, self.category(sample), None)]

    def category(self, sample: Sample) -> Split:
        """Return what is new about a row whose network took no part on its device."""
        splits = self.family.splits
        if (sample.device, sample.runtime) not in self.targets and "device" in splits:
            return "device"
        if sample.network not in self.networks and "network_everywhere" in splits:
            return "network_everywhere"
        return splits[0]

    def interval(
        self, group: str, split: Split, fold: int | None = None, quantity: str = "", basis: str = ""
    ) -> tuple[float, float]:
        """Return the factors low and high of the 80 % interval. fold: its own residuals are left out.

        From the residuals of the same quantity on the same basis (any: ''), those of the group weighing more. They are as large
        upwards as downwards: all rows of a device left out are wrong in one direction, and of a few devices only the sizes of the
        errors say something about the next one.
        """
        found = [r for r in self.residuals[split] if r.fold != fold] or list(self.residuals[split])
        for part, wanted in (("quantity", quantity), ("basis", basis)):
            alike = [r for r in found if getattr(r, part) == wanted]
            found = alike if len(alike) >= LEAST_ROWS else found
        own = [r for r in found if r.group == group]
        weight = group_weight(own)
        end = weight * _size(own) + (1 - weight) * _size(found) if own else _size(found)
        return exp(-end), exp(end)

    @cached_property
    def _intervals(self) -> dict[tuple[str, Split, int | None, str, str], tuple[float, float]]:
        return {}

    def _one(self, fitted: Fitted, sample: Sample, split: Split, fold: int | None) -> Prediction:
        value, basis = fitted.predict(sample), fitted.basis(sample)
        key = (sample.group, split, fold, sample.quantity, basis)
        if key not in self._intervals:  # thousands of rows share a few dozen
            self._intervals[key] = self.interval(*key)
        low, high = self._intervals[key]
        if self.family.unknown is not None:  # independent of what the residuals say
            end = hypot(log(high), self.family.unknown(fitted, sample))
            low, high = exp(-end), exp(end)
        seen = fold is not None
        return Prediction(value, value * low, value * high, basis, split, seen, fitted.baseline(sample))


def calibrate(family: Family, samples: Sequence[Sample]) -> Json:
    """Return what is stored of a family fitted on samples: see `load`."""
    full = (family.whole or family.fit)(samples)
    places: list[dict[str, int]] = [{} for _ in samples]
    stored: dict[str, list[Json]] = {}
    residuals: dict[str, list[float]] = {}
    bases: dict[str, list[int]] = {}
    for split in family.splits:
        folds = cross_validate(family, samples, split)
        stored[split] = [fold.fitted.to_json() for fold in folds]
        values = [float("nan")] * len(samples)
        bases[split] = [0] * len(samples)
        for number, fold in enumerate(folds):
            for i in fold.left_out:
                places[i][split] = number
                values[i] = _log_ratio(samples[i], fold.fitted.predict(samples[i]))
                bases[split][i] = BASES.index(fold.fitted.basis(samples[i]))
        residuals[split] = values
    names: dict[str, list[str]] = {part: sorted({getattr(s, part) for s in samples}) for part in NAMED}
    index = {part: {name: i for i, name in enumerate(found)} for part, found in names.items()}
    rows = [
        [
            *(index[part][getattr(s, part)] for part in NAMED),
            *_folds_of(places[i], residuals, bases, i),
        ]
        for i, s in enumerate(samples)
    ]
    keys: dict[str, str] = {}
    return {
        "family": family.name,
        "made_by": "make calibrate",
        "fit": full.to_json(),
        "folds": {split: [_numbered(fold, keys) for fold in folds] for split, folds in stored.items()},
        "keys": list(keys),
        "names": names,
        "rows": rows,
    }


def _numbered(value: Any, keys: dict[str, str]) -> Any:
    """Return JSON whose keys are their numbers in `keys`: folds repeat the same long names."""
    if isinstance(value, dict):
        return {keys.setdefault(str(key), str(len(keys))): _numbered(part, keys) for key, part in value.items()}
    return [_numbered(part, keys) for part in value] if isinstance(value, list | tuple) else value


def _named(value: Any, keys: Sequence[str]) -> Any:
    """Return what `_numbered` was given."""
    if isinstance(value, dict):
        return {keys[int(key)]: _named(part, keys) for key, part in value.items()}
    return [_named(part, keys) for part in value] if isinstance(value, list) else value


def _folds_of(
    places: Mapping[str, int], residuals: Mapping[str, Sequence[float]], bases: Mapping[str, Sequence[int]], i: int
) -> list[list[float] | None]:
    """Return (fold, residual, basis by number) of a row per split, None where no fit could do without it."""
    return [
        [places[split], round(found[i], 4), bases[split][i]] if split in places else None for split, found in residuals.items()
    ]


def write(family: Family, samples: Sequence[Sample], folder: Path = FOLDER) -> Path:
    """Fit a family, cross-validate it and write its file (the same bytes for the same rows)."""
    path = folder / f"{family.name}.json"
    path.write_text(_text(calibrate(family, samples)), encoding="utf-8")
    return path


def _text(value: Json) -> str:
    """Return the JSON of a family, a row a line."""
    text = json.dumps(_short(value), separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("]],[", "]],\n[") + "\n"


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
    names, splits = value["names"], family.splits
    rows = [
        {part: names[part][i] for part, i in zip(NAMED, row, strict=False)}
        | {"folds": dict(zip(splits, row[len(NAMED) :], strict=True))}
        for row in value["rows"]
    ]
    return Calibration(
        family=family,
        full=family.load(value["fit"]),
        folds={split: [family.load(_named(fold, value["keys"])) for fold in folds] for split, folds in value["folds"].items()},
        left_out={
            split: {
                unit(split, row["device"], row["network"]): int(row["folds"][split][0]) for row in rows if row["folds"][split]
            }
            for split in splits
        },
        residuals={split: [_residual(row, split) for row in rows if row["folds"][split]] for split in splits},
        targets=frozenset((row["device"], row["runtime"]) for row in rows),
        networks=frozenset(row["network"] for row in rows),
    )


def unit(split: Split, device: str, network: str) -> str:
    """Return what a split leaves out together."""
    return {"network": f"{device}\0{network}", "network_everywhere": network, "device": device}[split]


def group_weight(own: Sequence[Residual]) -> float:
    """Return the weight of a group's own residuals against those of all groups."""
    units = len({r.unit for r in own})
    return units / (units + GROUP_UNITS)


def _residual(row: Json, split: Split) -> Residual:
    fold, value, basis = row["folds"][split]
    found = unit(split, row["device"], row["network"])
    return Residual(row["quantity"], row["group"], found, BASES[int(basis)], int(fold), value)


def _log_ratio(sample: Sample, predicted: float) -> float:
    if not (isfinite(predicted) and predicted > 0):
        raise ValueError(f"{sample.row.where}: the model predicts {predicted} {sample.quantity}")
    return log(sample.measured / predicted)


def _size(residuals: Sequence[Residual]) -> float:
    """Return what the size of a new residual stays below with probability COVERAGE: the (n + 1) rule of split conformal prediction
    (Lei et al., JASA 113 (2018) 1094-1111), between neighbours by interpolation."""
    sizes = np.sort([abs(r.value) for r in residuals])
    return float(np.interp(COVERAGE * (len(sizes) + 1) - 1, np.arange(len(sizes)), sizes))


def _short(value: object) -> object:
    """Return the same JSON with floats of six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {str(k): _short(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_short(v) for v in value]
    return value
