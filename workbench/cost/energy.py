"""Where the energy of one inference goes, as far as something is known about it; and power and time at another clock."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, log

from workbench.cost.estimate import CostEstimate
from workbench.cost.interval import Interval
from workbench.errors import ProfileError
from workbench.hardware.costs import Constant, EnergyCosts
from workbench.hardware.profile import HardwareProfile

CLOCK_EXPONENT = Constant(
    value=0.9, basis="data sheet", uncertainty=0.2,
    source="mcu_currents.csv: MSPM0G1106 draws 7500 uA at 80 MHz and 3300 at 32 MHz (0.90); streams of mlperf_tiny.csv: 0.71 to 1.06",
)  # fmt: skip
"""Where the profile states none. A smaller one where a linear regulator feeds a core at a fixed voltage, above 1 where the core's
voltage falls with the clock."""


@dataclass(frozen=True)
class Portion:
    """A part of a cost with its 80 % interval. basis: what it rests on, '' = nothing is known: it is the rest."""

    name: str
    value: float
    low: float
    high: float
    basis: str
    source: str

    @staticmethod
    def of(name: str, interval: Interval, basis: str, source: str) -> Portion:
        """Return a part from an interval."""
        return Portion(name, interval.value, interval.low, interval.high, basis, source)


def energy_costs(profile: HardwareProfile) -> EnergyCosts:
    """Return the energy constants of a profile; ProfileError when it has none."""
    if profile.costs is None:
        raise ProfileError(f"profile '{profile.name}' has no section 'costs'; there is nothing to estimate its energy with.")
    return profile.costs.energy


def energy_of(estimate: CostEstimate) -> Interval:
    """Return the energy of one inference in J with its interval."""
    return Interval(estimate.energy_j, estimate.energy_high_j / estimate.energy_j - 1 if estimate.energy_j else 0.0)


def split_energy(estimate: CostEstimate, profile: HardwareProfile) -> tuple[Portion, ...]:
    """Return the parts of the energy of one inference, in J.

    Per operation where the profile has energies per multiply-accumulate and byte (the rest: clock tree, control, leakage); else what
    reading flash takes of the power; else one part that is not split. What an inference waits for is in no part: see battery.py.
    """
    costs, energy = energy_costs(profile), energy_of(estimate)
    if costs.byte_j is not None and costs.mac_j:
        return _by_operation(estimate, costs, costs.byte_j, energy)
    if costs.flash_share is not None:
        share = costs.flash_share
        memory = Interval(energy.value * share.value, hypot(energy.relative, share.uncertainty))
        left = 1 - share.value
        compute = Interval(energy.value * left, hypot(energy.relative, share.uncertainty * share.value / left))
        return (
            Portion.of("compute, clocks and RAM", compute, share.basis, "what is left"),
            Portion.of("reading flash", memory, share.basis, share.source),
        )
    text = "not split: nothing is known of this device below its active power"
    return (Portion.of("active", energy, costs.active_power_w.basis, text),)


def _by_operation(estimate: CostEstimate, costs: EnergyCosts, byte: Constant, energy: Interval) -> tuple[Portion, ...]:
    priced = [(row.macs, costs.mac_j[row.format]) for row in estimate.layers if row.macs and row.format in costs.mac_j]
    unpriced = sorted({row.format for row in estimate.layers if row.macs and row.format not in costs.mac_j})
    macs = sum(count * constant.value for count, constant in priced)
    spread = sum(count * constant.value * constant.uncertainty for count, constant in priced)
    moved = sum(row.weight_bytes + row.parameter_bytes for row in estimate.layers) * byte.value
    first = next((constant for _, constant in priced), byte)
    note = f" (no energy of a {', '.join(unpriced)} operation is known: in the rest)" if unpriced else ""
    rest = max(0.0, energy.value - macs - moved)
    apart = hypot(energy.relative * energy.value, spread, moved * byte.uncertainty)
    return (
        Portion.of("multiply-accumulates", Interval(macs, spread / macs if macs else 0.0), first.basis, first.source + note),
        Portion.of("weights moved", Interval(moved, byte.uncertainty), byte.basis, byte.source),
        Portion.of("clocks, control, leakage", Interval(rest, apart / rest if rest else 0.0), "", "what is left"),
    )


def at_clock(estimate: CostEstimate, profile: HardwareProfile, clock_hz: float) -> tuple[Interval, Interval]:
    """Return latency in s and active power in W at another clock.

    The same cycles at every clock: flash that needs fewer wait states at a lower one makes the slower clock a little better than
    this. Power ~ clock ^ exponent.
    """
    costs = energy_costs(profile)
    exponent = costs.clock_exponent or CLOCK_EXPONENT
    ratio = clock_hz / profile.clock_hz
    latency = Interval(estimate.latency_s / ratio, estimate.latency_high_s / estimate.latency_s - 1)
    away = abs(log(ratio)) * exponent.value * exponent.uncertainty  # of log power, 80 %
    power = costs.active_power_w
    return latency, Interval(power.value * ratio**exponent.value, hypot(power.uncertainty, away))
