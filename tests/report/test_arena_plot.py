"""The picture of the arena: every buffer at its place, and nothing outside the axes."""

from __future__ import annotations

from matplotlib.patches import Rectangle

from tests.cost.graphs import residual
from workbench.cost.memory import plan_arena
from workbench.hardware import load_profile
from workbench.report.plots.arena import arena_figure, peak_layers
from workbench.report.plots.style import drawing, png_bytes

TFLM = "stm32l4r5-cortex-m4-tflm"


def test_every_buffer_is_a_rectangle_of_its_size_and_its_layers() -> None:
    graph = residual()
    arena = plan_arena(graph, load_profile(TFLM))
    with drawing():
        figure = arena_figure(arena, [n.name for n in graph.nodes], TFLM)
        assert figure is not None and png_bytes(figure).startswith(b"\x89PNG")
    drawn = sorted(
        (p.get_x(), p.get_y(), p.get_width(), p.get_height())
        for p in figure.axes[0].patches
        if isinstance(p, Rectangle) and p.zorder == 2
    )
    want = [(b.offset / 1024, b.first - 0.5, b.size / 1024, min(b.last, 3) - b.first + 1) for b in arena.buffers]
    want.append((arena.peak_bytes / 1024, -0.5, arena.persistent_bytes / 1024, 4.0))
    assert len(drawn) == len(want)
    for got, expected in zip(drawn, sorted(want), strict=True):
        assert all(abs(a - b) < 1e-9 for a, b in zip(got, expected, strict=True))
    right = figure.axes[0].get_xlim()[1]
    assert right >= arena.total_bytes / 1024


def test_peak_is_where_most_is_live() -> None:
    arena = plan_arena(residual(), load_profile(TFLM))
    assert peak_layers(arena, 4) == [2]  # the addition: two branches and the sum


def test_nothing_to_plan_is_no_picture() -> None:
    graph = residual()
    assert arena_figure(plan_arena(graph.with_nodes(()), load_profile(TFLM)), [], TFLM) is None
