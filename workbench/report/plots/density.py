"""Accuracy against bits: every plan that was evaluated, as points or, when they are thousands, as density."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workbench.report.plots.frontier_scene import ZOOM_POINTS
from workbench.report.plots.style import FAINT, INK, MUTED, PANEL, SERIES, Look, Sheet, short_target, symbol
from workbench.report.text import AXIS_TITLES, unit_of
from workbench.results import TableSummary, TargetResult

MOST_POINTS = 1500
"""More plans than this are drawn as density: an image of counted cells, which stays small for any number of plans."""
CELLS = (150, 110)
"""Cells of a density, across and up."""
NEAR_POINTS = 5.0
"""The second row of panels shows so many points of a share below the best plan."""
FRONT, PICK = SERIES[0], SERIES[1]
F64 = npt.NDArray[np.float64]


def density_figure(target: TargetResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return the plot: quality against mean weight bits (left) and against the objective (right); None without a table.

    A metric that is a share and spans a lot gets a second row near the best plans.
    """
    table = target.table
    if table is None or len(table.quality) < 2 or target.objective not in table.costs:
        return None
    factor, unit = unit_of(target.objective, [float(np.nanmax(table.costs[target.objective]))])
    bits, cost = table.weight_bits.astype(np.float64), table.costs[target.objective].astype(np.float64) / factor
    quality = table.quality.astype(np.float64) * (100.0 if target.metric.is_share else 1.0)
    spans = [_span(quality)]
    if target.metric.is_share and spans[0][1] - spans[0][0] > ZOOM_POINTS:
        best = float(np.nanmax(quality) if target.metric.higher_is_better else np.nanmin(quality))
        spans.append((best - NEAR_POINTS, best + 0.3) if target.metric.higher_is_better else (best - 0.3, best + NEAR_POINTS))
    whole = len(table.quality) == table.size
    count = f"all {table.size:,} plans" if whole else f"{len(table.quality):,} of {table.size:,} plans"
    sheet = Sheet(
        f"What bits buy: {target.metric.short} of {count}, evaluated exactly",
        f"{short_target(target.profile.name)}. Frontier: no plan is better and has less {AXIS_TITLES[target.objective]}; in the panels "
        "over bits its plans are dots alone.",
        _handles(table, looks), 3.45 * len(spans) - 0.35, 0.55,
    )  # fmt: skip
    for i, span in enumerate(spans):
        for j, (values, label) in enumerate(
            ((bits, "mean bits of a weight"), (cost, f"{AXIS_TITLES[target.objective]} [{unit}]"))
        ):
            left = 0.72 if j == 0 else 4.95
            axes = sheet.axes(left, left + 3.65, 0.2 + 3.45 * i, 2.75)
            _panel(axes, values, quality, table, span, looks, joined=j == 1)
            name = f"{target.metric.title} [%]" if target.metric.is_share else f"{target.metric.title} [{target.metric.unit}]"
            axes.set_ylabel(name.removesuffix(" []"))
            axes.set_xlabel(label)
            if len(spans) > 1:
                words = "all plans" if i == 0 else f"within {NEAR_POINTS:g} points of the best"
                axes.set_title(words, loc="left", fontsize=9, color=MUTED, pad=4)
    return sheet.figure


def _span(values: F64) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    pad = 0.05 * (high - low) or 1.0
    return low - pad, high + pad


def _handles(table: TableSummary, looks: Mapping[str, Look]) -> list[tuple[Line2D | Patch, str]]:
    dense = len(table.quality) > MOST_POINTS
    found: list[tuple[Line2D | Patch, str]] = [
        (Patch(color=FAINT), "plans: the darker, the more")
        if dense
        else (Line2D([], [], color=FAINT, marker="o", markersize=4, linestyle="none"), "plans"),
        (
            Line2D([], [], color=FRONT, marker="o", markersize=3.5, linewidth=1.2),
            "exact frontier" if len(table.quality) == table.size else "frontier",
        ),
    ]
    found += [(symbol(looks[f], markeredgecolor=PANEL), f"{f} everywhere") for f in table.uniform if f in looks]
    if table.chosen is not None:
        found.append((Line2D([], [], color=PICK, marker="*", markersize=10, linestyle="none", markeredgecolor=INK), "chosen"))
    return found


def _panel(
    axes: Axes, x: F64, y: F64, table: TableSummary, span: tuple[float, float], looks: Mapping[str, Look], joined: bool
) -> None:
    inside = np.isfinite(x) & np.isfinite(y) & (y >= span[0]) & (y <= span[1])
    wide = _span(x[inside] if inside.any() else x)
    axes.set_xlim(*wide)
    axes.set_ylim(*span)
    if len(y) > MOST_POINTS:
        axes.imshow(
            density_image(x[inside], y[inside], wide, span), extent=(*wide, *span), origin="lower", aspect="auto",
            interpolation="nearest", zorder=1,
        )  # fmt: skip
    else:
        axes.plot(x[inside], y[inside], "o", color=FAINT, markersize=3, alpha=0.7, markeredgewidth=0, zorder=1)
    front = np.array(sorted((i for i in table.frontier), key=lambda i: x[i]), np.int64)
    style = {"linewidth": 1.2, "linestyle": "-"} if joined else {"linestyle": "none"}
    axes.plot(x[front], y[front], color=FRONT, marker="o", markersize=3.2, zorder=3, **style)
    for fmt, i in table.uniform.items():
        if fmt in looks:
            axes.plot(
                x[i], y[i], marker=looks[fmt].marker, color=looks[fmt].color, markersize=7.5, markeredgecolor=PANEL, linestyle="none",
                zorder=4,
            )  # fmt: skip
    if table.chosen is not None:
        axes.plot(x[table.chosen], y[table.chosen], "*", color=PICK, markersize=12, markeredgecolor=INK, zorder=5)
    axes.grid(visible=True)


def density_image(x: F64, y: F64, wide: tuple[float, float], span: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Return an image RGBA [rows, columns, 4], lowest row first: one colour, its opacity grows with the logarithm of the count."""
    counts = np.histogram2d(y, x, bins=CELLS[::-1], range=(span, wide))[0]
    image = np.empty((*counts.shape, 4))
    image[..., :3] = to_rgb(MUTED)
    shade = np.log1p(counts) / (np.log1p(counts.max()) or 1.0)
    image[..., 3] = np.where(counts > 0, 0.12 + 0.68 * shade, 0.0)
    return image
