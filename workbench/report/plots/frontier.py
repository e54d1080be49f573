"""What accuracy costs: every exactly evaluated plan, the frontier, and how far the predictions were off."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from workbench.evaluate import Record
from workbench.report.plots.style import BAND, FAINT, INK, LIMIT, MUTED, PANEL, SERIES, WIDTH, Sheet, short_target
from workbench.report.text import AXIS_TITLES, number, unit_of
from workbench.results import TargetResult
from workbench.search import Candidate, axis_value
from workbench.statistics import share_interval

FRONT, PICK = SERIES[0], SERIES[1]
ZOOM_POINTS = 12.0
"""A plot that spans more points of top-1 gets a second panel near the baseline, where the choice is made."""

Box = tuple[float, float, float, float]


def frontier_figure(target: TargetResult) -> Figure | None:
    """Return the plot, or None when there was nothing to choose from."""
    if target.baseline is None or len(target.candidates) < 2:
        return None
    scene = _Scene(target)
    sheet = Sheet(scene.title, scene.subtitle, scene.handles(), 4.1, 0.6)
    whole = scene.whole()
    zoom = scene.zoom(whole)
    if zoom is None:
        scene.draw(sheet.axes(0.72, WIDTH - 0.25, 0.24), whole, names=True)
        return sheet.figure
    left, right = sheet.axes(0.72, 3.75, 0.42), sheet.axes(4.5, WIDTH - 0.25, 0.42)
    scene.draw(left, whole, names=False)
    scene.draw(right, zoom, names=True)
    left.add_patch(
        Rectangle(
            (zoom[0], zoom[2]), zoom[1] - zoom[0], zoom[3] - zoom[2], facecolor=BAND, edgecolor=MUTED, linewidth=0.8, zorder=0.5
        )
    )
    for axes, text in ((left, "all plans"), (right, "near the baseline (the box on the left)")):
        axes.set_title(text, loc="left", fontsize=9, color=MUTED, pad=15)
    return sheet.figure


class _Scene:
    """Everything that a panel draws, in the units of the plot."""

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
        spread = (
            " Bars: Wilson 95 % interval of each plan alone (differences are known better, see the table)."
            if self.labelled
            else ""
        )
        self.subtitle = (
            f"{short_target(target.profile.name)}, {self.base.samples:,} samples that choose.{spread} Hollow circles: what adding up single "
            "changes predicted, tied to what came true. Numbers: rows of the frontier table."
        )

    def y(self, record: Record) -> float:
        """Return the accuracy: top-1 in percent, or SQNR in dB."""
        if self.labelled:
            return 100 * record.metrics["top1"]
        return min(
            max(record.metrics["sqnr_db"], self.db_range[0]), self.db_range[1]
        )  # no error at all is +inf dB: drawn on top

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

    def confirmed(self) -> list[tuple[float, Record, str]]:
        """Return (x, record, colour) of baseline and chosen plan on the confirmation samples."""
        found: list[tuple[float, Record, str]] = []
        if self.baseline is not None and self.target.baseline_confirm is not None:
            found.append((self.x(self.baseline), self.target.baseline_confirm, INK))
        if self.chosen is not None and self.chosen.confirm_record is not None:
            found.append((self.x(self.chosen), self.chosen.confirm_record, PICK))
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
        return (*_padded([self.x(c) for c in near], 0.1), *_padded([*lows, *tops], 0.04))

    def handles(self) -> list[tuple[Line2D, str]]:
        """Return the legend."""
        dot = {"marker": "o", "linestyle": "none"}
        found = [
            (Line2D([], [], color=FRONT, marker="o", markersize=5), "frontier: nothing cheaper is as accurate"),
            (Line2D([], [], color=FAINT, markersize=4.5, **dot), "other evaluated plans"),  # type: ignore[arg-type]
            (Line2D([], [], color=FRONT, markerfacecolor=PANEL, markersize=4.5, **dot), "predicted"),  # type: ignore[arg-type]
            (Line2D([], [], color=INK, marker="s", markersize=6.5, linestyle="none"), "baseline"),
        ]
        if self.chosen is not None:
            found.append((Line2D([], [], color=PICK, marker="o", markersize=8, linestyle="none"), "chosen"))
        if self.confirmed():
            found.append(
                (
                    Line2D([], [], color=MUTED, marker="D", markerfacecolor=PANEL, markersize=5, linestyle="none"),
                    "on samples that did not choose",
                )
            )
        if self.limit_y() is not None or self.limit_x is not None:
            found.append((Line2D([], [], color=LIMIT, linestyle=(0, (4, 3)), linewidth=1.0), "limits"))
        return found

    def draw(self, axes: Axes, box: Box, names: bool) -> None:
        """Draw one panel."""
        axes.set_xlim(box[0], box[1])
        axes.set_ylim(box[2], box[3])
        axes.grid(True)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(f"{AXIS_TITLES[self.target.objective]} [{self.unit}] ← cheaper")
        axes.set_ylabel("top-1 [%]" if self.labelled else "output SQNR [dB]", labelpad=6)
        on_front = set(self.numbers)
        for c in self.target.candidates:
            color = FRONT if c.plan in on_front else FAINT
            self._interval(axes, self.x(c), c.record, color, 0.45)
            axes.plot(self.x(c), self.y(c.record), "o", color=color, markersize=5 if c.plan in on_front else 4.5, zorder=4)
            self._prediction(axes, c, box, color)
        axes.plot(
            [self.x(c) for c in self.target.frontier],
            [self.y(c.record) for c in self.target.frontier],
            color=FRONT,
            linewidth=1.3,
            zorder=3,
        )
        shift = 0.012 * (box[1] - box[0])
        for x, record, color in self.confirmed():
            self._interval(axes, x + shift, record, color, 0.6)
            axes.plot(x + shift, self.y(record), "D", color=color, markerfacecolor=PANEL, markersize=5, zorder=5)
        if self.baseline is not None:
            axes.plot(self.x(self.baseline), self.y(self.base), "s", color=INK, markersize=6.5, zorder=6)
        if self.chosen is not None:
            axes.plot(self.x(self.chosen), self.y(self.chosen.record), "o", color=PICK, markersize=8, zorder=7)
        self._limits(axes, box, names)
        if names:
            self._rows(axes, box, self._names(axes, box))

    def _interval(self, axes: Axes, x: float, record: Record, color: str, alpha: float) -> None:
        low, high = self.span(record)
        if high > low:
            axes.plot([x, x], [low, high], color=color, linewidth=1.1, alpha=alpha, zorder=2.5, solid_capstyle="butt")

    def _prediction(self, axes: Axes, candidate: Candidate, box: Box, color: str) -> None:
        y = self.predicted(candidate)
        if y is None or candidate.plan == self.target.baseline_plan or not math.isfinite(y):
            return
        x, true = self.x(candidate), self.y(candidate.record)
        outside = y < box[2]
        shown = box[2] + 0.02 * (box[3] - box[2]) if outside else y
        axes.plot([x, x], [true, shown], color=color, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=2)
        axes.plot(
            x,
            shown,
            "v" if outside else "o",
            color=color,
            markerfacecolor=PANEL,
            markersize=4.5,
            markeredgewidth=0.9,
            zorder=3.5,
        )

    def _limits(self, axes: Axes, box: Box, names: bool) -> None:
        style: dict[str, Any] = {"color": LIMIT, "linewidth": 1.0, "linestyle": (0, (4, 3)), "zorder": 1.5}
        text: dict[str, Any] = {"textcoords": "offset points", "color": LIMIT, "fontsize": 8, "zorder": 7.5}
        y, x = self.limit_y(), self.limit_x
        if y is not None and box[2] < y < box[3]:
            axes.axhline(y, **style)
            points = 100 * (self.target.limits.top1_drop or 0.0)
            what = f"limit: baseline − {points:g} point{'s' * (points != 1)}" if self.labelled else f"limit: {number(y)} dB"
            if names:
                right, above = self._free_corner(axes, box, y, 0.063 * len(what))
                axes.annotate(
                    what, (right, y), (-4 if right else 4, 2 if above else -3), xycoords=("axes fraction", "data"),
                    ha="right" if right else "left", va="bottom" if above else "top", **text,
                )  # fmt: skip
        if x is None:
            return
        inside = box[0] < x < box[1]
        if inside:
            axes.axvline(x, **style)
        if names:
            what = f"limit: {number(x)} {self.unit}" + (" →" if x >= box[1] else "")
            place = min(max((x - box[0]) / (box[1] - box[0]), 0.0), 1.0)
            side = "right" if place > 0.85 else "left" if place < 0.15 else "center"
            axes.annotate(
                "← " + what if x <= box[0] else what, (place, 1), (0, 2), xycoords="axes fraction", ha=side, va="bottom", **text
            )

    def _free_corner(self, axes: Axes, box: Box, y: float, inches: float) -> tuple[int, bool]:
        """Return (right, above): the end and side of a horizontal line where a text hides least."""
        width, height = inches / (axes.get_position().width * WIDTH), 0.05
        line = (y - box[2]) / (box[3] - box[2])
        spots = [(self.x(c), self.y(c.record), self.span(c.record)) for c in self.target.candidates]
        spots += [(x, self.y(r), self.span(r)) for x, r, _ in self.confirmed()]
        if self.chosen is not None:  # its label hangs below it on the right
            at, level = self.x(self.chosen) + 0.1 * (box[1] - box[0]), self.y(self.chosen.record) - 0.05 * (box[3] - box[2])
            spots += [(at, level, (level, level))] * 3

        def hidden(option: tuple[int, bool]) -> float:
            right, above = option
            left_end, low = (1 - width if right else 0.0), (line if above else line - height)
            found = 0.0
            for x, value, span in spots:
                u, v, lo, hi = (x - box[0]) / (box[1] - box[0]), *((e - box[2]) / (box[3] - box[2]) for e in (value, *span))
                if left_end - 0.02 < u < left_end + width + 0.02:
                    found += 3.0 * (low - 0.02 < v < low + height + 0.02) + (lo < low + height and hi > low)
            return found

        return min(((0, True), (1, False), (1, True), (0, False)), key=hidden)

    def _names(self, axes: Axes, box: Box) -> list[tuple[float, float]]:
        marks: list[tuple[Candidate, str, str, int]] = []
        if self.baseline is not None and self.chosen is not None and self.baseline.plan == self.chosen.plan:
            marks = [(self.chosen, "baseline = chosen", PICK, 1)]
        else:
            marks += [(self.baseline, "baseline", INK, 1)] if self.baseline is not None else []
            marks += [(self.chosen, "chosen", PICK, -1)] if self.chosen is not None else []
        for candidate, text, color, up in marks:
            x, y = self.x(candidate), self.y(candidate.record)
            place = (x - box[0]) / (box[1] - box[0])
            right = place > 0.85 or (
                up > 0 and place > 0.15
            )  # the frontier rises to the right: free are above left and below right
            axes.annotate(
                text,
                (x, y),
                (-8 if right else 8, 7 * up),
                textcoords="offset points",
                color=color,
                fontsize=9,
                weight="bold",
                zorder=8,
                ha="right" if right else "left",
                va="bottom" if up > 0 else "top",
            )
        return [((self.x(c) - box[0]) / (box[1] - box[0]), (self.y(c.record) - box[2]) / (box[3] - box[2])) for c, *_ in marks]

    def _rows(self, axes: Axes, box: Box, taken: Sequence[tuple[float, float]]) -> None:
        """Number the frontier where there is room."""
        placed = list(taken)
        for c in self.target.frontier:
            u, v = (self.x(c) - box[0]) / (box[1] - box[0]), (self.y(c.record) - box[2]) / (box[3] - box[2])
            if not (0 <= u <= 1 and 0 <= v <= 1) or any(abs(u - a) < 0.035 and abs(v - b) < 0.07 for a, b in placed):
                continue
            placed.append((u, v))
            axes.annotate(
                str(self.numbers[c.plan]),
                (self.x(c), self.y(c.record)),
                (-4.5, 3),
                textcoords="offset points",
                color=FRONT,
                fontsize=8,
                ha="right",
                va="bottom",
                zorder=6.5,
            )


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = share * (high - low) or max(abs(high) * 0.05, 0.5)
    return low - pad, high + pad
