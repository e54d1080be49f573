"""The pictures of the page: ratios beside the runtimes, where the time goes, growth."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.targets import COMPARED, RULES, SWEEPS, Results, layers_of, network, shares
from benchmarks.throughput import fastest
from benchmarks.timing import Times
from workbench.report.plots.style import FAINT, INK, MARKERS, MUTED, SERIES, drawing, png_bytes

WIDTH = 8.8
PEERS = {
    "double": "emulator, double", "float32_half_even": "emulator, float32", "onnx": "ONNX Runtime",
    "reference": "LiteRT reference", "tflite-micro": "tflite-micro",
}  # fmt: skip
SLOW = ("reference", "tflite-micro")


def note(axes: Axes, text: str, x: float, y: float) -> None:
    """Write a figure to the right of a point."""
    axes.annotate(text, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7.5, color=MUTED)


def ratios(results: Results) -> Figure | None:
    """Draw samples per second over those of LiteRT's default kernels, one thread, everybody at the fastest batch."""
    rows = (results.get("throughput") or {"networks": []})["networks"]
    if not rows:
        return None
    figure = Figure(figsize=(WIDTH, 1.3 + 0.55 * len(rows)), layout="constrained")
    slow, fast = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.6))
    for i, (who, label) in enumerate(PEERS.items()):
        axes = slow if who in SLOW else fast
        for y, row in enumerate(rows):
            if not any(key.startswith(f"{who}/") for key in row["seconds"]):
                continue
            r = Times(row["seconds"]).ratio(fastest(row, who), fastest(row, "default"))
            place = y + (0.3 * (i - 3.5) if who in SLOW else 0.28 * (i - 1))
            axes.plot([r.low, r.high], [place, place], color=SERIES[i], linewidth=1.6)
            axes.plot(r.median, place, MARKERS[i], color=SERIES[i], markersize=4.5, label=label if y == 0 else None)
            note(axes, f"{r.median:.2f}" if r.median > 0.1 else f"{r.median:.3f}", r.high, place)
    fast.axvline(1, color=INK, linewidth=1)
    fast.set_xlabel("samples per second over LiteRT's default kernels, one thread")
    slow.set_xlabel("the same, another scale")
    for axes in (slow, fast):
        axes.set_xlim(0, 1.12 * axes.get_xlim()[1])
    fast.set_yticks(range(len(rows)), [row["network"] for row in rows])
    fast.set_ylim(len(rows) - 0.45, -0.55)
    figure.legend(loc="outside upper center", ncols=len(PEERS))
    return figure


def parts(results: Results) -> Figure | None:
    """Draw the microseconds per sample of every part, stacked, over LiteRT's time and the time of the products at the peak."""
    rows = [(name, rule, layers_of(results, name, rule)) for name in COMPARED for rule in RULES]
    rows = [(name, rule, layers) for name, rule, layers in rows if layers]
    if not rows:
        return None
    figure = Figure(figsize=(WIDTH, 1.4 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, (name, _, layers) in enumerate(rows):
        us, left = shares(layers), 0.0
        whole = sum(us.values())
        for i, (part, value) in enumerate(us.items()):
            value = max(value, 0.0)  # a difference of two times, both with noise
            axes.barh(y, value / whole, left=left, height=0.6, color=(*SERIES[:4], FAINT)[i], label=part if y == 0 else None)
            left += value / whole
        bound = sum(row["macs"] for row in layers) / results["machine"]["noise"]["bytes"] / 1e3 / whole
        axes.plot(
            [bound] * 2, [y - 0.4, y + 0.4], color=INK, linewidth=1.6, label="all products at the peak" if y == 0 else None
        )
        row = network(results, name)
        if row is not None:
            theirs = 1e6 * Times(row["seconds"]).seconds(fastest(row, "default")) / whole
            axes.plot(theirs, y, "D", color=INK, markersize=5, label="LiteRT default, whole network" if y == 0 else None)
    axes.set_yticks(range(len(rows)), [f"{name}, {rule}: {sum(shares(ls).values()):.0f} us" for name, rule, ls in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("share of the emulator's time, layer by layer (batch 64, one thread)")
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def growth(results: Results) -> Figure | None:
    """Draw milliseconds against batch, layers and plans."""
    found = results.get("growth")
    if not found:
        return None
    swept = (results.get("sweeps") or {"sweeps": []})["sweeps"]
    deep = found["layers"]
    batches = [(row["network"], row["x"], row["seconds"], row["large_exponent"]) for row in found["batch"]]
    layers = [("equal layers", deep["x"], deep["seconds"], deep["exponent"])]
    plans = [(SWEEPS[row["model"], row["formats"]][0], row["x"], row["growth_seconds"], row["exponent"]) for row in swept]
    panels = {"samples at once": batches, "layers": layers, "plans": plans}
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        legend = f"exponent from {found['large']} on" if lines is batches else "exponent"
        for (name, x, y, slope), marker, color in zip(lines, MARKERS, SERIES, strict=False):
            axes.loglog(x, [1e3 * v for v in y], marker + "-", color=color, markersize=3.5, label=f"{name}: {slope:.2f}")
        axes.set_xlabel(title)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
            axis.set_minor_formatter(NullFormatter())
        if lines:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=7.5, title=legend, title_fontsize=7.5)
    figure.axes[0].set_ylabel("ms")
    return figure


FIGURES = {"ratios": ratios, "parts": parts, "growth": growth}


def draw(results: Results, folder: Path) -> list[str]:
    """Write the pictures that there are figures for; return their names."""
    made = []
    with drawing():
        for name, picture in FIGURES.items():
            figure = picture(results)
            if figure is not None:
                (folder / f"{name}.png").write_bytes(png_bytes(figure))
                made.append(name)
    return made
