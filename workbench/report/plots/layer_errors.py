"""Where the error of a network comes from: SQNR of every layer's own output, isolated and cumulative."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from workbench.report.plots.style import (
    MUTED,
    NAME_LIMIT,
    PANEL,
    WIDTH,
    Look,
    Sheet,
    label_width,
    row_axes,
    short_target,
    symbol,
)
from workbench.report.text import unique_short
from workbench.results import TargetResult
from workbench.sweep import LayerError


def layer_error_figure(target: TargetResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return the plot: layers from top to bottom, SQNR in dB; solid and filled: local, dashed and hollow: cumulative."""
    if not target.layer_errors or not any(target.layer_errors.values()):
        return None
    layers = list(dict.fromkeys(e.layer for rows in target.layer_errors.values() for e in rows))
    names = unique_short(layers, NAME_LIMIT)
    handles = [(symbol(looks[f]), f) for f in target.layer_errors]
    solid = Line2D([], [], color=MUTED, marker="o", markersize=4.5)
    dashed = Line2D([], [], color=MUTED, marker="o", markersize=4.5, markerfacecolor=PANEL, linestyle=(0, (3, 2)))
    handles += [(solid, "local: this layer alone"), (dashed, "cumulative: all before it as well")]
    sheet = Sheet(
        "Where the error arises: SQNR of each layer's output against the float reference",
        f"{short_target(target.profile.name)}, every layer in the same format. Local: exact inputs, rounded once. "
        "A step to the left in the cumulative line is where a format loses most.",
        handles, 0.24 * len(layers) + 0.06, 0.62,
    )  # fmt: skip
    axes = sheet.axes(label_width(names), WIDTH - 0.25)
    row_axes(axes, names)
    low, high = _range(
        [v for rows in target.layer_errors.values() for e in rows for v in (e.local_sqnr_db, e.cumulative_sqnr_db)]
    )
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10]))
    row = {name: i for i, name in enumerate(layers)}
    for fmt, rows in target.layer_errors.items():
        _draw(axes, [(row[e.layer], e) for e in rows], looks[fmt], (low, high))
    axes.set_xlabel("← more error  SQNR [dB]  less error →")
    return sheet.figure


def _range(values: Sequence[float]) -> tuple[float, float]:
    finite = [v for v in values if math.isfinite(v)] or [0.0, 60.0]
    pad = max(0.05 * (max(finite) - min(finite)), 1.0)
    return min(finite) - pad, max(finite) + pad


def _draw(axes: Axes, rows: Sequence[tuple[int, LayerError]], look: Look, limits: tuple[float, float]) -> None:
    ys = [y for y, _ in rows]
    for values, style, face in (
        ([e.local_sqnr_db for _, e in rows], "-", look.color),
        ([e.cumulative_sqnr_db for _, e in rows], (0, (3, 2)), PANEL),
    ):
        inside = [min(max(v, limits[0]), limits[1]) for v in values]  # no error at all (+inf) is drawn on the right edge
        axes.plot(inside, ys, color=look.color, linestyle=style, linewidth=1.1, alpha=0.8, zorder=3, clip_on=False)
        axes.plot(
            inside,
            ys,
            color=look.color,
            linestyle="none",
            marker=look.marker,
            markersize=4.5,
            markerfacecolor=face,
            zorder=4,
            clip_on=False,
        )
