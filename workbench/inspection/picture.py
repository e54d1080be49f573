"""The graph as an SVG: one box per layer, from top to bottom, coloured by a column.

Layers are ranked by their longest path from an input; within a rank they stand in the order of the mean place of what they read, swept
down and up (the barycentre rule of K. Sugiyama et al., "Methods for visual understanding of hierarchical system structures", 1981).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from workbench.graph.ir import Graph
from workbench.inspection.columns import Cell, Column, find_column
from workbench.inspection.inspect import Inspection

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN, HEAD = 230, 44, 22, 26, 24, 86
LINE_LENGTH = 34
"""Characters that a line of a box holds."""
SWEEPS = 8
BEND, BEND_WIDTH = "\0", 24
WORDS = ("#8ec3e6", "#f6b48a", "#8fd3b6", "#dcaed0", "#ecd08f", "#b8e0f5", "#d8b4a6", "#c5cad2")
"""Light tints of eight colours that are told apart with any colour vision (after Okabe and Ito, 2008); more words share the last."""
LOW, HIGH = (255, 247, 224), (244, 148, 84)
"""Colours of the smallest and the largest number."""
NONE, INK, MUTED, LINE = "#ffffff", "#1b2330", "#5c6675", "#9aa3af"


@dataclass(frozen=True)
class Place:
    """Upper left corner and width of a layer, or of the bend of an edge."""

    x: int
    y: int
    width: int

    @property
    def middle(self) -> int:
        """The horizontal middle."""
        return self.x + self.width // 2


def graph_svg(inspection: Inspection, column: str) -> str:
    """Return the picture. column: see `find_column`."""
    found = find_column(inspection, column)
    places, ways, size = _layout(inspection.graph)
    drawn = {layer.name for layer in inspection.layers}
    found = replace(found, values={name: cell for name, cell in found.values.items() if name in drawn})
    colours = _colours(found)
    width, height = max(size[0], 560), size[1] + HEAD
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fefefe"/>',
        f'<text x="{MARGIN}" y="28" font-size="15" font-weight="bold" fill="{INK}">{escape(inspection.title)}</text>',
        *_legend(found, colours),
        *(_edge([places[name] for name in way]) for way in ways),
    ]
    for layer in inspection.layers:
        x, y = places[layer.name].x, places[layer.name].y
        value = found.values.get(layer.name)
        fill = NONE if value is None else colours[value]
        words = f"{layer.op} {'x'.join(map(str, layer.shape))}"
        shown = "" if found.name == "operator" else _cut(_text(value, found.unit), 16)
        counts = f"{layer.format}; {layer.macs:,} MAC; {layer.parameters:,} parameters"
        hint = f"{layer.name}: {words}; {counts}; {found.name} {_text(value, found.unit)}"
        parts.append(
            f'<g><title>{escape(hint)}</title><rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" fill="{fill}" '
            f'stroke="{LINE}"/><text x="{x + 8}" y="{y + 17}" font-weight="bold" fill="{INK}">{escape(_cut(layer.name, 30))}</text>'
            f'<text x="{x + 8}" y="{y + 34}" fill="{INK}">{escape(_cut(words, LINE_LENGTH - len(shown)))}</text>'
            f'<text x="{x + BOX_WIDTH - 8}" y="{y + 34}" text-anchor="end" fill="{INK}">{escape(shown)}</text></g>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _layout(graph: Graph) -> tuple[dict[str, Place], list[list[str]], tuple[int, int]]:
    """Return where every layer and every bend stands, the ways of edges (names of layers and bends), and the size of all."""
    rows, before, ways = _ranked(graph)
    after: dict[str, list[str]] = defaultdict(list)
    for name, sources in before.items():
        for source in sources:
            after[source].append(name)
    for sweep in range(SWEEPS):
        at = {name: j - len(row) / 2 for row in rows for j, name in enumerate(row)}
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            _sort_by_neighbours(row, before if sweep % 2 == 0 else after, at)
    whole = max(sum(_width(name) + GAP_X for name in row) for row in rows) - GAP_X
    places = {}
    for i, row in enumerate(rows):
        x = MARGIN + (whole - sum(_width(name) + GAP_X for name in row) + GAP_X) // 2
        for name in row:
            places[name] = Place(x, HEAD + i * (BOX_HEIGHT + GAP_Y), _width(name))
            x += _width(name) + GAP_X
    return places, ways, (whole + 2 * MARGIN, len(rows) * (BOX_HEIGHT + GAP_Y) + MARGIN)


def _ranked(graph: Graph) -> tuple[list[list[str]], dict[str, list[str]], list[list[str]]]:
    """Return the rows from top to bottom, what stands above each layer or bend, and the ways of edges.

    An edge that passes rows gets a bend in each, so that it keeps clear of their boxes; edges of one layer share their bends.
    """
    rank: dict[str, int] = {}
    for node in graph.nodes:
        rank[node.name] = 1 + max((rank[graph.producer[i].name] for i in node.inputs if i in graph.producer), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for name, r in rank.items():
        rows[r].append(name)
    before: dict[str, list[str]] = {name: [] for name in rank}
    ways = []
    for node in graph.nodes:
        for reader in dict.fromkeys(c.name for out in node.outputs for c in graph.consumers[out]):
            way = [node.name]
            for r in range(rank[node.name] + 1, rank[reader]):
                bend = f"{BEND}{node.name} {r}"
                if bend not in before:
                    before[bend] = [way[-1]]
                    rows[r].append(bend)
                way.append(bend)
            before[reader].append(way[-1])
            ways.append([*way, reader])
    return rows, before, ways


def _width(name: str) -> int:
    return BEND_WIDTH if name.startswith(BEND) else BOX_WIDTH


def _sort_by_neighbours(row: list[str], neighbours: Mapping[str, Sequence[str]], at: dict[str, float]) -> None:
    """Sort one row in place by the mean place of each layer's neighbours; what has none keeps its own."""
    mean = {}
    for name in row:
        near = neighbours.get(name, ())
        mean[name] = sum(at[m] for m in near) / len(near) if near else at[name]
    row.sort(key=lambda name: mean[name])
    for j, name in enumerate(row):
        at[name] = j - len(row) / 2


def _edge(way: Sequence[Place]) -> str:
    """Return a curve from the bottom of one box to the top of another, straight through its bends."""
    x, y = way[0].middle, way[0].y + BOX_HEIGHT
    path = f"M{x} {y}"
    for place in way[1:]:
        path += f"C{x} {y + GAP_Y // 2} {place.middle} {place.y - GAP_Y // 2} {place.middle} {place.y}"
        x, y = place.middle, place.y
        if place.width == BEND_WIDTH:
            y += BOX_HEIGHT
            path += f"L{x} {y}"
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.3"/>'


def _colours(column: Column) -> dict[Cell, str]:
    different = list(dict.fromkeys(column.values.values()))
    if column.is_number and different:
        numbers = [float(v) for v in different]
        low, span = min(numbers), max(numbers) - min(numbers)
        return {v: _mix((float(v) - low) / span if span else 0.0) for v in different}
    return {v: WORDS[min(i, len(WORDS) - 1)] for i, v in enumerate(different)}


def _mix(share: float) -> str:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(LOW, HIGH, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _legend(column: Column, colours: Mapping[Cell, str]) -> list[str]:
    unit = f" [{column.unit}]" if column.unit else ""
    parts = [f'<text x="{MARGIN}" y="48" fill="{MUTED}">coloured by {escape(column.name)}{unit}</text>']
    shown: list[Cell] = sorted(colours, key=float) if column.is_number else list(colours)
    if column.is_number and len(shown) > 2:
        shown = [shown[0], shown[-1]]
    x = MARGIN
    for value in shown[: len(WORDS)]:
        text = _cut(_text(value, column.unit), 30)
        parts.append(f'<rect x="{x}" y="58" width="12" height="12" rx="2" fill="{colours[value]}" stroke="{LINE}"/>')
        parts.append(f'<text x="{x + 17}" y="68" fill="{INK}">{escape(text)}</text>')
        x += 17 + 7 * len(text) + 18
    return parts


def _text(value: Cell | None, unit: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    number = f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"
    return f"{number} {unit}".strip()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
