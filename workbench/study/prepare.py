"""Everything that a study needs before it runs: model, targets, samples, all checked. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.cost import check_operators
from workbench.data import Dataset, DataSource
from workbench.errors import InputError, ProfileError, StudyError
from workbench.evaluate import Journal, Judge, output_shapes
from workbench.evaluate.streams import as_streams, judged_rows
from workbench.execute import check_inputs
from workbench.files import read_data
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders import load_model
from workbench.metrics import Metric, make_metric, named_metric, source_digest
from workbench.placement import host_of
from workbench.progress import Reporter
from workbench.quantize import Calibration, calibrate
from workbench.study.spec import StudySpec, load_study
from workbench.study.split import split

MAX_SHARED = 0.01
"""Share of evaluation samples that may stand among the calibration samples: public data sets hold a few duplicates."""


@dataclass(frozen=True, eq=False)
class Context:
    """What all targets of a study share. root: the folder of its journal and tables."""

    spec: StudySpec
    graph: Graph
    calibration: Calibration | None
    select: Dataset
    confirm: Dataset | None
    journal: Journal
    judge: Judge
    threads: int | None
    reporter: Reporter
    root: Path
    references: dict[str, tuple[Array, ...]] = field(default_factory=dict)
    """Outputs of the float reference by data digest: they are the same for every target."""

    @property
    def digests(self) -> dict[str, str]:
        """Content hashes of what the results of a study rest on, the targets apart."""
        return {
            "model": self.graph.digest,
            "calibration": "" if self.calibration is None else self.calibration.digest,
            "selection": self.select.digest,
            "confirmation": "" if self.confirm is None else self.confirm.digest,
        }


@dataclass(frozen=True, eq=False)
class Prepared:
    """A study that can run. folder: what its relative paths refer to. profiles: its targets."""

    spec: StudySpec
    folder: Path
    profiles: tuple[HardwareProfile, ...]
    graph: Graph
    samples: Samples

    def context(self, journal: Journal, root: Path, threads: int | None, reporter: Reporter) -> Context:
        """Return what the targets share."""
        s = self.samples
        return Context(
            self.spec, self.graph, s.calibration, s.select, s.confirm, journal, s.judge, threads, reporter, root
        )  # fmt: skip


def prepare(source: str | Path | Mapping[str, Any], reporter: Reporter) -> Prepared:
    """Return a study with all that it names loaded; one message for anything wrong with it."""
    spec, folder = load_study(source)
    profiles = tuple(_profile(name, folder) for name in spec.hardware)
    for profile in profiles:
        check_operators(profile)
        check_costs(profile)
    path = _resolve(folder, spec.model, "model")
    graph = replace(load_model(path), name=path.stem)  # a file may call its network anything
    reporter.say(f"{spec.study}: {graph.name}, {len(graph.nodes)} operators, {len(profiles)} targets")
    if spec.metric_settings.python is not None:
        reporter.say(f"{spec.study}: the metric runs code of this study: {folder / spec.metric_settings.python}")
    return Prepared(spec, folder, profiles, graph, _samples(spec, folder, graph))


def check_costs(profile: HardwareProfile) -> None:
    """Raise ProfileError unless a target, and its host, can be priced: a study chooses by costs."""
    for part in (profile, host_of(profile)):
        if part is not None and part.costs is None:
            raise ProfileError(
                f"profile '{part.name}' has no section 'costs': its bits can be emulated, but a study chooses by costs.\n"
                "Add the section (docs/cost.md says how constants are found), or leave the target out of the study."
            )


def _resolve(folder: Path, name: str, key: str) -> Path:
    """Return a path of the study: absolute, relative to its file, or relative to the current folder."""
    for candidate in (folder / name, Path(name)):
        if candidate.exists():
            return candidate
    raise StudyError(f"study: $.{key} is '{name}': no such file in {folder.resolve()} or the current folder.")


def _profile(name: str, folder: Path) -> HardwareProfile:
    local = folder / name
    return load_profile(local if local.suffix in (".yaml", ".yml") and local.is_file() else name)


@dataclass(frozen=True, eq=False)
class Samples:
    """evaluation: all samples that are judged, before they are split. seen: the samples that set the scales."""

    evaluation: Dataset
    judge: Judge
    seen: Array | Mapping[str, Array] | None
    calibration: Calibration | None
    select: Dataset
    confirm: Dataset | None
    names: dict[str, str]

    @property
    def classes(self) -> Array | None:
        """Labels that are classes; None without labels, or with others."""
        return self.evaluation.labels if self.judge.metric.needs in ("", "classes") else None


def _samples(spec: StudySpec, folder: Path, graph: Graph) -> Samples:
    evaluation = _read(spec.data.evaluation, folder, "data.evaluation", graph)
    judge = _judge(spec, folder, graph, evaluation)
    seen, names = _calibration(spec, folder, graph, evaluation)
    calibration = None if seen is None else calibrate(graph, seen, histograms=spec.quantization.activations != "min_max")
    select, confirm = split(evaluation, spec.data.confirm)
    for part in (select,) if confirm is None else (select, confirm):
        try:
            _check_labels(judge, graph, part)
        except InputError as problem:
            raise StudyError(
                f"study: {problem}\nThat is one part of the samples: $.data.confirm divides them into those that choose and those that "
                "confirm; give more of what it lacks."
            ) from None
    names |= {"selection": select.name, "confirmation": confirm.name if confirm else "none"}
    return Samples(evaluation, judge, seen, calibration, select, confirm, names)


def _judge(spec: StudySpec, folder: Path, graph: Graph, evaluation: Dataset) -> Judge:
    """Return by what outputs are judged; StudyError when labels or limits do not fit."""
    labelled = evaluation.labels is not None
    if spec.choose.subject_to.top1_drop is not None and not labelled:
        raise StudyError(
            "study: $.choose.subject_to.top1_drop needs labels; give data.evaluation.labels, or limit sqnr_db or metric_drop "
            "(of the agreement with the float reference) instead."
        )
    settings = spec.metric_settings
    metric = make_metric(settings, labelled, output_shapes(graph), folder)
    spec.limits(metric, 0, 0)
    wanted = [name for name in spec.sweep.metrics if name == metric.name or _can_show(named_metric(name), metric, labelled)]
    judge = Judge.of(graph, labelled, metric, settings, wanted, source_digest(settings, folder))
    _check_labels(judge, graph, evaluation)
    return judge


def _check_labels(judge: Judge, graph: Graph, data: Dataset) -> None:
    judge.labels(graph, judged_rows(graph, data, check_inputs(graph, data.inputs))[2] if graph.states else data)


def _can_show(column: Metric, metric: Metric, labelled: bool) -> bool:
    """True when the labels of the deciding metric serve a column as well."""
    return column.needs == "" or (column.needs == "classes" and labelled and metric.needs in ("", "classes"))


def _calibration(
    spec: StudySpec, folder: Path, graph: Graph, evaluation: Dataset
) -> tuple[Array | Mapping[str, Array] | None, dict[str, str]]:
    if graph.is_quantized:
        return None, {"calibration": "none: the model brought its own scales"}
    if spec.data.calibration is None:
        raise StudyError("study: $.data.calibration is missing; a float model needs samples to set its scales.")
    data = _read(spec.data.calibration, folder, "data.calibration", graph)
    rows = set(data.rows())
    shared = sum(row in rows for row in evaluation.rows())
    if shared > MAX_SHARED * len(evaluation):
        raise StudyError(
            f"study: {shared} of the {len(evaluation)} evaluation samples are calibration samples as well; "
            "what set the scales must not judge them. Use other samples."
        )
    return data.inputs, {"calibration": data.name}


def _read(source: DataSource, folder: Path, key: str, graph: Graph) -> Dataset:
    _resolve(folder, source.file, f"{key}.file")
    try:
        return as_streams(graph, read_data(source, folder, graph))
    except InputError as problem:
        raise StudyError(f"study: $.{key}: {problem}") from None
