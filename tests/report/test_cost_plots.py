"""The plots of the cost: what they draw is what the estimate says, and no layer is above its roof."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tests.report.sample import HOSTILE, LONG_NAME, profile, target
from workbench.cost import CostEstimate, estimate
from workbench.cost.accelerator import roofline
from workbench.hardware import load_profile
from workbench.inspection import inspect_model, write_plots
from workbench.loaders import load_model
from workbench.report.plots import breakdown_figure, drawing, png_bytes, roofline_figure
from workbench.report.plots.breakdown import COLORS, bound_shares
from workbench.report.plots.roofline import bytes_of
from workbench.report.text import unit_of

TARGETS = ("stm32l4r5-cortex-m4-xcubeai", "ethos-u55-128", "ethos-u65-256")


def made(layers: Sequence[str], chosen: bool = True) -> CostEstimate:
    t = target("made", layers)
    assert t.chosen is not None and t.baseline_cost is not None
    return t.chosen.cost if chosen else t.baseline_cost


def many(count: int) -> list[str]:
    return [f"block{i // 4}/{'dw' if i % 4 == 1 else 'conv'}{i}" for i in range(count - 1)] + ["dense"]


def bars(figure: Figure) -> list[list[Rectangle]]:
    """The bars of each row, from left to right."""
    (axes,) = figure.axes
    found: dict[int, list[Rectangle]] = {}
    for patch in axes.patches:
        if isinstance(patch, Rectangle) and patch.get_height() == pytest.approx(0.62):
            found.setdefault(round(patch.get_y() + patch.get_height() / 2), []).append(patch)
    return [sorted(found[i], key=lambda p: p.get_x()) for i in sorted(found)]


def test_bars_are_the_parts_of_each_layer_in_network_order() -> None:
    cost = made(many(10))
    with drawing():
        figure = breakdown_figure(cost, "made", "w8a8 everywhere")
    assert figure is not None
    factor, _ = unit_of("latency", [r.latency_s for r in cost.layers])
    rows = bars(figure)
    assert len(rows) == len(cost.layers)
    for row, layer in zip(rows, cost.layers, strict=True):
        parts = [layer.parts[p] for p in COLORS if layer.parts[p] > 0]
        assert [b.get_width() * factor for b in row] == pytest.approx(parts)
        assert row[-1].get_x() + row[-1].get_width() == pytest.approx(layer.latency_s / factor)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == [layer.layer for layer in cost.layers]


def test_whiskers_are_the_intervals() -> None:
    cost = made(many(10))
    factor, _ = unit_of("latency", [r.latency_s for r in cost.layers])
    with drawing():
        figure = breakdown_figure(cost, "made", "w8a8")
    assert figure is not None
    drawn = {
        round(float(line.get_ydata()[0])): tuple(np.asarray(line.get_xdata()) * factor)
        for line in figure.axes[0].lines
        if len(line.get_xdata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]
    }
    assert drawn == {i: pytest.approx((r.latency_low_s, r.latency_high_s)) for i, r in enumerate(cost.layers)}


def test_shares_by_bound_add_up_to_all_of_the_time() -> None:
    cost = made(many(60))
    shares = bound_shares(cost)
    assert sum(shares.values()) == pytest.approx(1)
    longest = sum(r.latency_s for r in cost.layers if r.bound == "memory")
    assert shares["memory"] == pytest.approx(longest / sum(r.latency_s for r in cost.layers))


@pytest.mark.parametrize(
    "layers", [many(1), many(60), [HOSTILE, f"{LONG_NAME}/conv1", f"{LONG_NAME}/conv2"]], ids=["1", "60", "names"]
)
def test_plots_of_short_long_and_oddly_named_networks_are_whole_pictures(layers: list[str]) -> None:
    cost = made(layers)
    with drawing():
        for figure in (breakdown_figure(cost, "made", "w8a8"), roofline_figure(cost, profile("made"), "w8a8")):
            assert figure is not None
            raw = png_bytes(figure)
            width, height = struct.unpack(">II", raw[16:24])
            assert width == 1267 and 200 < height < 3000


def test_what_cannot_be_estimated_has_no_plot() -> None:
    cost = made(many(5))
    unknown = replace(cost, latency_s=math.nan, layers=tuple(replace(r, latency_s=math.nan) for r in cost.layers))
    assert breakdown_figure(unknown, "made", "w8a8") is None
    assert roofline_figure(unknown, profile("made"), "w8a8") is None
    assert roofline_figure(replace(cost, layers=()), profile("made"), "w8a8") is None


@pytest.mark.parametrize("name", ["stm32l4r5-cortex-m4-xcubeai", "nvidia-t4"])
def test_no_layer_of_a_real_network_is_above_its_roofs(name: str, models_dir: Path) -> None:
    """The points as drawn against the lines as drawn; the rates are those of the estimate."""
    found = load_profile(name)
    cost = estimate(load_model(models_dir / "mlperf_tiny" / "ic_resnet8_int8.tflite"), found)
    with drawing():
        figure = roofline_figure(cost, found, "its own formats")
    assert figure is not None
    rates = sorted(r.macs / r.latency_s for r in cost.layers if r.macs and r.emulation != "host")
    for axes in figure.axes:
        roofs = [line for line in axes.lines if len(line.get_xdata()) == 2]
        points = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if len(line.get_xdata()) == 1]
        assert len(points) >= 5
        for x, y in points:
            assert min(abs(math.log(y / rate)) for rate in rates) < 1e-9
            above = [roof_at(roof, x) for roof in roofs]
            assert y <= 1.000001 * min(v for v in above if v is not None), (name, x, y)


@pytest.mark.parametrize("name", TARGETS[1:])
def test_no_network_is_quicker_than_its_roofs_where_layers_overlap(name: str, models_dir: Path) -> None:
    """Weights of a layer may come while the layer before it runs: a layer may be above a slope, the network may not."""
    found = load_profile(name)
    cost = estimate(load_model(models_dir / "mlperf_tiny" / "ic_resnet8_int8.tflite"), found)
    roofs = roofline(found, "w8a8")
    assert roofs is not None
    assert cost.latency_s >= cost.macs / roofs.macs_per_s
    for memory, rate in roofs.bytes_per_s.items():
        assert cost.latency_s >= 0.97 * sum(bytes_of(row, memory) for row in cost.layers) / rate  # descriptors are not all read
    with drawing():
        figure = roofline_figure(cost, found, "its own formats")
    assert figure is not None and len(figure.axes) == 2


def roof_at(line: object, x: float) -> float | None:
    """The height of a straight line in logarithms at x, None beside it."""
    (x0, x1), (y0, y1) = line.get_xdata(), line.get_ydata()  # type: ignore[attr-defined]
    if not x0 <= x <= x1:
        return None
    return math.exp(math.log(y0) + (math.log(y1) - math.log(y0)) * (math.log(x) - math.log(x0)) / (math.log(x1) - math.log(x0)))


def test_bytes_of_the_memories_are_those_that_the_layer_moves(models_dir: Path) -> None:
    cost = estimate(load_model(models_dir / "mlperf_tiny" / "ic_resnet8_int8.tflite"), load_profile("ethos-u55-128"))
    for row in cost.layers:
        assert bytes_of(row, "flash") + bytes_of(row, "ram") == bytes_of(row, "") == row.bytes_moved


def test_inspect_writes_the_plots_of_every_target(models_dir: Path, tmp_path: Path) -> None:
    inspection = inspect_model(models_dir / "mlperf_tiny" / "kws_ref_int8.tflite", list(TARGETS[:2]))
    paths = write_plots(inspection, tmp_path / "new" / "plots")
    assert {p.name for p in paths} >= {f"{t}-{kind}.png" for t in TARGETS[:2] for kind in ("breakdown", "roofline")}
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in paths)
