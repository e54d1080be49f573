"""`run_study`: load, calibrate, run every target, write the report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.cost import check_operators
from workbench.data import Dataset, DataSource
from workbench.errors import InputError, StudyError
from workbench.evaluate import Journal, Judge, output_shapes
from workbench.evaluate.streams import as_streams, judged_rows
from workbench.execute import check_inputs
from workbench.files import read_data
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders import load_model
from workbench.metrics import Metric, make_metric, named_metric, source_digest, source_file
from workbench.progress import Reporter, Silent
from workbench.quantize import Calibration, calibrate
from workbench.report import write_report
from workbench.results import StudyResult
from workbench.study.compare import compare_targets
from workbench.study.manifest import manifest
from workbench.study.spec import StudySpec, load_study
from workbench.study.split import split
from workbench.study.target import Context, check_costs, run_target

DEFAULT_OUT = Path("reports")
MAX_SHARED = 0.01
"""Share of evaluation samples that may stand among the calibration samples: public data sets hold a few duplicates."""


@dataclass(frozen=True, eq=False)
class StudyRun:
    """A finished study: its records and the folder of its report."""

    result: StudyResult
    folder: Path


def run_study(
    source: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    threads: int | None = None,
    reporter: Reporter | None = None,
) -> StudyRun:
    """Run a study and write `<out>/<study>/<time>/report.html`.

    Results are kept in `<out>/<study>/journal.jsonl`: an interrupted study goes on where it stopped, a repeated one is instant.

    Args:
        source: path or name of a YAML, or its content as a mapping. out: folder of reports (default `reports`).
        threads: worker threads (default: all cores; the results do not depend on it).
    Raises: WorkbenchError subclasses for anything wrong with the study, model, data or profiles. A target on which nothing
        fits is not an error: see `StudyResult.fits`.
    """
    reporter = reporter or Silent()
    spec, folder = load_study(source)
    profiles = [_profile(name, folder) for name in spec.hardware]
    for profile in profiles:
        check_operators(profile)
        check_costs(profile)
    path = _resolve(folder, spec.model, "model")
    graph = replace(load_model(path), name=path.stem)  # a file may call its network anything
    reporter.say(f"{spec.study}: {graph.name}, {len(graph.nodes)} operators, {len(profiles)} targets")
    if spec.metric_settings.python is not None:
        reporter.say(f"{spec.study}: the metric runs code of this study: {folder / spec.metric_settings.python}")
    root = Path(out or DEFAULT_OUT) / spec.study
    samples = _samples(spec, folder, graph)  # all that can be wrong is found before anything is written
    with _no_empty(root.parent), _no_empty(root):
        context = Context(
            spec, graph, samples.calibration, samples.select, samples.confirm, Journal(root / "journal.jsonl"), samples.judge,
            threads, reporter,
        )  # fmt: skip
        targets = tuple(run_target(context, profile) for profile in profiles)
    by_name = dict(zip(spec.hardware, targets, strict=True))
    comparisons = tuple(
        compare_targets(context, samples.evaluation, samples.classes, samples.seen, by_name[a], by_name[b])
        for a, b in spec.compare.pairs
    )
    result = StudyResult(
        name=spec.study,
        title=spec.title or spec.study,
        model=graph.name,
        layers=tuple(n.name for n in graph.nodes),
        selection_samples=len(context.select),
        confirmation_samples=0 if context.confirm is None else len(context.confirm),
        data_names=samples.names,
        spec=spec.resolved(folder),
        manifest=manifest(
            model=graph.digest,
            calibration="" if context.calibration is None else context.calibration.digest,
            selection=context.select.digest,
            confirmation="" if context.confirm is None else context.confirm.digest,
            profiles=" ".join(f"{p.name}:{p.digest[:12]}" for p in profiles),
            seeds="none: nothing in a study is random",
        ),
        targets=targets,
        comparisons=comparisons,
    )
    run_folder = _fresh(root)
    write_report(result, run_folder, spec.report)
    if spec.metric_settings.python is not None:  # the report's own study.yaml runs from its folder
        code, _ = source_file(spec.metric_settings.python, folder)
        shutil.copy(code, run_folder / code.name)
    return StudyRun(result, run_folder)


@contextmanager
def _no_empty(folder: Path) -> Iterator[None]:
    """Take away a folder that was made in vain: by a study that failed before its first result."""
    existed = folder.exists()
    try:
        yield
    except BaseException:
        if not existed:
            with suppress(OSError):
                folder.rmdir()
        raise


def _fresh(root: Path) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = root / stamp
    number = 1
    while folder.exists():
        number += 1
        folder = root / f"{stamp}-{number}"
    return folder


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
class _Samples:
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


def _samples(spec: StudySpec, folder: Path, graph: Graph) -> _Samples:
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
    return _Samples(evaluation, judge, seen, calibration, select, confirm, names)


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
