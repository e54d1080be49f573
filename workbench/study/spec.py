"""The YAML of a study as records. Unknown keys, wrong units and impossible values are refused with their path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from workbench.data import DataSource
from workbench.errors import StudyError, nearest
from workbench.metrics import Metric, MetricSettings
from workbench.precision import parse_format
from workbench.quantize.options import QuantizeOptions
from workbench.resources import resource_folder
from workbench.search import Limits
from workbench.strict_yaml import load_yaml, validate
from workbench.study.limits import BASE, ChooseSpec, Record, drop_of, metric_named
from workbench.study.sweep_spec import SweepSpec, without_repeats

MAX_INCLUDES = 8


class DataSpec(Record):
    """calibration: for scales only. evaluation: split into samples that choose and samples that confirm.

    confirm: share of the evaluation samples that take no part in choosing (0 = none: then nothing is confirmed). metric: what decides
    (default: top1 with labels, agreement with the float reference without; may stand at the top of the study as well).
    """

    calibration: DataSource | None = None
    evaluation: DataSource
    confirm: float = Field(default=0.5, ge=0.0, le=0.9)
    metric: MetricSettings | None = None


class FormatSpec(Record):
    """search: formats on offer. baseline: what everything is compared with; of a list, the first that a target supports."""

    search: tuple[str, ...] = Field(min_length=1)
    baseline: tuple[str, ...] = Field(min_length=1)

    @field_validator("search", "baseline", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise ValueError("expected a list of format names")
        for name in names:
            try:
                parse_format(name)
            except Exception as problem:
                raise ValueError(str(problem)) from None
        return tuple(dict.fromkeys(names))


class CompareSpec(Record):
    """pairs: targets of the study, compared two by two, each at its baseline plan, on the evaluation samples.

    by: what the change is divided among. samples: only the first so many.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    by: Literal["rules", "operators", "layers"] = "layers"
    samples: int | None = Field(default=None, ge=1)


class StudySpec(Record):
    """One study. `include:` names another study whose keys are taken unless given here."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str = ""
    model: str
    data: DataSpec
    hardware: tuple[str, ...] = Field(min_length=1)
    formats: FormatSpec
    quantization: QuantizeOptions = QuantizeOptions()
    sweep: SweepSpec = SweepSpec()
    metric: MetricSettings | None = None
    choose: ChooseSpec = ChooseSpec()
    compare: CompareSpec = CompareSpec()
    report: tuple[Literal["html", "csv", "png"], ...] = ("html", "csv", "png")

    @field_validator("hardware", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("hardware")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return without_repeats(names)

    @model_validator(mode="after")
    def _compared(self) -> StudySpec:
        for name in (name for pair in self.compare.pairs for name in pair):
            if name not in self.hardware:
                raise ValueError(
                    f"compare.pairs names '{name}', no target of this study.{nearest(name, self.hardware)} "
                    f"Known: {', '.join(self.hardware)}"
                )
        return self

    @model_validator(mode="after")
    def _metric(self) -> StudySpec:
        if self.metric is not None and self.data.metric is not None:
            raise ValueError("metric stands twice: at the top and in data")
        settings, limits = self.metric_settings, self.choose.subject_to
        if limits.top1_drop is not None and limits.metric_drop is not None:
            raise ValueError("choose.subject_to has top1_drop and metric_drop; one of them fits")
        if limits.top1_drop is not None and (settings.python or settings.name not in ("", "top1")):
            raise ValueError(f"top1_drop limits top-1, and the metric is {settings.python or settings.name}: say metric_drop")
        if settings.name:
            drop_of(limits.metric_drop, metric_named(settings.name))
        return self

    @property
    def metric_settings(self) -> MetricSettings:
        """What the study says about its metric."""
        return self.metric or self.data.metric or MetricSettings()

    def limits(self, metric: Metric, flash: int, ram: int) -> Limits:
        """Return the limits on a device with this much memory (bytes); StudyError when the drop is in no unit of the metric."""
        return self.choose.subject_to.limits(metric, flash, ram)

    def resolved(self, folder: Path) -> dict[str, Any]:
        """Return the study as a mapping that can be run from anywhere: quantities with units, files with their whole path."""
        value = self.model_dump(mode="json")
        limits = value["choose"]["subject_to"]
        value["choose"]["subject_to"] = {
            k: f"{v / BASE[k][0]:.12g} {BASE[k][1]}" if k in BASE else v for k, v in limits.items() if v is not None
        }
        value["sweep"] = self.sweep.plain()
        value["model"] = whole_path(folder, self.model)
        for key in ("calibration", "evaluation"):
            if value["data"][key] is not None:
                _anchor_source(value["data"][key], folder)
        value["hardware"] = [_whole_name(folder, h) for h in self.hardware]
        value["compare"]["pairs"] = [[_whole_name(folder, h) for h in pair] for pair in self.compare.pairs]
        return value


def whole_path(folder: Path, name: str) -> str:
    """Return a path of a study in full: relative to its file when it is there, else to the current folder."""
    path = folder / name
    return str((path if path.exists() else Path(name)).resolve())


def _whole_name(folder: Path, target: str) -> str:
    return whole_path(folder, target) if target.endswith((".yaml", ".yml")) else target


def find_study(name_or_path: str | Path) -> Path:
    """Return the path of a study: a file, or the name of one that ships with the package."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    folder = resource_folder("studies")
    for candidate in (folder / path.name, folder / f"{path.name}.yaml"):
        if candidate.is_file() and path.parent in (Path(), Path("studies")):
            return candidate
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    raise StudyError(
        f"no study '{name_or_path}'.{nearest(path.stem, known)}\nShipped studies: {', '.join(known) or 'none'}; or give a path."
    )


def load_study(source: str | Path | Mapping[str, Any]) -> tuple[StudySpec, Path]:
    """Return a study and the folder that its relative paths refer to; StudyError says which key is wrong and what fits."""
    if isinstance(source, Mapping):
        return validate(StudySpec, dict(source), "study", StudyError), Path.cwd()
    if not isinstance(source, str | Path):
        raise StudyError(f"a study is given by its path, name or mapping, not by {type(source).__name__}.")
    path = find_study(source)
    return validate(StudySpec, _with_includes(path, 0), str(path), StudyError), path.parent


def _with_includes(path: Path, depth: int) -> dict[str, Any]:
    value = load_yaml(path, StudyError)
    include = value.pop("include", None)
    if include is None:
        return value
    if depth >= MAX_INCLUDES or not isinstance(include, str):
        raise StudyError(
            f"{path}: $.include must be the path of one study; studies include each other at most {MAX_INCLUDES} deep."
        )
    included = find_study(path.parent / include if (path.parent / include).is_file() else include)
    base = _with_includes(included, depth + 1)
    _anchor(base, included.parent)
    return _merge(base, value)


def _anchor(value: dict[str, Any], folder: Path) -> None:
    """Make the relative files of an included study whole paths, in place: they are relative to its own folder."""
    if isinstance(value.get("model"), str):
        value["model"] = whole_path(folder, value["model"])
    for key in ("calibration", "evaluation"):
        source = value.get("data", {}).get(key) if isinstance(value.get("data"), dict) else None
        if isinstance(source, str):
            file, mark, split = source.partition("#")
            value["data"][key] = f"{whole_path(folder, file)}{mark}{split}"
        elif isinstance(source, dict):
            _anchor_source(source, folder)


def _anchor_source(source: dict[str, Any], folder: Path) -> None:
    """Make the files of a source whole paths, in place."""
    if isinstance(source.get("file"), str):
        source["file"] = whole_path(folder, source["file"])
    labels = source.get("labels")
    if isinstance(labels, str) and labels.endswith(".csv") and (folder / labels).is_file():
        source["labels"] = whole_path(folder, labels)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
