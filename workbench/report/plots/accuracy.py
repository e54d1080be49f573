"""Predicted against measured: one point per row with its 80 % interval, a column per cross-validation, a line per quantity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from workbench.calibrate.family import Split
from workbench.report.plots.style import INK, MARKERS, MUTED, SERIES, WIDTH, Look, Sheet, symbol
from workbench.report.text import number
from workbench.validate.cost import NEW, Checked, FamilyCheck, figures

OTHERS = Look(MUTED, "x")
LEFT, RIGHT, GAP = 0.85, 0.2, 0.3
"""Inches left of the first panel, right of the last one, between them."""
TITLE = 0.5
"""Inches above a panel for its two lines, and below for its axis."""
CROWDED = 250
"""More rows than this are drawn smaller, and their bars fainter."""
UNITS = {"s": "s", "j": "J", "w": "W", "bytes": "B", "cycles": "cycles"}
"""Last word of a quantity's name -> unit."""
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))


def accuracy_figure(check: FamilyCheck, title: str) -> Figure | None:
    """Return the plot of a family, None when none of its rows was predicted."""
    if not check.checked:
        return None
    splits = [s for s in check.family.splits if check.of(s)]
    quantities = sorted({c.sample.quantity for c in check.checked})
    looks = group_looks(check.checked)
    count = f"{len({c.sample.key for c in check.checked}):,} measured values"
    subtitle = (
        f"{count}; each is predicted by a fit that had not seen it. Vertical bars: 80 % intervals; diagonal: predicted = measured; "
        "dotted: 30 % off."
    )
    handles = [(symbol(look), name) for name, look in looks.items()]
    side = min((WIDTH - LEFT - RIGHT - GAP * (len(splits) - 1)) / len(splits), 4.0)
    step = side + TITLE + 0.45
    sheet = Sheet(title, subtitle, handles, step * len(quantities), 0.15)
    for (row, quantity), (column, split) in product(enumerate(quantities), enumerate(splits)):
        left = LEFT + column * (side + GAP)
        axes = sheet.axes(left, left + side, row * step + TITLE, side)
        _panel(axes, check.of(split, quantity), quantity, split, looks, _limits(check.checked, quantity), len(splits) == 1)
        if column:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel(f"predicted {_words(quantity)}")
    return sheet.figure


def group_looks(rows: Sequence[Checked]) -> dict[str, Look]:
    """Return the look of each group; beyond the eight largest they share one."""
    counts = Counter(c.sample.group for c in rows)
    groups = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    room = len(SERIES) if len(groups) <= len(SERIES) else len(SERIES) - 1
    found = {name: Look(SERIES[i], MARKERS[i]) for i, name in enumerate(groups[:room])}
    return found | ({f"{len(groups) - room} other groups": OTHERS} if len(groups) > room else {})


def _panel(
    axes: Axes,
    rows: Sequence[Checked],
    quantity: str,
    split: Split,
    looks: dict[str, Look],
    limits: tuple[float, float],
    alone: bool,
) -> None:
    low, high = limits
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    axes.plot(limits, limits, color=INK, linewidth=0.9, zorder=2)
    for factor in (0.7, 1.3):
        axes.plot(limits, (low * factor, high * factor), color=MUTED, linewidth=0.8, linestyle=":", zorder=2)
    crowded = len(rows) > CROWDED
    for c in rows:
        look = looks.get(c.sample.group, OTHERS)
        x = c.sample.measured
        axes.plot(
            [x, x], [c.prediction.low, c.prediction.high], color=look.color, linewidth=0.7, alpha=0.12 if crowded else 0.45
        )
        axes.plot(
            x, c.prediction.value, marker=look.marker, color=look.color, markersize=2.2 if crowded else 4.2, linestyle="none",
            markeredgewidth=0.8 if look is OTHERS else 0, alpha=0.6 if crowded else 0.9, zorder=3,
        )  # fmt: skip
    unit = UNITS.get(quantity.rpartition("_")[2], "")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=7 if axis is axes.yaxis or alone else 4))
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(FuncFormatter(lambda v, _: tick(v, unit)))
    axes.grid(which="major")
    axes.set_xlabel(f"measured {_words(quantity)}")
    found = figures(rows)
    if found is not None:
        text = f"median {100 * found.median:.1f} %, p90 {100 * found.p90:.0f} %, {100 * found.share:.0f} % inside"
        _head(axes, f"{NEW[split]} ({found.rows:,})", 17, weight="bold")
        _head(axes, text, 5, color=MUTED)


def _head(axes: Axes, text: str, up: float, **style: Any) -> None:
    axes.annotate(text, (0, 1), (0, up), xycoords="axes fraction", textcoords="offset points", fontsize=8, **style)


def _limits(rows: Sequence[Checked], quantity: str) -> tuple[float, float]:
    values = [v for c in rows if c.sample.quantity == quantity for v in (c.sample.measured, c.prediction.value)]
    return min(values) / 1.6, max(values) * 1.6


def _words(quantity: str) -> str:
    """Return a quantity's name without its unit: 'latency'."""
    name, _, unit = quantity.rpartition("_")
    return (name if unit in UNITS and name else quantity).replace("_", " ").replace("ram", "RAM")


def tick(value: float, unit: str) -> str:
    """Return a number with prefix and unit: '10 ms', '100 kB'."""
    factor, prefix = next((p for p in PREFIXES if value >= p[0] * 0.999), PREFIXES[-1])
    return f"{number(value / factor, 1)} {prefix}{unit}".strip()
