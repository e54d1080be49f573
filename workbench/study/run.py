"""`run_study`: prepare, run every target, write the report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.evaluate import Journal
from workbench.metrics import source_file
from workbench.progress import Reporter, Silent
from workbench.report import write_report
from workbench.results import StudyResult, TargetResult
from workbench.study.compare import compare_targets
from workbench.study.joint import find_joint
from workbench.study.manifest import manifest
from workbench.study.prepare import Context, Prepared, prepare
from workbench.study.proof import write_proof
from workbench.study.setting import Setting
from workbench.study.target import run_target

DEFAULT_OUT = Path("reports")


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

    Results are kept in `<out>/<study>/journal.jsonl`, those of every plan of a target (`sweep: exhaustive`) and of a search beside it:
    an interrupted study goes on where it stopped, a repeated one is instant.

    Args:
        source: path or name of a YAML, or its content as a mapping. out: folder of reports (default `reports`).
        threads: worker threads (default: all cores; the results do not depend on it).
    Raises: WorkbenchError subclasses for anything wrong with the study, model, data or profiles. A target on which nothing
        fits is not an error: see `StudyResult.fits`.
    """
    _check_out(Path(out or DEFAULT_OUT))
    reporter = reporter or Silent()
    ready = prepare(source, reporter)  # all that can be wrong is found before anything is written
    spec = ready.spec
    root = Path(out or DEFAULT_OUT) / spec.study
    with _no_empty(root.parent), _no_empty(root):
        context = ready.context(Journal(root / "journal.jsonl"), root, threads, reporter)
        found = [run_target(context, profile) for profile in ready.profiles]
        result = assembled(ready, context, found)
    run_folder = _fresh(root)
    write_report(result, run_folder, spec.report)
    write_proof(result, context, {s.name: s.space for _, s in found if s is not None}, run_folder)
    if spec.metric_settings.python is not None:  # the report's own study.yaml runs from its folder
        code, _ = source_file(spec.metric_settings.python, ready.folder)
        shutil.copy(code, run_folder / code.name)
    return StudyRun(result, run_folder)


def assembled(ready: Prepared, context: Context, found: Sequence[tuple[TargetResult, Setting | None]]) -> StudyResult:
    """Return the record of a study from what was found on its targets: the plan for all of them, and the comparisons it asks for."""
    spec, samples = ready.spec, ready.samples
    targets = tuple(result for result, _ in found)
    by_name = dict(zip(spec.hardware, targets, strict=True))
    comparisons = tuple(
        compare_targets(context, samples.evaluation, samples.classes, samples.seen, by_name[a], by_name[b])
        for a, b in spec.compare.pairs
    )
    return StudyResult(
        name=spec.study,
        title=spec.title or spec.study,
        model=context.graph.name,
        layers=tuple(n.name for n in context.graph.nodes),
        selection_samples=len(context.select),
        confirmation_samples=0 if context.confirm is None else len(context.confirm),
        data_names=samples.names,
        spec=spec.resolved(ready.folder),
        manifest=manifest(
            **context.digests,
            profiles=" ".join(f"{p.name}:{p.digest[:12]}" for p in ready.profiles),
            seeds=_seeds(targets, spec.sweep.seed),
        ),
        targets=targets,
        comparisons=comparisons,
        joint=find_joint(found),
    )


def _check_out(out: Path) -> None:
    """Refuse a folder of reports that cannot be one, before anything runs."""
    nearest = next((p for p in (out, *out.parents) if p.exists()), Path())
    if not nearest.is_dir():
        raise InputError(
            f"--out {out}: '{nearest}' is a file, not a folder. Name a folder for the reports; it is made when missing."
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"--out {out}: '{nearest}' cannot be written. Name another folder for the reports.")


def _seeds(targets: Iterable[TargetResult], seed: int) -> str:
    """Return what of a study was random."""
    drawn = any(t.search is not None or (t.certificate is not None and t.certificate.kind == "sampling") for t in targets)
    return f"sweep.seed {seed}: the search and the draws of certificates" if drawn else "none: nothing in this study is random"


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
