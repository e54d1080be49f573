"""Log-linear constants with hierarchical normal priors: maximum a posteriori by Gauss-Newton, with the exact Jacobian.

    log y = log( sum over kinds of  count[kind] * exp( prior[kind] + sum of the effects of the row on that kind ) )
            + sum of the effects of the row on the whole

An effect belongs to a key (a core class, a runtime family, a device, a pair of them, a network) and has a normal prior around zero
whose size is that of its level. A key that no row has informed stays at zero, so that a prediction for it falls back to the levels
above; how unsure that is follows from the same priors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Terms = Callable[[Vector], Vector]
MOST_STEPS, HALVINGS, LONGEST_STEP, CLOSE = 100, 12, 2.0, 0.05
NORMAL, FREEDOM = 1e6, 4.0
"""Degrees of freedom of the errors of rows: heavier tails than a normal, for networks that the counts do not describe."""
WHOLE = "*"
"""Suffix of levels whose effect is on the whole time, not on kinds."""


@dataclass(frozen=True)
class Item:
    """One measurement. counts: of each kind. keys: level -> key. log_value: measured. sd: log error that this row is known by."""

    counts: tuple[float, ...]
    keys: Mapping[str, str]
    log_value: float = 0.0
    sd: float = 0.0


@dataclass(frozen=True)
class Spec:
    """kinds: names. prior: log constants before any row. levels: name -> prior standard deviation (of each kind, or one for all;
    the name of a level on the whole ends in `*`). row_sd: log error of a measurement around the model. centres: (level, key) ->
    where its prior is centred, 0 for others.
    """

    kinds: tuple[str, ...]
    prior: tuple[float, ...]
    levels: Mapping[str, float | tuple[float, ...]]
    row_sd: float
    centres: Mapping[tuple[str, str], float | tuple[float, ...]] = field(default_factory=dict)

    def sd(self, level: str) -> Vector:
        """Return the prior standard deviations of a level: one per kind, or a single one."""
        size = 1 if level.endswith(WHOLE) else len(self.kinds)
        return np.full(size, self.levels[level], np.float64)

    def centre(self, keys: Mapping[str, str]) -> Vector:
        """Return log constants by kind for a set of keys before any row."""
        centre = np.array(self.prior, np.float64)
        for key in keys.items():
            centre = centre + np.asarray(self.centres.get(key, 0.0), np.float64)
        return centre


@dataclass(frozen=True)
class Fit:
    """Fitted effects: (level, key) -> values. spreads: name of a set of keys -> posterior log standard deviations by kind."""

    spec: Spec
    effects: Mapping[tuple[str, str], Vector]
    spreads: Mapping[str, Vector] = field(default_factory=dict)

    def constants(self, keys: Mapping[str, str]) -> Vector:
        """Return log constants by kind for a set of keys, effects on the whole included."""
        value = self.spec.centre(keys)
        for k in keys.items():
            value = value + self.effects.get(k, 0.0)
        return value

    def predict(self, item: Item) -> float:
        """Return the predicted value."""
        return float(np.dot(item.counts, np.exp(self.constants(item.keys))))

    def to_json(self) -> dict[str, Any]:
        """Return the effects and spreads; the spec is the program's."""
        effects = {f"{level}|{key}": [round(v, 4) for v in values.tolist()] for (level, key), values in self.effects.items()}
        return {"effects": effects, "spreads": {k: [round(v, 3) for v in s.tolist()] for k, s in self.spreads.items()}}


def from_json(spec: Spec, value: Mapping[str, Any]) -> Fit:
    """Return the fit that `to_json` wrote."""
    effects = {}
    for name, values in value["effects"].items():
        level, _, key = name.partition("|")
        effects[level, key] = np.array(values, float)
    return Fit(spec, effects, {k: np.array(s, float) for k, s in value["spreads"].items()})


def fit(spec: Spec, items: Sequence[Item], sets: Mapping[str, Mapping[str, str]] | None = None) -> Fit:
    """Return the maximum a posteriori effects of some measurements; rows far off weigh less (Student's t with FREEDOM).

    sets: name -> keys whose constants' posterior spread is wanted (Laplace approximation at the optimum).
    """
    layout = _Layout(spec, items)
    counts = np.array([i.counts for i in items], float)
    measured = np.array([i.log_value for i in items])
    noise = np.array([np.hypot(spec.row_sd, i.sd) for i in items])
    prior = np.array([spec.centre(i.keys) for i in items])
    values = np.zeros(layout.size + 1)  # the last one stays zero: levels that a row has no key in

    def terms(at: Vector) -> Vector:
        return np.asarray(counts * np.exp(prior + at[layout.places].sum(1)))

    for freedom in (NORMAL, FREEDOM):  # from the normal optimum: from zero, t would take most rows for outliers
        values = _climb(layout, terms, measured, noise, values, freedom)
    effects = {key: values[place] for key, place in layout.known.items()}
    _, jacobian, _ = layout.linear(terms(values), measured, noise, FREEDOM)
    return Fit(spec, effects, layout.spreads(jacobian, sets or {}))


def _climb(layout: _Layout, terms: Terms, measured: Vector, noise: Vector, values: Vector, freedom: float) -> Vector:
    """Return the effects of the best posterior from a start: Gauss-Newton, steps halved until they gain."""

    def badness(at: Vector) -> float:
        off = (measured - np.log(terms(at).sum(1))) / noise
        return float((freedom + 1) * np.log1p(off**2 / freedom).sum() + (at[:-1] ** 2 / layout.variance).sum())

    best = badness(values)
    for _ in range(MOST_STEPS):
        weight, jacobian, off = layout.linear(terms(values), measured, noise, freedom)
        error = off * weight + jacobian @ values[:-1]
        weighted = jacobian * layout.variance
        step = weighted.T @ np.linalg.solve(weighted @ jacobian.T + np.eye(len(off)), error) - values[:-1]
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), CLOSE))
        for _ in range(HALVINGS):
            tried = values + np.append(step, 0.0)
            found = badness(tried)
            if found <= best:
                break
            step = step / 2
        gain, best, values = best - found, found, tried
        if gain < CLOSE:
            break
    return values


class _Layout:
    """Where each effect lies among the parameters. places: row x level x kind -> parameter (`size` where a row has no key)."""

    def __init__(self, spec: Spec, items: Sequence[Item]) -> None:
        self.spec, self.known, kinds = spec, {}, len(spec.kinds)
        variances: list[float] = []
        for level in spec.levels:
            for key in dict.fromkeys(i.keys[level] for i in items if level in i.keys):
                sd = spec.sd(level)
                self.known[level, key] = np.arange(len(variances), len(variances) + len(sd))
                variances += (sd**2).tolist()
        self.size, self.variance = len(variances), np.array(variances)
        missing = np.full(kinds, self.size)
        self.places = np.array([
            [np.broadcast_to(self.known[level, i.keys[level]] if level in i.keys else missing, kinds) for level in spec.levels]
            for i in items
        ])  # fmt: skip

    def jacobian(self, share: Vector) -> Vector:
        """Return d log(total) / d parameter: the share of its kind in the total."""
        wide = self.size + 1
        places = (np.arange(len(share))[:, None, None] * wide + self.places).ravel()
        shares = np.broadcast_to(share[:, None, :], self.places.shape).ravel()
        sums: Vector = np.bincount(places, shares, len(share) * wide).astype(np.float64)
        return sums.reshape(-1, wide)[:, :-1]

    def linear(self, terms: Vector, measured: Vector, noise: Vector, freedom: float) -> tuple[Vector, Vector, Vector]:
        """Return weights of the rows, the weighted Jacobian and log(measured / predicted)."""
        total = terms.sum(1)
        off = measured - np.log(total)
        weight = np.sqrt((freedom + 1) / (freedom + (off / noise) ** 2)) / noise
        return weight, self.jacobian(terms / total[:, None]) * weight[:, None], off

    def spreads(self, jacobian: Vector, sets: Mapping[str, Mapping[str, str]]) -> dict[str, Vector]:
        """Return the posterior log standard deviations of constants: prior variance less what the rows have told."""
        if not sets:
            return {}
        weighted = jacobian * self.variance
        root = np.linalg.cholesky(weighted @ jacobian.T + np.eye(len(jacobian)))
        told = np.linalg.solve(root, weighted)
        result = {}
        for name, keys in sets.items():
            variances = np.zeros(len(self.spec.kinds))
            for kind in range(len(self.spec.kinds)):
                pick = np.zeros(self.size)
                for level, key in keys.items():
                    place = self.known.get((level, key))
                    sd = self.spec.sd(level)
                    if place is None:
                        variances[kind] += sd[kind % len(sd)] ** 2
                    else:
                        pick[place[kind % len(place)]] = 1.0
                variances[kind] += (pick * self.variance) @ pick - np.square(told @ pick).sum()
            result[name] = np.sqrt(variances)
        return result
