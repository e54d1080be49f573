"""Colours of matrices: blue is better, orange is worse, the same with any colour vision; and an SVG image of them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, SymLogNorm

from workbench.report.plots.style import MUTED, SERIES, Sheet
from workbench.report.text import minus, number

BETTER, NEITHER, WORSE, UNKNOWN = SERIES[0], "#f6f5f2", SERIES[1], "#c9ced6"
DIVERGING = LinearSegmentedColormap.from_list("better_worse", [BETTER, NEITHER, WORSE]).with_extremes(bad=UNKNOWN)
DARK_TEXT, LIGHT_TEXT = "#10161f", "#ffffff"
"""Texts on cells keep their colours when the page is dark, as the cells do."""
DECADES = 2.0
"""The colours spread over so many decades below the largest magnitude; smaller ones lie near the middle."""


def magnitude_norm(values: npt.ArrayLike) -> SymLogNorm:
    """Return a norm that is symmetric about 0 and logarithmic over two decades below the largest finite magnitude."""
    found = np.abs(np.asarray(values, np.float64))
    found = found[np.isfinite(found)]
    largest = float(found.max()) if found.size and found.max() > 0 else 1.0
    return SymLogNorm(largest / 10**DECADES, linscale=0.5, vmin=-largest, vmax=largest, base=10, clip=True)


def text_color(shade: float) -> str:
    """Return the colour of a text on a cell. shade: the norm's value, 0 to 1."""
    return LIGHT_TEXT if abs(shade - 0.5) > 0.36 else DARK_TEXT


def cell_number(value: float) -> str:
    """Return a signed number of few digits for a cell."""
    if not math.isfinite(value):
        return number(value)
    text = number(value, 2)
    return f"+{text}" if value > 0 else text


def color_scale(sheet: Sheet, norm: SymLogNorm, left: float, width: float, down: float, label: str) -> Axes:
    """Draw the scale of the colours, `down` inches below the top of the body."""
    axes = sheet.axes(left, left + width, down, 0.11)
    largest = float(norm.vmax or 1.0)
    shades = np.linspace(0.0, 1.0, 128)
    axes.imshow(shades[None, :], cmap=DIVERGING, aspect="auto", extent=(0, 1, 0, 1), interpolation="nearest")
    ticks = [-largest, -largest / 10, 0.0, largest / 10, largest]
    axes.set_xticks([float(norm(t)) for t in ticks], [minus(f"{t:+.2g}") if t else "0" for t in ticks], fontsize=7.5)
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(label, fontsize=8, color=MUTED, labelpad=2)
    return axes
