"""How every plot looks: sizes in inches, one palette for light and dark, rows of layers from top to bottom.

A figure is drawn once with the light colours. PNG files keep them; in the page each colour becomes a CSS variable, so that the
inline SVG follows the reader's colour scheme, and texts stay texts (searchable, sharp, in the font of the page).
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workbench.report.text import shorten

INK, MUTED, GRID, BAND, PANEL, FAINT = "#1b2330", "#5c6675", "#d9dde3", "#f4f6f8", "#fefefe", "#a9b1bc"
LIMIT = "#b3261e"
SERIES = ("#0b6fb4", "#d45500", "#00896b", "#b0579b", "#c78500", "#3fa3d9", "#7a3b1e", "#55606e")
"""Told apart with any colour vision (after M. Okabe, K. Ito, "Color Universal Design", 2008); each has its own marker too."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")

CSS_NAMES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    BAND: "band",
    PANEL: "panel",
    FAINT: "faint",
    LIMIT: "limit",
    **{color: f"s{i}" for i, color in enumerate(SERIES)},
}
"""Colour of a plot -> CSS variable of the page."""

WIDTH = 8.8
"""Inches of every figure."""
NAME_LIMIT = 30
DPI = 144

RC: dict[str, Any] = {
    "axes.formatter.useoffset": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.facecolor": PANEL,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "figure.facecolor": PANEL,
    "savefig.facecolor": PANEL,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "path.simplify": False,
    "lines.linewidth": 1.4,
}


@dataclass(frozen=True)
class Look:
    """Colour and marker of a series."""

    color: str
    marker: str


def looks(formats: Sequence[str]) -> dict[str, Look]:
    """Return the look of every format of a study: the same in all its plots."""
    shift = len(SERIES)
    return {f: Look(SERIES[i % shift], MARKERS[(i + i // shift) % len(MARKERS)]) for i, f in enumerate(formats)}


@contextmanager
def drawing() -> Iterator[None]:
    """Apply the style; names in scripts that the PNG's font lacks are drawn as boxes without a warning (the page has them)."""
    with mpl.rc_context(cast(Any, RC)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


class Sheet:
    """A figure with a title, a line of explanation, a legend row, and a body whose place is given in inches."""

    def __init__(
        self, title: str, subtitle: str, handles: Sequence[tuple[Any, str]], body: float, bottom: float = 0.55
    ) -> None:
        lines = textwrap.wrap(subtitle, 128)
        self._rows = _legend_rows([label for _, label in handles])
        self.header = 0.36 + 0.17 * len(lines) + 0.2 * len(self._rows) + 0.08
        self.body, self.bottom = body, bottom
        self.height = self.header + body + bottom
        self.figure = Figure(figsize=(WIDTH, self.height))
        FigureCanvasAgg(self.figure)
        self._text(0.22, title, 0.10, size=11.5, weight="bold")
        for i, line in enumerate(lines):
            self._text(0.41 + 0.17 * i, line, 0.10, color=MUTED)
        self._legend(handles, 0.36 + 0.17 * len(lines) + 0.02)

    def _text(self, down: float, text: str, left: float, **style: Any) -> None:
        self.figure.text(left / WIDTH, 1 - down / self.height, text, ha="left", va="baseline", **style)

    def _legend(self, handles: Sequence[tuple[Any, str]], top: float) -> None:
        start = 0
        for i, count in enumerate(self._rows):
            part = handles[start : start + count]
            start += count
            self.figure.legend(
                [h for h, _ in part],
                [label for _, label in part],
                loc="upper left",
                ncols=max(len(part), 1),
                borderaxespad=0,
                borderpad=0,
                bbox_to_anchor=(0.10 / WIDTH, 1 - (top + 0.2 * i) / self.height),
                columnspacing=1.5,
                handletextpad=0.5,
                handlelength=2.0,
            )

    def axes(self, left: float, right: float, down: float = 0.0, height: float | None = None) -> Axes:
        """Return axes from `left` to `right` inches from the left edge, `down` inches below the top of the body."""
        height = self.body - down if height is None else height
        bottom = self.height - self.header - down - height
        return self.figure.add_axes((left / WIDTH, bottom / self.height, (right - left) / WIDTH, height / self.height))


def _legend_rows(labels: Sequence[str]) -> list[int]:
    """Return how many legend entries go into each row."""
    rows: list[int] = []
    used = WIDTH
    for label in labels:
        need = 0.55 + 0.069 * len(label)
        if used + need > WIDTH - 0.2:
            rows.append(0)
            used = 0.0
        rows[-1] += 1
        used += need
    return rows


def label_width(labels: Sequence[str]) -> float:
    """Return the inches that row labels of 8.5 points need (DejaVu Sans: at most 0.105, on average 0.072 a character)."""
    return max((0.07 * len(label) + 0.12 for label in labels), default=0.5) + 0.12


def row_axes(axes: Axes, labels: Sequence[str] | None) -> None:
    """Make rows from top to bottom: a band behind every other one, labels unless None."""
    count = len(labels) if labels is not None else 0
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(count), list(labels or ()))
    bands(axes, count)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def bands(axes: Axes, count: int) -> None:
    """Draw a band behind every other of `count` rows."""
    for i in range(0, count, 2):
        axes.axhspan(i - 0.5, i + 0.5, color=BAND, linewidth=0, zorder=0)


def symbol(look: Look, filled: bool = True, **style: Any) -> Line2D:
    """Return a legend handle: one marker."""
    face = look.color if filled else PANEL
    return Line2D([], [], color=look.color, marker=look.marker, markersize=5.5, linestyle="none", markerfacecolor=face, **style)


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG, without time stamps or version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def svg_text(figure: Figure, name: str, alt: str) -> str:
    """Return a figure as inline SVG: ids of its own, colours and font from the page's CSS, described by `alt` (plain text)."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = buffer.getvalue()
    head, body = text[text.index("<svg") :].split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"<!--.*?-->\n?", "", body, flags=re.S)
    return f'<svg {box[0] if box else ""} role="img" aria-label="{_attribute(alt)}">' + _restyle(body, name)


def _restyle(body: str, name: str) -> str:
    """Rewrite attributes of tags only: a layer may be called `#1b2330` or `url(#a)`."""
    edits: list[tuple[str, Callable[[re.Match[str]], str]]] = [
        (r"#[0-9a-fA-F]{6}\b", lambda m: f"var(--{CSS_NAMES[m[0].lower()]})" if m[0].lower() in CSS_NAMES else m[0]),
        (r"(id=\"|url\(#|href=\"#)", lambda m: f"{m[0]}{name}-"),
        (r"('DejaVu Sans'|\"DejaVu Sans\"|&quot;DejaVu Sans&quot;)", lambda _: "var(--font)"),
        (r"xlink:href", lambda _: "href"),
    ]

    def tag(match: re.Match[str]) -> str:
        text = match[0]
        for pattern, new in edits:
            text = re.sub(pattern, new, text)
        return text

    return re.sub(r"<[a-zA-Z][^<>]*>", tag, body)


def _attribute(text: str) -> str:
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, entity)
    return text


def short_target(name: str) -> str:
    """Return a target's name for a subtitle."""
    return shorten(name, 44)
