"""How long it takes to estimate a 60-layer network under 5 formats on 20 targets (wanted: 1 s at most).

The network is of inverted residuals (59 layers with weights, a pooling), one million random weights, 96 x 96 x 3 inputs; its weights
are quantized for every format; the targets are those that have the most of the formats. One thread. Printed: best, median and
worst of the repetitions, the first one (nothing memoized, modules loaded) apart.

Usage: python benchmarks/cost_speed.py [--repeat 9] [--targets 20]
Exit code 1 when the median is over a second.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workbench.cost_table import estimate_costs
from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.ops.mean import MeanAttrs

FORMATS = ("w8a8", "w8a8-per-tensor", "w4a8", "w4a8-per-tensor", "w2a8")
"""Formats that most targets run, so that nearly all answers are estimates: a refusal is quicker."""
BLOCKS, HALVED = 19, (3, 7, 12)
WANTED_S = 1.0


def inverted_residuals(blocks: int = BLOCKS, seed: int = 0) -> Graph:
    """Return a float network of 3 x blocks + 3 layers: expand, depthwise, project; the size is halved and the width doubled thrice."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []

    def constant(name: str, *shape: int) -> str:
        data = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        tensors[name] = Tensor(name, shape, "float32", data=data)
        return name

    def made(name: str, *shape: int) -> str:
        tensors[name] = Tensor(name, (1, *shape), "float32")
        return name

    def layer(op: str, name: str, x: str, weights: tuple[int, ...], out: tuple[int, ...], attrs: object) -> str:
        inputs = (x, constant(f"{name}/w", *weights), constant(f"{name}/b", out[-1]))
        nodes.append(Node(name, op, inputs, (made(f"{name}/y", *out),), attrs))
        return f"{name}/y"

    halving = (0, 1, 0, 1)
    size, width = 48, 16
    stem = Conv2dAttrs(stride=(2, 2), pads=halving, activation="relu6")
    x = layer("conv2d", "stem", made("x", 96, 96, 3), (width, 3, 3, 3), (size, size, width), stem)
    for i in range(blocks):
        stride = 2 if i in HALVED else 1
        inner, after, out = 4 * width, size // stride, width * stride
        x = layer("conv2d", f"expand{i}", x, (inner, 1, 1, width), (size, size, inner), Conv2dAttrs(activation="relu6"))
        attrs = DepthwiseConv2dAttrs(stride=(stride, stride), pads=halving if stride == 2 else (1, 1, 1, 1), activation="relu6")
        x = layer("depthwise_conv2d", f"depthwise{i}", x, (1, 3, 3, inner), (after, after, inner), attrs)
        x = layer("conv2d", f"project{i}", x, (out, 1, 1, inner), (after, after, out), Conv2dAttrs())
        size, width = after, out
    nodes.append(Node("mean", "mean", (x,), (made("mean/y", width),), MeanAttrs(axes=(1, 2), keep_dims=False)))
    y = layer("fully_connected", "classifier", "mean/y", (10, width), (10,), FullyConnectedAttrs())
    return Graph("inverted_residuals", tuple(nodes), tensors, ("x",), (y,))


def most_supporting(graph: Graph, profiles: list[HardwareProfile]) -> list[HardwareProfile]:
    """Return the profiles, first those that have the most of the formats: a refusal is quicker than an estimate."""
    supported = estimate_costs(graph, profiles, FORMATS).groupby("profile", sort=False)["supported"].sum()
    return sorted(profiles, key=lambda p: -supported[p.name])


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--targets", type=int, default=20)
    options = parser.parse_args()
    graph = inverted_residuals()
    priced = [p for p in map(load_profile, list_profiles()) if p.costs is not None]
    targets = most_supporting(graph, priced)[: options.targets]
    times = []
    for _ in range(options.repeat + 1):
        start = time.perf_counter()
        table = estimate_costs(graph, targets, FORMATS)
        times.append(time.perf_counter() - start)
    first, later = times[0], sorted(times[1:])
    median = statistics.median(later)
    print(f"{len(graph.nodes)} layers, {len(FORMATS)} formats on {len(targets)} targets: {int(table['supported'].sum())} estimates and "
          f"{int((~table['supported']).sum())} refusals (with the reason), {len(table)} answers")  # fmt: skip
    print(
        f"first {first:.2f} s; then best {later[0]:.2f} s, median {median:.2f} s, worst {later[-1]:.2f} s; wanted {WANTED_S} s"
    )
    sys.exit(median > WANTED_S)


if __name__ == "__main__":
    main()
