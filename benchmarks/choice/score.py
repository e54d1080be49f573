"""How good a search was, judged by the truth: every plan's exact values are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from workbench.sweep import Codes, Space
from workbench.truth import pareto_front

F64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
NEAR = 0.05  # "within 5 points of the baseline"


@dataclass(frozen=True, eq=False)
class Truth:
    """The exact values of all plans of a case, by their numbers.

    values: float64 [P, 1 + A]: what is minimized, the quality (metric or loss) first, then the costs. badness: [P], the metric.
    share: the metric is a share of samples, so that "points" mean something. floor: what a regret is at least relative to.
    """

    space: Space
    values: F64
    badness: F64
    share: bool
    floor: float

    @cached_property
    def front(self) -> Rows:
        """The exact frontier, cheapest first (by the first cost)."""
        found = pareto_front(self.values)
        return found[np.argsort(self.values[found, 1], kind="stable")]

    @cached_property
    def near(self) -> Rows:
        """Plans whose metric is at most 5 points worse than that of the plan of defaults (the W8 baseline); none without points."""
        if not self.share:
            return np.empty(0, np.int64)
        base = int(self.space.numbers(self.space.uniform(self.space.default)[None])[0])
        return np.flatnonzero(self.badness <= self.badness[base] + NEAR)

    @cached_property
    def volume(self) -> float:
        """The hypervolume of the exact frontier."""
        return hypervolume(self._scaled(self.front))

    def _scaled(self, rows: Rows) -> F64:
        """Return the values of rows with the frontier's best at 0 and its worst at 1, per axis."""
        exact = self.values[self.front]
        low, high = exact.min(axis=0), exact.max(axis=0)
        return (self.values[rows] - low) / np.where(high > low, high - low, 1.0)

    def recall(self, rows: Rows) -> float:
        """Return the share of the exact frontier's points whose values are among those of plans found."""
        found = set(map(bytes, np.ascontiguousarray(self.values[rows])))
        return float(np.mean([bytes(v) in found for v in np.ascontiguousarray(self.values[self.front])]))

    def regret(self, rows: Rows) -> float:
        """Return by how much the best plan found is worse than the exact one, relatively: mean over the exact frontier's points.

        The best found is the one with the best quality that costs no more than the point on any axis; where nothing found is that
        cheap, the worst quality of all plans stands for it. A quality below the floor counts as the floor.
        """
        worst = self.values[np.isfinite(self.values[:, 0]), 0].max()
        gaps = []
        for point in self.values[self.front]:
            cheap = rows[(self.values[rows, 1:] <= point[1:]).all(axis=1)]
            best = min(self.values[cheap, 0].min(initial=np.inf), worst)
            gaps.append((best - point[0]) / max(abs(point[0]), self.floor))
        return float(np.mean(gaps))

    def relative_volume(self, rows: Rows) -> float:
        """Return the hypervolume of plans found over that of the exact frontier; 1.1 per axis is the reference point."""
        return hypervolume(self._scaled(rows)) / self.volume

    def ranking(self, predict: Callable[[Codes], F64] | None) -> tuple[float, float]:
        """Return Kendall's tau-b between predictions and the exact quality over all plans, and over those near the baseline.

        NaN without predictions, and where all of either are equal.
        """
        if predict is None:
            return np.nan, np.nan
        guessed = np.concatenate(
            [predict(self.space.codes(np.arange(i, min(i + 4096, self.space.size)))) for i in range(0, self.space.size, 4096)]
        )
        exact = self.values[:, 0]
        return _tau(guessed, exact), _tau(guessed[self.near], exact[self.near])


def _tau(a: F64, b: F64) -> float:
    return float(kendalltau(a, b).statistic) if len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan


def hypervolume(points: F64, reference: float = 1.1) -> float:
    """Return the volume that points [P, A] beat (smaller is better) below the reference point (the same number on every axis).

    Slices along the last axis: between two neighbouring heights the points below count on the axes that are left.
    """
    points = points[(points < reference).all(axis=1)]
    if not len(points):
        return 0.0
    points = points[pareto_front(points)]
    if points.shape[1] == 1:
        return float(reference - points[0, 0])
    points = points[np.argsort(points[:, -1], kind="stable")]
    heights = np.append(points[:, -1], reference)
    total = 0.0
    for i in range(len(points)):
        if heights[i + 1] > heights[i]:
            total += float(heights[i + 1] - heights[i]) * hypervolume(points[: i + 1, :-1], reference)
    return total
