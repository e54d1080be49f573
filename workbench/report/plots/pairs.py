"""Do losses add up: what pairs of changes lose beyond the sum, and predicted against measured mixes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from workbench.report.plots.shades import DIVERGING, color_scale, magnitude_norm, text_color
from workbench.report.plots.style import (
    FAINT,
    INK,
    NAME_LIMIT,
    PANEL,
    SERIES,
    WIDTH,
    Look,
    Sheet,
    label_width,
    short_target,
    symbol,
)
from workbench.report.text import number, signed, unique_short
from workbench.results import TargetResult
from workbench.sweep.records import Fit, Mix, Pairs

MOST_NUMBERS = 16
"""A matrix of more changes has no numbers in its cells."""
SINGLES, PAIRS, PICK = SERIES[5], SERIES[0], SERIES[1]


def interaction_figure(target: TargetResult) -> Figure | None:
    """Return the matrix of interactions, changes that were tried in network order; None where none were."""
    views = target.views
    if views is None or views.pairs is None or not views.pairs.interactions:
        return None
    pairs = views.pairs
    names, matrix = _change_names(pairs), pairs.matrix()
    order = [i for i in _network_order(target, pairs) if not np.isnan(matrix[i]).all()]
    matrix, names = matrix[np.ix_(order, order)], [names[i] for i in order]
    count = len(names)
    left = label_width(names)
    side = min(WIDTH - 0.3 - left, max(0.42 * count, 2.5))
    cell = side / count
    down = max(0.06 * max(map(len, names)) + 0.15, 0.4)
    scale = _scale(matrix)
    numbers = f" Numbers: in units of {scale:g}." if count <= MOST_NUMBERS and scale != 1.0 else ""
    sheet = Sheet(
        "Pairs of layers: what two changes lose together beyond the sum of both",
        f"{short_target(target.profile.name)}: loss(a, b) − loss(a) − loss(b) + loss(baseline); loss: {views.loss_title}. Orange: "
        f"worse together than the sum; blue: better. {len(pairs.interactions):,} of {pairs.total:,} pairs, {pairs.evaluations:,} "
        f"evaluations; grey: not evaluated.{numbers}",
        [], down + side + 0.15, 0.55,
    )  # fmt: skip
    axes = sheet.axes(left, left + side, down, side)
    norm = magnitude_norm(matrix)
    shades = np.asarray(norm(np.ma.masked_invalid(matrix)))
    axes.imshow(
        np.ma.masked_invalid(np.where(np.isnan(matrix), np.nan, shades)), cmap=DIVERGING, vmin=0.0, vmax=1.0, interpolation="nearest"
    )  # fmt: skip
    if count <= MOST_NUMBERS:
        for y, x in zip(*np.nonzero(~np.isnan(matrix)), strict=True):
            axes.text(
                x, y, cell_text(float(matrix[y, x]), scale), ha="center", va="center_baseline", fontsize=min(7.0, 15 * cell),
                color=text_color(float(shades[y, x])),
            )  # fmt: skip
    size = min(8.0, 60 * cell)
    axes.set_xticks(range(count), names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PANEL, linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    color_scale(sheet, norm, left, min(side, 3.2), sheet.body + 0.02, "interaction of the loss")
    return sheet.figure


def _scale(matrix: npt.NDArray[np.float64]) -> float:
    """Return the power of ten in which the largest finite number of a matrix has one digit before the point."""
    finite = np.abs(matrix[np.isfinite(matrix)])
    largest = float(finite.max()) if len(finite) else 0.0
    return 10.0 ** math.floor(math.log10(largest)) if largest > 0 else 1.0


def cell_text(value: float, scale: float) -> str:
    """Return a number of a cell in the unit of its matrix, one decimal: all are alike in width."""
    return signed(value / scale) if math.isfinite(value) else number(value)


def _change_names(pairs: Pairs) -> list[str]:
    groups = unique_short([g.name for g, _ in pairs.changes], NAME_LIMIT - 12)
    alone = len({f for _, f in pairs.changes}) == 1
    short = [g.name for g, _ in pairs.changes]
    named = [n if short.count(s) == 1 else n.partition(" #")[0] for n, s in zip(groups, short, strict=True)]
    return named if alone else [f"{n} {f}" for n, (_, f) in zip(named, pairs.changes, strict=True)]


def _network_order(target: TargetResult, pairs: Pairs) -> list[int]:
    row = {g.name: i for i, g in enumerate(target.groups)}
    return sorted(range(len(pairs.changes)), key=lambda i: (row.get(pairs.changes[i][0].name, len(row)), i))


def additivity_figure(target: TargetResult) -> Figure | None:
    """Return predicted against measured losses of mixes: by the sum of singles, and with the interactions of pairs."""
    views = target.views
    if views is None or views.additivity is None or not views.additivity.mixes:
        return None
    found = views.additivity
    has_pairs = any(m.known > 0 for m in found.mixes)
    chosen = any(m.kind == "chosen" for m in found.mixes)
    handles = [
        (symbol(Look(SINGLES, "o"), filled=False), f"sum of singles: {_fit(found.singles)}"),
        *([(symbol(Look(PAIRS, "o")), f"with pairs: {_fit(found.pairs)}")] if has_pairs else []),
    ]
    if chosen:
        handles.append((Line2D([], [], color=PICK, marker="D", markersize=6, linestyle="none"), "chosen plan"))
    handles.append((Line2D([], [], color=INK, linewidth=1.0), "predicted = measured"))
    random = sum(m.kind == "random" for m in found.mixes)
    sheet = Sheet(
        "Do the losses add up: mixes predicted from single changes, and measured",
        f"{short_target(target.profile.name)}, {random:,} random mixes (seed {found.seed}); {views.loss_title} less the baseline's. "
        "Below the line: the mix loses more than predicted. A thin line ties the two predictions of a mix.",
        handles, 3.9, 0.6,
    )  # fmt: skip
    axes = sheet.axes(0.95, 6.2, 0.05)
    values = [
        v for m in found.mixes for v in ((m.by_singles, m.by_pairs, m.measured) if has_pairs else (m.by_singles, m.measured))
    ]
    low, high = _ends(values)
    if high > 0 and high > 30 * float(np.median([abs(v) for v in values])):
        threshold = max(float(np.median([abs(v) for v in values])), high / 1000)
        axes.set_xscale("symlog", linthresh=threshold)
        axes.set_yscale("symlog", linthresh=threshold)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.plot([low, high], [low, high], color=INK, linewidth=1.0, zorder=1)
    axes.axhline(0, color=FAINT, linewidth=0.7, zorder=0.5)
    axes.axvline(0, color=FAINT, linewidth=0.7, zorder=0.5)
    for mix in found.mixes:
        _draw_mix(axes, mix, has_pairs)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_xlabel("measured: loss added by the whole mix, evaluated exactly")
    axes.set_ylabel("predicted")
    return sheet.figure


def _draw_mix(axes: Axes, mix: Mix, has_pairs: bool) -> None:
    picked = mix.kind == "chosen"
    marker, size = ("D", 6.5) if picked else ("o", 4.5)
    axes.plot(
        mix.measured, mix.by_singles, marker, color=PICK if picked else SINGLES, markerfacecolor=PANEL, markersize=size,
        markeredgewidth=1.0, zorder=4 if picked else 2,
    )  # fmt: skip
    if has_pairs:
        axes.plot([mix.measured] * 2, [mix.by_singles, mix.by_pairs], color=FAINT, linewidth=0.7, zorder=1.5)
        axes.plot(
            mix.measured, mix.by_pairs, marker, color=PICK if picked else PAIRS, markersize=size, zorder=5 if picked else 3
        )


def _fit(fit: Fit) -> str:
    tau = "" if math.isnan(fit.tau) else f", tau {number(fit.tau, 2)}"
    return f"off by {number(100 * fit.relative, 2)} %{tau}"


def _ends(values: list[float]) -> tuple[float, float]:
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(*finite, 0.0), max(*finite, 0.0)
    pad = 0.05 * (high - low) or 1.0
    return low - pad, high + pad
