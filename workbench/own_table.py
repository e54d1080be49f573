"""`calibrate_own`: the command `workbench calibrate`: measurements and a profile in, a better profile and a table out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import exp, log
from os import getpid
from pathlib import Path
from statistics import median

from rich.table import Table

from workbench.calibrate.own import Update, calibrate_profile
from workbench.calibrate.own_profile import default_path, profile_yaml
from workbench.calibrate.own_rows import Measurement, read_measurements
from workbench.errors import InputError
from workbench.files import write_text
from workbench.graph.ir import Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.inspection.stand_in import lowered
from workbench.loaders import load_model
from workbench.quantize import plan_of
from workbench.report.text import interval, number, quantity

Triple = tuple[float, float, float]


def calibrate_own(device: str, measurements: Path, folder: Path | None = None, out: Path | None = None) -> tuple[Update, Path]:
    """Return what measurements made of a profile, and the file that it was written to."""
    profile = load_profile(device)
    rows = read_measurements(measurements, profile.clock_hz, folder)
    source = f"{measurements.name}, {datetime.now(UTC):%Y-%m-%d}"
    path = out or default_path(device)
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"--out {path}: a profile is a YAML file; give a name that ends in .yaml.")
    update = calibrate_profile(profile, rows, lambda row: _graph(row, profile), source)
    _write_checked(path, profile_yaml(update.profile, device, path.stem, source))
    return update, path


def _write_checked(path: Path, text: str) -> None:
    """Write a profile once it was read from a file beside it (what it names is found from there): nothing broken stays."""
    trial = path.with_name(f".{path.stem}.{getpid()}{path.suffix}")
    try:
        write_text(trial, text)
        load_profile(trial)
        trial.replace(path)
    except (InputError, OSError) as problem:
        said = str(problem).replace(str(trial), "the new profile")
        raise InputError(f"--out {path}: nothing was written. {said}") from problem
    finally:
        if trial.exists():
            trial.unlink()


def _graph(row: Measurement, profile: HardwareProfile) -> Graph:
    try:
        graph = load_model(row.model)
    except InputError as problem:
        raise InputError(f"line {row.line}: {problem}") from problem
    return graph if not row.format else lowered(graph, profile, plan_of(row.format))


def update_lines(update: Update) -> list[Table | str]:
    """Return the tables of an update: every row before and after, the constants that moved, and how much better it is."""
    table = Table(title="Own measurements against the profile; 80 % intervals in brackets")
    for name in ("measured", "time", "before", "off by", "after, this network left out", "off by"):
        table.add_column(name)
    for row in update.rows:
        seconds = row.measurement.seconds
        table.add_row(
            row.measurement.where, quantity("latency", seconds), _triple(row.before), _off(row.before, seconds),
            _triple(row.after) if row.after else "no other network", _off(row.after, seconds) if row.after else "",
        )  # fmt: skip
    moved = Table(title="Constants of $.costs.latency that were measured")
    for name in ("constant", "before", "after"):
        moved.add_column(name)
    for address, (old, new) in update.constants.items():
        if new.basis == "measured here":
            moved.add_row(
                ".".join(map(str, address)), _constant(old.value, old.uncertainty), _constant(new.value, new.uncertainty)
            )
    if update.power is not None:
        old, new = update.power
        moved.add_row(
            "$.costs.energy.active_power_w", _constant(old.value, old.uncertainty), _constant(new.value, new.uncertainty)
        )
    return [table, *([moved] if moved.row_count else []), summary(update)]


def summary(update: Update) -> str:
    """Return how much better the profile became, in a few sentences."""
    rows = [(r.before, r.measurement.seconds) for r in update.rows]
    text = f"The board takes {number(update.scale)} times what the profile says. Before: {_figures(rows)}."
    left_out = [(r.after, r.measurement.seconds) for r in update.rows if r.after]
    if not left_out:
        return f"{text} After: cannot be checked on another network; measure a second one."
    return f"{text} After, each network predicted without its own rows: {_figures(left_out)}."


def _figures(rows: Sequence[tuple[Triple, float]]) -> str:
    errors = [abs(value / seconds - 1) for (value, _, _), seconds in rows]
    inside = sum(low <= seconds <= high for (_, low, high), seconds in rows)
    width = median(log(high / low) / 2 for (_, low, high), _ in rows)
    return (
        f"median error {median(errors):.0%}, largest {max(errors):.0%}, intervals of a factor {exp(width):.2f} "
        f"either way hold {inside} of {len(rows)}"
    )


def _triple(value: Triple) -> str:
    return f"{quantity('latency', value[0])} [{interval('latency', *value)}]"


def _off(value: Triple, seconds: float) -> str:
    return f"{value[0] / seconds - 1:+.1%}{'' if value[1] <= seconds <= value[2] else ', outside'}"


def _constant(value: float, uncertainty: float) -> str:
    return f"{value:.4g} (x/: {1 + uncertainty:.2f})"
