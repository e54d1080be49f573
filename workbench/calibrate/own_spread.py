"""How sure a profile is after measurements: the spread of other networks and layers, and of the power. Read `own.py` first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt

import numpy as np

from workbench.calibrate.own_fit import Z80, Posterior, Problem
from workbench.calibrate.own_rows import Measurement
from workbench.hardware.costs import Constant

POWER_ERROR = 0.05
"""Networks on one board differ by so much in power: fitted/energy.json, noise, network and rate together."""
WIDEST = 100.0
"""The largest uncertainty that a profile can state."""


@dataclass(frozen=True)
class Row:
    """A measurement with its estimates in s, each with an 80 % interval. after: by a fit without its network (None: no other)."""

    measurement: Measurement
    before: tuple[float, float, float]
    after: tuple[float, float, float] | None


def merged(rows: Sequence[Measurement]) -> tuple[list[Measurement], list[int]]:
    """Return rows with repeats of the same thing as one (geometric mean of the times), and where each row went.

    Repeats share what no constant explains of their network, so they are no evidence of their own.
    """
    places: dict[tuple[str, str, str], int] = {}
    at = [places.setdefault((r.network, r.format, r.layer), len(places)) for r in rows]
    firsts = [rows[at.index(i)] for i in range(len(places))]
    logs = [np.mean([log(r.seconds) for r, k in zip(rows, at, strict=True) if k == i]) for i in range(len(places))]
    return [replace(r, seconds=exp(float(value))) for r, value in zip(firsts, logs, strict=True)], at


def uncertainties(p: Problem, posterior: Posterior, rows: Sequence[Row], at: Sequence[int]) -> tuple[float, float | None]:
    """Return the 80 % factors - 1 of another network and of another layer (None: nothing was learned of layers).

    As wide as the intervals of the rows left out, but no wider than before the measurements (a constant alone may be known worse than
    whole networks are), and as their misses were. One network tells nothing of the spread of networks: it
    stays at least the profile's own, wider by what is left of the surprise (the measured network lies in its interval).
    """
    if all(row.after is None for row in rows):
        return _factor(sqrt(_alone(p, posterior) ** 2 + _surprise(p, posterior, rows, at) ** 2)), None
    parts = [[r for r in rows if r.after is not None and bool(r.measurement.layer) == layer] for layer in (False, True)]
    network = _spread(parts[0], p.whole) if parts[0] else _alone(p, posterior)
    return _factor(network), _factor(_spread(parts[1])) if parts[1] else None


def _alone(p: Problem, posterior: Posterior) -> float:
    """Return the spread of networks after one: what scale, another mix of kinds and the error leave, at least that of before."""
    kinds = float(np.mean((p.shares * p.deviation) ** 2 @ np.ones(len(p.deviation))))
    return max(p.whole, sqrt(float(posterior.covariance[-1, -1]) + kinds + float(np.mean(posterior.error)) ** 2))


def _surprise(p: Problem, posterior: Posterior, rows: Sequence[Row], at: Sequence[int]) -> float:
    """Return how far measured times are from the updated estimates (logs): the farthest of whole networks, else layers' rms."""
    estimates = np.log([r.seconds for r in p.rows]) - p.y + np.column_stack([p.shares, np.ones(len(p.y))]) @ posterior.mean
    misses = [(log(r.measurement.seconds) - float(estimates[i]), r.measurement.layer) for r, i in zip(rows, at, strict=True)]
    whole = [abs(miss) for miss, layer in misses if not layer]
    return max(whole) if whole else _rms([miss for miss, _ in misses])


def _spread(rows: Sequence[Row], widest: float = inf) -> float:
    """Return the standard deviation of rows left out: of their intervals (at most `widest`) or of their misses, each network with the
    same weight."""
    widths: dict[str, list[float]] = {}
    misses: dict[str, list[float]] = {}
    for row in rows:
        assert row.after is not None
        value, _, high = row.after
        widths.setdefault(row.measurement.network, []).append(log(high / value) / Z80)
        misses.setdefault(row.measurement.network, []).append(log(row.measurement.seconds / value))
    width, miss = (_rms([_rms(found) for found in part.values()]) for part in (widths, misses))
    return max(min(width, widest), miss)


def updated_power(prior: Constant, rows: Sequence[Measurement], source: str) -> tuple[Constant, Constant] | None:
    """Return the active power before and after, from the rows with an energy. Rows of one network count once; all widen."""
    powers = [(r.network, log(r.energy_j / r.seconds / prior.value)) for r in rows if r.energy_j is not None]
    if not powers:
        return None
    logs = np.array([value for _, value in powers])
    networks = sorted({name for name, _ in powers})
    mean = float(np.mean([np.mean([value for name, value in powers if name == network]) for network in networks]))
    width = (log(1 + prior.uncertainty) / Z80) ** 2
    noise = max(POWER_ERROR**2, float(np.var(logs, ddof=1)) if len(logs) > 1 else 0.0)
    weight = width / (width + noise / len(networks))
    missed = float(np.mean((logs - weight * mean) ** 2))
    return prior, Constant(
        value=float(f"{prior.value * exp(weight * mean):.4g}"),
        basis="measured here",
        uncertainty=_factor(sqrt(width * (1 - weight) + max(noise, missed))),
        source=f"{source}: {len(logs)} energies; before: {prior.value:g} W, {prior.basis}",
    )


def _factor(deviation: float) -> float:
    return min(WIDEST, float(f"{exp(Z80 * deviation) - 1:.3g}"))


def _rms(values: Sequence[float]) -> float:
    return sqrt(float(np.mean(np.square(values))))
