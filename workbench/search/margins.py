"""What a plan's loss, or its share of wrong samples, is expected to be from what is expected of every sample.

A mean over samples is rough as a function of the plan where single samples are smooth: a share of right answers is a sum of
thresholds, a mean cross-entropy is carried by the few samples that go wrong. So every sample has a process of its own over the
plans, all with one kernel, hence one factorization. Of a classifier it is of the log-odds u = log(exp(cross-entropy) - 1) (0
where the right class has half of the probability); of an error against a reference, of its root. The kernel is fitted to the
principal components of all samples: far more is known of it than the mean alone tells. What the samples add up to is one
feature for the surrogate of the mean, which corrects it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve
from scipy.special import ndtr

from workbench.search.surrogate import Kernel, root

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Right = npt.NDArray[np.bool_]

ANCHORS = 400
"""Plans that the processes of the samples are conditioned on unless told otherwise: what they predict is a feature, not the answer."""

SAMPLES = 2000
"""Samples that have a process, at most, drawn at random. All of them where that is affordable: a mean cross-entropy is carried by
few samples (with 300 of 1,000, tau on DS-CNN W{4,8} fell from 0.97 to 0.84)."""

COMPONENTS = 15
"""Principal components that a kernel is fitted to, each weighted by its share of their variance."""

COUNT = 3.0
"""How many independent results the components count as, together: the samples of a plan are alike."""

SLOPE = 0.5
"""Log-odds over which being wrong goes from unlikely (ndtr(-1)) to even: the wrong classes share what is left differently."""

BLOCK = 4096
STEPS = 25


@dataclass(frozen=True, eq=False)
class Samples:
    """What is followed of the samples. values [P, m]: log-odds or root errors of m samples of every plan; right: [P, m], for a
    share of wrong samples; odds: what values are; fixed: samples wrong under every plan; share: what one of the m stands for, of
    all samples."""

    values: F64
    right: Right | None
    odds: bool
    fixed: float = 0.0
    share: float = 1.0

    @staticmethod
    def of(losses: F32, correct: Right | None, share: bool, rng: np.random.Generator) -> Samples:
        """Return what is followed of samples with these results, [P, n]. share: for the share of wrong ones (only samples that
        some plan gets wrong and another right matter then), else for the mean loss."""
        count = losses.shape[1]
        wavers = np.arange(count)
        fixed = 0.0
        if share and correct is not None:
            wavers = np.flatnonzero(correct.any(axis=0) & ~correct.all(axis=0))
            fixed = float((~correct.any(axis=0)).sum()) / count
        chosen = np.sort(rng.permutation(wavers)[:SAMPLES])
        right = correct[:, chosen] if share and correct is not None else None
        values = np.sqrt(losses[:, chosen].astype(np.float64)) if correct is None else _log_odds(losses[:, chosen])
        each = len(wavers) / count if right is not None else 1.0
        return Samples(values, right, correct is not None, fixed, each)

    def components(self) -> F64:
        """Return the principal components over the plans, [P, at most COMPONENTS], each times the root of its weight."""
        away = self.values - self.values.mean(axis=0)
        left, sizes, _ = np.linalg.svd(away, full_matrices=False)
        sizes = sizes[:COMPONENTS]
        weights = sizes**2 / ((sizes**2).sum() or 1.0)
        return np.asarray(left[:, :COMPONENTS] * np.sqrt(len(away) * COUNT * weights))


@dataclass(frozen=True, eq=False)
class Margins:
    """The processes of samples.

    at: indicators of the anchors, [N, Q]; explained: [N, m] of the m samples; centre [m]; offset, width [m]: a sample is wrong
    with probability ndtr((u - offset) / width)."""

    samples: Samples
    kernel: Kernel
    at: F32
    explained: F32
    centre: F32
    offset: float
    width: F32

    @staticmethod
    def of(kernel: Kernel, at: F32, samples: Samples, rng: np.random.Generator, anchors: int = ANCHORS) -> tuple[Margins, F64]:
        """Return the processes, and what is expected of every plan given from all plans but it (leave one out), [P].

        at: indicators [P, Q]. Plans beyond `anchors` are left out at random; what is expected of them is as of a new plan."""
        rows = np.sort(rng.choice(len(at), anchors, replace=False)) if len(at) > anchors else np.arange(len(at))
        chosen, exact = samples.values[rows], at[rows].astype(np.float64)
        covariance = kernel.scale * kernel.similarity(exact, exact)
        covariance[np.diag_indices_from(covariance)] += kernel.noise
        factor = root(covariance)
        centre = chosen.mean(axis=0)
        explained = cho_solve((factor, True), chosen - centre)
        precision = np.diag(cho_solve((factor, True), np.eye(len(rows))))
        away = explained / precision[:, None]
        # Leave-one-out errors in closed form (Rasmussen and Williams, equation 5.12).
        width = np.sqrt((away**2).mean(axis=0) + SLOPE**2)
        offset = 0.0 if samples.right is None else _offset(chosen, samples.right[rows])
        made = Margins(
            samples, kernel, at[rows], explained.astype(np.float32), centre.astype(np.float32), offset, width.astype(np.float32)
        )
        expected = made.expected(at) if len(rows) < len(at) else np.empty(len(at))
        expected[rows] = made.together((chosen - away).astype(np.float32))
        return made, expected

    def together(self, values: F32) -> F64:
        """Return what values of the samples [P, m] add up to, [P]: the share wrong, the logarithm of the mean cross-entropy, or
        the root of the mean error."""
        samples = self.samples
        if samples.right is not None:
            if not values.shape[1]:
                return np.full(len(values), samples.fixed)
            wrong = ndtr((values - np.float32(self.offset)) / self.width).mean(axis=1, dtype=np.float64)
            return np.asarray(samples.fixed + samples.share * wrong)
        if samples.odds:
            return np.asarray(np.log(np.logaddexp(np.float32(0.0), values).mean(axis=1, dtype=np.float64)))
        return np.asarray(np.sqrt((values**2).mean(axis=1, dtype=np.float64)))

    def expected(self, at: F32) -> F64:
        """Return what is expected of plans, [P]. at: indicators, [P, Q]."""
        found = np.empty(len(at))
        weights = np.float32(self.kernel.scale) * self.explained
        for start in range(0, len(at), BLOCK):
            block = slice(start, start + BLOCK)
            found[block] = self.together(self.kernel.similarity(at[block], self.at) @ weights + self.centre)
        return found


def _log_odds(losses: F32) -> F64:
    """Return log(exp(loss) - 1): of the right class, the odds against it."""
    clipped = np.clip(losses.astype(np.float64), 1e-4, 30.0)
    return np.asarray(np.log(np.expm1(clipped)))


def _offset(odds: F64, right: Right) -> float:
    """Return the log-odds at which a sample is as often wrong as right: of several classes the right one may win with less than
    half of the probability. So that as many are expected wrong as are wrong, by bisection; 0 without samples."""
    if not odds.size:
        return 0.0
    low, high = float(odds.min()), float(odds.max())
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if ndtr((odds - middle) / SLOPE).mean() > (~right).mean() else (low, middle)
    return 0.5 * (low + high)
