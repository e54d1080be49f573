"""What the page says, as plain texts; the template only lays them out. Nothing is computed here but formats and shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from workbench.report.page_choice import certificate_box, distribution_table, joint_part, told_apart, views_part
from workbench.report.page_rows import candidate_row, changes, cost_range, layer_rows, listed
from workbench.report.page_sure import sure_box
from workbench.report.text import (
    NONE,
    change_unit,
    decibels,
    drop_text,
    figure_text,
    metric_change,
    number,
    quantity,
    signed,
    tidy,
)
from workbench.report.to_json import plain
from workbench.results import ComparisonResult, Status, StudyResult, TargetResult
from workbench.search import axis_value
from workbench.statistics import Difference

BADGES: dict[Status, tuple[str, str]] = {
    "chosen": ("plan found", "good"),
    "nothing_to_choose": ("one format, fits", "good"),
    "nothing_fits": ("nothing fits", "bad"),
    "not_supported": ("not supported", "off"),
}
"""Status -> (words, CSS class)."""


def headline(result: StudyResult) -> str:
    """Return the one sentence on top of the page."""
    if len(result.targets) == 1:
        return tidy(result.targets[0].verdict)
    total = len(result.targets)
    fitting = [t.profile.name for t in result.targets if t.status in ("chosen", "nothing_to_choose") and t.tested]
    count = f"All {total} targets have" if len(fitting) == total else f"{len(fitting)} of {total} targets {_has(len(fitting))}"
    untested = [t.profile.name for t in result.targets if not t.tested and t.status in ("chosen", "nothing_to_choose")]
    proven = "proven within" if untested else "within"  # a plan that was not tested may well be within
    parts = [f"{count} a plan for {result.model} {proven} the limits" + (f": {', '.join(fitting)}" if fitting else "")]
    others = (
        ("found, but not proven on other samples, on", untested),
        ("nothing fits on", [t.profile.name for t in result.targets if t.status == "nothing_fits"]),
        ("not supported on", [t.profile.name for t in result.targets if t.status == "not_supported"]),
    )
    return "; ".join([*parts, *(f"{words} {', '.join(names)}" for words, names in others if names)]) + "."


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def page(
    result: StudyResult, plots: Sequence[Sequence[tuple[str, Any]]], folders: Sequence[str], files: Sequence[str]
) -> dict[str, Any]:
    """Return the variables of the template.

    Args:
        plots, folders: per target: (name, inline SVG) in reading order, and its file name. files: what the report folder holds.
    """
    return {
        "title": result.title,
        "study": result.name,
        "headline": headline(result),
        "facts": _facts(result),
        "targets": [_target(result, t, p, f, files) for t, p, f in zip(result.targets, plots, folders, strict=True)],
        "joint": joint_part(result),
        "comparisons": [_comparison(c) for c in result.comparisons],
        "single": len(result.targets) == 1,
        "files": [f for f in files if "/" not in f],
        "manifest": [(k, v) for k, v in _flat(plain(result.manifest)) if v != ""],
        "spec": yaml.safe_dump(plain(result.spec), sort_keys=False, allow_unicode=True, width=100),
        "data": dict(result.data_names),
    }


def _facts(result: StudyResult) -> list[tuple[str, str]]:
    confirm = f"{result.confirmation_samples:,} others confirm" if result.confirmation_samples else "none are left to confirm"
    facts = [("model", result.model), ("samples", f"{result.selection_samples:,} choose, {confirm}")]
    for key in ("created", "commit"):
        if result.manifest.get(key):
            facts.append((key, str(result.manifest[key])[: 19 if key == "created" else 12].replace("T", " ")))
    return facts


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, item in value.items():
        found += _flat(item, f"{prefix}{key} / ") if isinstance(item, Mapping) else [(prefix + key, str(item))]
    return found


def _target(
    result: StudyResult, t: TargetResult, plots: Sequence[tuple[str, Any]], folder: str, files: Sequence[str]
) -> dict[str, Any]:
    layers = [layer for g in t.groups for layer in g.layers]
    layers.sort(key={name: i for i, name in enumerate(result.layers)}.get)  # type: ignore[arg-type]
    shown = t.chosen.cost if t.chosen else t.baseline_cost
    prefix = f"{t.profile.name}: "
    words, css = ("found, not confirmed", "warn") if not t.tested else BADGES[t.status]
    lines = tidy(t.message).splitlines()
    return {
        "name": t.profile.name,
        "anchor": folder,
        "title": t.profile.title,
        "hardware": _hardware(t),
        "badge": words,
        "badge_class": css,
        "status": t.status,
        "tested": t.tested,
        "verdict": _capital(tidy(t.verdict).removeprefix(prefix)),
        "gaps": [line for line in lines if not line.startswith("Levers:")],
        "levers": _levers(lines),
        "baseline": t.baseline_plan.default if t.baseline_plan else "",
        "plan": [] if t.chosen is None else changes(t.chosen.plan, t.baseline_plan, layers),
        "has_choice": t.chosen is not None,
        "all_changed": t.chosen is not None and len(t.chosen.plan.layers) >= len(layers) > 0,
        "costs": _headline_costs(t),
        "accuracy": _headline_accuracy(t),
        "sure": sure_box(result, t, shown),
        "certificate": certificate_box(t.certificate),
        "apart": told_apart(t),
        "views": views_part(t),
        "ranges": distribution_table(t),
        "plots": dict(plots),
        "metric": t.metric.title,
        "change_unit": change_unit(t.metric),
        "confirmed": t.baseline_confirm is not None,
        "frontier": [candidate_row(t, c, layers) for c in listed(t)],
        "evaluated": len(t.candidates),
        "limits": _limits(t),
        "objective": t.objective,
        "cost_rows": layer_rows(t),
        "left_out": () if t.status == "not_supported" else t.left_out,  # the reasons are its message
        "notes": [n for n in map(tidy, t.notes) if not n.startswith("Bits: ")],
        "files": [f for f in files if f.startswith(f"{folder}/") or f == f"plan-{folder}.yaml"],
    }


def _comparison(c: ComparisonResult) -> dict[str, Any]:
    return {
        "title": f"{c.b} against {c.a}",
        "verdict": _capital(tidy(c.verdict).removeprefix(f"{c.b} against {c.a}: ")),
        "tables": c.tables,
        "notes": list(c.notes),
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _levers(lines: Sequence[str]) -> list[str]:
    return [
        _capital(part.strip().rstrip("."))
        for line in lines
        if line.startswith("Levers:")
        for part in line.removeprefix("Levers:").split(";")
    ]


def _hardware(t: TargetResult) -> str:
    p = t.profile
    rooms = [
        f"{quantity('ram', p.size_bytes(kind))} {name}"
        for kind, name in (("flash", "flash"), ("ram", "RAM"))
        if p.size_bytes(kind)
    ]
    return ", ".join([p.core, f"{number(p.clock_hz / 1e6)} MHz", *rooms, p.runtime])


def _limits(t: TargetResult) -> str:
    parts = [f"{axis} at most {quantity(axis, limit)}" for axis, limit in t.limits.costs().items()]
    if t.limits.drop is not None:
        side = "below" if t.metric.higher_is_better else "above"
        parts.insert(0, f"{t.metric.title} at most {drop_text(t.metric, t.limits.drop)} {side} the baseline")
    if t.limits.sqnr_db is not None:
        parts.insert(0, f"output SQNR at least {decibels(t.limits.sqnr_db)}")
    return ", ".join(parts)


def _headline_costs(t: TargetResult) -> list[dict[str, str]]:
    cost = t.chosen.cost if t.chosen else None
    found = []
    for axis in ("flash", "ram", "latency", "energy"):
        if cost is None or t.baseline_cost is None:
            found.append({"value": NONE, "range": "", "change": ""})
            continue
        now, before = axis_value(cost, axis), axis_value(t.baseline_cost, axis)
        change = "" if now == before or not before > 0 or math.isnan(now) else f"{signed(100 * (now / before - 1), 0)} %"
        found.append({"value": quantity(axis, now), "range": cost_range(cost, axis), "change": change})
    return found


def _headline_accuracy(t: TargetResult) -> tuple[str, list[str]]:
    """Return the accuracy of the chosen plan and the small lines below it."""
    if t.baseline is None or t.chosen is None:
        return NONE, []
    record, where = t.chosen.record, "not confirmed"
    change: Difference | None = t.chosen_change or t.chosen.change
    if t.chosen.confirm_record is not None:
        record, change, where = (
            t.chosen.confirm_record,
            t.chosen.confirm_change,
            f"{t.chosen.confirm_record.samples:,} other samples",
        )
    value = figure_text(t.metric, record.figure)
    name = [] if t.metric.name == "top1" else [t.metric.title]
    if t.chosen.plan == t.baseline_plan:
        return value, [*name, "the baseline", where]
    found, ends = metric_change(t.metric, change)
    return value, [*name, f"{found} {change_unit(t.metric)} {ends}".replace("  ", " "), where]
