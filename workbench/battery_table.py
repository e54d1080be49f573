"""`battery_table`: how long a battery lasts with a model on a target, at one or several clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

import pandas as pd
from rich.table import Table

from workbench.cost.battery import Battery, Duty, Life, battery_life, best_clock, mean_power, supply_factor
from workbench.cost.energy import Portion, energy_costs, split_energy
from workbench.errors import InputError
from workbench.inspection import inspect_model
from workbench.report.text import interval, quantity
from workbench.study.units import parse_quantity

QUANTITIES = {
    "capacity": "charge", "voltage": "volts", "rate": "rate", "every": "seconds", "clock": "hertz", "wake": "seconds",
    "wake_energy": "joules", "self_discharge": "share", "efficiency": "share",
}  # fmt: skip
"""Option -> dimension of its value."""


def option(name: str, text: str | None) -> float | None:
    """Return the value of an option in base units (None when not given); InputError names the option and what fits."""
    if text is None:
        return None
    try:
        return parse_quantity(text, QUANTITIES[name])
    except ValueError as problem:
        raise InputError(f"--{name.replace('_', '-')} is '{text}': {problem}.") from problem


def battery_table(
    model: Path,
    profile: str,
    texts: Mapping[str, str | None],
    clocks: Sequence[str] = (),
    mode: str = "",
    plan: str | None = None,
    dims: Mapping[str, int] | None = None,
) -> tuple[pd.DataFrame, tuple[Portion, ...]]:
    """Return one row per clock, and the parts of the energy of one inference in J.

    The board runs at the battery's voltage; behind a regulator (efficiency below 1), at the supply of its profile.

    texts: the options of QUANTITIES with their units (`capacity: 220mAh`); rate or every must be there.
    Errors: InputError for a wrong option, or a model that the target does not run.
    """
    given = {name: option(name, text) for name, text in texts.items()}
    if (given["rate"] is None) == (given["every"] is None):
        raise InputError("give --rate (6/h) or --every (32ms), one of them.")
    battery = Battery(
        _known(given["capacity"], 0.0) * _known(given["voltage"], 0.0),
        _known(given["self_discharge"], 0.0),
        _known(given["efficiency"], 1.0),
    )
    period = given["every"] if given["rate"] is None else 1 / given["rate"] if given["rate"] else inf
    hertz = [option("clock", text) for text in clocks]
    if 0.0 in hertz:
        raise InputError("--clock is 0; expected a clock above 0.")
    view = inspect_model(model, [profile], plan, dims).targets[0]
    if view.cost is None:
        why = "\n".join(view.problems[:3]) or f"the profile has no costs, in {view.tried}"
        raise InputError(f"{model.name} cannot be estimated on '{view.profile.name}': {why}")
    volts = _known(given["voltage"], 0.0) if battery.efficiency == 1 else 0.0
    duties = [
        Duty(_known(period, 0.0), mode, given["wake"], given["wake_energy"], _known(clock, 0.0), volts)
        for clock in hertz or [None]
    ]
    lives = [battery_life(mean_power(view.cost, view.profile, duty), battery) for duty in duties]
    factor = supply_factor(energy_costs(view.profile), volts)
    split = split_energy(view.cost, view.profile)
    parts = tuple(replace(p, value=p.value * factor, low=p.low * factor, high=p.high * factor) for p in split)
    return pd.DataFrame([_row(view.profile.name, life, lives) for life in lives]), parts


def _known(value: float | None, default: float) -> float:
    return default if value is None else value


def _row(profile: str, life: Life, lives: Sequence[Life]) -> dict[str, object]:
    power = life.power
    parts = {f"{p.name.split(' (')[0]}_w": p.value for p in power.parts}
    bases = "; ".join(f"{p.name}: {p.basis}" for p in power.parts)
    return {
        "profile": profile, "clock_hz": power.clock_hz, "sleep": power.mode, "latency_s": power.latency_s, "duty": power.duty,
        "keeps_up": power.keeps_up, "best": power is best_clock([each.power for each in lives]),
        "mean_w": power.mean.value, "mean_low_w": power.mean.low, "mean_high_w": power.mean.high, **parts,
        "days": life.days, "days_low": life.low, "days_high": life.high, "basis": bases, "notes": "; ".join(power.notes),
    }  # fmt: skip


def battery_lines(table: pd.DataFrame, parts: Sequence[Portion]) -> list[Table | str]:
    """Return the tables of `battery_table` for the terminal."""
    lines = Table(title="Mean power and battery life; 80 % intervals in brackets")
    for name in ("clock", "at work", "mean power", "of it", "lasts", "rests on"):
        lines.add_column(name)
    for row in table.to_dict("records"):
        shares = [(k[:-2], row[k]) for k in ("inference_w", "waking_w", "waiting_w") if row.get(k, 0) > 0]
        best = "  <- least" if row["best"] and len(table) > 1 else ""
        lines.add_row(
            f"{row['clock_hz'] / 1e6:g} MHz",
            f"{row['duty']:.3%}" if row["keeps_up"] else f"{row['duty']:.0%}: does not keep up",
            f"{watts(row['mean_w'])} [{watts(row['mean_low_w'])} .. {watts(row['mean_high_w'])}]{best}"
            if row["keeps_up"]
            else "",
            ", ".join(f"{name} {value / row['mean_w']:.0%}" for name, value in shares),
            f"{days(row['days'])} [{days(row['days_low'])} .. {days(row['days_high'])}]" if row["keeps_up"] else "",
            row["basis"],
        )
    energy = Table(title="Energy of one inference")
    for name in ("part", "energy", "80 % interval", "rests on", "source"):
        energy.add_column(name)
    for part in parts:
        ends = interval("energy", part.value, part.low, part.high)
        energy.add_row(part.name, quantity("energy", part.value), ends, part.basis, part.source)
    notes = sorted({note for text in table["notes"] for note in text.split("; ") if note})
    return [lines, energy, *(f"Note: {note}." for note in notes)]


def watts(value: float) -> str:
    """Return a power with its unit: '9.8 mW'."""
    return quantity("energy", value).removesuffix("J") + "W"


def days(value: float) -> str:
    """Return a time in days, or in years from two on."""
    return f"{value:.3g} days" if value < 730.5 else f"{value / 365.25:.3g} years"
