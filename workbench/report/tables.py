"""The tables of a study as data frames: one row per fact, units in the column names, all targets in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from workbench.cost import CostEstimate
from workbench.evaluate import Record
from workbench.metrics import METRICS, Metric
from workbench.report.plots.changes import distinguishable
from workbench.report.text import change_unit
from workbench.results import StudyResult, TargetResult
from workbench.search import Candidate, axis_value
from workbench.statistics import Difference, share_interval

Row = dict[str, Any]


def all_tables(result: StudyResult) -> dict[str, pd.DataFrame]:
    """Return file name (without suffix) -> table."""
    metric = result.targets[0].metric if result.targets else METRICS["top1"]
    names = result.spec.get("sweep", {}).get("metrics", METRIC_COLUMNS)
    columns_of = [c for name in dict.fromkeys((metric.name, *names)) for c in _metric_columns(name, metric)]
    makers: dict[str, tuple[tuple[str, ...], Callable[[TargetResult], Iterator[Row]]]] = {
        "sensitivities": ((*SENSITIVITY_COLUMNS, *columns_of), sensitivity_rows),
        "layer_errors": (("target", "format", "layer", "local_sqnr_db", "cumulative_sqnr_db"), layer_error_rows),
        "frontier": (frontier_columns(metric), candidate_rows),
        "layers_cost": (COST_COLUMNS, cost_rows),
    }
    return {
        name: pd.DataFrame([row for target in result.targets for row in make(target)], columns=list(columns))
        for name, (columns, make) in makers.items()
    }


SENSITIVITY_COLUMNS = ("target", "group", "layers", "format", "baseline", "samples", "flips")
METRIC_COLUMNS: dict[str, tuple[str, ...]] = {
    "cross_entropy": ("cross_entropy_nat", "cross_entropy_delta_nat"), "mse": ("mse", "mse_delta"), "kl": ("kl_nat",),
}  # fmt: skip
"""Metric of a study's `sweep.metrics` -> its columns; others have one of their name."""


def _metric_columns(name: str, metric: Metric) -> tuple[str, ...]:
    """Return the columns of a metric; of the deciding one also its change and whether that is more than chance."""
    own = METRIC_COLUMNS.get(name, (name,))
    if name != metric.name:
        return own
    return (*own, *_change_columns(f"{name}_change", metric), "distinguishable", "gained", "lost")


def _change_columns(name: str, metric: Metric) -> tuple[str, ...]:
    """Return the columns of a change and its interval, the unit last: `top1_change_low_points`."""
    end = f"_{change_unit(metric).lower()}" if change_unit(metric) else ""
    return tuple(f"{name}{part}{end}" for part in ("", "_low", "_high"))


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
            **{m: v for m, v in s.record.metrics.items() if m not in ("cross_entropy", "kl")},
            "cross_entropy_nat": s.record.metrics.get("cross_entropy"),
            "kl_nat": s.record.metrics.get("kl"),
            **_change(f"{target.metric.name}_change", target.metric, s.change),
            "distinguishable": distinguishable(s.change),
            "gained": s.change.gained,
            "lost": s.change.lost,
            "flips": s.flips,
            "cross_entropy_delta_nat": s.cross_entropy_delta,
            "sqnr_db": s.sqnr_db,
            "mse_delta": s.mse_delta,
        }


def _change(name: str, metric: Metric, change: Difference | None) -> Row:
    names = _change_columns(name, metric)
    if change is None:
        return dict.fromkeys(names)
    factor = 100 if metric.is_share else 1
    return dict(zip(names, (factor * v for v in (change.estimate, change.low, change.high)), strict=True))


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
    "flash_low_bytes",
    "flash_high_bytes",
    "ram_low_bytes",
    "ram_high_bytes",
    "latency_s",
    "latency_low_s",
    "latency_high_s",
    "energy_j",
    "energy_low_j",
    "energy_high_j",
)


def frontier_columns(metric: Metric) -> tuple[str, ...]:
    """Return the columns of the frontier, named after the deciding metric."""
    m = metric.name
    return (
        "target", "plan", "frontier", "chosen", "within_limits", "proven", _bound_column(metric), "flash_bytes", "ram_bytes", *COSTS,
        "select_samples", _predicted_column(metric), *_figure_columns(f"true_{m}"), *_change_columns("true_change", metric),
        *(() if m == "cross_entropy" else ("true_cross_entropy_nat",)), *(() if m == "sqnr_db" else ("true_sqnr_db",)),
        "predicted_loss", "confirm_samples", *_figure_columns(f"confirm_{m}"), *_change_columns("confirm_change", metric),
        *(() if m == "sqnr_db" else ("confirm_sqnr_db",)),
    )  # fmt: skip


def _figure_columns(name: str) -> tuple[str, ...]:
    return name, f"{name}_low", f"{name}_high"


def _bound_column(metric: Metric) -> str:
    return f"drop_bound_{change_unit(metric).lower()}".rstrip("_")


def _predicted_column(metric: Metric) -> str:
    return f"predicted_change_{change_unit(metric).lower()}".rstrip("_")


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
            _bound_column(target.metric): None
            if c.drop_bound is None
            else (100 if target.metric.is_share else 1) * c.drop_bound,
            "flash_bytes": round(axis_value(c.cost, "flash")),  # the runtime included, as for the limits
            "ram_bytes": round(axis_value(c.cost, "ram")),
            **{name: getattr(c.cost, name) for name in COSTS},
            **_truth(c, target.metric),
        }


def _truth(c: Candidate, metric: Metric) -> Row:
    confirm, m = c.confirm_record, metric.name
    factor = (100 if metric.is_share else 1) * (-1 if metric.higher_is_better else 1)
    return {
        "select_samples": c.record.samples,
        _predicted_column(metric): 0.0 + factor * c.predicted_drop,
        "true_cross_entropy_nat": c.record.metrics.get("cross_entropy"),
        "true_sqnr_db": c.record.metrics.get("sqnr_db"),
        **_figure(f"true_{m}", c.record),
        **_change("true_change", metric, c.change),
        "predicted_loss": c.predicted_loss,
        "confirm_samples": None if confirm is None else confirm.samples,
        "confirm_sqnr_db": None if confirm is None else confirm.metrics.get("sqnr_db"),
        **_figure(f"confirm_{m}", confirm),
        **_change("confirm_change", metric, c.confirm_change),
    }


def _figure(name: str, record: Record | None) -> Row:
    """Return a figure, and the Wilson interval of a share of samples."""
    names = _figure_columns(name)
    if record is None:
        return dict.fromkeys(names)
    if record.correct is None:
        return dict(zip(names, (record.figure, None, None), strict=True))
    ends = share_interval(round(record.figure * record.samples), record.samples)
    return dict(zip(names, (record.figure, *ends), strict=True))


COST_COLUMNS = (
    "target", "plan", "layer", "op", "format", "emulation", "macs", "weight_bytes", "parameter_bytes", "ram_bytes", "latency_s",
    "latency_low_s", "latency_high_s", "energy_j", "energy_low_j", "energy_high_j", "basis", "bound", "bytes_moved",
    "compute_s", "unpack_s", "memory_s", "overhead_s", "host_s",
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
