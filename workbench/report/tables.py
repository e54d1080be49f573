"""The tables of a study as data frames: one row per fact, units in the column names, all targets in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from workbench.cost import CostEstimate
from workbench.report.plots.sensitivity import distinguishable
from workbench.results import StudyResult, TargetResult
from workbench.search import Candidate, axis_value
from workbench.statistics import Difference, share_interval

Row = dict[str, Any]


def all_tables(result: StudyResult) -> dict[str, pd.DataFrame]:
    """Return file name (without suffix) -> table."""
    metrics = result.spec.get("sweep", {}).get("metrics", METRIC_COLUMNS)
    makers: dict[str, tuple[tuple[str, ...], Callable[[TargetResult], Iterator[Row]]]] = {
        "sensitivities": ((*SENSITIVITY_COLUMNS, *(c for m in metrics for c in METRIC_COLUMNS[m])), sensitivity_rows),
        "layer_errors": (("target", "format", "layer", "local_sqnr_db", "cumulative_sqnr_db"), layer_error_rows),
        "frontier": (FRONTIER_COLUMNS, candidate_rows),
        "layers_cost": (COST_COLUMNS, cost_rows),
    }
    return {
        name: pd.DataFrame([row for target in result.targets for row in make(target)], columns=list(columns))
        for name, (columns, make) in makers.items()
    }


SENSITIVITY_COLUMNS = ("target", "group", "layers", "format", "baseline", "samples", "flips")
METRIC_COLUMNS: dict[str, tuple[str, ...]] = {
    "top1": (
        "top1", "top1_change_points", "top1_change_low_points", "top1_change_high_points", "distinguishable", "gained", "lost",
    ),
    "cross_entropy": ("cross_entropy_nat", "cross_entropy_delta_nat"),
    "agreement": ("agreement",),
    "sqnr_db": ("sqnr_db",),
    "mse": ("mse", "mse_delta"),
}  # fmt: skip
"""Metric of a study's `sweep.metrics` -> its columns."""


def sensitivity_rows(target: TargetResult) -> Iterator[Row]:
    """Yield one row per group and format."""
    for s in target.sensitivities:
        yield {
            "target": target.profile.name,
            "group": s.group.name,
            "layers": " ".join(s.group.layers),
            "format": s.format,
            "baseline": s.plan.default,
            "samples": s.record.samples,
            **{m: s.record.metrics.get(m) for m in ("top1", "agreement", "mse")},
            "cross_entropy_nat": s.record.metrics.get("cross_entropy"),
            **_change("top1_change", s.change),
            "distinguishable": None if s.change is None else distinguishable(s.change),
            "gained": None if s.change is None else s.change.gained,
            "lost": None if s.change is None else s.change.lost,
            "flips": s.flips,
            "cross_entropy_delta_nat": s.cross_entropy_delta,
            "sqnr_db": s.sqnr_db,
            "mse_delta": s.mse_delta,
        }


def _change(name: str, change: Difference | None) -> Row:
    if change is None:
        return dict.fromkeys((f"{name}_points", f"{name}_low_points", f"{name}_high_points"))
    return {
        f"{name}_points": 100 * change.estimate,
        f"{name}_low_points": 100 * change.low,
        f"{name}_high_points": 100 * change.high,
    }


def layer_error_rows(target: TargetResult) -> Iterator[Row]:
    """Yield one row per format and layer."""
    for fmt, errors in (target.layer_errors or {}).items():
        for e in errors:
            yield {
                "target": target.profile.name,
                "format": fmt,
                "layer": e.layer,
                "local_sqnr_db": e.local_sqnr_db,
                "cumulative_sqnr_db": e.cumulative_sqnr_db,
            }


COSTS = (
    "runtime_flash_bytes",
    "runtime_ram_bytes",
    "latency_s",
    "latency_low_s",
    "latency_high_s",
    "energy_j",
    "energy_low_j",
    "energy_high_j",
)
FRONTIER_COLUMNS = (
    "target",
    "plan",
    "frontier",
    "chosen",
    "within_limits",
    "proven",
    "drop_bound_points",
    "flash_bytes",
    "ram_bytes",
    *COSTS,
    "select_samples",
    "predicted_change_points",
    "true_top1",
    "true_top1_low",
    "true_top1_high",
    "true_change_points",
    "true_change_low_points",
    "true_change_high_points",
    "true_cross_entropy_nat",
    "true_sqnr_db",
    "predicted_loss",
    "confirm_samples",
    "confirm_top1",
    "confirm_top1_low",
    "confirm_top1_high",
    "confirm_change_points",
    "confirm_change_low_points",
    "confirm_change_high_points",
    "confirm_sqnr_db",
)


def candidate_rows(target: TargetResult) -> Iterator[Row]:
    """Yield every evaluated plan, predicted and true side by side; `frontier` counts those that no other one beats from 1."""
    numbers = {c.plan: i + 1 for i, c in enumerate(target.frontier)}
    for c in target.candidates:
        yield {
            "target": target.profile.name,
            "plan": c.plan.label(),
            "frontier": numbers.get(c.plan),
            "chosen": target.chosen is not None and c.plan == target.chosen.plan,
            "within_limits": c.within_limits,
            "proven": c.proven,
            "drop_bound_points": None if c.drop_bound is None else 100 * c.drop_bound,
            "flash_bytes": round(axis_value(c.cost, "flash")),  # the runtime included, as for the limits
            "ram_bytes": round(axis_value(c.cost, "ram")),
            **{name: getattr(c.cost, name) for name in COSTS},
            **_truth(c),
        }


def _truth(c: Candidate) -> Row:
    confirm = c.confirm_record
    return {
        "select_samples": c.record.samples,
        "predicted_change_points": None if c.predicted_drop is None else 0.0 - 100 * c.predicted_drop,
        **_share("true_top1", c.record.metrics.get("top1"), c.record.samples),
        **_change("true_change", c.change),
        "true_cross_entropy_nat": c.record.metrics.get("cross_entropy"),
        "true_sqnr_db": c.record.metrics.get("sqnr_db"),
        "predicted_loss": c.predicted_loss,
        "confirm_samples": None if confirm is None else confirm.samples,
        **_share(
            "confirm_top1", None if confirm is None else confirm.metrics.get("top1"), 0 if confirm is None else confirm.samples
        ),
        **_change("confirm_change", c.confirm_change),
        "confirm_sqnr_db": None if confirm is None else confirm.metrics.get("sqnr_db"),
    }


def _share(name: str, share: float | None, samples: int) -> Row:
    if share is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    low, high = share_interval(round(share * samples), samples)
    return {name: share, f"{name}_low": low, f"{name}_high": high}


COST_COLUMNS = (
    "target", "plan", "layer", "op", "format", "emulation", "macs", "weight_bytes", "parameter_bytes", "ram_bytes", "latency_s",
    "latency_low_s", "latency_high_s", "energy_j", "energy_low_j", "energy_high_j", "basis",
)  # fmt: skip


def cost_rows(target: TargetResult) -> Iterator[Row]:
    """Yield the layers of the baseline and of the chosen plan."""
    estimates: list[tuple[str, CostEstimate]] = []
    if target.baseline_cost is not None:
        estimates.append(("baseline", target.baseline_cost))
    if target.chosen is not None:
        estimates.append(("chosen", target.chosen.cost))
    for plan, estimate in estimates:
        for layer in estimate.layers:
            yield {"target": target.profile.name, "plan": plan, **{name: getattr(layer, name) for name in COST_COLUMNS[2:]}}
