"""`fit_effects`: a sum of effects with normal priors (a linear mixed model), their spreads found by marginal likelihood.

A measurement is `sum of coefficient x effect + noise`. Effects of one kind (all devices, all runtimes, ...) share a prior of mean 0
and one spread; a kind that the rows say nothing about keeps its effects at 0, a device with few rows stays near its class.
Source: C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (2006), sections 2.7 and 5.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Vector = npt.NDArray[np.float64]
Terms = Mapping[tuple[str, str], float]
"""(kind, name) of an effect -> its coefficient in one row."""

SPREAD, SPREAD_LOG_SD = 0.05, 1.0
"""Prior of an unknown spread: 5 %, within a factor of 2.7 (log-normal). Keeps kinds with a handful of effects from 0 and infinity."""


@dataclass(frozen=True)
class Prior:
    """Prior of the effects of one kind. mean: of each. spread: None = found from the rows, otherwise kept."""

    mean: float = 0.0
    spread: float | None = None


@dataclass(frozen=True)
class Effects:
    """A fitted sum of effects. values: effect -> value. spreads: kind -> spread. errors: names of `noise` -> spread of the noise."""

    values: Mapping[tuple[str, str], float]
    means: Mapping[str, float]
    spreads: Mapping[str, float]
    errors: Mapping[str, float]

    def value(self, terms: Terms) -> float:
        """Return the sum for a row; an effect that no row had is at the mean of its kind."""
        return sum(c * self.values.get(e, self.means.get(e[0], 0.0)) for e, c in terms.items())

    def known(self, kind: str, name: str) -> bool:
        """True when some row had this effect."""
        return (kind, name) in self.values

    def to_json(self) -> dict[str, Any]:
        """Return everything as nested dicts."""
        nested: dict[str, dict[str, float]] = {}
        for (kind, name), value in self.values.items():
            nested.setdefault(kind, {})[name] = value
        return {"values": nested, "means": dict(self.means), "spreads": dict(self.spreads), "errors": dict(self.errors)}

    @staticmethod
    def load(value: Mapping[str, Any]) -> Effects:
        """Return what `to_json` wrote."""
        values = {(kind, name): v for kind, names in value["values"].items() for name, v in names.items()}
        return Effects(values, value["means"], value["spreads"], value["errors"])


def fit_effects(rows: Sequence[Terms], values: Sequence[float], noise: Sequence[str], priors: Mapping[str, Prior]) -> Effects:
    """Return the effects that explain values.

    noise: per row, which kind of noise it has (`processor`, `accelerator`): each kind has its own spread, found as well.
    """
    names = sorted({effect for row in rows for effect in row})
    design = np.zeros((len(rows), len(names)))
    place = {effect: i for i, effect in enumerate(names)}
    for i, row in enumerate(rows):
        for effect, coefficient in row.items():
            design[i, place[effect]] = coefficient
    mean = np.array([priors[kind].mean for kind, _ in names])
    residual = np.asarray(values, dtype=np.float64) - design @ mean
    kinds = sorted({kind for kind, _ in names if priors[kind].spread is None})
    errors = sorted(set(noise))
    grams = {kind: _gram(design[:, [i for i, (k, _) in enumerate(names) if k == kind]]) for kind in priors}
    known = sum(
        (spread**2 * grams[k] for k, p in priors.items() if (spread := p.spread) is not None), np.zeros((len(rows),) * 2)
    )
    masks = [np.array([name == error for name in noise], dtype=np.float64) for error in errors]

    def covariance(logs: Vector) -> Vector:
        total = known + np.diag(
            sum((exp(2 * s) * m for s, m in zip(logs[len(kinds) :], masks, strict=True)), np.zeros(len(rows)))
        )
        return sum((exp(2 * s) * grams[k] for s, k in zip(logs, kinds, strict=False)), total)

    def loss(logs: Vector) -> float:
        factor = cho_factor(covariance(logs), lower=True)
        likelihood = 0.5 * residual @ cho_solve(factor, residual) + np.log(np.diag(factor[0])).sum()
        return float(likelihood + 0.5 * (((logs - log(SPREAD)) / SPREAD_LOG_SD) ** 2).sum())

    start = np.full(len(kinds) + len(errors), log(SPREAD))
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(log(1e-3), log(3.0))] * len(start)).x
    spreads = {k: exp(s) for k, s in zip(kinds, found, strict=False)} | {
        k: p.spread for k, p in priors.items() if p.spread is not None
    }
    width = np.array([spreads[kind] for kind, _ in names])
    solved = cho_solve(cho_factor(covariance(found), lower=True), residual)
    best = mean + width**2 * (design.T @ solved)
    return Effects(
        {effect: float(v) for effect, v in zip(names, best, strict=True)},
        {kind: p.mean for kind, p in priors.items()},
        {k: float(v) for k, v in spreads.items()},
        {e: exp(s) for e, s in zip(errors, found[len(kinds) :], strict=True)},
    )


def unknown_spread(effects: Effects, terms: Terms, noise: str) -> float:
    """Return the standard deviation of a row from the effects that no fitted row had and from the noise."""
    missing = sum((c * effects.spreads.get(e[0], 0.0)) ** 2 for e, c in terms.items() if e not in effects.values)
    return sqrt(missing + effects.errors.get(noise, max(effects.errors.values(), default=SPREAD)) ** 2)


def _gram(columns: Vector) -> Vector:
    return np.asarray(columns @ columns.T)
