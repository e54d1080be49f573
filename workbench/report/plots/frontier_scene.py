"""What the frontier plot shows, in the units of the plot: positions, intervals, predictions, and the boxes of its panels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from workbench.evaluate import Record
from workbench.report.plots.style import short_target
from workbench.report.text import AXIS_TITLES, unit_of
from workbench.results import TargetResult
from workbench.search import Candidate, axis_value
from workbench.statistics import share_interval

ZOOM_POINTS = 12.0
"""A plot that spans more points of a share gets a second panel near the baseline, where the choice is made."""

Box = tuple[float, float, float, float]
"""Left, right, bottom, top of a panel in the units of the plot."""


class Scene:
    """Everything that a panel draws."""

    def __init__(self, target: TargetResult) -> None:
        assert target.baseline is not None
        self.target, self.base = target, target.baseline
        self.metric = target.metric
        self.factor = 100.0 if self.metric.is_share else 1.0
        self.up = 1.0 if self.metric.higher_is_better else -1.0
        axis = target.objective
        limit = target.limits.costs().get(axis)
        factor, self.unit = unit_of(axis, [axis_value(c.cost, axis) for c in target.candidates])
        self.x: Callable[[Candidate], float] = lambda c: axis_value(c.cost, axis) / factor
        self.limit_x = None if limit is None else limit / factor
        self.xs = [self.x(c) for c in target.candidates]
        chosen = target.chosen.plan if target.chosen else None
        self.baseline = next((c for c in target.candidates if c.plan == target.baseline_plan), None)
        self.chosen = next((c for c in target.candidates if c.plan == chosen), target.chosen)
        self.numbers = {c.plan: i + 1 for i, c in enumerate(target.frontier)}
        finite = [v for c in target.candidates if math.isfinite(v := self.factor * c.record.figure)] or [0.0]
        pad = 5.0 if self.metric.unit == "dB" else 0.1 * (max(finite) - min(finite))
        self.range = min(finite) - pad, max(finite) + pad
        self.title = (
            f"What {AXIS_TITLES[axis]} buys: every plan evaluated exactly, {self.metric.short} against {AXIS_TITLES[axis]}"
        )
        spread = "Bars: Wilson 95 % interval of each plan alone (differences are known better, see the table). "
        bars = "" if self.base.correct is None else spread
        self.subtitle = (
            f"{short_target(target.profile.name)}, {self.base.samples:,} samples that choose. {bars}"
            "Hollow circles: what adding up single changes predicted, tied to what came true. "
            "Numbers: rows of the frontier table."
        )

    def y(self, record: Record) -> float:
        """Return the deciding metric in the unit of the plot: a share in percent. No error at all, +inf dB, is drawn on top."""
        value = self.factor * record.figure
        return value if math.isfinite(value) else self.range[value > 0]

    @property
    def y_label(self) -> str:
        """Name and unit of the metric."""
        unit = "%" if self.metric.is_share else self.metric.unit
        return f"{self.metric.title} [{unit}]" if unit else self.metric.title

    def span(self, record: Record) -> tuple[float, float]:
        """Return the interval of a share of samples (a point for other metrics)."""
        if record.correct is None:
            return self.y(record), self.y(record)
        low, high = share_interval(int(record.correct.sum()), record.samples)
        return 100 * low, 100 * high

    def predicted(self, candidate: Candidate) -> float:
        """Return where the sum of single changes put a candidate."""
        return self.y(self.base) - self.up * self.factor * candidate.predicted_drop

    def confirmed(self) -> list[tuple[float, Record, bool]]:
        """Return (x, record, is it the chosen plan) of baseline and chosen plan on the confirmation samples."""
        found: list[tuple[float, Record, bool]] = []
        if self.baseline is not None and self.target.baseline_confirm is not None:
            found.append((self.x(self.baseline), self.target.baseline_confirm, False))
        if self.chosen is not None and self.chosen.confirm_record is not None:
            found.append((self.x(self.chosen), self.chosen.confirm_record, True))
        return found

    def limit_y(self) -> float | None:
        """Return the worst figure that the limits allow."""
        if self.target.limits.drop is not None:
            return self.y(self.base) - self.up * self.factor * self.target.limits.drop
        return self.target.limits.sqnr_db if self.metric.name == "sqnr_db" else None

    def whole(self) -> Box:
        """Return the box that holds every true point and its interval."""
        records = [c.record for c in self.target.candidates] + [r for _, r, _ in self.confirmed()]
        ends = [v for r in records for v in self.span(r) if math.isfinite(v)]
        limit = self.limit_y()
        ends += [] if limit is None or not math.isfinite(limit) else [limit]
        xs = list(self.xs)
        if self.limit_x is not None and self.limit_x < max(xs) + 0.5 * (max(xs) - min(xs)):
            xs.append(self.limit_x)
        return (*_padded(xs, 0.06), *_padded(ends or [0.0], 0.06))

    def zoom(self, whole: Box) -> Box | None:
        """Return the box near the baseline when the whole one is too tall to see differences there."""
        if not self.metric.is_share or whole[3] - whole[2] < ZOOM_POINTS:
            return None
        depth = max(3.0 * 100 * (self.target.limits.drop or 0.0), 3.0)
        floor = self.y(self.base) - depth
        near = [c for c in self.target.candidates if self.y(c.record) >= floor]
        if len(near) < 2 or len(near) == len(self.target.candidates):
            return None
        tops = [self.span(c.record)[1] for c in near] + [self.span(r)[1] for _, r, _ in self.confirmed()]
        lows = [floor, *(self.span(r)[0] for _, r, _ in self.confirmed())]
        left, right = _padded([self.x(c) for c in near], 0.1)
        return max(left, whole[0]), min(right, whole[1]), *_padded([*lows, *tops], 0.04)


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = share * (high - low) or max(abs(high) * 0.05, 0.5)
    return low - pad, high + pad
