"""Everything that a study found as plain data for programs: `results.json`. Not finite: 'inf', '-inf', 'nan'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from workbench.cost import CostEstimate
from workbench.evaluate import Record
from workbench.precision import PrecisionPlan
from workbench.results import StudyResult, TargetResult
from workbench.search import Candidate
from workbench.sweep import Sensitivity

VERSION = 2
"""Raised when a key changes its meaning."""


def results_json(result: StudyResult) -> dict[str, Any]:
    """Return the study as plain data. Per-sample predictions stay in the journal: `key` finds them."""
    data = {
        "version": VERSION,
        "study": result.name,
        "title": result.title,
        "model": result.model,
        "verdict": result.verdict,
        "fits": result.fits,
        "layers": list(result.layers),
        "data": dict(result.data_names),
        "selection_samples": result.selection_samples,
        "confirmation_samples": result.confirmation_samples,
        "targets": [target_json(t) for t in result.targets],
        "joint": _joint(result),
        "comparisons": [{"a": c.a, "b": c.b, "verdict": c.verdict, **(c.data or {})} for c in result.comparisons],
    }
    found: dict[str, Any] = plain(data)
    return found


def plain(value: Any) -> Any:
    """Return nested data that strict JSON can hold (numpy scalars become numbers, other objects their text)."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def target_json(t: TargetResult) -> dict[str, Any]:
    """Return what was found on a target."""
    return {
        "target": t.profile.name,
        "title": t.profile.title,
        "runtime": t.profile.runtime,
        "exactness": t.profile.exactness,
        "status": t.status,
        "verdict": t.verdict,
        "message": t.message,
        "objective": t.objective,
        "limits": asdict(t.limits),
        "groups": [{"name": g.name, "layers": list(g.layers)} for g in t.groups],
        "formats": list(t.formats),
        "left_out": [{"format": f, "reason": why} for f, why in t.left_out],
        "metric": {
            "name": t.metric.name,
            "title": t.metric.title,
            "unit": t.metric.unit,
            "higher_is_better": t.metric.higher_is_better,
            "interval": t.metric.interval,
        },
        "reference": t.reference_figure,
        "baseline": {
            "plan": _plan(t.baseline_plan),
            "cost": _cost(t.baseline_cost),
            "selection": _record(t.baseline),
            "confirmation": _record(t.baseline_confirm),
        },
        "sensitivities": [_sensitivity(s) for s in t.sensitivities],
        "layer_errors": {f: [asdict(e) for e in rows] for f, rows in (t.layer_errors or {}).items()},
        "candidates": [_candidate(c, t) for c in t.candidates],
        "chosen": None if t.chosen is None else _candidate(t.chosen, t) | {"cost": _cost(t.chosen.cost)},
        "chosen_change": None if t.chosen_change is None else asdict(t.chosen_change) | {"how": t.chosen_how},
        "certificate": None if t.certificate is None else asdict(t.certificate),
        "search": None if t.search is None else asdict(t.search),
        "ties": list(t.ties),
        "neighbours": [asdict(n) for n in t.neighbours],
        "notes": list(t.notes),
    }


def _joint(result: StudyResult) -> dict[str, Any] | None:
    if result.joint is None:
        return None
    targets = {t.profile.name: t for t in result.targets}
    rows = [
        {
            "target": row.target,
            "within_limits": row.within,
            "own": None if row.own is None else _candidate(row.own, targets[row.target]),
            "common": None if row.common is None else _candidate(row.common, targets[row.target]),
        }
        for row in result.joint.rows
    ]
    return {"text": result.joint.text, "plan": _plan(result.joint.plan), "targets": rows}


def _plan(plan: PrecisionPlan | None) -> dict[str, Any] | None:
    return None if plan is None else {"default": plan.default, "layers": dict(plan.layers)}


def _cost(cost: CostEstimate | None, layers: bool = True) -> dict[str, Any] | None:
    if cost is None:
        return None
    found = {f.name: getattr(cost, f.name) for f in fields(cost) if f.name != "layers"}
    return {**found, "layers": [asdict(row) for row in cost.layers]} if layers else found


def _record(record: Record | None) -> dict[str, Any] | None:
    if record is None:
        return None
    correct = None if record.correct is None else int(record.correct.sum())
    return {
        "key": record.key,
        "data": record.data,
        "samples": record.samples,
        "correct": correct,
        "metrics": dict(record.metrics),
    }


def _sensitivity(s: Sensitivity) -> dict[str, Any]:
    return {
        "group": s.group.name,
        "layers": list(s.group.layers),
        "format": s.format,
        "change": asdict(s.change),
        "flips": s.flips,
        "cross_entropy_delta": s.cross_entropy_delta,
        "sqnr_db": s.sqnr_db,
        "mse_delta": s.mse_delta,
        "record": _record(s.record),
    }


def _candidate(c: Candidate, t: TargetResult) -> dict[str, Any]:
    frontier = [f.plan for f in t.frontier]
    return {
        "plan": _plan(c.plan),
        "frontier": frontier.index(c.plan) + 1 if c.plan in frontier else None,
        "within_limits": c.within_limits,
        "proven": c.proven,
        "drop_bound": c.drop_bound,
        "predicted_loss": c.predicted_loss,
        "predicted_drop": c.predicted_drop,
        "change": asdict(c.change),
        "selection": _record(c.record),
        "confirm_change": None if c.confirm_change is None else asdict(c.confirm_change),
        "confirmation": _record(c.confirm_record),
        "cost": _cost(c.cost, layers=False),
    }
