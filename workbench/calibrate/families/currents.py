"""Run power of parts by their data sheets: what a core class draws per clock, from flash and from RAM, asleep with its clock running.

log(power) = class + part + regulator + where the code runs + clock ^ exponent x V. The base of `data sheet` power where no energy of
the board was ever measured, and of the share of the power that reading flash takes. Values from memory (status `not verified`), ranges,
and values that were computed from other tables take no part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isfinite, log, nan

from workbench.calibrate.cores import core_class
from workbench.calibrate.effects import Effects, Prior, Terms, fit_effects
from workbench.calibrate.family import Claim, Family, Json, Sample, Samples
from workbench.calibrate.rows import Row, Tables
from workbench.hardware.costs import Basis

TABLE = "mcu_currents.csv"
PRIORS = {
    "all": Prior(log(0.02), 3.0),
    "clock": Prior(0.9, 0.15),
    "volt": Prior(1.0, 0.05),
    "class": Prior(0.0, 0.5),
    "part": Prior(0.0, 0.5),
    "regulator": Prior(0.0, 0.5),
    "place": Prior(0.0, 0.5),
}
"""Spreads of half a factor: as far apart as the parts of one class are (Cortex-M33: 31 to 94 uA/MHz)."""
TYPICAL_CLOCK_HZ = 50e6
PLACES = {"flash": "flash", "ram": "RAM", "sleep": "halted"}


@dataclass(frozen=True)
class Facts:
    """A line of a data sheet. place: where the code is ('flash', 'RAM'), or 'halted' with the clock running."""

    core: str
    part: str
    regulator: str
    place: str
    volt: float
    clock_hz: float

    def terms(self) -> Terms:
        """Return the effects on log(power in W)."""
        return {
            ("all", ""): 1.0, ("class", self.core): 1.0, ("part", self.part): 1.0, ("regulator", self.regulator): 1.0,
            ("place", self.place): 1.0, ("volt", ""): log(self.volt / 3.0),
            ("clock", ""): log(self.clock_hz / TYPICAL_CLOCK_HZ) if isfinite(self.clock_hz) else 0.0,
        }  # fmt: skip


@dataclass(frozen=True)
class Sheets:
    """The fitted effects."""

    effects: Effects

    def power_w(self, facts: Facts) -> float:
        """Return the power."""
        return exp(self.effects.value(facts.terms()))

    def predict(self, sample: Sample) -> float:
        """Return the power in W."""
        return self.power_w(sample.facts)

    def basis(self, sample: Sample) -> Basis:
        """Return what it rests on: data sheets of that class, or of any."""
        return "data sheet" if self.effects.known("class", sample.facts.core) else "assumed"

    def baseline(self, sample: Sample) -> float | None:
        """There is none."""
        return None

    def to_json(self) -> Json:
        """Return all effects."""
        return self.effects.to_json()

    def flash_share(self) -> float:
        """Return the share of the run power that goes away when code and constants are in RAM."""
        ratio = exp(self.effects.value({("place", "RAM"): 1.0}) - self.effects.value({("place", "flash"): 1.0}))
        return max(0.0, 1.0 - ratio)

    def idle_share(self) -> float:
        """Return power of the halted core with its clock running / run power from flash."""
        return exp(self.effects.value({("place", "halted"): 1.0}) - self.effects.value({("place", "flash"): 1.0}))


def facts_of(row: Row) -> Facts | None:
    """Return the facts of a line about running or a halted core, None for any other."""
    mode = row.text("mode").lower()
    volt = plain_number(row.text("supply_v"))
    place = next((name for word, name in PLACES.items() if re.search(rf"\b(from s?{word}|^{word})\b|^{word},", mode)), "")
    if not place and mode.startswith("run"):
        place = "flash"
    if not place or not volt > 0:
        return None
    text = f"{mode} {row.text('condition').lower()}"
    regulator = "switching" if re.search(r"dc/dc|buck|smps", text) else "linear or not stated"
    part = re.sub(r"\s*\(.*", "", row.device)
    return Facts(core_class(row.core, "", row.device), part, regulator, place, volt, row.clock_hz)


def plain_number(text: str) -> float:
    """Return a number that stands alone (NaN for ranges, lists and roundings such as '~290')."""
    return float(text) if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else nan


def samples(tables: Tables) -> Samples:
    """Return the verified lines about running and halted cores; the others with the reason."""
    kept, out = [], []
    for row in tables.rows(TABLE):
        facts, current = facts_of(row), plain_number(row.text("current_ua"))
        if facts is None:
            out.append((row, "neither running nor halted with a clock (sleep currents stand in the profiles), or no supply"))
        elif not current > 0:
            out.append((row, "no single value"))
        elif row.text("status") != "verified":
            out.append((row, f"status: {row.text('status')}"))
        else:
            power_w = current * 1e-6 * facts.volt
            kept.append(Sample(row, "run_power_w", power_w, facts.part, "CoreMark", facts.place, "run power", facts))
    return Samples(tuple(kept), tuple(out))


def fit(rows: Sequence[Sample]) -> Sheets:
    """Return the effects."""
    values = [log(s.measured) for s in rows]
    return Sheets(fit_effects([s.facts.terms() for s in rows], values, ["sheet"] * len(rows), PRIORS))


def load(value: Json) -> Sheets:
    """Return what `to_json` wrote."""
    return Sheets(Effects.load(value))


FAMILY = Family(
    name="currents",
    title="Run power by data sheets",
    tables=(TABLE,),
    samples=samples,
    fit=fit,
    load=load,
    claims=(Claim("run power of another part, by its core class", "device"),),
    splits=("device",),
)
