"""Where the RAM goes: every buffer of the arena, its bytes against the layers during which it is needed, and the peak."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from workbench.cost.arena import Arena
from workbench.cost.lifetimes import KINDS, Buffer, Kind
from workbench.report.plots.style import (
    FAINT,
    LIMIT,
    NAME_LIMIT,
    PANEL,
    SERIES,
    WIDTH,
    Sheet,
    label_width,
    row_axes,
    short_target,
)
from workbench.report.text import quantity, unique_short, unit_of

COLORS: dict[Kind, str] = {"activation": SERIES[0], "in place": SERIES[2], "scratch": SERIES[1], "persistent": FAINT}
WORDS: dict[Kind, str] = {
    "activation": "activation", "in place": "several activations, one after the other", "scratch": "scratch of a kernel",
    "persistent": "kept by the runtime all along",
}  # fmt: skip
MANY = 40
"""More rows than this are drawn closer together."""
NARROWEST = 0.004
"""Share of the arena below which a buffer is drawn without an edge, which would cover it."""
SIZED = 0.09
"""Share of the arena from which a buffer carries its size."""


def arena_figure(arena: Arena, layers: Sequence[str], name: str) -> Figure | None:
    """Return the plot: layers from top to bottom in the order of execution, offsets from left to right. None without buffers.

    Args:
        layers: names of the nodes that the arena was planned for. name: of the target.
    """
    buffers = [*arena.buffers, *_persistent(arena, len(layers))]
    if not buffers or not layers:
        return None
    kinds = [kind for kind in KINDS if any(b.kind == kind for b in buffers)]
    top = max(b.end for b in buffers)
    factor, unit = unit_of("ram", [top])
    sheet = Sheet(
        "Where each buffer lies in RAM, and how long",
        _subtitle(arena, name),
        [(Patch(color=COLORS[kind]), WORDS[kind]) for kind in kinds],
        (0.22 if len(layers) <= MANY else 0.14) * len(layers) + 0.1,
    )
    names = unique_short(list(layers), NAME_LIMIT)
    axes = sheet.axes(label_width(names), WIDTH - 0.25)
    row_axes(axes, names)
    for buffer in sorted(buffers, key=lambda b: -b.size):
        _draw(axes, buffer, len(layers), factor, top)
    axes.axvline(arena.peak_bytes / factor, color=LIMIT, linewidth=1.2)
    for i in peak_layers(arena, len(layers)):
        axes.plot([arena.peak_bytes / factor], [i], marker="<", markersize=5, color=LIMIT, clip_on=False)
    axes.set_xlim(0, top / factor * 1.01)
    axes.set_xlabel(f"offset in the arena [{unit}]; the line is its end, marks on it the layers that need the most at once")
    return sheet.figure


def peak_layers(arena: Arena, count: int) -> list[int]:
    """Return the indices of the nodes during which the most bytes are needed."""
    live = [sum(b.size for b in arena.buffers if b.first <= i <= b.last) for i in range(count)]
    return [i for i, size in enumerate(live) if size == max(live)]


def _persistent(arena: Arena, count: int) -> list[Buffer]:
    """Return what the runtime keeps, behind the planned block."""
    size = arena.persistent_bytes
    return [Buffer("records of the runtime", size, 0, count - 1, "persistent", arena.peak_bytes)] if size else []


def _draw(axes: Axes, buffer: Buffer, count: int, factor: float, top: int) -> None:
    start, end = buffer.first - 0.5, min(buffer.last, count - 1) + 0.5
    edge = PANEL if buffer.size >= NARROWEST * top else COLORS[buffer.kind]
    axes.add_patch(
        Rectangle(
            (buffer.offset / factor, start), buffer.size / factor, end - start, facecolor=COLORS[buffer.kind], edgecolor=edge,
            linewidth=0.8, zorder=2,
        )
    )  # fmt: skip
    if buffer.size >= SIZED * top and buffer.kind != "persistent":
        label = quantity("ram", buffer.size)
        middle = (buffer.offset + buffer.size / 2) / factor
        axes.text(middle, (start + end) / 2, label, ha="center", va="center", fontsize=7.0, color=PANEL, zorder=3, clip_on=True)


def _subtitle(arena: Arena, name: str) -> str:
    bound = arena.lower_bound_bytes
    lost = arena.peak_bytes - bound
    gaps = f"{quantity('ram', lost)} of it gaps" if lost else "no plan needs less"
    kept = f", and {quantity('ram', arena.persistent_bytes)} beside it" if arena.persistent_bytes else ""
    return (
        f"{short_target(name)}: {quantity('ram', arena.peak_bytes)} for activations and scratch ({gaps}){kept}. "
        "A plan as the runtime makes it, not a measurement."
    )
