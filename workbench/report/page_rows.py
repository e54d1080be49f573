"""Rows of the page's tables: plans of the frontier, layers with their cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.cost import CostEstimate, LayerCost
from workbench.metrics import Metric
from workbench.precision import PrecisionPlan
from workbench.report.plots.breakdown import BOUND_WORDS
from workbench.report.plots.cost import merged_rows
from workbench.report.text import (
    NONE,
    figure_text,
    interval,
    metric_change,
    percent,
    quantity,
    signed,
    signed_number,
    size_range,
)
from workbench.results import TargetResult
from workbench.search import Candidate, axis_value

MANY_NAMES = 8
EMULATION = {
    "unpack": "unpacked before the int8 kernel",
    "widen": "stored as 8 bits",
    "decode": "decoded before the layer",
    "host": "(host)",
}
"""How a target comes to a format -> words for it."""


@dataclass(frozen=True)
class Change:
    """A layer format in words: which layers are in it."""

    format: str
    layers: str


def changes(plan: PrecisionPlan, base: PrecisionPlan | None, layers: Sequence[str]) -> list[Change]:
    """Return how a plan differs from the baseline, layers in network order; empty when it does not."""
    by_format: dict[str, list[str]] = {}
    for layer in layers:
        fmt = plan.format_of(layer).name
        if base is None or fmt != base.format_of(layer).name:
            by_format.setdefault(fmt, []).append(layer)
    return [Change(fmt, _names(found, layers)) for fmt, found in by_format.items()]


def _names(found: Sequence[str], layers: Sequence[str]) -> str:
    if len(found) == len(layers):
        return "all layers"
    rest = [layer for layer in layers if layer not in found]
    if len(found) > MANY_NAMES and len(rest) <= MANY_NAMES // 2:
        return f"all but {', '.join(rest)}"
    if len(found) > MANY_NAMES + 1:
        return f"{', '.join(found[:MANY_NAMES])} and {len(found) - MANY_NAMES} more"
    return ", ".join(found)


def cost_range(cost: CostEstimate, axis: str) -> str:
    """Return the 80 % interval of a cost; of a size also the runtime's own where that is most of it."""
    if axis == "flash":
        return size_range(axis, axis_value(cost, axis), cost.flash_low_bytes, cost.flash_high_bytes, cost.runtime_flash_bytes)
    if axis == "ram":
        return size_range(axis, axis_value(cost, axis), cost.ram_low_bytes, cost.ram_high_bytes, cost.runtime_ram_bytes)
    if axis == "latency":
        return interval(axis, cost.latency_s, cost.latency_low_s, cost.latency_high_s)
    if axis == "energy":
        return interval(axis, cost.energy_j, cost.energy_low_j, cost.energy_high_j)
    raise KeyError(axis)


def listed(t: TargetResult) -> list[Candidate]:
    """Return the frontier, and baseline and chosen plan where they are not on it; cheapest first."""
    found = list(t.frontier)
    plans = {c.plan for c in found}
    wanted = {t.baseline_plan} | ({t.chosen.plan} if t.chosen else set())
    found += [c for c in t.candidates if c.plan in wanted and c.plan not in plans]
    return sorted(found, key=lambda c: axis_value(c.cost, t.objective))


def candidate_row(t: TargetResult, c: Candidate, layers: Sequence[str]) -> dict[str, Any]:
    """Return a plan: what differs from the baseline, costs, predicted and true change."""
    plans = [f.plan for f in t.frontier]
    base = c.plan == t.baseline_plan
    return {
        "number": str(plans.index(c.plan) + 1) if c.plan in plans else NONE,
        "changes": changes(c.plan, t.baseline_plan, layers),
        "baseline": base,
        "chosen": t.chosen is not None and c.plan == t.chosen.plan,
        "within": c.within_limits,
        "proven": c.proven,
        "costs": [(quantity(a, axis_value(c.cost, a)), cost_range(c.cost, a)) for a in ("flash", "ram", "latency", "energy")],
        "figure": figure_text(t.metric, c.record.figure),
        "predicted": NONE if base else _predicted(t.metric, c.predicted_drop),
        "true": metric_change(t.metric, None if base else c.change),
        "confirm": metric_change(t.metric, None if base else c.confirm_change),
    }


def _predicted(metric: Metric, drop: float) -> str:
    change = -drop if metric.higher_is_better else drop
    return signed(100 * change) if metric.is_share else signed_number(change)


def layer_rows(t: TargetResult) -> list[dict[str, Any]]:
    """Return the layers, baseline and chosen plan side by side."""
    before = t.baseline_cost
    if before is None:
        return []
    after = t.chosen.cost if t.chosen else before
    total = after.latency_s
    rows = [_cost_row(old, new, total) for old, new in merged_rows(before, after)]
    longest = max((row["share"] for row in rows), default=0.0) or 1.0
    return [row | {"bar": round(64 * row["share"] / longest, 1)} for row in rows]


def _cost_row(old: LayerCost | None, new: LayerCost | None, total: float) -> dict[str, Any]:
    row = new or old
    assert row is not None
    share = 0.0 if new is None or not total > 0 or not math.isfinite(new.latency_s) else new.latency_s / total
    return {
        "layer": row.layer,
        "op": row.op,
        "before": old.format if old else NONE,
        "after": new.format if new else NONE,
        "changed": old is None or new is None or old.format != new.format,
        "macs": f"{row.macs:,}" if row.macs else NONE,
        "flash_before": quantity("flash", old.flash_bytes) if old and old.flash_bytes else NONE,
        "flash": quantity("flash", new.flash_bytes) if new and new.flash_bytes else NONE,
        "flash_changed": old is not None and new is not None and old.flash_bytes != new.flash_bytes,
        "ram": quantity("ram", row.ram_bytes),
        "latency": NONE if new is None or not math.isfinite(new.latency_s) else quantity("latency", new.latency_s),
        "bound": BOUND_WORDS.get(new.bound, "") if new is not None and math.isfinite(new.latency_s) else "",
        "share": share,
        "share_text": percent(share) if share else NONE,
        "emulation": EMULATION.get(row.emulation, ""),
        "basis": row.basis.replace("_", " "),
    }
