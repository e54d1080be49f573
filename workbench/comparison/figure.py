"""The picture of a comparison: shares of differing elements in network order, and contributions as a waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from workbench.comparison.results import Attribution, Comparison, Sizes
from workbench.report.plots.style import INK, MUTED, PANEL, SERIES, WIDTH, Sheet, label_width, row_axes
from workbench.report.text import minus, shorten, signed, unique_short

NAME_LIMIT = 34
ROW, GAP = 0.24, 0.95
"""Inches of a row; between the panels, for the axis above and the heading below."""
MORE, LESS, TOTAL = SERIES[2], SERIES[3], SERIES[7]


def comparison_figure(c: Comparison) -> Figure:
    """Return the figure; one panel when nothing was attributed."""
    rows = c.attribution.contributions if c.attribution is not None else ()
    handles: list[tuple[object, str]] = [
        (Line2D([], [], color=SERIES[0], marker="o", markersize=4.5), "own: B's layer on A's activations"),
        (
            Line2D([], [], color=SERIES[1], marker="s", markersize=4.5, markerfacecolor=PANEL, linestyle=(0, (3, 2))),
            "as deployed: own inputs on each side",
        ),
    ]
    if rows:
        handles += [(Patch(color=MORE), "adds"), (Patch(color=LESS), "takes away")]
    first, second = ROW * len(c.layers) + 0.06, ROW * (len(rows) + 1) + 0.06
    sheet = Sheet(
        "Where they differ, and which rule it is",
        f"A: {shorten(c.a, 56)}. B: {shorten(c.b, 56)}. {shorten(c.model, 40)}, {c.samples:,} samples.",
        handles, first + (GAP + second if rows else 0.0), 0.4 if rows else 0.62,
    )  # fmt: skip
    layers = unique_short([x.layer for x in c.layers], NAME_LIMIT)
    switches = [shorten(r.switch, NAME_LIMIT + 10) for r in rows]
    left = label_width([*layers, *switches, "sum: B against A"] if rows else layers)
    _draw_layers(sheet.axes(left, WIDTH - 0.25, 0.0, first), layers, c)
    if c.attribution is not None and rows:
        _draw_attribution(sheet, c.attribution, switches, left, first + GAP, second)
    return sheet.figure


def _draw_layers(axes: Axes, names: Sequence[str], c: Comparison) -> None:
    row_axes(axes, names)
    shares = [[_share(x.cumulative, x.elements) for x in c.layers], [_share(x.local, x.elements) for x in c.layers]]
    positive = [s for side in shares for s in side if s]
    zero = min(positive, default=0.1) / 6
    axes.set_xscale("log")
    axes.set_xlim(zero, 1.0)
    decades = [10.0**e for e in range(-12, 1) if 10.0**e > 1.5 * zero]
    axes.set_xticks([zero, *decades], ["0", *(f"{100 * d:g} %" for d in decades)])
    axes.xaxis.set_minor_locator(NullLocator())
    for values, color, marker, style, face in (
        (shares[0], SERIES[1], "s", (0, (3, 2)), PANEL),
        (shares[1], SERIES[0], "o", "-", SERIES[0]),
    ):
        known = [(max(v, zero), i) for i, v in enumerate(values) if v is not None]
        xs, ys = [x for x, _ in known], [y for _, y in known]
        axes.plot(xs, ys, color=color, linestyle=style, linewidth=1.0, alpha=0.8, zorder=3, clip_on=False)
        axes.plot(
            xs, ys, color=color, linestyle="none", marker=marker, markersize=4.5, markerfacecolor=face, zorder=4, clip_on=False
        )
    axes.set_xlabel("elements of the layer's output that differ")


def _share(sizes: Sizes | None, elements: int) -> float | None:
    return None if sizes is None else sizes.differing / elements


def _draw_attribution(sheet: Sheet, a: Attribution, names: Sequence[str], left: float, down: float, height: float) -> None:
    titles = [("flips", "samples whose class flips"), ("correct", "change of samples correct")]
    titles = titles if a.total.correct is not None else titles[:1]
    width = (WIDTH - 0.25 - left + 0.35) / len(titles)
    for i, (field, title) in enumerate(titles):
        start = left + i * width
        axes = sheet.axes(start, start + width - 0.35, down, height)
        row_axes(axes, [*names, "sum: B against A"])
        if i:
            axes.set_yticks(range(len(names) + 1), [""] * (len(names) + 1))
        axes.set_title(title, loc="left", fontsize=9.0, color=INK)
        _waterfall(axes, [getattr(c.share, field) for c in a.contributions], Fraction(getattr(a.total, field)))


def _waterfall(axes: Axes, shares: Sequence[Fraction], total: Fraction) -> None:
    """Draw every share from where those before it end; the last row is the total."""
    at, ends = Fraction(0), [Fraction(0), total]
    for row, share in enumerate(shares):
        axes.barh(row, float(share), 0.56, float(at), color=MORE if share > 0 else LESS, zorder=3)
        axes.plot([float(at + share)] * 2, [row - 0.28, row + 1.28], color=MUTED, linewidth=0.7, zorder=2)
        at += share
        ends.append(at)
    axes.barh(len(shares), float(total), 0.56, color=TOTAL, zorder=3)
    low, high = float(min(ends)), float(max(ends))
    span = max(high - low, 1.0)
    axes.set_xlim(low - 0.06 * span, high + 0.24 * span)  # the numbers stand on the right
    begin = Fraction(0)
    for row, value in enumerate([*shares, total]):
        end = value if row == len(shares) else begin + value
        edge = max(begin, end) if row < len(shares) else max(Fraction(0), total)
        axes.annotate(
            _signed(value), (float(edge), row), (3, 0), textcoords="offset points", fontsize=7.5, color=MUTED, va="center"
        )
        begin = end
    axes.axvline(0, color=INK, linewidth=0.8, zorder=2)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: minus(f"{v:g}")))


def _signed(value: Fraction) -> str:
    return signed(float(value), 0 if value.denominator == 1 else 2)
