"""Accuracy of ResNet-8 against the width of its accumulators: W8A8 and W4A8, wrapping and saturating, beside A2Q's trained networks.

python -m benchmarks.accumulator_width [PICTURE]

Models and data: the folder that WORKBENCH_MODELS names. Prints the table of docs/accumulators.md and draws its picture.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.networks import FILES, folder
from workbench.data import Dataset, make_dataset, read_arrays
from workbench.evaluate import Evaluator
from workbench.execute import check_inputs
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders import load_model
from workbench.overflow import analyse, observe
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, QuantizeOptions
from workbench.report.plots.style import INK, MARKERS, MUTED, SERIES, drawing, png_bytes

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "accumulator-width.png"
PROFILE = "stm32l4r5-cortex-m4-tflm"
WIDTHS = (32, 24, 22, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10)
FORMATS = ("w8a8", "w4a8")
CLIPPINGS = {
    "no clipping": QuantizeOptions(),
    "least squares": QuantizeOptions(weights="mse"),
    "the largest hundredth of every channel clipped": QuantizeOptions(weights="percentile", percentile=99.0),
}
"""How weights may become 4 bits (w8a8: the file's own integers). Calibration images decide, see `choose`."""
OVERFLOWS = {"wrap": "wraps", "saturate": "saturates", "saturate_tiles": "saturates every 16 products"}
STYLES = {"wrap": "-", "saturate": "--", "saturate_tiles": "-."}
A2Q = {16: 94.2, 15: 94.2, 14: 92.6, 13: 89.8, 12: 83.9}
"""Accumulator bits -> top-1, %: ResNet-18, CIFAR-10, 4-bit weights and activations, trained for the width.
Source: I. Colbert et al., "A2Q: Accumulator-Aware Quantization with Guaranteed Overflow Avoidance", 2023, arXiv 2308.13504."""


@dataclass(frozen=True)
class Curve:
    """Top-1 in % at every width of WIDTHS, in one format with one overflow."""

    fmt: str
    overflow: str
    top1: tuple[float, ...]


@dataclass(frozen=True)
class Needs:
    """Bits that the widest layer of a format needs: for any input, and on the data (partial sums too: `saturate`)."""

    proof: int
    data: int


def labelled(graph: Graph, word: str) -> Dataset:
    """Return the labelled images that fit the model, of the largest file with that word in its name; bytes are moved to int8."""
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    found = []
    for path in sorted(folder().rglob(f"*{word}*.npz")):
        arrays = read_arrays(path)
        x, y = arrays.get("x"), arrays.get("y")
        if x is not None and y is not None and x.shape[1:] == shape and y.shape == x.shape[:1]:
            found.append(make_dataset(path.name, _int8(x), y))
    if not found:
        raise SystemExit(f"{folder()}: no *{word}*.npz with images 'x' {shape} and labels 'y'.")
    return max(found, key=len)


def _int8(x: Array) -> Array:
    return (x.astype(np.int16) - 128).astype(np.int8) if x.dtype == np.uint8 else x


def variant(profile: HardwareProfile, bits: int, overflow: str) -> HardwareProfile:
    """Return the profile with another accumulator in every operator."""
    rules = {"accumulator_bits": bits, "overflow": overflow, "accumulator_tile": 16}
    operators = {k: v.model_copy(update={"arithmetic": {**v.arithmetic, **rules}}) for k, v in profile.operators.items()}
    return profile.model_copy(update={"name": f"{profile.name}-{bits}-{overflow}", "operators": operators})


def choose(graph: Graph, profile: HardwareProfile) -> str:
    """Return the clipping with the best top-1 of w4a8 on the calibration images, none of which is in the picture."""
    data, plan = labelled(graph, "calib"), PrecisionPlan.of("w4a8")
    top1 = {}
    for name, options in CLIPPINGS.items():
        record = Evaluator(Lowering(graph, profile, options=options), data).evaluate([plan])[plan]
        top1[name] = 100 * record.metrics["top1"]
        print(f"w4a8 with {name}: {top1[name]:.1f} % of {len(data)} samples of {data.name}")
    return max(top1, key=lambda name: top1[name])


def measure(
    graph: Graph, data: Dataset, profile: HardwareProfile, fmt: str, options: QuantizeOptions, reference: Array
) -> tuple[list[Curve], Needs]:
    """Return the curves of a format, and the widths from which nothing overflows."""
    plan = PrecisionPlan.of(fmt)
    curves = []
    for overflow in OVERFLOWS:
        top1 = []
        for bits in WIDTHS:
            lowering = Lowering(graph, variant(profile, bits, overflow), options=options)
            top1.append(100 * Evaluator(lowering, data, reference=reference).evaluate([plan])[plan].metrics["top1"])
        curves.append(Curve(fmt, overflow, tuple(top1)))
    program = Lowering(graph, variant(profile, 32, "saturate"), options=options).program(plan)
    reports = analyse(program)
    seen = observe(program, reports, check_inputs(graph, data.inputs))
    proof = max(r.bound.needs_bits for r in reports if r.layer is not None)
    return curves, Needs(proof, max(s.bits - s.headroom_bits for s in seen.layers.values()))


def table(curves: list[Curve]) -> str:
    """Return the figures as Markdown."""
    heads = [f"{c.fmt} {OVERFLOWS[c.overflow]}" for c in curves]
    lines = ["| bits | " + " | ".join(heads) + " | A2Q |", "|---" * (len(heads) + 2) + "|"]
    for i, bits in enumerate(WIDTHS):
        published = f"{A2Q[bits]:.1f}" if bits in A2Q else ""
        lines.append(f"| {bits} | " + " | ".join(f"{c.top1[i]:.1f}" for c in curves) + f" | {published} |")
    return "\n".join(lines)


def draw(curves: list[Curve], needs: dict[str, Needs], samples: int) -> Figure:
    """Draw top-1 against the width."""
    figure = Figure(figsize=(8.8, 4.6), layout="constrained")
    axes = figure.subplots()
    for i, c in enumerate(curves):
        label = f"ResNet-8 {c.fmt.upper()}, {OVERFLOWS[c.overflow]}"
        axes.plot(WIDTHS, c.top1, STYLES[c.overflow], marker=MARKERS[i], color=SERIES[i], markersize=5, label=label)
    label = "A2Q (published): ResNet-18 W4A4, trained for the width"
    axes.plot(list(A2Q), list(A2Q.values()), ":", marker="*", color=INK, markersize=10, label=label)
    for fmt, need in needs.items():
        plateau = next(c for c in curves if c.fmt == fmt).top1[0]
        for bits, what in ((need.proof, "no input overflows"), (need.data, "none of these images does")):
            axes.plot([bits, bits], [plateau - 2.5, plateau + 2.5], color=INK, linewidth=1.4)
            axes.annotate(
                f"{fmt.upper()}, {bits} bits:\n{what}", (bits, plateau + 3), xytext=(0, 2), textcoords="offset points", fontsize=7.5,
                color=MUTED, va="bottom", ha="center",
            )  # fmt: skip
    axes.axhline(10, color=MUTED, linewidth=0.8)
    axes.annotate("chance", (24, 10), xytext=(0, 3), textcoords="offset points", fontsize=7.5, color=MUTED)
    axes.set_xlim(24.5, 9.5)
    axes.set_xticks(range(24, 9, -1))
    axes.set_ylim(0, 102)
    axes.set_xlabel("accumulator width, bits")
    axes.set_ylabel(f"top-1, % of {samples} CIFAR-10 test images")
    axes.grid(axis="y")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def main(picture: Path = PICTURE) -> None:
    """Measure, print, draw."""
    path = next(iter(sorted(folder().rglob(FILES["ResNet-8"]))), None)
    if path is None:
        raise SystemExit(f"{folder()}: {FILES['ResNet-8']} is not there; WORKBENCH_MODELS names the folder.")
    graph, profile = load_model(path), load_profile(PROFILE)
    clipping = choose(graph, profile)
    print(f"taken: {clipping}\n")
    data = labelled(graph, "test")
    reference = Evaluator(Lowering(graph, profile), data).reference
    curves: list[Curve] = []
    needs = {}
    for fmt in FORMATS:
        made, needs[fmt] = measure(graph, data, profile, fmt, CLIPPINGS[clipping], reference)
        curves += made
    print(f"{path.name}, {len(data)} samples of {data.name}, top-1 in %; same from {WIDTHS[1]} to {WIDTHS[0]} bits\n")
    print(table(curves))
    for fmt, need in needs.items():
        print(f"{fmt}: {need.proof} bits for any input, {need.data} bits on these data (partial sums in order)")
    with drawing():
        picture.write_bytes(png_bytes(draw(curves, needs, len(data))))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
