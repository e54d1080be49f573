"""`workbench table`: what a truth table holds, its exact frontiers, and whether it can be derived again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from workbench.cost.axes import COST_AXES
from workbench.data import make_dataset, pick, read_arrays
from workbench.errors import InputError
from workbench.evaluate import Evaluator, Judge
from workbench.files import find_calibration, find_data
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.metrics import named_metric
from workbench.progress import Reporter
from workbench.quantize import Lowering, QuantizeOptions, calibrate
from workbench.report.text import number, quantity
from workbench.truth import TruthTable
from workbench.truth.check import Compared, check_table, find_samples
from workbench.truth.prices import plan_costs

Indices = npt.NDArray[np.int64]

MOST_LINES = 200
"""Points of a frontier that are printed; `--csv` writes all."""


@dataclass(frozen=True)
class Again:
    """What a table is derived again from. inputs, labels: arrays of an NPZ. profile: the table's own unless given. plans: how many."""

    model: Path
    data: Path
    inputs: str | None = None
    labels: str | None = None
    profile: str | None = None
    calibration: Path | None = None
    plans: int = 32
    seed: int = 0
    threads: int | None = None


def read_view(path: Path, formats: Sequence[str]) -> TruthTable:
    """Return the table of a file, or its part with some formats alone."""
    table = TruthTable.load(path)
    return table.sub(formats) if formats else table


def facts_table(table: TruthTable, path: Path) -> Table:
    """Return what a table is of, what it keeps, and between what its figures lie."""
    origin, lines = table.origin, Table(title=str(path), show_header=False)
    kept = "none per sample" if table.losses is None else "per sample" + ("" if table.losses.exact else ", rounded by 0.02 %")
    rows = {
        "model": f"{origin.model} ({origin.graph[:12]})",
        "target": f"{origin.profile} ({origin.profile_digest[:12]})",
        "samples": f"{table.samples:,} of {origin.data} ({origin.samples[:12]})",
        "plans": f"{len(table):,} ({_distinct(table):,} different programs)",
        "metric": f"{table.metric.name}: {table.metric.summary}",
        "losses": f"{origin.loss.replace('_', ' ')}, {kept}",
    }
    for title, text in rows.items():
        lines.add_row(title, text)
    for name, values in table.figures.items():
        lines.add_row(name, f"{number(float(values.min()), 4)} to {number(float(values.max()), 4)}")
    for name in table.axes:
        values = table.axis(name)
        lines.add_row(name, f"{quantity(name, float(values.min()))} to {quantity(name, float(values.max()))}")
    if not table.axes:
        lines.add_row("costs", "none: the target has no cost model")
    return lines


def groups_table(table: TruthTable) -> Table:
    """Return the groups with their layers and the formats on offer."""
    lines = Table(title="What is decided")
    for title in ("group", "layers", "formats"):
        lines.add_column(title)
    for group, names in zip(table.space.groups, table.space.formats, strict=True):
        lines.add_row(group.name, ", ".join(group.layers), ", ".join(names))
    return lines


def front_frame(table: TruthTable, axes: Sequence[str]) -> pd.DataFrame:
    """Return the exact frontier over axes as rows of the table's frame, ordered by the first axis; `plan` is the number."""
    numbers = table.front(axes)
    found = table.frame().iloc[numbers]
    found.insert(0, "plan", numbers)
    return found.reset_index(drop=True)


def front_table(table: TruthTable, axes: Sequence[str]) -> Table:
    """Return the exact frontier over axes for the terminal; a plan is told by what differs from the most common format."""
    numbers = table.front(axes)
    lines = Table(title=f"Exact frontier of {len(table):,} plans over {', '.join(axes)}: {len(numbers):,} points")
    lines.add_column("plan", justify="right")
    for name in axes:
        lines.add_column(table.metric.name if name == "metric" else name, justify="right")
    lines.add_column("formats")
    for n in numbers[:MOST_LINES].tolist():
        lines.add_row(str(n), *[_value(table, name, n) for name in axes], _plan_text(table, n))
    if len(numbers) > MOST_LINES:
        lines.add_row("...", *[""] * len(axes), f"{len(numbers) - MOST_LINES:,} more: --csv writes all")
    return lines


def _value(table: TruthTable, name: str, row: int) -> str:
    if name in COST_AXES:
        return quantity(name, float(table.axis(name)[row]))
    if name == "loss":
        return number(float(table.mean_loss[row]), 4)
    return number(float(table.figures[table.metric.name if name == "metric" else name][row]), 4)


def _plan_text(table: TruthTable, row: int) -> str:
    """Return a plan as 'w4a8; conv1, fc w8a8': its most common format, then the groups in another."""
    code = table.space.codes(range(row, row + 1))[0]
    own = {g.name: names[f] for g, names, f in zip(table.space.groups, table.space.formats, code.tolist(), strict=True)}
    counts = pd.Series(list(own.values())).value_counts(sort=False)
    common = str(counts.idxmax())
    others: dict[str, list[str]] = {}
    for group, fmt in own.items():
        if fmt != common:
            others.setdefault(fmt, []).append(group)
    return "; ".join([common, *[f"{', '.join(groups)} {fmt}" for fmt, groups in others.items()]])


def _distinct(table: TruthTable) -> int:
    return len(np.unique(np.ascontiguousarray(table.keys).view(f"V{table.keys.shape[1]}")))


def check_file(table: TruthTable, again: Again, reporter: Reporter) -> list[Compared]:
    """Derive random plans of a table again and compare them with it.

    Raises: InputError for another model, other samples or too many plans.
    """
    if not 1 <= again.plans <= len(table):
        raise InputError(f"--plans is {again.plans}; the table has {len(table):,}.")
    graph = load_model(again.model)
    seen = None
    if again.calibration is not None:
        samples = find_calibration(graph, again.calibration, again.inputs)
        seen = calibrate(graph, samples, QuantizeOptions().activations != "min_max")
    profile = load_profile(again.profile or table.origin.profile)
    lowering = Lowering(graph, profile, seen)
    data = find_data(graph, again.data, again.inputs)
    if again.labels is not None:
        labels = pick(read_arrays(again.data), again.labels, str(again.data))
        data = make_dataset(data.name, data.one_input, labels)
    data = find_samples(table, data, graph)
    judge = Judge.of(graph, data.labels is not None, named_metric(table.metric.name))
    evaluator = Evaluator(lowering, data, None, again.threads, judge=judge)
    numbers = np.sort(np.random.default_rng(again.seed).choice(len(table), again.plans, replace=False)).astype(np.int64)
    priced = table.costs is not None and profile.digest == table.origin.profile_digest
    with reporter.phase(f"{again.plans:,} of {len(table):,} plans again") as tick:
        return check_table(table, evaluator, numbers, plan_costs(lowering, table.space) if priced else None, tick)


def check_lines(found: Sequence[Compared]) -> Table:
    """Return what was compared, for the terminal."""
    lines = Table(title="Derived again")
    for title, side in (("content", "left"), ("values", "right"), ("differ", "right"), ("", "left")):
        lines.add_column(title, justify=side)  # type: ignore[arg-type]
    for row in found:
        note = "" if not row.differ else "DIFFERS" if row.decides else "changed since the table was made"
        lines.add_row(row.what, f"{row.compared:,}", f"{row.differ:,}", note or "equal")
    return lines
