"""A Gaussian process over plans: what a surrogate expects of plans that were not evaluated, and how far off it may be.

Kernel of two plans: s exp(-sum over the groups where formats f and f' differ of (a[g, f] + a[g, f'])) + v x x': a product over
the groups, so that interactions of any order are in it, with an arm a > 0 for every format of every group, learned from the
results (automatic relevance determination; Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 2
and 5). Arms, not free distances of pairs of formats: those may be no covariance at all, a star always is (within a group a
diagonal plus an outer product), and every metric of three formats is a star. x is one optional feature of a plan. The arms are
the maximum a posteriori, found by L-BFGS with exact derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from workbench.sweep import Codes

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
Floats = TypeVar("Floats", F32, F64)

JITTER = 1e-6
"""Added to the diagonal, in units of the results' variance: keeps the Cholesky factor of near-equal plans real."""

JITTERS = (0.0, *(JITTER * 10.0**power for power in range(5)))
"""Tried in turn on the diagonal of a covariance that has no Cholesky factor, in units of its mean."""

PRIOR_CENTRE = (-3.0, 0.0, -1.0, -5.0)
PRIOR_SPREAD = (1.5, 1.5, 2.0, 2.0)
"""Of the logarithms of the common arm, s, v and the noise (results scaled to variance 1): wide, the same for every network."""

REACH = 50.0
"""Logarithms of s, v and the noise beyond which a step is refused: 25 prior spreads, and far from overflow."""

DEVIATION_SPREAD = 1.0
"""Prior spread of the logarithm of one arm around the common one."""

BLOCK = 8192
"""Plans predicted at a time."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """Plans as indicator vectors [P, Q], one place for every format of every group; apart [Q, Q]: 1 for two formats of one
    group."""

    offsets: npt.NDArray[np.int64]
    places: int
    apart: F64

    @staticmethod
    def of(radices: npt.NDArray[np.int64]) -> Encoding:
        """Return the encoding of groups with so many formats each."""
        offsets = np.concatenate(([0], np.cumsum(radices)[:-1])).astype(np.int64)
        places = int(radices.sum())
        group = np.repeat(np.arange(len(radices)), radices)
        return Encoding(offsets, places, (group[:, None] == group) - np.eye(places))

    def indicators(self, codes: Codes) -> F32:
        """Return the indicator vectors of plans, [P, Q]."""
        found = np.zeros((len(codes), self.places), np.float32)
        found[np.arange(len(codes))[:, None], codes.astype(np.int64) + self.offsets] = 1.0
        return found


@dataclass(frozen=True, eq=False)
class Kernel:
    """The kernel's parameters, as logarithms: theta [Q + 4] is the deviations of the arms from the common one, that one, s, v,
    the noise."""

    encoding: Encoding
    theta: F64

    @staticmethod
    def start(encoding: Encoding) -> Kernel:
        """Return the kernel that a first fit begins with."""
        return Kernel(encoding, np.concatenate((np.zeros(encoding.places), PRIOR_CENTRE)))

    @property
    def scale(self) -> float:
        """The variance s."""
        return float(np.exp(self.theta[-3]))

    @property
    def slope(self) -> float:
        """The variance v of the feature's slope."""
        return float(np.exp(self.theta[-2]))

    @property
    def noise(self) -> float:
        """The variance that no plan explains."""
        return float(np.exp(self.theta[-1])) + JITTER

    @property
    def arms(self) -> F64:
        """Return the arm of every format of every group, [Q]."""
        return np.asarray(np.exp(np.clip(self.theta[:-4] + self.theta[-4], -12.0, 4.0)))

    def similarity(self, a: Floats, b: Floats) -> Floats:
        """Return exp(-distance) of indicator vectors, [A, Q] and [B, Q]: [A, B]."""
        between = self.encoding.apart * (self.arms[:, None] + self.arms)
        distance: Floats = (a @ between.astype(a.dtype)) @ b.T
        np.negative(distance, out=distance)
        np.exp(distance, out=distance)
        return distance


def fit(kernel: Kernel, at: F64, feature: F64 | None, results: F64, steps: int = 40, count: float = 1.0) -> Kernel:
    """Return the kernel that explains results best, likely arms preferred. at: indicators [P, Q]; feature: [P], of mean 0 and
    variance 1; results: [P], likewise, or several quantities of every plan that share the kernel, [P, K], each times the
    square root of its weight; count: the sum of the weights."""
    places = kernel.encoding.places
    centre = np.concatenate((np.zeros(places), PRIOR_CENTRE))
    spread = np.concatenate((np.full(places, DEVIATION_SPREAD), PRIOR_SPREAD))
    outer = None if feature is None else np.outer(feature, feature)
    results = results.reshape(len(at), -1)

    def loss(theta: F64) -> tuple[float, F64]:
        if not (np.isfinite(theta).all() and (np.abs(theta[-3:]) < REACH).all()):
            return 1e12, np.zeros_like(theta)
        trial = Kernel(kernel.encoding, theta)
        smooth = trial.scale * trial.similarity(at, at)
        linear = 0.0 if outer is None else trial.slope * outer
        covariance = smooth + linear
        covariance[np.diag_indices_from(covariance)] += trial.noise
        try:
            factor = cholesky(covariance, lower=True)
        except LinAlgError:
            return 1e12, np.zeros_like(theta)
        inverse = cho_solve((factor, True), np.eye(len(at)))
        explained = inverse @ results
        away = (theta - centre) / spread
        value = 0.5 * (results * explained).sum() + count * np.log(np.diag(factor)).sum() + 0.5 * away @ away
        # d value / d covariance; then by the chain rule (Rasmussen and Williams, equation 5.9).
        by = 0.5 * (count * inverse - explained @ explained.T)
        by_smooth = by * smooth
        by_places = (at.T @ by_smooth @ at) * kernel.encoding.apart
        slopes = away / spread
        by_arm = -2.0 * by_places.sum(axis=0) * trial.arms
        slopes[:places] += by_arm
        slopes[places] += by_arm.sum()
        slopes[-3] += by_smooth.sum()
        slopes[-2] += float((by * linear).sum())
        slopes[-1] += (trial.noise - JITTER) * np.trace(by)
        return float(value), slopes

    return Kernel(kernel.encoding, minimize(loss, kernel.theta, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x)


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A kernel conditioned on results. at: indicators [N, Q]; feature: [N] or None; factor: Cholesky, lower, [N, N] of the
    results' covariance; explained: its inverse times the results, [N]; centre, spread: what the results were scaled by."""

    kernel: Kernel
    at: F32
    feature: F64 | None
    factor: F64
    explained: F64
    centre: float
    spread: float

    @staticmethod
    def of(kernel: Kernel, at: F32, feature: F64 | None, results: F64) -> Surrogate:
        """Return the process conditioned on results [N] of plans."""
        exact = at.astype(np.float64)
        covariance = kernel.scale * kernel.similarity(exact, exact)
        if feature is not None:
            covariance += kernel.slope * np.outer(feature, feature)
        covariance[np.diag_indices_from(covariance)] += kernel.noise
        factor = root(covariance)
        centre, spread = float(results.mean()), float(results.std()) or 1.0
        explained = cho_solve((factor, True), (results - centre) / spread)
        return Surrogate(kernel, at, feature, factor, explained, centre, spread)

    def mean(self, at: F32, feature: F64 | None = None) -> F64:
        """Return what is expected of plans, [P]."""
        found = np.empty(len(at))
        weights = (self.kernel.scale * self.explained).astype(np.float32)
        for start in range(0, len(at), BLOCK):
            block = slice(start, start + BLOCK)
            found[block] = self.kernel.similarity(at[block], self.at) @ weights
        if self.feature is not None and feature is not None:
            found += self.kernel.slope * feature * float(self.feature @ self.explained)
        return self.centre + self.spread * found

    def joint(self, at: F32, feature: F64 | None = None) -> tuple[F64, F64]:
        """Return what is expected of plans, [P], and a lower triangular root of the covariance of their results, [P, P]."""
        exact, known = at.astype(np.float64), self.at.astype(np.float64)
        cross = self.kernel.scale * self.kernel.similarity(exact, known)
        own = self.kernel.scale * self.kernel.similarity(exact, exact)
        if self.feature is not None and feature is not None:
            cross += self.kernel.slope * np.outer(feature, self.feature)
            own += self.kernel.slope * np.outer(feature, feature)
        reduced = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        own -= reduced.T @ reduced
        own[np.diag_indices_from(own)] += self.kernel.noise
        return self.centre + self.spread * (cross @ self.explained), self.spread * root(own)


def root(covariance: F64) -> F64:
    """Return the Cholesky factor of a covariance that rounding may have made slightly indefinite (it is then changed on the
    diagonal, JITTERS of its mean).

    Raises: LinAlgError: when that is not enough, which rounding cannot do.
    """
    unit = float(np.mean(np.diag(covariance))) or 1.0
    for extra in JITTERS:
        shifted = covariance + extra * unit * np.eye(len(covariance)) if extra else covariance
        try:
            return np.asarray(cholesky(shifted, lower=True, check_finite=False))
        except LinAlgError:
            continue
    raise LinAlgError(f"a covariance of {len(covariance)} plans is indefinite beyond rounding")
