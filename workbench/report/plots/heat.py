"""Layer x format heat map: what every layer loses in every format, by the deciding metric and by the loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.report.plots.changes import distinguishable, group_labels
from workbench.report.plots.shades import DIVERGING, cell_number, color_scale, magnitude_norm, text_color
from workbench.report.plots.style import PANEL, WIDTH, Sheet, label_width, short_target
from workbench.report.text import minus
from workbench.results import TargetResult

ROW = 0.215
"""Inches of a row."""
F64 = npt.NDArray[np.float64]


def heat_figure(target: TargetResult) -> Figure | None:
    """Return the plot: rows are groups in network order, columns formats; None for fewer than two formats.

    Left: change of the deciding metric, in brackets where its paired 95 % interval contains 0. Right: added loss (cross-entropy with
    class labels, squared error without). NaN, grey: a format that the layer does not have.
    """
    formats = [f for f in target.formats if any(s.format == f for s in target.sensitivities)]
    if len(formats) < 2 or target.baseline_plan is None:
        return None
    changes, losses, sure = _matrices(target, formats)
    metric = target.metric
    labelled = any(s.cross_entropy_delta is not None for s in target.sensitivities)
    unit = "points" if metric.is_share else metric.unit
    sheet = Sheet(
        "Layer by format: what each single change costs",
        f"{short_target(target.profile.name)}, everything else at {target.baseline_plan.default}. Orange is worse, blue is better, in "
        "logarithmic shades. In brackets: not distinguishable from no change (paired 95 % interval).",
        [], ROW * len(target.groups) + 0.3, 0.62,
    )  # fmt: skip
    names = group_labels(target.groups)
    left = label_width(names)
    width = (WIDTH - 0.2 - left - 0.35) / 2
    worse = -1.0 if metric.higher_is_better else 1.0
    panels = (
        (changes, worse * changes, sure, f"{metric.short} change{f' [{unit}]' if unit else ''}"),
        (losses, losses, np.ones(losses.shape, bool), "added cross-entropy [nat]" if labelled else "added squared error"),
    )
    for i, (values, harm, firm, label) in enumerate(panels):
        start = left + i * (width + 0.35)
        axes = sheet.axes(start, start + width, 0.3)
        norm = magnitude_norm(harm)
        _cells(axes, values, np.asarray(norm(np.ma.masked_invalid(harm))), firm)
        axes.set_xticks(range(len(formats)), formats, fontsize=8 if max(map(len, formats)) * len(formats) < 44 else 6.5)
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(names)), names if i == 0 else [])
        scale = color_scale(sheet, norm, start, width, sheet.body + 0.12, label)
        if worse < 0 and i == 0:  # a drop is negative and worse: the scale's words follow the metric, its colours the harm
            scale.set_xticklabels([minus(f"{-t:+.2g}") if t else "0" for t in _ticks(norm.vmax or 1.0)], fontsize=7.5)
    return sheet.figure


def _ticks(largest: float) -> tuple[float, ...]:
    return -largest, -largest / 10, 0.0, largest / 10, largest


def _matrices(target: TargetResult, formats: Sequence[str]) -> tuple[F64, F64, npt.NDArray[np.bool_]]:
    """Return changes of the metric (shares in points), added losses, and which changes are distinguishable: [groups, formats]."""
    row = {g.name: i for i, g in enumerate(target.groups)}
    shape = (len(target.groups), len(formats))
    changes, losses, sure = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool)
    factor = 100.0 if target.metric.is_share else 1.0
    for s in target.sensitivities:
        at = row[s.group.name], formats.index(s.format)
        changes[at], losses[at], sure[at] = factor * s.change.estimate, s.predicted_loss, distinguishable(s.change)
    return changes, losses, sure


def _cells(axes: Axes, values: F64, shades: npt.NDArray[np.float64], firm: npt.NDArray[np.bool_]) -> None:
    shown = np.ma.masked_invalid(np.where(np.isnan(values), np.nan, shades))
    axes.imshow(shown, cmap=DIVERGING, vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest")
    rows, columns = values.shape
    for y in range(rows):
        for x in range(columns):
            if not np.isnan(values[y, x]):
                text = cell_number(float(values[y, x]))
                axes.text(
                    x, y, text if firm[y, x] else f"({text})", ha="center", va="center_baseline", fontsize=7.5,
                    color=text_color(float(shades[y, x])),
                )  # fmt: skip
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PANEL, linewidth=1.0)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
