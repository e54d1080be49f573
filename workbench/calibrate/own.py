"""`calibrate_profile`: a profile made better by a user's few timings.

Bayesian update of the constants of `costs.latency`. In logs, a measurement is

    estimate with the profile's constants + scale + sum of share_k x deviation_k + error

scale: one factor for the board; deviation_k: of constant k (cycles per MAC of a kind of layer, ...), share_k: its part of the estimate;
error: what no constant explains. Priors: the constants' own uncertainties and the profile's `network_uncertainty`; how much of that is
scale and how much error is found by marginal likelihood. So one timing moves the scale, several kinds of networks move kinds.
Errors before and after are compared on rows that are left out (their whole network is).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

import numpy as np

from workbench.calibrate.own_fit import KIND_PART, SCALE_PART, Z80, Posterior, Problem, Vector, left_out, solved
from workbench.calibrate.own_rows import Measurement
from workbench.calibrate.own_spread import Row, merged, uncertainties, updated_power
from workbench.cost import CostEstimate, estimate
from workbench.errors import InputError, nearest
from workbench.graph.ir import Graph
from workbench.hardware.costs import Constant, Costs
from workbench.hardware.profile import HardwareProfile

Address = tuple[str | int, ...]
"""Where a constant stands below `costs.latency`."""

STEP = 1e-3
ROUNDS = 3
UNPRICED = 0.5
"""Share of a time that constants of the profile do not price (a schedule; layers on a host) beyond which it says nothing of them."""
FARTHEST = 300.0
"""A measurement this many times its estimate is in another unit, or of another network."""
WEIGHTY = 0.05
"""A constant that makes at least so much of some measured row has been measured."""


@dataclass(frozen=True)
class Update:
    """What measurements made of a profile. scale: the board's factor. constants: address -> (before, after). power: before, after."""

    profile: HardwareProfile
    rows: tuple[Row, ...]
    scale: float
    constants: Mapping[Address, tuple[Constant, Constant]]
    power: tuple[Constant, Constant] | None


def calibrate_profile(
    profile: HardwareProfile, rows: Sequence[Measurement], graph_of: Callable[[Measurement], Graph], source: str
) -> Update:
    """Return a profile updated by measurements. graph_of: the graph that was measured, in its format. source: file and date.

    Errors: InputError for a layer that the network has not, an estimate that has no constants, or a time that cannot be.
    """
    graphs = {(r.model, r.format): graph_of(r) for r in rows}
    first = {key: _supported(estimate(graph, profile), key[0].name) for key, graph in graphs.items()}
    before = [_picked(first[r.model, r.format], r) for r in rows]
    for r, (value, _, _) in zip(rows, before, strict=True):
        _plausible(r, value)
    costs = profile.costs
    assert costs is not None  # `estimate` needs them
    _plausible_power(rows, costs.energy.active_power_w)
    single, at = merged(rows)
    addresses = [a for a, c in constants_of(costs.latency.model_dump(mode="json")).items() if c["value"] > 0]
    multipliers = np.zeros(len(addresses))
    problem = posterior = None
    for _ in range(ROUNDS):
        now = scaled(profile, dict(zip(addresses, multipliers, strict=True)))
        problem = _linearized(now, single, graphs, addresses, multipliers, problem)
        posterior = solved(problem)
        multipliers = posterior.mean[:-1] + posterior.mean[-1]
    assert problem is not None and posterior is not None
    apart = left_out(problem)
    found = tuple(Row(r, b, apart[i]) for r, b, i in zip(rows, before, at, strict=True))
    spread = uncertainties(problem, posterior, found, at)
    updated, changed = _written(profile, addresses, problem, posterior, spread, source)
    power = updated_power(costs.energy.active_power_w, rows, source)
    if power is not None:
        energy = costs.energy.model_copy(update={"active_power_w": power[1], "supply_v": None})  # of the user's board: not said
        assert updated.costs is not None
        updated = updated.model_copy(update={"costs": updated.costs.model_copy(update={"energy": energy})})
    return Update(updated, found, exp(posterior.mean[-1]), changed, power)


def constants_of(value: Any, address: Address = ()) -> dict[Address, dict[str, Any]]:
    """Return all constants below a dumped record, by their address."""
    if isinstance(value, dict):
        if {"value", "basis", "uncertainty", "source"} <= value.keys():
            return {address: value}
        return {a: c for key, below in value.items() for a, c in constants_of(below, (*address, key)).items()}
    if isinstance(value, list | tuple):
        return {a: c for i, below in enumerate(value) for a, c in constants_of(below, (*address, i)).items()}
    return {}


def is_rate(address: Address) -> bool:
    """True for constants that time is divided by (bytes per cycle)."""
    return "per_cycle" in str(address[-1])


def scaled(profile: HardwareProfile, logs: Mapping[Address, float]) -> HardwareProfile:
    """Return the profile with the time that each constant stands for multiplied by exp(log)."""
    assert profile.costs is not None
    dump = profile.costs.model_dump(mode="json")
    for address, constant in constants_of(dump["latency"]).items():
        change = logs.get(address, 0.0)
        constant["value"] *= exp(-change if is_rate(address) else change)
    return profile.model_copy(update={"costs": Costs.model_validate(dump)})


def _supported(cost: CostEstimate, name: str) -> CostEstimate:
    if not cost.latency_s > 0:
        bad = next((row for row in cost.layers if row.basis == "not supported"), None)
        what = f"layer '{bad.layer}' ({bad.op} in {bad.format}) is not supported there" if bad else "it has no layers"
        raise InputError(f"{name} on '{cost.profile}': {what}, so its time cannot be estimated.")
    return cost


def _picked(cost: CostEstimate, row: Measurement) -> tuple[float, float, float]:
    if not row.layer:
        return cost.latency_s, cost.latency_low_s, cost.latency_high_s
    found = next((layer for layer in cost.layers if layer.layer == row.layer), None)
    if found is None:
        names = [layer.layer for layer in cost.layers]
        raise InputError(
            f"line {row.line}: {row.model.name} has no layer '{row.layer}'.{nearest(row.layer, names)}\n"
            f"Layers: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''} (see `workbench inspect`)."
        )
    if not found.latency_s > 0:
        raise InputError(f"line {row.line}: layer '{row.layer}' costs no time in the profile; leave it out.")
    return found.latency_s, found.latency_low_s, found.latency_high_s


def _plausible(row: Measurement, value: float) -> None:
    times = row.seconds / value
    if not 1 / FARTHEST < times < FARTHEST:
        raise InputError(
            f"line {row.line}: {row.where} took {row.seconds * 1e3:g} ms, {times:.3g} times its estimate of {value * 1e3:.3g} ms. "
            "Check the unit, the model and the device."
        )


def _plausible_power(rows: Sequence[Measurement], power: Constant) -> None:
    for row in rows:
        watts = power.value if row.energy_j is None else row.energy_j / row.seconds
        if not 1 / FARTHEST < watts / power.value < FARTHEST:
            raise InputError(
                f"line {row.line}: the energy of {row.where} and its time make {watts:.3g} W, {watts / power.value:.3g} times the "
                f"profile's {power.value:.3g} W. Check the unit (energy_uj: of one inference, in microjoules) and the device."
            )


def _linearized(
    now: HardwareProfile, rows: Sequence[Measurement], graphs: Mapping[Any, Graph], addresses: Sequence[Address],
    multipliers: Vector, last: Problem | None,
) -> Problem:  # fmt: skip
    """Return the problem about the constants as they are now. Shares are differences of estimates: whatever the estimate is made of.

    last: constants without a share there are left alone.
    """
    assert now.costs is not None
    latency = now.costs.latency
    base = _times(now, rows, graphs)
    shares = np.zeros((len(rows), len(addresses)))
    for k, address in enumerate(addresses):
        if last is not None and not last.shares[:, k].any():
            continue
        shares[:, k] = (_times(scaled(now, {address: log(1 + STEP)}), rows, graphs) / base - 1) / STEP
    unpriced = 1 - shares.sum(1)
    if unpriced.max() > UNPRICED:
        worst = rows[int(unpriced.argmax())]
        raise InputError(
            f"{worst.where}: {unpriced.max():.0%} of its time on '{now.name}' comes from a schedule or from a host, not "
            "from constants of $.costs.latency; measurements cannot move it."
        )
    whole = log(1 + latency.network_uncertainty) / Z80
    alone = log(1 + latency.layer_uncertainty) / Z80
    dump = constants_of(latency.model_dump(mode="json"))
    own = np.array([log(1 + dump[a]["uncertainty"]) / Z80 for a in addresses])
    y = np.log([r.seconds for r in rows]) - np.log(base) + shares @ multipliers
    error = np.array([alone if r.layer else whole for r in rows])
    return Problem(y, shares, np.hypot(own, KIND_PART * whole), error, whole, rows)


def _times(profile: HardwareProfile, rows: Sequence[Measurement], graphs: Mapping[Any, Graph]) -> Vector:
    costs = {key: estimate(graph, profile) for key, graph in graphs.items()}
    return np.array([_picked(costs[r.model, r.format], r)[0] for r in rows])


def _written(
    profile: HardwareProfile, addresses: Sequence[Address], p: Problem, posterior: Posterior,
    spread: tuple[float, float | None], source: str,
) -> tuple[HardwareProfile, dict[Address, tuple[Constant, Constant]]]:  # fmt: skip
    """Return the profile with its new constants, and those that changed by more than a thousandth."""
    assert profile.costs is not None
    dump = profile.costs.model_dump(mode="json")
    found = constants_of(dump["latency"])
    scale = posterior.mean[-1]
    changed: dict[Address, tuple[Constant, Constant]] = {}
    for k, address in enumerate(addresses):
        old = Constant.model_validate(found[address])
        pick = np.zeros(len(posterior.mean))
        pick[[k, -1]] = 1.0
        variance = float(pick @ posterior.covariance @ pick)
        prior = float(p.deviation[k] ** 2 + (SCALE_PART * p.whole) ** 2)
        measured = float(p.shares[:, k].max()) >= WEIGHTY and variance < 0.5 * prior
        change = posterior.mean[k] + scale
        found[address].update(
            value=float(f"{old.value * exp(-change if is_rate(address) else change):.5g}"),
            basis="measured here" if measured else old.basis,
            uncertainty=float(f"{exp(Z80 * sqrt(variance)) - 1:.3g}") if measured else old.uncertainty,
            source=f"{source}; before: {old.value:g}, {old.basis}"
            if measured
            else f"{old.source}; x {exp(change):.3g} by {source}",
        )
        changed[address] = old, Constant.model_validate(found[address])
    network, layer = spread
    networks = len({r.network for r in p.rows})
    basis = f"{networks} networks, each left out" if networks > 1 else "one network: no less than before, and its surprise"
    dump["latency"].update(network_uncertainty=network, uncertainty_source=f"{source}: {basis}")
    if layer is not None:
        dump["latency"]["layer_uncertainty"] = layer
    return profile.model_copy(update={"costs": Costs.model_validate(dump)}), changed
