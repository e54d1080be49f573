"""Distributions of weights and activations, with the range and the grid of every format drawn below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workbench.report.plots.style import (
    FAINT,
    INK,
    MUTED,
    NAME_LIMIT,
    WIDTH,
    Look,
    Sheet,
    label_width,
    row_axes,
    short_target,
)
from workbench.report.text import number, unique_short
from workbench.results import TargetResult
from workbench.sweep.distributions import Distribution, FormatRange, Kind

MANY_ROWS = 24
"""A plot of more layers is denser: no numbers and no single levels (the table has the numbers)."""
MOST_LEVELS = 16
"""Grids of at most so many numbers are drawn level by level."""
LINE, DENSE_LINE, BELL = 0.115, 0.055, 0.22
"""Inches of a format's line, where there is room and where there is not, and of a histogram."""


def distribution_figure(target: TargetResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return the plot: one row per layer, weights left and activations right; None where they were not looked at.

    Histograms have logarithmic heights; every row has its own scale: the largest magnitude, written at its left, is 1.
    """
    layers = list(dict.fromkeys(d.layer for d in target.distributions))
    if not layers:
        return None
    dense = len(layers) > MANY_ROWS
    shown = {(d.layer, d.kind): (d, _distinct(d.ranges)) for d in target.distributions}
    lines = max(len(ranges) for _, ranges in shown.values())
    row = BELL + (DENSE_LINE if dense else LINE) * max(lines, 1) + 0.05
    names = unique_short(layers, NAME_LIMIT - 6)
    formats = list(dict.fromkeys(f for d in target.distributions for f in d.ranges))
    handles: list[tuple[Line2D | Patch, str]] = [(Line2D([], [], color=looks[f].color, linewidth=2.5), f) for f in formats]
    handles.append((Patch(color=FAINT), "values of the float reference, logarithmic height"))
    numbers = "" if dense else " At the right of a range: share of the values beyond it, and share that becomes 0."
    sheet = Sheet(
        "What the formats can hold: distributions per layer, and the range of each format",
        f"{short_target(target.profile.name)}. Every row has its own scale; ± is the largest magnitude. Pale: range of the widest "
        f"channel; dark: of the narrowest; ticks: the numbers of small grids. Formats of the same range share a line.{numbers}",
        handles, row * len(layers) + 0.25, 0.5,
    )  # fmt: skip
    left = label_width(names)
    width = (WIDTH - 0.15 - left - 0.2) / 2
    kinds: tuple[Kind, ...] = ("weights", "activations")
    for i, kind in enumerate(kinds):
        start = left + i * (width + 0.2)
        axes = sheet.axes(start, start + width - (0.0 if dense else 0.72), 0.25)
        row_axes(axes, names if i == 0 else [""] * len(names))
        axes.grid(visible=False)
        mine = [shown.get((layer, kind)) for layer in layers]
        signed = any(found[0].edges[0] < 0 for found in mine if found is not None)
        axes.set_xlim(-1.12 if signed else -0.06, 1.12)
        axes.axvline(0, color=FAINT, linewidth=0.7, zorder=0.6)
        for y, found in enumerate(mine):
            if found is not None:
                _row(axes, y, *found, looks, BELL / row, dense)
        axes.set_title(f"{kind} (of the reference)", loc="left", fontsize=9, color=MUTED, pad=5)
        axes.set_xticks([-1, -0.5, 0, 0.5, 1] if signed else [0, 0.5, 1])
        axes.set_xlabel("in units of the largest magnitude")
    return sheet.figure


def _distinct(ranges: Mapping[str, FormatRange]) -> list[tuple[list[str], FormatRange]]:
    """Return (formats, range): activations often have one range in several formats."""
    found: list[tuple[list[str], FormatRange]] = []
    for fmt, one in ranges.items():
        same = next((names for names, other in found if other == one), None)
        if same is None:
            found.append(([fmt], one))
        else:
            same.append(fmt)
    return found


def _row(
    axes: Axes,
    y: int,
    d: Distribution,
    ranges: Sequence[tuple[list[str], FormatRange]],
    looks: Mapping[str, Look],
    bell: float,
    dense: bool,
) -> None:
    """Draw one tensor: the histogram above, a line per range below. bell: share of the row that the histogram takes."""
    unit = float(np.abs(d.edges[[0, -1]]).max())
    base = y - 0.5 + bell
    heights = np.log1p(d.counts) / (np.log1p(d.counts.max()) or 1.0) * bell * 0.92
    middles = (d.edges[:-1] + d.edges[1:]) / 2 / unit
    axes.fill_between(middles, base, base - heights, color=FAINT, linewidth=0, zorder=1)
    axes.annotate(
        f"±{number(unit, 2)}", (0, y - 0.5), (2, -2), xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=6.5,
        color=MUTED, va="top", zorder=5,
    )  # fmt: skip
    step = (1 - bell - 0.04) / max(len(ranges), 1)
    for i, (formats, one) in enumerate(ranges):
        _line(axes, base + (i + 0.55) * step, one, unit, looks[formats[0]].color, dense)


def _line(axes: Axes, y: float, one: FormatRange, unit: float, color: str, dense: bool) -> None:
    left, right = axes.get_xlim()

    def inside(value: float) -> float:
        return min(max(value / unit, left), right)

    wide = [inside(one.low), inside(one.high)]
    axes.plot(wide, [y, y], color=color, linewidth=1.6 if dense else 2.6, alpha=0.45, solid_capstyle="butt", zorder=2)
    if (one.narrow_low, one.narrow_high) != (one.low, one.high):
        narrow = [inside(one.narrow_low), inside(one.narrow_high)]
        axes.plot(narrow, [y, y], color=color, linewidth=1.6 if dense else 2.6, solid_capstyle="butt", zorder=2.5)
    for value, mark in ((one.low, "<"), (one.high, ">")):  # the range goes on beyond the axes
        if not left < value / unit < right:
            axes.plot(inside(value), y, mark, color=color, markersize=2.5 if dense else 3.5, zorder=3, clip_on=False)
    if dense:
        return
    if one.levels is not None and one.levels <= MOST_LEVELS:
        levels = np.linspace(one.low, one.high, one.levels) / unit
        levels = levels[(levels >= left) & (levels <= right)]
        axes.plot(levels, np.full(len(levels), y), "|", color=INK, markersize=4, markeredgewidth=0.7, zorder=3)
    axes.annotate(
        f"{_share(one.clipped)} · {_share(one.vanished)}", (1, y), (5, 0), xycoords=("axes fraction", "data"),
        textcoords="offset points", fontsize=6.5, color=color, va="center", annotation_clip=False,
    )  # fmt: skip


def _share(value: float) -> str:
    """Return a share in percent, short: '0 %', '0.3 %', '<0.1 %', '74 %'."""
    percent = 100 * value
    return (
        "0 %" if percent == 0 else "<0.1 %" if percent < 0.1 else f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %"
    )
