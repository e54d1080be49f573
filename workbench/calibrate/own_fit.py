"""How measurements move the constants of a profile: a linear problem in logs, with priors. Read `own.py` first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, log, sqrt

import numpy as np
import numpy.typing as npt

from workbench.calibrate.own_rows import Measurement

Vector = npt.NDArray[np.float64]
Z80 = 1.2816
SCALE_PART, KIND_PART, ERROR_PART = 0.7, 0.5, 0.5
"""Prior standard deviations of scale, constants and error, as parts of that of the whole (their squares add up to 1)."""
PART_LOG_SD = 0.7
"""How well the first and the last are known: within a factor of two. GRID: the factors tried."""
GRID = np.exp(np.linspace(-2.1, 2.1, 9))


@dataclass(frozen=True)
class Problem:
    """The linear problem. y: log(measured / estimate) of each row. shares: [rows, constants]. deviation, error, whole: prior standard
    deviations of constants, of the error of each row, of a whole network."""

    y: Vector
    shares: Vector
    deviation: Vector
    error: Vector
    whole: float
    rows: Sequence[Measurement]


@dataclass(frozen=True)
class Posterior:
    """mean, covariance: of the deviations, then the scale. error: standard deviation of each row's."""

    mean: Vector
    covariance: Vector
    error: Vector


def solved(p: Problem, kept: Vector | None = None) -> Posterior:
    """Return the posterior from the rows kept, averaged over how much of the uncertainty is scale and how much is error.

    A few rows know neither well; the average is as wide as that makes it (one choice of the two would be too sure of itself).
    """
    use = np.ones(len(p.y), dtype=bool) if kept is None else kept
    y, design = p.y[use], np.column_stack([p.shares[use], np.ones(int(use.sum()))])
    found = []
    for scale, error in product(GRID, GRID):
        prior = np.append(p.deviation, SCALE_PART * scale * p.whole) ** 2
        noise = ERROR_PART * error * p.error
        inverse = np.linalg.inv((design * prior) @ design.T + np.diag(noise[use] ** 2))
        evidence = -0.5 * (y @ inverse @ y - np.linalg.slogdet(inverse)[1])
        evidence -= 0.5 * ((log(scale) / PART_LOG_SD) ** 2 + (log(error) / PART_LOG_SD) ** 2)
        gain = (prior[:, None] * design.T) @ inverse
        found.append((evidence, gain @ y, np.diag(prior) - gain @ (design * prior), noise))
    weights = np.exp(np.array([f[0] for f in found]) - max(f[0] for f in found))
    weights /= weights.sum()
    mean = sum((w * f[1] for w, f in zip(weights, found, strict=True)), np.zeros(design.shape[1]))
    covariance = sum(
        (w * (f[2] + np.outer(f[1] - mean, f[1] - mean)) for w, f in zip(weights, found, strict=True)),
        0.0 * np.outer(mean, mean),
    )
    noise = np.sqrt(sum((w * f[3] ** 2 for w, f in zip(weights, found, strict=True)), np.zeros(len(p.y))))
    return Posterior(mean, covariance, noise)


def left_out(p: Problem) -> list[tuple[float, float, float] | None]:
    """Return each row as predicted without its network; None where all rows are of one network (its rows say nothing of another)."""
    groups = [r.network for r in p.rows]
    found: list[tuple[float, float, float] | None] = [None] * len(p.y)
    for group in sorted(set(groups)):
        kept = np.array([g != group for g in groups])
        if not kept.any():
            continue
        posterior = solved(p, kept)
        for i in (i for i, use in enumerate(kept) if not use):
            design = np.append(p.shares[i], 1.0)
            spread = sqrt(design @ posterior.covariance @ design + posterior.error[i] ** 2)
            value = p.rows[i].seconds * exp(design @ posterior.mean - p.y[i])
            found[i] = value, value * exp(-Z80 * spread), value * exp(Z80 * spread)
    return found
