"""(d) Growth: time against batch and against layers, with the exponent of a straight line through the logarithms. One thread.

    python -m benchmarks.growth [--json FILE] [--quick]

Batch: whole networks on 1 .. 512 samples at once, and the two figures of seconds = call + sample * batch (least squares of relative
errors). Layers: 1 .. 64 equal 3 x 3 convolutions one after another, 32 channels, 16 x 16 positions, 64 samples.
Time against plans is measured by the sweeps (`benchmarks.exhaustive`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.networks import PROFILES, load
from benchmarks.timing import arguments, exponent, save, take_turns
from workbench.execute import Program, prepare
from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import load_profile
from workbench.ops.conv2d import Conv2dAttrs
from workbench.tensor import QuantParams

NETWORKS = ("ResNet-8", "DS-CNN", "autoencoder")
BATCHES = tuple(2**i for i in range(10))
DEPTHS = tuple(2**i for i in range(7))
LARGE = 32
"""From here on the time of a call hardly counts: the second exponent of the batches."""
CHANNELS, SIDE, SAMPLES = 32, 16, 64


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return (a, b) of y = a + b x, relative errors squared least."""
    weights = 1 / np.asarray(y)
    design = np.stack([np.ones(len(x)), np.asarray(x, float)], axis=1) * weights[:, None]
    a, b = np.linalg.lstsq(design, np.ones(len(x)), rcond=None)[0]
    return float(a), float(b)


def against_batch(name: str, rounds: int) -> dict[str, Any] | None:
    """Return seconds for every batch of one network; None without its file."""
    network = load(name, max(BATCHES))
    if network is None:
        return None
    program = network.program("double")
    feeds = {str(n): network.feed(network.x[:n]) for n in BATCHES}
    times = take_turns({n: (lambda f=f: program.run(f), 1.0) for n, f in feeds.items()}, 0.02, rounds)  # type: ignore[misc]
    seconds = [times.seconds(str(n)) for n in BATCHES]
    call, sample = line(BATCHES, seconds)
    large = BATCHES.index(LARGE)
    return {
        "network": name, "x": BATCHES, "seconds": seconds, "exponent": exponent(BATCHES, seconds),
        "large_exponent": exponent(BATCHES[large:], seconds[large:]), "call": call, "sample": sample,
    }  # fmt: skip


def chain(depth: int) -> Program:
    """Return a network of equal convolutions."""
    rng = np.random.default_rng(depth)
    shape = (1, SIDE, SIDE, CHANNELS)
    q = QuantParams.per_tensor(0.05, -3)
    tensors, nodes = {"t0": Tensor("t0", shape, "int8", q)}, []
    for i in range(depth):
        w = rng.integers(-127, 128, (CHANNELS, 3, 3, CHANNELS)).astype(np.int8)
        scale = QuantParams.per_channel(rng.uniform(0.0008, 0.0012, CHANNELS), 0)
        tensors[f"w{i}"] = Tensor(f"w{i}", w.shape, "int8", scale, w)
        tensors[f"t{i + 1}"] = Tensor(f"t{i + 1}", shape, "int8", q)
        nodes.append(Node(f"conv{i}", "conv2d", (f"t{i}", f"w{i}"), (f"t{i + 1}",), Conv2dAttrs(pads=(1, 1, 1, 1))))
    graph = Graph("chain", tuple(nodes), tensors, ("t0",), (f"t{depth}",))
    return prepare(graph, load_profile(PROFILES["double"]))


def against_layers(rounds: int) -> dict[str, Any]:
    """Return seconds for every number of layers."""
    x = np.random.default_rng(0).integers(-128, 128, (SAMPLES, SIDE, SIDE, CHANNELS)).astype(np.int8)
    programs = {str(n): chain(n) for n in DEPTHS}
    times = take_turns({n: (lambda p=p: p.run({"t0": x}), 1.0) for n, p in programs.items()}, 0.02, rounds)  # type: ignore[misc]
    seconds = [times.seconds(str(n)) for n in DEPTHS]
    return {"x": DEPTHS, "seconds": seconds, "exponent": exponent(DEPTHS, seconds)}


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__).parse_args()
    rounds = 3 if args.quick else 11
    batches = [
        row for row in (against_batch(name, rounds) for name in NETWORKS[: 1 if args.quick else None]) if row is not None
    ]
    for row in batches:
        print(
            f"{row['network']}: batch ** {row['exponent']:.3f}, from {LARGE} on {row['large_exponent']:.3f}; "
            f"{1e6 * row['call']:.0f} us a call + {1e6 * row['sample']:.1f} us a sample"
        )
    layers = against_layers(rounds)
    print(f"layers ** {layers['exponent']:.3f}: " + ", ".join(f"{1e3 * s:.2f}" for s in layers["seconds"]) + " ms")
    save(args.json, {"batch": batches, "layers": layers, "large": LARGE})


if __name__ == "__main__":
    main()
