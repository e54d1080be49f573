"""Mean power of a network that streams, at some clock: active power of the board, how it falls with the clock, and what waiting draws.

A stream whose inference is at work a share d of the time draws  P(clock) x (d + (1 - d) x idle share)  on average, with
P(clock) = P(usual clock) x (clock / usual clock) ^ exponent; P(usual clock) from the single inferences of the board (`energy.py`);
exponent and idle share are those of the other boards while a board is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, isfinite, log, nan
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from workbench.calibrate import store
from workbench.calibrate.families import energy
from workbench.calibrate.family import Claim, Family, Json, Sample, Samples
from workbench.calibrate.rows import Row, Tables
from workbench.hardware.costs import Basis

TABLE = energy.TABLE
IDLE_SHARE, IDLE_LOG_SD = 0.4, 0.7
"""Power of a halted core with its clock running / active power: MSPM0G1106 in mcu_currents.csv, 2974 of 7500 uA."""
EXPONENT, EXPONENT_SD = energy.PRIORS["clock"].mean, 0.15
ERROR = 0.05
"""Spread of a mean power about the formula: as for single inferences (3 % to 6 %)."""


@dataclass(frozen=True)
class Facts:
    """A stream. duty: share of the time at work."""

    board: energy.Facts
    duty: float


@dataclass(frozen=True)
class Saving:
    """How a device saves power. exponent: active power ~ clock ^ exponent. idle_share: of the active power, while it waits."""

    exponent: float
    idle_share: float


@dataclass(frozen=True)
class Streams:
    """A fitted family. savings: by device, '' = any other. power: of single inferences."""

    savings: Mapping[str, Saving]
    power: energy.Power

    def saving(self, device: str) -> Saving:
        """Return what is known of a device."""
        return self.savings.get(device, self.savings[""])

    def predict(self, sample: Sample) -> float:
        """Return the mean power in W."""
        facts: Facts = sample.facts
        board, saving = facts.board, self.saving(facts.board.device)
        active, usual = self.power.active_w(board), self.power.clocks.get(board.device)
        if usual is not None and isfinite(board.clock_hz):
            common = self.power.effects.value({("clock", ""): 1.0})
            active *= float((board.clock_hz / usual) ** (saving.exponent - common))
        return active * (facts.duty + (1 - facts.duty) * saving.idle_share)

    def basis(self, sample: Sample) -> Basis:
        """Return what the power of the board rests on."""
        return self.power.basis_of(sample.facts.board)

    def baseline(self, sample: Sample) -> float | None:
        """There is no line in MACs for a power."""
        return None

    def to_json(self) -> Json:
        """Return the savings; the power of single inferences is in the family `energy`."""
        return {device: asdict(saving) for device, saving in self.savings.items()}


def single_inferences() -> energy.Power:
    """Return the fitted active powers."""
    return cast(energy.Power, store.load("energy").full)


def load(value: Json) -> Streams:
    """Return what `to_json` wrote."""
    return Streams({device: Saving(**saving) for device, saving in value.items()}, single_inferences())


def samples(tables: Tables) -> Samples:
    """Return the rows with a mean power and a duty cycle and no energy of one inference."""
    kept: list[Sample] = []
    out: list[tuple[Row, str]] = []
    for row in tables.rows(TABLE):
        power_w = row.number("avg_power_mw") / 1e3
        if isfinite(row.energy_j) or not isfinite(power_w):
            continue
        duty = _duty(row.notes)
        if not (0 < duty <= 1 and power_w > 0 and not row.suspect):
            out.append((row, "a mean power without a duty cycle" if power_w > 0 else "its power is not positive"))
            continue
        board = energy.facts_of(row, row.latency_s)
        kept.append(Sample(row, "mean_power_w", power_w, board.device, "stream", board.network, "streams", Facts(board, duty)))
    return Samples(tuple(kept), tuple(out))


def _duty(notes: str) -> float:
    found = re.search(r"duty\s+(\d*\.?\d+)", notes)
    return float(found[1]) if found else nan


def fit(rows: Sequence[Sample]) -> Streams:
    """Return the exponents and idle shares that explain the streams, shrunk towards each other and towards their priors."""
    power = single_inferences()
    devices = ["", *sorted({s.facts.board.device for s in rows})]

    def streams(x: npt.NDArray[np.float64]) -> Streams:
        exponents, idle = EXPONENT_SD * x[: len(devices)], IDLE_LOG_SD * x[len(devices) :]
        common = EXPONENT + exponents[0], log(IDLE_SHARE) + idle[0]
        found = {
            device: Saving(float(common[0] + a), exp(common[1] + b)) if device else Saving(float(common[0]), exp(common[1]))
            for device, a, b in zip(devices, exponents, idle, strict=True)
        }
        return Streams(found, power)

    def errors(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        now = streams(x)
        return np.concatenate([[log(now.predict(s) / s.measured) / ERROR for s in rows], x])

    return streams(least_squares(errors, np.zeros(2 * len(devices))).x)


FAMILY = Family(
    name="streams",
    title="Mean power of a stream at some clock",
    tables=(TABLE,),
    samples=samples,
    fit=fit,
    load=load,
    claims=(Claim("mean power of a stream, known board that never streamed", "device"),),
    splits=("device",),
)
