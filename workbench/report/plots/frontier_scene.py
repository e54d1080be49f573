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
"""A plot that spans more points of top-1 gets a second panel near the baseline, where the choice is made."""

Box = tuple[float, float, float, float]
"""Left, right, bottom, top of a panel in the units of the plot."""


class Scene:
    """Everything that a panel draws."""

    def __init__(self, target: TargetResult) -> None:
        assert target.baseline is not None
        self.target, self.base = target, target.baseline
        self.labelled = self.base.correct is not None
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
        finite = [v for c in target.candidates if math.isfinite(v := c.record.metrics["sqnr_db"])] or [0.0]
        self.db_range = min(finite) - 5.0, max(finite) + 5.0
        kind = "top-1" if self.labelled else "output SQNR"
        self.title = f"What {AXIS_TITLES[axis]} buys: every plan evaluated exactly, {kind} against {AXIS_TITLES[axis]}"
        spread = "Bars: Wilson 95 % interval of each plan alone (differences are known better, see the table). "
        self.subtitle = (
            f"{short_target(target.profile.name)}, {self.base.samples:,} samples that choose. {spread if self.labelled else ''}"
            "Hollow circles: what adding up single changes predicted, tied to what came true. "
            "Numbers: rows of the frontier table."
        )

    def y(self, record: Record) -> float:
        """Return the accuracy: top-1 in percent, or SQNR in dB."""
        if self.labelled:
            return 100 * record.metrics["top1"]
        low, high = self.db_range  # no error at all is +inf dB: drawn on top
        return min(max(record.metrics["sqnr_db"], low), high)

    def span(self, record: Record) -> tuple[float, float]:
        """Return the interval of the accuracy (a point without labels)."""
        if record.correct is None:
            return self.y(record), self.y(record)
        low, high = share_interval(int(record.correct.sum()), record.samples)
        return 100 * low, 100 * high

    def predicted(self, candidate: Candidate) -> float | None:
        """Return where the prediction put a candidate; the SQNR follows from the predicted squared error."""
        if self.labelled:
            return None if candidate.predicted_drop is None else self.y(self.base) - 100 * candidate.predicted_drop
        before = self.base.metrics["mse"]
        after = before + candidate.predicted_loss
        return self.y(self.base) + 10 * math.log10(before / after) if before > 0 and after > 0 else None

    def confirmed(self) -> list[tuple[float, Record, bool]]:
        """Return (x, record, is it the chosen plan) of baseline and chosen plan on the confirmation samples."""
        found: list[tuple[float, Record, bool]] = []
        if self.baseline is not None and self.target.baseline_confirm is not None:
            found.append((self.x(self.baseline), self.target.baseline_confirm, False))
        if self.chosen is not None and self.chosen.confirm_record is not None:
            found.append((self.x(self.chosen), self.chosen.confirm_record, True))
        return found

    def limit_y(self) -> float | None:
        """Return the lowest accuracy that the limits allow."""
        if self.labelled:
            return None if self.target.limits.top1_drop is None else self.y(self.base) - 100 * self.target.limits.top1_drop
        return self.target.limits.sqnr_db

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
        if not self.labelled or whole[3] - whole[2] < ZOOM_POINTS:
            return None
        depth = max(3.0 * 100 * (self.target.limits.top1_drop or 0.0), 3.0)
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
