"""Where flash, RAM and time go: every layer, baseline against the chosen plan, and the totals with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from workbench.cost import CostEstimate, LayerCost
from workbench.report.plots.style import FAINT, INK, NAME_LIMIT, WIDTH, Look, Sheet, label_width, row_axes, short_target
from workbench.report.text import AXIS_TITLES, number, quantity, unique_short, unit_of
from workbench.results import TargetResult

BAR = 0.36


@dataclass(frozen=True)
class _Column:
    """One cost: its parts per layer and of the whole (stacked), the interval of the whole, and what the axis says."""

    axis: str
    parts: Callable[[LayerCost], tuple[float, ...]]
    whole: Callable[[CostEstimate], tuple[float, ...]]
    label: str

    def value(self, row: LayerCost | None) -> float:
        """Return the cost of a layer, 0 where there is none."""
        value = 0.0 if row is None else sum(self.parts(row))
        return value if math.isfinite(value) else 0.0

    def interval(self, cost: CostEstimate) -> tuple[float, float] | None:
        """Return the ends of the interval of the whole, None for what is counted."""
        if self.axis == "latency":
            return cost.latency_low_s, cost.latency_high_s
        return (cost.energy_low_j, cost.energy_high_j) if self.axis == "energy" else None


FLASH = _Column(
    "flash", lambda r: (r.weight_bytes, r.parameter_bytes), lambda c: (c.flash_bytes, c.runtime_flash_bytes), "flash per layer"
)
RAM = _Column("ram", lambda r: (r.ram_bytes,), lambda c: (c.ram_peak_bytes, c.runtime_ram_bytes), "live while it runs")
LATENCY = _Column("latency", lambda r: (r.latency_s,), lambda c: (c.latency_s,), "latency per layer")
ENERGY = _Column("energy", lambda r: (r.energy_j,), lambda c: (c.energy_j,), "energy per layer")


def merged_rows(before: CostEstimate, after: CostEstimate) -> list[tuple[LayerCost | None, LayerCost | None]]:
    """Return the rows of two estimates side by side in network order; a conversion that only one plan needs has one side."""
    old = {r.layer: r for r in before.layers}
    new = {r.layer: r for r in after.layers}
    found: list[tuple[LayerCost | None, LayerCost | None]] = []
    waiting = list(before.layers)
    for row in after.layers:
        if row.layer in old:
            while waiting and waiting[0].layer != row.layer and waiting[0].layer not in new:
                found.append((waiting.pop(0), None))
            waiting = [r for r in waiting if r.layer != row.layer]
        found.append((old.get(row.layer), row))
    return found + [(r, None) for r in waiting if r.layer not in new]


def cost_figure(target: TargetResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return the plot; bars of the chosen plan have the colour of the layer's format. Nothing chosen: the baseline alone."""
    before = target.baseline_cost
    if before is None or target.baseline_plan is None:
        return None
    after = target.chosen.cost if target.chosen is not None and target.chosen.plan != target.baseline_plan else None
    columns = (FLASH, RAM, ENERGY if target.objective == "energy" else LATENCY)
    merged = merged_rows(before, after or before)
    rows = [pair for pair in merged if any(c.value(r) for r in pair for c in (FLASH, LATENCY))]
    names = unique_short([(b or a).layer for b, a in rows], NAME_LIMIT)  # type: ignore[union-attr]
    title = "Where the cost goes, layer by layer" + (
        ": baseline against chosen" if after is not None else f": {target.baseline_plan.default} everywhere"
    )
    sheet = Sheet(
        title,
        _subtitle(target, before, after, len(merged) - len(rows)),
        _handles(target, after, looks),
        _body(len(rows), after),
        0.6,
    )
    left = label_width([*names, "baseline, total"])
    gap = 0.28
    width = (WIDTH - 0.2 - left - 2 * gap) / len(columns)
    for i, column in enumerate(columns):
        place = left + i * (width + gap), left + i * (width + gap) + width
        _draw_totals(sheet.axes(*place, 0.22, _totals_height(after)), column, before, after, i == 0)
        axes = sheet.axes(*place, _totals_height(after) + 0.36)
        _draw_layers(axes, column, rows, names if i == 0 else None, after, looks)
    return sheet.figure


def _subtitle(target: TargetResult, before: CostEstimate, after: CostEstimate | None, dropped: int) -> str:
    energy = " and ".join(quantity("energy", c.energy_j) for c in (before, *([after] if after else [])))
    text = (
        f"{short_target(target.profile.name)}, one inference. All are estimates, latency with its 80 % "
        f"interval ({before.basis.replace('_', ' ')}); energy is latency × active power "
        f"({before.energy_basis.replace('_', ' ')}): {energy}."
    )
    return text + (f" {dropped} layers without flash and time are left out." if dropped else "")


def _body(rows: int, after: CostEstimate | None) -> float:
    return _totals_height(after) + 0.36 + (0.3 if rows <= 24 else 0.25) * max(rows, 1)


def _totals_height(after: CostEstimate | None) -> float:
    return 0.56 if after is not None else 0.34


def _handles(target: TargetResult, after: CostEstimate | None, looks: Mapping[str, Look]) -> list[tuple[Patch, str]]:
    assert target.baseline_plan is not None
    found = [(Patch(color=FAINT), f"baseline: {target.baseline_plan.default} everywhere")]
    lighter = (Patch(color=FAINT, alpha=0.45), "lighter: bias and scales; in totals the runtime")
    if after is None or target.chosen is None:
        return [*found, lighter]
    used = {target.chosen.plan.format_of(layer).name for g in target.groups for layer in g.layers}
    return (
        found
        + [(Patch(color=looks[f].color), f"chosen: layer in {f}") for f in looks if f in used]
        + [(Patch(color=INK), "chosen: no weights, total"), lighter]
    )


def _draw_totals(axes: Axes, column: _Column, before: CostEstimate, after: CostEstimate | None, first: bool) -> None:
    shown = [(before, FAINT), *([(after, INK)] if after is not None else [])]
    totals = [sum(column.whole(c)) for c, _ in shown]
    factor, unit = unit_of(column.axis, totals)
    ends = [*totals, *(e for c, _ in shown for e in column.interval(c) or ())]
    end = max((e / factor for e in ends if math.isfinite(e)), default=1.0) or 1.0
    axes.set_xlim(0, end * 1.5)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks(range(len(shown)), ["baseline, total", "chosen, total"][: len(shown)] if first else [])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(
        AXIS_TITLES[column.axis].replace("energy per inference", "energy"), loc="left", fontsize=9.5, weight="bold", pad=4
    )
    for i, ((cost, color), total) in enumerate(zip(shown, totals, strict=True)):
        if not math.isfinite(total):
            axes.text(0, i, " not supported", va="center", fontsize=8.5)
            continue
        _stack(axes, i, column.whole(cost), factor, 0.62, color)
        low, high = column.interval(cost) or (total, total)
        _whisker(axes, i, low / factor, high / factor, INK if color == FAINT else FAINT)
        axes.text(
            max(total, high) / factor + 0.045 * end, i, f"{number(total / factor)} {unit}", va="center", ha="left", fontsize=8.5
        )


def _whisker(axes: Axes, y: float, low: float, high: float, color: str) -> None:
    if high > low:
        axes.plot([low, high], [y, y], color=color, linewidth=1.3, zorder=3, solid_capstyle="butt")
        for edge in (low, high):
            axes.plot([edge, edge], [y - 0.14, y + 0.14], color=color, linewidth=1.1, zorder=3)


def _draw_layers(
    axes: Axes,
    column: _Column,
    rows: Sequence[tuple[LayerCost | None, LayerCost | None]],
    names: Sequence[str] | None,
    after: CostEstimate | None,
    looks: Mapping[str, Look],
) -> None:
    factor, unit = unit_of(column.axis, [column.value(r) for pair in rows for r in pair])
    row_axes(axes, names if names is not None else [""] * len(rows))
    if names is None:
        axes.set_yticks([])
    height = BAR if after is not None else 2 * BAR
    for i, (old, new) in enumerate(rows):
        shift = BAR / 2 if after is not None else 0.0
        _stack(axes, i - shift, () if old is None else column.parts(old), factor, height, FAINT)
        if after is not None:
            color = looks[new.format].color if new is not None and new.format in looks else INK
            _stack(axes, i + shift, () if new is None else column.parts(new), factor, height, color)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(f"{column.label} [{unit}]")


def _stack(axes: Axes, y: float, parts: Sequence[float], factor: float, height: float, color: str) -> None:
    """Draw one bar: the first part solid, what comes with it (scales, the runtime) lighter behind it."""
    start = 0.0
    for part, alpha in zip(parts, (1.0, 0.45), strict=False):
        if math.isfinite(part) and part > 0:
            axes.barh(y, part / factor, height, left=start / factor, color=color, alpha=alpha, linewidth=0, zorder=2)
            start += part


__all__ = ["cost_figure", "merged_rows"]
