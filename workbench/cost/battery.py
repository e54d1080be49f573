"""Battery life, and the mean power of a network that runs again and again: work, waiting and waking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot, inf, isfinite, log1p, nan

from workbench.cost.energy import Portion, at_clock, energy_costs
from workbench.cost.estimate import CostEstimate
from workbench.cost.interval import Interval
from workbench.errors import InputError, nearest
from workbench.hardware.costs import Constant, EnergyCosts, SleepMode
from workbench.hardware.profile import HardwareProfile

DAY_S, YEAR_S = 86_400.0, 365.25 * 86_400.0
CLOCKED = "clock running"
"""Waiting with the clock running (the core halted, peripherals at work): what a continuous input such as a microphone needs."""
IDLE = "idle"
IDLE_SHARE = Constant(
    value=0.39, basis="data sheet", uncertainty=1.5,
    source="mcu_currents.csv: MSPM0G1106 at 80 MHz, 2974 of 7500 uA with the core halted; streams of mlperf_tiny.csv: 0.11 to 0.48",
)  # fmt: skip
"""Of the active power, where the profile states none."""


STREAM_S = 1.0
"""Inferences closer together than this belong to a stream whose input goes on between them: waiting with the clock running."""


@dataclass(frozen=True)
class Battery:
    """self_discharge: share of its charge that it loses in a year. efficiency: of the regulator between battery and board."""

    capacity_j: float
    self_discharge: float = 0.0
    efficiency: float = 1.0


@dataclass(frozen=True)
class Duty:
    """How a network is used: every period_s one inference (infinite: never, the board only sleeps).

    mode: of sleep between them (`idle`, a mode of the profile, `clock running`; '' = with the clock running in a stream, else the
    deepest known). wake_s, wake_j: in place of the profile's. clock_hz, supply_v (volts at the board): 0 = the profile's.
    """

    period_s: float
    mode: str = ""
    wake_s: float | None = None
    wake_j: float | None = None
    clock_hz: float = 0.0
    supply_v: float = 0.0


@dataclass(frozen=True)
class Power:
    """Mean power in W. parts: inference, waking, waiting. duty: share of the time at work; more than 1 does not keep up: then there is
    no mean (NaN) and there are no parts. notes: what was left out for want of a basis."""

    clock_hz: float
    mode: str
    latency_s: float
    duty: float
    mean: Interval
    parts: tuple[Portion, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def keeps_up(self) -> bool:
        """True when one inference ends before the next one begins."""
        return self.duty <= 1


@dataclass(frozen=True)
class Life:
    """Days until a battery is empty, with the interval of the mean power (capacity and self-discharge are taken as given)."""

    days: float
    low: float
    high: float
    power: Power


def sleep_modes(profile: HardwareProfile) -> dict[str, SleepMode]:
    """Return the modes of waiting of a profile by name, the deepest first; the one with the clock running is always there."""
    costs = energy_costs(profile)
    found = dict(costs.sleep)
    if costs.idle_power_w is not None:
        found.setdefault(IDLE, SleepMode(power_w=costs.idle_power_w, supply_v=costs.idle_supply_v))
    modes = dict(sorted(found.items(), key=lambda item: item[1].power_w.value))
    return modes | {CLOCKED: SleepMode(power_w=_clocked(costs, Interval(costs.active_power_w.value, 0.0)))}


def supply_factor(costs: EnergyCosts, volts: float) -> float:
    """Return the active power at a supply / that of the profile: a linear regulator passes the current on, a switching one the power.

    1 where the supply or the regulator of the profile is not known (`mean_power` notes it).
    """
    return volts / costs.supply_v if volts and costs.supply_v is not None and costs.regulator == "ldo" else 1.0


def mean_power(estimate: CostEstimate, profile: HardwareProfile, duty: Duty) -> Power:
    """Return the mean power of a use. A network that does not keep up is a result (`keeps_up`), not an error.

    Errors: InputError for an unknown mode or a period, clock or supply that is not positive.
    """
    costs = energy_costs(profile)
    if not duty.period_s > 0:
        raise InputError(f"the time between inferences is {duty.period_s:g} s; expected more than 0.")
    if not (isfinite(duty.clock_hz) and duty.clock_hz >= 0):
        raise InputError(f"the clock is {duty.clock_hz:g} Hz; expected more than 0.")
    if not (isfinite(duty.supply_v) and duty.supply_v >= 0):
        raise InputError(f"the supply is {duty.supply_v:g} V; expected more than 0.")
    clock = duty.clock_hz or profile.clock_hz
    latency, stated = at_clock(estimate, profile, clock)
    active = Interval(stated.value * supply_factor(costs, duty.supply_v), stated.relative)
    modes = sleep_modes(profile)
    name = duty.mode or (CLOCKED if duty.period_s < STREAM_S else next(iter(modes)))
    if name not in modes:
        raise InputError(
            f"profile '{profile.name}' has no sleep mode '{name}'.{nearest(name, modes)}\nModes: {', '.join(modes)}. Add one to "
            "$.costs.energy.sleep of the profile."
        )
    mode = _at_supply(modes[name], costs, duty) if name != CLOCKED else SleepMode(power_w=_clocked(costs, active))
    wake_s = duty.wake_s if duty.wake_s is not None else mode.wake_s.value if mode.wake_s else 0.0
    at_work = (latency.value + wake_s) / duty.period_s
    parts = (
        Portion.of(
            "inference", Interval(active.value * latency.value / duty.period_s, hypot(active.relative, latency.relative)),
            estimate.energy_basis, costs.active_power_w.source,
        ),
        _waking(duty, mode, active, wake_s),
        Portion.of(
            f"waiting ({name})", Interval(mode.power_w.value * max(0.0, 1 - at_work), mode.power_w.uncertainty),
            mode.power_w.basis, mode.power_w.source,
        ),
    )  # fmt: skip
    notes = _supply_notes(costs, duty, name, mode)
    if len(modes) == 1 and duty.period_s >= STREAM_S:
        notes.append(f"no sleep mode of profile '{profile.name}' is known: add one to $.costs.energy.sleep")
    if duty.wake_s is None and mode.wake_s is None and name != CLOCKED and isfinite(duty.period_s):
        notes.append(f"no wake-up time of '{name}' is known: taken as none")
    if costs.clock_exponent is None and clock != profile.clock_hz:
        notes.append(
            f"no clock exponent of this board is known: {profile.clock_hz / 1e6:g} MHz scaled as data sheets of others do"
        )
    if at_work > 1:
        return Power(clock, name, latency.value, at_work, Interval(nan, nan), (), tuple(notes))
    return Power(clock, name, latency.value, at_work, _total(parts), tuple(p for p in parts if p.value), tuple(notes))


def battery_life(power: Power, battery: Battery) -> Life:
    """Return how long a battery lasts at a mean power: NaN days when the network does not keep up.

    Its charge C obeys  dC/dt = -power / efficiency - C x rate, with the rate that loses `self_discharge` in a year.
    """
    if not (isfinite(battery.capacity_j) and battery.capacity_j > 0):
        raise InputError(f"the battery holds {battery.capacity_j:g} J; expected more than 0.")
    if not 0 <= battery.self_discharge < 1:
        raise InputError(f"self-discharge is {battery.self_discharge:g} a year; expected a share from 0 to below 1.")
    if not 0 < battery.efficiency <= 1:
        raise InputError(f"the efficiency of the regulator is {battery.efficiency:g}; expected a share above 0, up to 1.")
    mean = power.mean
    return Life(_days(mean.value, battery), _days(mean.high, battery), _days(mean.low, battery), power)


def best_clock(powers: Sequence[Power]) -> Power | None:
    """Return the use with the least mean power among those that keep up."""
    return min((p for p in powers if p.keeps_up), key=lambda p: p.mean.value, default=None)


def _days(power_w: float, battery: Battery) -> float:
    drawn = power_w / battery.efficiency
    if drawn <= 0:
        return inf
    rate = -log1p(-battery.self_discharge) / YEAR_S
    seconds = log1p(rate * battery.capacity_j / drawn) / rate if rate else battery.capacity_j / drawn
    return seconds / DAY_S


def _clocked(costs: EnergyCosts, active: Interval) -> Constant:
    share = costs.idle_share or IDLE_SHARE
    relative = hypot(share.uncertainty, active.relative)
    return Constant(value=share.value * active.value, basis=share.basis, uncertainty=relative, source=share.source)


def _at_supply(mode: SleepMode, costs: EnergyCosts, duty: Duty) -> SleepMode:
    """Return a sleep mode at the supply of the board: asleep, a chip draws the same current at any (its small regulator is linear)."""
    volts = duty.supply_v or costs.supply_v
    if volts is None or mode.supply_v is None:
        return mode
    power = mode.power_w.model_copy(update={"value": mode.power_w.value * volts / mode.supply_v})
    return mode.model_copy(update={"power_w": power})


def _supply_notes(costs: EnergyCosts, duty: Duty, name: str, mode: SleepMode) -> list[str]:
    if not duty.supply_v:
        return []
    notes = []
    if costs.supply_v is None:
        notes.append(
            f"the supply of the profile's active power is not known ({costs.condition}): not scaled to {duty.supply_v:g} V"
        )
    elif costs.regulator is None and costs.supply_v != duty.supply_v:
        notes.append(
            f"the regulator of this board is not known: its active power at {costs.supply_v:g} V is taken for {duty.supply_v:g} V too"
        )
    if name != CLOCKED and mode.supply_v is None:
        notes.append(f"the supply of '{name}' is not known: its power is not scaled to {duty.supply_v:g} V")
    return notes


def _waking(duty: Duty, mode: SleepMode, active: Interval, wake_s: float) -> Portion:
    extra = Interval(duty.wake_j, 0.0) if duty.wake_j is not None else _interval(mode.wake_j)
    time = Interval(wake_s, 0.0) if duty.wake_s is not None else _interval(mode.wake_s)
    joules = extra.value + wake_s * active.value
    half = hypot(extra.relative * extra.value, wake_s * active.value * hypot(time.relative, active.relative))
    known = next((c for c in (mode.wake_s, mode.wake_j) if c is not None), None)
    given = duty.wake_s is not None or duty.wake_j is not None
    basis, source = ("given", "given") if given else (known.basis, known.source) if known else ("", "")
    return Portion.of("waking", Interval(joules / duty.period_s, half / joules if joules else 0.0), basis, source)


def _interval(constant: Constant | None) -> Interval:
    return Interval(constant.value, constant.uncertainty) if constant is not None else Interval(0.0, 0.0)


def _total(parts: Sequence[Portion]) -> Interval:
    total = sum(p.value for p in parts)
    return Interval(total, hypot(*(p.high - p.value for p in parts)) / total if total else 0.0)
