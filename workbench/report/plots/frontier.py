"""What accuracy costs: every exactly evaluated plan, the frontier, and how far the predictions were off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from workbench.evaluate import Record
from workbench.report.plots.frontier_scene import Box, Scene
from workbench.report.plots.style import BAND, FAINT, INK, LIMIT, MUTED, PANEL, SERIES, WIDTH, Sheet
from workbench.report.text import AXIS_TITLES, drop_text, number
from workbench.results import TargetResult
from workbench.search import Candidate

FRONT, PICK = SERIES[0], SERIES[1]


def frontier_figure(target: TargetResult) -> Figure | None:
    """Return the plot, or None when there was nothing to choose from."""
    if target.baseline is None or len(target.candidates) < 2:
        return None
    scene = Scene(target)
    sheet = Sheet(scene.title, scene.subtitle, _handles(scene), 4.1, 0.6)
    whole = scene.whole()
    zoom = scene.zoom(whole)
    if zoom is None:
        _Panel(scene, sheet.axes(0.72, WIDTH - 0.25, 0.24), whole).draw(names=True)
        return sheet.figure
    left, right = sheet.axes(0.72, 3.75, 0.42), sheet.axes(4.5, WIDTH - 0.25, 0.42)
    _Panel(scene, left, whole).draw(names=False)
    _Panel(scene, right, zoom).draw(names=True)
    left.add_patch(
        Rectangle(
            (zoom[0], zoom[2]), zoom[1] - zoom[0], zoom[3] - zoom[2], facecolor=BAND, edgecolor=MUTED, linewidth=0.8, zorder=0.5
        )
    )
    for axes, text in ((left, "all plans"), (right, "near the baseline (the box on the left)")):
        axes.set_title(text, loc="left", fontsize=9, color=MUTED, pad=15)
    return sheet.figure


def _handles(scene: Scene) -> list[tuple[Line2D, str]]:
    """Return the legend."""
    dot = {"marker": "o", "linestyle": "none"}
    found = [
        (Line2D([], [], color=FRONT, marker="o", markersize=5), "frontier: nothing cheaper is as accurate"),
        (Line2D([], [], color=FAINT, markersize=4.5, **dot), "other evaluated plans"),  # type: ignore[arg-type]
        (Line2D([], [], color=FRONT, markerfacecolor=PANEL, markersize=4.5, **dot), "predicted"),  # type: ignore[arg-type]
        (Line2D([], [], color=INK, marker="s", markersize=6.5, linestyle="none"), "baseline"),
    ]
    if scene.chosen is not None:
        found.append((Line2D([], [], color=PICK, marker="o", markersize=8, linestyle="none"), "chosen"))
    if scene.confirmed():
        found.append(
            (
                Line2D([], [], color=MUTED, marker="D", markerfacecolor=PANEL, markersize=5, linestyle="none"),
                "on samples that did not choose",
            )
        )
    if scene.limit_y() is not None or scene.limit_x is not None:
        found.append((Line2D([], [], color=LIMIT, linestyle=(0, (4, 3)), linewidth=1.0), "limits"))
    return found


class _Panel:
    """One view of the scene: axes and the box that they show."""

    def __init__(self, scene: Scene, axes: Axes, box: Box) -> None:
        self.scene, self.axes, self.box = scene, axes, box

    def draw(self, names: bool) -> None:
        """Draw one panel."""
        self.axes.set_xlim(self.box[0], self.box[1])
        self.axes.set_ylim(self.box[2], self.box[3])
        self.axes.grid(True)
        self.axes.xaxis.set_major_locator(MaxNLocator(6))
        self.axes.set_xlabel(f"{AXIS_TITLES[self.scene.target.objective]} [{self.scene.unit}] ← cheaper")
        self.axes.set_ylabel(self.scene.y_label, labelpad=6)
        on_front = set(self.scene.numbers)
        for c in self.scene.target.candidates:
            color = FRONT if c.plan in on_front else FAINT
            self._interval(self.scene.x(c), c.record, color, 0.45)
            self.axes.plot(
                self.scene.x(c), self.scene.y(c.record), "o", color=color, markersize=5 if c.plan in on_front else 4.5, zorder=4
            )
            self._prediction(c, color)
        self.axes.plot(
            [self.scene.x(c) for c in self.scene.target.frontier],
            [self.scene.y(c.record) for c in self.scene.target.frontier],
            color=FRONT,
            linewidth=1.3,
            zorder=3,
        )
        shift = 0.012 * (self.box[1] - self.box[0])
        for x, record, is_chosen in self.scene.confirmed():
            color = PICK if is_chosen else INK
            self._interval(x + shift, record, color, 0.6)
            self.axes.plot(x + shift, self.scene.y(record), "D", color=color, markerfacecolor=PANEL, markersize=5, zorder=5)
        if self.scene.baseline is not None:
            self.axes.plot(
                self.scene.x(self.scene.baseline), self.scene.y(self.scene.base), "s", color=INK, markersize=6.5, zorder=6
            )
        if self.scene.chosen is not None:
            self.axes.plot(
                self.scene.x(self.scene.chosen), self.scene.y(self.scene.chosen.record), "o", color=PICK, markersize=8, zorder=7
            )
        self._limits(names)
        if names:
            self._rows(self._names())

    def _interval(self, x: float, record: Record, color: str, alpha: float) -> None:
        low, high = self.scene.span(record)
        if high > low:
            self.axes.plot([x, x], [low, high], color=color, linewidth=1.1, alpha=alpha, zorder=2.5, solid_capstyle="butt")

    def _prediction(self, candidate: Candidate, color: str) -> None:
        y = self.scene.predicted(candidate)
        if candidate.plan == self.scene.target.baseline_plan or not math.isfinite(y):
            return
        x, true = self.scene.x(candidate), self.scene.y(candidate.record)
        low, high = self.box[2], self.box[3]
        outside = y < low or y > high
        margin = 0.02 * (high - low)
        shown = min(max(y, low + margin), high - margin) if outside else y
        self.axes.plot([x, x], [true, shown], color=color, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=2)
        self.axes.plot(
            x,
            shown,
            "o" if not outside else "v" if y < low else "^",
            color=color,
            markerfacecolor=PANEL,
            markersize=4.5,
            markeredgewidth=0.9,
            zorder=3.5,
        )

    def _limits(self, names: bool) -> None:
        style: dict[str, Any] = {"color": LIMIT, "linewidth": 1.0, "linestyle": (0, (4, 3)), "zorder": 1.5}
        text: dict[str, Any] = {"textcoords": "offset points", "color": LIMIT, "fontsize": 8, "zorder": 7.5}
        y, x = self.scene.limit_y(), self.scene.limit_x
        if y is not None and self.box[2] < y < self.box[3]:
            self.axes.axhline(y, **style)
            drop, sign = self.scene.target.limits.drop, "−" if self.scene.metric.higher_is_better else "+"
            what = f"limit: {number(y)} dB" if drop is None else f"limit: baseline {sign} {drop_text(self.scene.metric, drop)}"
            if names:
                right, above = self._free_corner(y, 0.063 * len(what))
                self.axes.annotate(
                    what, (right, y), (-4 if right else 4, 2 if above else -3), xycoords=("axes fraction", "data"),
                    ha="right" if right else "left", va="bottom" if above else "top", **text,
                )  # fmt: skip
        if x is None:
            return
        inside = self.box[0] < x < self.box[1]
        if inside:
            self.axes.axvline(x, **style)
        if names:
            what = f"limit: {number(x)} {self.scene.unit}" + (" →" if x >= self.box[1] else "")
            place = min(max((x - self.box[0]) / (self.box[1] - self.box[0]), 0.0), 1.0)
            side = "right" if place > 0.85 else "left" if place < 0.15 else "center"
            self.axes.annotate(
                "← " + what if x <= self.box[0] else what,
                (place, 1),
                (0, 2),
                xycoords="axes fraction",
                ha=side,
                va="bottom",
                **text,
            )

    def _free_corner(self, y: float, inches: float) -> tuple[int, bool]:
        """Return (right, above): the end and side of a horizontal line where a text hides least."""
        width, height = inches / (self.axes.get_position().width * WIDTH), 0.05
        line = (y - self.box[2]) / (self.box[3] - self.box[2])
        spots = [(self.scene.x(c), self.scene.y(c.record), self.scene.span(c.record)) for c in self.scene.target.candidates]
        spots += [(x, self.scene.y(r), self.scene.span(r)) for x, r, _ in self.scene.confirmed()]
        if self.scene.chosen is not None:  # its label hangs below it on the right
            at, level = (
                self.scene.x(self.scene.chosen) + 0.1 * (self.box[1] - self.box[0]),
                self.scene.y(self.scene.chosen.record) - 0.05 * (self.box[3] - self.box[2]),
            )
            spots += [(at, level, (level, level))] * 3

        def hidden(option: tuple[int, bool]) -> float:
            right, above = option
            left_end, low = (1 - width if right else 0.0), (line if above else line - height)
            found = 0.0
            for x, value, span in spots:
                u, v, lo, hi = (
                    (x - self.box[0]) / (self.box[1] - self.box[0]),
                    *((e - self.box[2]) / (self.box[3] - self.box[2]) for e in (value, *span)),
                )
                if left_end - 0.02 < u < left_end + width + 0.02:
                    found += 3.0 * (low - 0.02 < v < low + height + 0.02) + (lo < low + height and hi > low)
            return found

        return min(((0, True), (1, False), (1, True), (0, False)), key=hidden)

    def _names(self) -> list[tuple[float, float]]:
        marks: list[tuple[Candidate, str, str, int]] = []
        if (
            self.scene.baseline is not None
            and self.scene.chosen is not None
            and self.scene.baseline.plan == self.scene.chosen.plan
        ):
            marks = [(self.scene.chosen, "baseline = chosen", PICK, 1)]
        else:
            marks += [(self.scene.baseline, "baseline", INK, 1)] if self.scene.baseline is not None else []
            marks += [(self.scene.chosen, "chosen", PICK, -1)] if self.scene.chosen is not None else []
        for candidate, text, color, up in marks:
            x, y = self.scene.x(candidate), self.scene.y(candidate.record)
            place = (x - self.box[0]) / (self.box[1] - self.box[0])
            right = place > 0.85 or (
                up > 0 and place > 0.15
            )  # the frontier rises to the right: free are above left and below right
            self.axes.annotate(
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
        return [
            (
                (self.scene.x(c) - self.box[0]) / (self.box[1] - self.box[0]),
                (self.scene.y(c.record) - self.box[2]) / (self.box[3] - self.box[2]),
            )
            for c, *_ in marks
        ]

    def _rows(self, taken: Sequence[tuple[float, float]]) -> None:
        """Number the frontier where there is room."""
        placed = list(taken)
        for c in self.scene.target.frontier:
            u, v = (
                (self.scene.x(c) - self.box[0]) / (self.box[1] - self.box[0]),
                (self.scene.y(c.record) - self.box[2]) / (self.box[3] - self.box[2]),
            )
            if not (0 <= u <= 1 and 0 <= v <= 1) or any(abs(u - a) < 0.035 and abs(v - b) < 0.07 for a, b in placed):
                continue
            placed.append((u, v))
            self.axes.annotate(
                str(self.scene.numbers[c.plan]),
                (self.scene.x(c), self.scene.y(c.record)),
                (-4.5 if u > 0.04 else 4.5, 3 if u > 0.04 else -3),
                textcoords="offset points",
                color=FRONT,
                fontsize=8,
                ha="right" if u > 0.04 else "left",
                va="bottom",
                zorder=6.5,
            )
