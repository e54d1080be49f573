"""`certificate.json`: what a run proves, and every figure of its verdict, so that `workbench verify` can derive them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.cost.axes import COST_AXES
from workbench.evaluate import Record
from workbench.files import write_text
from workbench.numerics.jit import SOURCE_HASH
from workbench.precision import PrecisionPlan
from workbench.report.to_json import plain
from workbench.results import Joint, StudyResult, TargetResult
from workbench.search import Candidate
from workbench.study.prepare import Context
from workbench.sweep import Space

VERSION = 1
"""Raised when a key changes its meaning."""
PROOF_FILE = "certificate.json"


def write_proof(result: StudyResult, context: Context, spaces: dict[str, Space], folder: Path) -> Path:
    """Write the proof of a study into the folder of its run. spaces: of the targets that run, by name."""
    path = folder / PROOF_FILE
    write_text(path, json.dumps(proof(result, context, spaces), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def proof(result: StudyResult, context: Context, spaces: dict[str, Space]) -> dict[str, Any]:
    """Return the proof of a study as plain data."""
    joint = result.joint
    data = {
        "version": VERSION,
        "study": result.name,
        "digests": context.digests,
        "kernel_sources": SOURCE_HASH,
        "targets": [target_data(t, spaces.get(t.profile.name)) for t in result.targets],
        "joint": joint_data(joint),
    }
    found: dict[str, Any] = plain(data)
    return found


def joint_data(joint: Joint | None) -> dict[str, Any] | None:
    """Return what is stated of the plan for all targets; None for a study of one."""
    if joint is None:
        return None
    return {
        "text": joint.text,
        "plan": plan_data(joint.plan),
        "targets": {row.target: candidate_data(row.common) for row in joint.rows},
    }


def target_data(t: TargetResult, space: Space | None) -> dict[str, Any]:
    """Return what is stated of a target."""
    certificate = t.certificate
    return {
        "target": t.profile.name,
        "profile": t.profile.digest,
        "status": t.status,
        "verdict": t.verdict,
        "metric": t.metric.name,
        "space": None if space is None else space_data(space),
        "baseline": None
        if t.baseline is None or t.baseline_plan is None or t.baseline_cost is None
        else {
            "plan": plan_data(t.baseline_plan),
            "selection": figures(t.baseline),
            "confirmation": figures(t.baseline_confirm),
            "costs": {axis: value(t.baseline_cost) for axis, value in COST_AXES.items()},
        },
        "chosen": candidate_data(t.chosen),
        "certificate": None if certificate is None else {"text": certificate.text, **certificate.data},
    }


def candidate_data(c: Candidate | None) -> dict[str, Any] | None:
    """Return the figures of a plan that a verdict names."""
    if c is None:
        return None
    return {
        "plan": plan_data(c.plan),
        "selection": figures(c.record),
        "confirmation": figures(c.confirm_record),
        "costs": {axis: value(c.cost) for axis, value in COST_AXES.items()},
    }


def figures(record: Record | None) -> dict[str, Any] | None:
    """Return the deciding figure of a record, and of how many samples."""
    return None if record is None else {"samples": record.samples, "figure": record.figure}


def plan_data(plan: PrecisionPlan | None) -> dict[str, Any] | None:
    """Return a plan as plain data."""
    return None if plan is None else {"default": plan.default, "layers": dict(plan.layers)}


def space_data(space: Space) -> dict[str, Any]:
    """Return a space as plain data."""
    return {
        "default": space.default,
        "groups": [
            {"name": g.name, "layers": list(g.layers), "formats": list(names)}
            for g, names in zip(space.groups, space.formats, strict=True)
        ],
    }
