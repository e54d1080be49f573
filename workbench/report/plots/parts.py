"""Other views of sensitivity: weights only and activations only, one layer off, one layer after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workbench.report.plots.changes import change_axis, dodge, draw_change, group_labels
from workbench.report.plots.style import MUTED, PANEL, SERIES, WIDTH, Look, Sheet, label_width, row_axes, short_target, symbol
from workbench.results import TargetResult
from workbench.statistics import Difference
from workbench.sweep.records import Part

PER_BLOCK = 3
"""Panels beside each other; more of them stand below."""
PART_LOOKS = {
    "weights": Look(SERIES[0], "^"),
    "activations": Look(SERIES[1], "s"),
    "both": Look(SERIES[7], "o"),
}
STEP_LOOKS = {"on": Look(SERIES[0], "o"), "off": Look(SERIES[1], "s")}
NOT_SURE = "hollow: not distinguishable from no change"


@dataclass(frozen=True)
class Panel:
    """A panel of rows: series -> row (position of a group) -> change."""

    title: str
    series: Mapping[str, Mapping[int, Difference]]


def parts_figure(target: TargetResult) -> Figure | None:
    """Return what of each change is due to the weights' type and what to the activations', one panel per format and basis."""
    if target.views is None or not target.views.parts:
        return None
    row = _rows(target)
    panels = []
    for fmt, basis in dict.fromkeys((p.format, p.basis) for p in target.views.parts):
        mine: list[Part] = [p for p in target.views.parts if (p.format, p.basis) == (fmt, basis)]
        series = {
            part: {row[p.group.name]: p.effect.change for p in mine if p.part == part and p.group.name in row}
            for part in PART_LOOKS
        }
        panels.append(Panel(f"{fmt}, {basis}", {k: v for k, v in series.items() if v}))
    return _figure(
        target, panels, PART_LOOKS, "Whose fault: the loss of each layer from its weights alone and from its activations alone",
        "Emulated: the target's bits, by a format with that type alone, against the baseline. Fake-quantized: that part alone on the "
        "format's grid in the float reference, against the float reference. Bars are paired 95 % intervals.",
    )  # fmt: skip


def steps_figure(target: TargetResult) -> Figure | None:
    """Return one layer on beside one layer off: two panels per format share the rows."""
    if target.views is None or not target.views.off:
        return None
    row = _rows(target)
    panels = []
    for fmt in dict.fromkeys(s.format for s in target.views.off):
        on = {row[s.group.name]: s.change for s in target.sensitivities if s.format == fmt and s.group.name in row}
        off = {row[s.group.name]: _turned(s.effect.change) for s in target.views.off if s.format == fmt and s.group.name in row}
        panels.append(Panel(fmt, {"on": on, "off": off}))
    return _figure(
        target, panels, STEP_LOOKS, "One layer on, one layer off: what a layer costs at both ends",
        "On: it alone is in the format, all others at the baseline. Off: it alone is at the baseline, all others in the format; shown "
        "is what being in the format as well costs there. Where both agree, layers add up. Bars are paired 95 % intervals.",
    )  # fmt: skip


def cumulative_figure(target: TargetResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return what is lost when every layer from the input up to this one is in a format."""
    if target.views is None or not target.views.cumulative:
        return None
    row = _rows(target)
    formats = list(dict.fromkeys(s.format for s in target.views.cumulative))
    series = {
        f: {row[s.group.name]: s.effect.change for s in target.views.cumulative if s.format == f and s.group.name in row}
        for f in formats
    }
    return _figure(
        target, [Panel("this layer and all before it", series)], {f: looks[f] for f in formats},
        "One layer after the other: what is lost from the input up to each layer",
        "Every layer from the first one down to this row is in the format, the rest at the baseline. Bars are paired 95 % intervals.",
    )  # fmt: skip


def _rows(target: TargetResult) -> dict[str, int]:
    return {g.name: i for i, g in enumerate(target.groups)}


def _turned(change: Difference) -> Difference:
    """Return the change the other way round: from the layer at the baseline to the layer in the format."""
    return Difference(-change.estimate, -change.high, -change.low, change.lost, change.gained)


def _figure(target: TargetResult, panels: Sequence[Panel], looks: Mapping[str, Look], title: str, text: str) -> Figure:
    """Return panels side by side, at most three in a block; all have the same axis."""
    names = group_labels(target.groups)
    used = [name for name in looks if any(name in p.series for p in panels)]
    hollow = Line2D([], [], color=MUTED, marker="o", markersize=5.5, markerfacecolor=PANEL, linestyle="-", linewidth=1.0)
    handles = [(symbol(looks[name]), f"{name} alone" if name in ("weights", "activations") else name) for name in used]
    blocks = [panels[i : i + PER_BLOCK] for i in range(0, len(panels), PER_BLOCK)]
    rows = max(0.2, 0.09 * len(used) + 0.06) * len(names)
    sheet = Sheet(
        title, f"{short_target(target.profile.name)}. {text}", [*handles, (hollow, NOT_SURE)], (rows + 0.95) * len(blocks), 0.0
    )
    left, gap = label_width(names), 0.25
    changes = [c for p in panels for found in p.series.values() for c in found.values()]
    columns = min(len(panels), PER_BLOCK)
    width = (WIDTH - 0.2 - left - gap * (columns - 1)) / columns
    for b, block in enumerate(blocks):
        for i, panel in enumerate(block):
            start = left + i * (width + gap)
            axes = sheet.axes(start, start + width, 0.3 + b * (rows + 0.95), rows)
            row_axes(axes, names if i == 0 else [""] * len(names))
            change_axis(axes, target.metric, changes, narrow=True)
            axes.set_title(panel.title, loc="left", fontsize=9, color=MUTED, pad=4)
            _draw(axes, panel, looks, used, 100.0 if target.metric.is_share else 1.0)
    return sheet.figure


def _draw(axes: Axes, panel: Panel, looks: Mapping[str, Look], used: Sequence[str], factor: float) -> None:
    for name, found in panel.series.items():
        for y, change in found.items():
            draw_change(axes, change, factor, y + dodge(used.index(name), len(used)), looks[name])
