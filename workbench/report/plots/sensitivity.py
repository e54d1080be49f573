"""What each layer loses when it alone changes its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workbench.report.plots.changes import change_axis, dodge, draw_change, group_labels
from workbench.report.plots.style import MUTED, PANEL, WIDTH, Look, Sheet, label_width, row_axes, short_target, symbol
from workbench.report.text import figure_text
from workbench.results import TargetResult

RANK_WIDTH = 0.42
"""Inches of a column of ranks."""


def sensitivity_figure(target: TargetResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return the plot: groups from top to bottom, one marker per format, paired intervals of the deciding metric.

    Where the study compared neighbours in rank: a column of ranks per format, with '≈' where the next rank cannot be told apart.
    """
    if not target.sensitivities or target.baseline is None or target.baseline_plan is None:
        return None
    formats = [f for f in target.formats if any(s.format == f for s in target.sensitivities)]
    handles = [(symbol(looks[f]), f) for f in formats]
    ranked = [f for f in formats if any(n.format == f for n in target.neighbours)]
    baseline, samples = target.baseline_plan.default, target.baseline.samples
    value = figure_text(target.metric, target.baseline.figure)
    title = f"Which layers suffer: {target.metric.short} change against {baseline} everywhere ({value})"
    subtitle = (
        f"{short_target(target.profile.name)}, one layer changed at a time, all others at {baseline}; {samples:,} samples; "
        "bars are paired 95 % intervals."
    )
    if ranked:
        subtitle += " Right: rank in each format, 1 loses most; ≈: the data cannot tell it from the next rank."
    hollow = Line2D([], [], color=MUTED, marker="o", markersize=5.5, markerfacecolor=PANEL, linestyle="-", linewidth=1.0)
    handles.append((hollow, "hollow: not distinguishable from no change"))
    step = max(0.24, (0.105 if len(target.groups) <= 24 else 0.08) * len(formats) + 0.08)
    sheet = Sheet(title, subtitle, handles, step * len(target.groups) + 0.2, 0.62)
    names = group_labels(target.groups)
    axes = sheet.axes(label_width(names), WIDTH - 0.2 - RANK_WIDTH * len(ranked), 0.14)
    row_axes(axes, names)
    row = {g.name: i for i, g in enumerate(target.groups)}
    change_axis(axes, target.metric, [s.change for s in target.sensitivities], target.limits.drop)
    factor = 100.0 if target.metric.is_share else 1.0
    for s in target.sensitivities:
        y = row[s.group.name] + dodge(formats.index(s.format), len(formats))
        draw_change(axes, s.change, factor, y, looks[s.format])
    _ranks(axes, target, ranked, looks, row)
    return sheet.figure


def _ranks(axes: Axes, target: TargetResult, formats: Sequence[str], looks: Mapping[str, Look], row: Mapping[str, int]) -> None:
    """Write the ranks beside the rows, in the colour of their format."""
    for column, fmt in enumerate(formats):
        texts: dict[str, str] = {}
        for n in (n for n in target.neighbours if n.format == fmt):
            texts[n.first] = f"{n.rank}" if n.apart else f"{n.rank} ≈"
            texts.setdefault(n.second, f"{n.rank + 1}")
        for name, text in texts.items():
            number, _, mark = text.partition(" ")
            for part, shift, side in ((number, 19, "right"), (mark, 20, "left")):
                axes.annotate(
                    part, (1, row[name]), (shift + 72 * RANK_WIDTH * column, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", color=looks[fmt].color, fontsize=8, ha=side, va="center",
                )  # fmt: skip
