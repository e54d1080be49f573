"""What share of the samples a plan gets wrong, expected from how close every sample is to being wrong.

A share of right answers is a sum of thresholds: rough as a function of the plan, although what is thresholded is smooth. So
every sample has a process of its own over the plans for its log-odds u = log(exp(cross-entropy) - 1) (0 where the right class
has half of the probability), all with the kernel that was fitted to the mean loss: one factorization serves all. A probit of u,
with the process's own error, gives the chance that the sample is wrong; the mean over the samples is one feature for the
surrogate of the share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky
from scipy.special import ndtr

from workbench.search.surrogate import Kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

ANCHORS = 400
"""Plans that the processes of the samples are conditioned on, at most: what they predict is a feature, not the answer."""

SLOPE = 0.5
"""Log-odds over which being wrong goes from unlikely (ndtr(-1)) to even: the wrong classes share what is left differently."""

BLOCK = 4096
STEPS = 25


@dataclass(frozen=True, eq=False)
class Margins:
    """Processes of the log-odds of every sample that some plan gets wrong and another right.

    at: indicators of the anchors, [N, Q]; explained: [N, m] of the m samples; centre [m]; offset, width [m]: a sample is wrong
    with probability ndtr((u - offset) / width). fixed: samples always wrong; samples: of how many the share is."""

    kernel: Kernel
    at: F32
    explained: F32
    centre: F32
    offset: float
    width: F32
    fixed: int
    samples: int

    @staticmethod
    def of(
        kernel: Kernel, at: F32, losses: F32, correct: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Margins, F64]:
        """Return the processes, and the share expected of every plan given from all plans but it (leave one out), [P].

        at: indicators [P, Q]; losses, correct: [P, n]. Plans beyond ANCHORS are left out at random; their share is expected as
        a new plan's is."""
        rows = np.sort(rng.choice(len(at), ANCHORS, replace=False)) if len(at) > ANCHORS else np.arange(len(at))
        wavers = correct.any(axis=0) & ~correct.all(axis=0)
        odds = _log_odds(losses[:, wavers])
        right, chosen = correct[:, wavers], odds[rows]
        covariance = kernel.scale * kernel.similarity(at[rows].astype(np.float64), at[rows].astype(np.float64))
        covariance[np.diag_indices_from(covariance)] += kernel.noise
        factor = cholesky(covariance, lower=True)
        centre = chosen.mean(axis=0)
        explained = cho_solve((factor, True), chosen - centre)
        precision = np.diag(cho_solve((factor, True), np.eye(len(rows))))
        away = explained / precision[:, None]
        # Leave-one-out errors in closed form (Rasmussen and Williams, equation 5.12).
        width = np.sqrt((away**2).mean(axis=0) + SLOPE**2)
        offset = _offset(chosen, right[rows])
        fixed = int((~correct.any(axis=0)).sum())
        made = Margins(
            kernel, at[rows], explained.astype(np.float32), centre.astype(np.float32), offset, width.astype(np.float32), fixed,
            losses.shape[1],
        )  # fmt: skip
        share = made.share(at) if len(rows) < len(at) else np.empty(len(at))
        share[rows] = (fixed + ndtr((chosen - away - offset) / width).sum(axis=1)) / losses.shape[1]
        return made, share

    def share(self, at: F32) -> F64:
        """Return the share of samples that plans are expected to get wrong, [P]. at: indicators, [P, Q]."""
        found = np.empty(len(at))
        weights = np.float32(self.kernel.scale) * self.explained
        for start in range(0, len(at), BLOCK):
            block = slice(start, start + BLOCK)
            odds = self.kernel.similarity(at[block], self.at) @ weights
            odds += self.centre - np.float32(self.offset)
            odds /= self.width
            found[block] = ndtr(odds).sum(axis=1)
        return (self.fixed + found) / self.samples


def _log_odds(losses: F32) -> F64:
    """Return log(exp(loss) - 1): of the right class, the odds against it."""
    clipped = np.clip(losses.astype(np.float64), 1e-4, 30.0)
    return np.asarray(np.log(np.expm1(clipped)))


def _offset(odds: F64, right: npt.NDArray[np.bool_]) -> float:
    """Return the log-odds at which a sample is as often wrong as right: of several classes the right one may win with less than
    half of the probability. So that as many are expected wrong as are wrong, by bisection."""
    low, high = float(odds.min()), float(odds.max())
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if ndtr((odds - middle) / SLOPE).mean() > (~right).mean() else (low, middle)
    return 0.5 * (low + high)
