"""Energy of one inference with its measured latency: active power of that board and supply x time.

log(active power) = class of the core + device + supply + runtime on that device + its version + network + clock ^ exponent x V (a
linear regulator passes the current on, a switching one the power) + slope x log(MACs per cycle): an accelerator that is kept busy
draws more. Each part is an effect with a prior of its own (`effects.py`); which parts there are was chosen by marginal likelihood.

Left out of everything: the row marked SUSPECT (README of the data), rows without time, streams (`streams.py`). Networks are not
left out of all devices at once: there are four, of which one alone is fully connected (docs/energy.md has the figures).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, hypot, isfinite, log, nan
from statistics import fmean, median, pstdev

from workbench.calibrate.cores import core_class, traits
from workbench.calibrate.effects import Effects, Prior, Terms, fit_effects, unknown_spread
from workbench.calibrate.family import Claim, Family, Json, Sample, Samples
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.runtimes import runtime
from workbench.hardware.costs import Basis, Constant

TABLE = "mlperf_tiny.csv"
PRIORS: Mapping[str, Prior] = {
    "all": Prior(log(0.05), 3.0),  # 50 mW, within a factor of 20: nothing
    "clock": Prior(0.9, 0.15),  # run currents at two clocks, mcu_currents.csv MSPM0G1106: 0.90
    "volt": Prior(1.0, 0.05),  # the STM32L4R5 draws the same current at 1.8 and 3.0 V: mcu_currents.csv
    "core volt": Prior(2.0, 0.3),  # switching energy is C V^2
    "class": Prior(0.0, 1.0),  # uA/MHz of mcu_currents.csv: 31 to 326
    "device": Prior(0.0, 0.6),  # within Cortex-M33: 31 to 94 uA/MHz
    "supply": Prior(),
    "runtime": Prior(),
    "build": Prior(),
    "network": Prior(),
    "rate": Prior(),
    "rate of": Prior(),
}
"""Kinds of effects. Spreads without a number are found from the rows."""
TYPICAL_RATE = {"processor": log(0.4), "accelerator": log(8.0)}
"""MACs per cycle that the slopes turn about (the middle of the rows of mlperf_tiny.csv)."""
TYPICAL_CLOCK_HZ = 100e6
Z80 = 1.2816


@dataclass(frozen=True)
class Facts:
    """What a row says about power. supply: in words. volt, core_volt, clock_hz, macs: NaN when not given."""

    core: str
    accelerator: bool
    device: str
    supply: str
    volt: float
    switching: bool
    core_volt: float
    clock_hz: float
    runtime: str
    build: str
    network: str
    time_s: float
    macs: float

    @property
    def noise(self) -> str:
        """Kind of noise."""
        return "accelerator" if self.accelerator else "processor"

    @property
    def build_name(self) -> str:
        """Board, supply and runtime with its version."""
        return f"{self.device}, {self.supply}, {self.build}"

    def terms(self) -> Terms:
        """Return the effects of the row on log(active power in W)."""
        clock = log(self.clock_hz / TYPICAL_CLOCK_HZ) if isfinite(self.clock_hz) else 0.0
        found = {("all", ""): 1.0, ("class", self.core): 1.0, ("device", self.device): 1.0, ("clock", ""): clock}
        found["supply", f"{self.device}, {self.supply}"] = 1.0
        found["runtime", f"{self.device}, {self.runtime}"] = 1.0
        found["build", self.build_name] = 1.0
        found["network", self.network] = 1.0
        if isfinite(self.volt) and not self.switching:
            found["volt", ""] = log(self.volt / 3.0)
        if isfinite(self.core_volt):
            found["core volt", ""] = log(self.core_volt)
        if isfinite(self.macs) and isfinite(self.clock_hz) and self.macs > 0:
            rate = log(self.macs / (self.time_s * self.clock_hz)) - TYPICAL_RATE[self.noise]
            found["rate", self.noise] = found["rate of", self.device] = rate
        return found


def facts_of(row: Row, time_s: float) -> Facts:
    """Return the facts of a row; no text is looked up anywhere, only read."""
    notes, device = row.notes.lower(), row.device
    core = core_class(row.core, row.text("isa_fpu_npu"), device)
    inside = _volts(notes, r"core vdd\s*=?\s*") or _volts(device.lower(), r"\b")
    volt = _volts(notes, r"(?:operating at|supply(?: of)?|vin\s*=|vbat\s*=|(?<!core )vdd\s*=)\s*")
    switching = "smps" in notes or "dc/dc" in notes or "buck" in notes
    kind = ("external SMPS" if "external" in notes else "SMPS") if switching else ""
    supply = f"{volt:g} V {kind}".strip() if volt else kind or "supply not given"
    engine = traits(core).family in ("npu", "fpga", "gpu")
    name = re.sub(r"\s+\d+(?:\.\d+)?\s?(?:v|mhz)\b", "", device, flags=re.IGNORECASE).strip()
    return Facts(
        core, engine, name, supply, volt or nan, switching, inside or nan, row.clock_hz, runtime(row.runtime).family,
        re.sub(r"\s+", " ", row.runtime.lower()), row.network, time_s, row.macs,
    )  # fmt: skip


def _volts(text: str, before: str) -> float | None:
    found = re.search(before + r"(\d+(?:\.\d+)?)\s?v\b", text)
    value = float(found[1]) if found else 0.0
    return value if 0 < value < 60 else None


@dataclass(frozen=True)
class Power:
    """The fitted effects. clocks: device -> the clock of its rows in Hz. rates: device, and build on it, -> mean and standard deviation
    of log(MACs per cycle) of its rows, from the typical one."""

    effects: Effects
    clocks: Mapping[str, float]
    rates: Mapping[str, tuple[float, float]]

    def active_w(self, facts: Facts) -> float:
        """Return the power while the network runs."""
        return exp(self.effects.value(facts.terms()))

    def predict(self, sample: Sample) -> float:
        """Return the energy of one inference."""
        return self.active_w(sample.facts) * float(sample.facts.time_s)

    def basis(self, sample: Sample) -> Basis:
        """Return what the power rests on."""
        return self.basis_of(sample.facts)

    def basis_of(self, facts: Facts) -> Basis:
        """Return what the power rests on: rows of this device, of its class, or nothing."""
        if self.effects.known("runtime", f"{facts.device}, {facts.runtime}"):
            return "same device and runtime"
        if self.effects.known("class", facts.core):
            return "same core class"
        return "assumed"

    def baseline(self, sample: Sample) -> float | None:
        """There is no line in MACs for a power."""
        return None

    def to_json(self) -> Json:
        """Return all effects."""
        return {"effects": self.effects.to_json(), "clocks": dict(self.clocks), "rates": dict(self.rates)}


def load(value: Json) -> Power:
    """Return what `to_json` wrote."""
    return Power(Effects.load(value["effects"]), value["clocks"], {n: (m, sd) for n, (m, sd) in value["rates"].items()})


def samples(tables: Tables) -> Samples:
    """Return the rows with an energy per inference."""
    kept: list[Sample] = []
    out: list[tuple[Row, str]] = []
    for row in tables.rows(TABLE):
        energy = row.energy_j
        if not isfinite(energy):
            continue
        in_energy_mode = row.number("latency_ms_energy_mode") / 1e3
        time_s = in_energy_mode if isfinite(in_energy_mode) else row.latency_s
        reason = (
            "its energy is marked SUSPECT" if row.suspect
            else "no latency" if not (isfinite(time_s) and time_s > 0)
            else "its energy is not positive" if not energy > 0
            else ""
        )  # fmt: skip
        if reason:
            out.append((row, reason))
            continue
        facts = facts_of(row, time_s)
        target = f"{facts.runtime}, {facts.supply}"
        kept.append(Sample(row, "energy_j", energy, facts.device, target, facts.network, f"{facts.noise}s", facts))
    return Samples(tuple(kept), tuple(out))


def fit(rows: Sequence[Sample]) -> Power:
    """Return the fit."""
    terms = [s.facts.terms() for s in rows]
    values = [log(s.measured / s.facts.time_s) for s in rows]
    clocks: dict[str, list[float]] = {}
    rates: dict[str, list[float]] = {}
    for s, found in zip(rows, terms, strict=True):
        if isfinite(s.facts.clock_hz):
            clocks.setdefault(s.facts.device, []).append(s.facts.clock_hz)
        if ("rate", s.facts.noise) in found:
            for name in (s.facts.device, s.facts.build_name):
                rates.setdefault(name, []).append(found["rate", s.facts.noise])
    return Power(
        fit_effects(terms, values, [s.facts.noise for s in rows], PRIORS),
        {device: median(found) for device, found in clocks.items()},
        {name: (fmean(found), pstdev(found)) for name, found in rates.items()},
    )


def supply_volts(supply: str) -> float:
    """Return the volts of a supply as `power_constants` takes it; NaN when it states none."""
    return facts_of(Row(TABLE, 0, {"notes": _notes(supply)}), nan).volt


def _notes(supply: str) -> str:
    return supply if re.search(r"operating at|vin", supply.lower()) else f"operating at {supply}"


def power_constants(
    fitted: Power, device: str, supply: str, *, core: str = "", isa: str = "", clock_hz: float = nan, runtime: str = ""
) -> Constant:
    """Return the active power of a board for a profile, on a typical network. All texts as the tables write them.

    supply: `Operating at 1.8 V / SMPS`, `3 V with external SMPS`, '' when not known. The uncertainty holds what networks differ by, and
    the spread of every effect that no row had (a device, a supply, a runtime).
    """
    cells = {"device": device, "core": core, "isa_fpu_npu": isa, "clock_mhz": f"{clock_hz / 1e6:g}", "runtime": runtime}
    facts = facts_of(Row(TABLE, 0, {**cells, "notes": _notes(supply)}), nan)
    terms = {**facts.terms(), ("network", "another"): 1.0}
    rate = fitted.rates.get(facts.build_name, fitted.rates.get(facts.device))
    spread = unknown_spread(fitted.effects, terms, facts.noise)
    if rate is not None:
        slopes: Terms = {("rate", facts.noise): 1.0, ("rate of", facts.device): 1.0}
        terms |= dict.fromkeys(slopes, rate[0])
        spread = hypot(spread, rate[1] * fitted.effects.value(slopes))
    return Constant(
        value=float(f"{exp(fitted.effects.value(terms)):.4g}"),
        basis=fitted.basis_of(facts),
        uncertainty=float(f"{exp(Z80 * spread) - 1:.2g}"),
        source=f"energy family of `make calibrate` on {TABLE}: {', '.join(filter(None, (facts.device, facts.supply, runtime)))}",
    )


FAMILY = Family(
    name="energy",
    title="Energy of one inference, latency measured",
    tables=(TABLE,),
    samples=samples,
    fit=fit,
    load=load,
    claims=(
        Claim("energy, known board and supply, new network", "network", 0.03, 0.09),
        Claim("energy, new device", "device"),
    ),
    splits=("network", "device"),
)
