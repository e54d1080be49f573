"""`write_report`: the folder of a study's report, complete or not there at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from workbench.cost import CostEstimate
from workbench.errors import InputError
from workbench.report.page import page
from workbench.report.plots import (
    additivity_figure,
    arena_figure,
    breakdown_figure,
    cost_figure,
    cumulative_figure,
    density_figure,
    distribution_figure,
    drawing,
    frontier_figure,
    heat_figure,
    interaction_figure,
    layer_error_figure,
    looks,
    parts_figure,
    png_bytes,
    progress_figure,
    roofline_figure,
    sensitivity_figure,
    steps_figure,
    svg_text,
    targets_figure,
)
from workbench.report.plots.style import Look
from workbench.report.tables import all_tables
from workbench.report.tables_choice import choice_tables
from workbench.report.text import file_names
from workbench.report.to_json import plain, results_json
from workbench.results import StudyResult, TargetResult

TEMPLATES = Path(__file__).resolve().parent / "templates"

CAPTIONS = {
    "sensitivity": "Sensitivity per layer",
    "heat": "Sensitivity of every layer in every format",
    "frontier": "Frontier",
    "density": "Accuracy against bits of all evaluated plans",
    "progress": "Frontier against evaluations",
    "steps": "One layer on and one layer off",
    "cumulative": "One layer after the other",
    "parts": "Weights only and activations only",
    "interactions": "Interactions of pairs of layers",
    "additivity": "Predicted and measured losses of mixes",
    "distributions": "Distributions of weights and activations",
    "cost": "Cost per layer",
    "breakdown": "Latency per layer by what it is spent on",
    "roofline": "Roofline",
    "arena": "Where each buffer lies in RAM",
    "layer_errors": "Error per layer",
}
"""Plot -> caption, in reading order; `<target>/<plot>.png`."""
ALL_TARGETS = "targets"
"""The plot of all targets: `targets.png` beside the page."""


def write_report(result: StudyResult, out: Path, kinds: Collection[str] = ("html", "csv", "png")) -> Path:
    """Write the report of a study and return the path of its page.

    `results.json`, `study.yaml`, `manifest.json` and a `plan-<target>.yaml` per chosen plan are always there. Everything is
    written into a temporary folder beside `out` that is renamed at the end: an error or Ctrl-C leaves nothing.

    Args:
        out: folder to make; it may exist only when it is empty.
        kinds: 'html' (report.html, self-contained), 'csv' (tables), 'png' (plots as files).
    Returns: `out`/report.html, or `out`/results.json when no page was asked for.
    Raises: InputError when `out` is not free or cannot be written.
    """
    out = Path(out).absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; reports are never overwritten. Choose another folder.")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            _fill(result, part, frozenset(kinds))
            part.replace(out)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as problem:
        raise InputError(
            f"{out}: the report cannot be written: {problem.strerror or problem}.\n"
            "Free some space or choose another folder with --out; finished plans are in the journal and will not run again."
        ) from None
    return out / ("report.html" if "html" in kinds else "results.json")


def _fill(result: StudyResult, folder: Path, kinds: frozenset[str]) -> None:
    places = file_names(t.profile.name for t in result.targets)
    _write(folder / "results.json", json.dumps(results_json(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write(folder / "manifest.json", json.dumps(plain(result.manifest), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write(folder / "study.yaml", yaml.safe_dump(plain(result.spec), sort_keys=False, allow_unicode=True, width=120))
    for target, place in zip(result.targets, places, strict=True):
        if target.plan_yaml:
            _write(folder / f"plan-{place}.yaml", target.plan_yaml)
    if "csv" in kinds:
        for name, table in (all_tables(result) | choice_tables(result)).items():
            _write(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    svgs: list[list[tuple[str, Markup]]] = [[] for _ in places]
    together: list[tuple[str, Markup]] = []
    if kinds & {"html", "png"}:
        series = looks(_formats(result))
        if result.joint is not None:
            together = _drawn({ALL_TARGETS: lambda: targets_figure(result)}, folder, "", "The frontiers of all targets", kinds)
        svgs = [_plots(target, series, folder / place, kinds) for target, place in zip(result.targets, places, strict=True)]
    if "html" in kinds:
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        _write(folder / "report.html", _render(result, svgs, places, files, dict(together)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _formats(result: StudyResult) -> list[str]:
    """Return every format of a study once, in the order in which its targets name them."""
    found: dict[str, None] = {}
    for target in result.targets:
        if target.baseline_plan is not None:
            found.setdefault(target.baseline_plan.default)
        uniform = () if target.table is None else target.table.uniform
        ranges = (fmt for d in target.distributions for fmt in d.ranges)
        for name in (*target.formats, *(target.layer_errors or {}), *uniform, *ranges):
            found.setdefault(name)
    return list(found)


def _plots(target: TargetResult, series: Mapping[str, Look], folder: Path, kinds: frozenset[str]) -> list[tuple[str, Markup]]:
    """Draw the plots of a target; return (name, inline SVG) of those that it has."""
    shown, plan = target.baseline_cost, f"{target.baseline_plan.default} everywhere" if target.baseline_plan else ""
    if target.chosen is not None and target.chosen.plan != target.baseline_plan:
        shown, plan = target.chosen.cost, "the chosen plan"
    asked = target.views is not None or target.table is not None  # a study of sensitivities alone has the first plot
    makers: dict[str, Callable[[], Figure | None]] = {
        "sensitivity": lambda: sensitivity_figure(target, series),
        "heat": lambda: heat_figure(target) if asked else None,
        "frontier": lambda: frontier_figure(target),
        "density": lambda: density_figure(target, series),
        "progress": lambda: progress_figure(target),
        "steps": lambda: steps_figure(target),
        "cumulative": lambda: cumulative_figure(target, series),
        "parts": lambda: parts_figure(target),
        "interactions": lambda: interaction_figure(target),
        "additivity": lambda: additivity_figure(target),
        "distributions": lambda: distribution_figure(target, series),
        "cost": lambda: cost_figure(target, series),
        "breakdown": lambda: None if shown is None else breakdown_figure(shown, target.profile.name, plan),
        "roofline": lambda: None if shown is None else roofline_figure(shown, target.profile, plan),
        "arena": lambda: _arena(target, shown),
        "layer_errors": lambda: layer_error_figure(target, series),
    }
    return _drawn(makers, folder, f"{folder.name}-", target.profile.name, kinds)


def _drawn(
    makers: Mapping[str, Callable[[], Figure | None]], folder: Path, prefix: str, of: str, kinds: frozenset[str]
) -> list[tuple[str, Markup]]:
    """Draw plots into a folder; return (name, inline SVG) of those that there are. prefix: of the ids of the SVGs."""
    found = []
    for name, make in makers.items():
        with drawing():
            figure = make()
            if figure is None:
                continue
            if "png" in kinds:
                folder.mkdir(exist_ok=True)
                (folder / f"{name}.png").write_bytes(png_bytes(figure))
            if "html" in kinds:  # the drawing escapes all texts that it contains
                svg = svg_text(figure, f"{prefix}{name}", f"{CAPTIONS[name]} of {of}" if name in CAPTIONS else of)
                found.append((name, Markup(svg)))
    return found


def _marked(text: str) -> Markup:
    """Return a text of the verdict as HTML: names between backticks are code, everything else is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _arena(target: TargetResult, shown: CostEstimate | None) -> Figure | None:
    if target.arena is None or shown is None:
        return None
    return arena_figure(target.arena, [row.layer for row in shown.layers], target.profile.name)


def _render(
    result: StudyResult,
    svgs: list[list[tuple[str, Markup]]],
    places: list[str],
    files: list[str],
    together: Mapping[str, Markup],
) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["marked"] = _marked
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return environment.get_template("report.html.j2").render(
        **page(result, svgs, places, files), style=style, captions=CAPTIONS, together=together
    )
