"""(a, b) Where the time goes: every layer of a network against the peak, and in parts, ns per sample, one thread.

    python -m benchmarks.layers [--json FILE] [--quick]

A layer runs as in the network: the whole operator on a batch of 64 activations of real samples. Its products per second are compared
with the peak of the same rounds. The parts of a layer with weights are those of its driver, called again with the same arguments:

    load         the driver without any panel of weights: activations moved and padded as the instruction wants them
    requantize   the driver with a tile kernel that multiplies nothing, less the load: sums written, requantized, clipped, stored
    product      the whole driver less both
    call         the whole operator less the driver: Python, checks, a new array for the output

Each is the fastest of its rounds, so that the differences are not those of other work on the machine.

It compiles drivers for a product class of its own, so it keeps its own compile cache: nobody else could read those entries.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["WORKBENCH_CACHE_DIR"] = str(Path(__file__).resolve().parents[1] / "build" / "benchmarks" / "cache")

import numpy as np

from benchmarks import drivers
from benchmarks.drivers import executed_macs, recorded
from benchmarks.networks import PROFILES, Network, load
from benchmarks.peak import peak
from benchmarks.timing import Call, arguments, save, take_turns
from workbench.execute import Step
from workbench.kernels import product
from workbench.numerics import simd
from workbench.ops import OPS

BATCH = 64
NETWORKS = ("ResNet-8", "ResNet-8-large", "MobileNetV1-0.25", "DS-CNN")


class NothingProduct(product.Product):
    """As BytesProduct, and multiplies nothing."""


class NothingDepthwise(product.Product):
    """As BytesDepthwise, and multiplies nothing."""


simd.DOTS["nothing"] = (lambda builder, acc, x, w, lanes, low, high: acc, simd.DOTS["bytes"][1] or simd.DOTS["words"][1])
product.KINDS[NothingProduct] = ("nothing", True)
product.KINDS[NothingDepthwise] = ("nothing", False)

PARTS = ("load", "product", "requantize", "call")


def variants(call: drivers.Call) -> dict[str, Callable[[], None]]:
    """Return the driver's call, the one that only loads, and the one that multiplies nothing."""
    spread = product.KINDS[type(call.product)][1]
    nothing = (NothingProduct if spread else NothingDepthwise)(*call.product)
    return {
        "driver": call.run(),
        "load": call.run(sizes=np.empty(0, np.int64)),
        "nothing": call.run(product=nothing),
    }


def layer(step: Step, args: list[Any], rounds: int) -> dict[str, Any]:
    """Return one row: ns per sample of a layer and of its parts, its products, and what its speed is of the peak of the same rounds."""
    with recorded() as calls:
        y = step.run(args)[0]
    runs: dict[str, Call] = {"peak": peak("bytes"), "whole": (lambda: step.run(args), float(BATCH))}
    for call in calls:
        runs |= {name: (run, float(BATCH)) for name, run in variants(call).items()}
    times = take_turns(runs, 0.005, rounds)
    ns = {name: 1e9 * times.fastest(name) for name in runs}
    shapes = [() if t is None else t.shape for t in step.site.inputs]
    macs = OPS[step.node.op].count(step.node.attrs, shapes, [t.shape for t in step.site.outputs]).macs
    row: dict[str, Any] = {"op": step.node.op, "shape": y.shape[1:], "macs": macs, "whole": ns["whole"]}
    if not calls:
        return row
    of_peak = times.ratio("whole", "peak")
    return row | {
        "w": shapes[1], "load": ns["load"], "requantize": ns["nothing"] - ns["load"], "product": ns["driver"] - ns["nothing"],
        "call": ns["whole"] - ns["driver"], "gmacs": 1e-9 * macs / times.seconds("whole"),
        "of_peak": [macs * value for value in of_peak], "executed": executed_macs(calls[0], int(np.prod(y.shape[1:-1]))),
    }  # fmt: skip


def profile(network: Network, rule: str, rounds: int) -> list[dict[str, Any]]:
    """Return one row per layer of a network."""
    program = network.program(rule)
    values = program.run(network.feed(network.x), keep_all=True)
    inputs = [
        [None if t is None else t.data if t.data is not None else values[t.name] for t in s.site.inputs] for s in program.steps
    ]
    return [layer(step, args, rounds) for step, args in zip(program.steps, inputs, strict=True)]


def show(name: str, rule: str, rows: list[dict[str, Any]]) -> None:
    """Print one network."""
    print(
        f"\n{name}, {rule}: ns per sample\n  {'layer':32s} {'whole':>8s} {'of peak':>8s} "
        + " ".join(f"{p:>10s}" for p in PARTS)
    )
    for row in rows:
        title = f"{row['op']} {'x'.join(map(str, row['shape']))}"
        fraction = f"{row['of_peak'][0]:8.0%}" if "of_peak" in row else f"{'':8s}"
        parts = " ".join(f"{row[part]:10.0f}" for part in PARTS if part in row)
        print(f"  {title:32s} {row['whole']:8.0f} {fraction} {parts}")
    print(f"  {'':32s} {sum(row['whole'] for row in rows):8.0f}", flush=True)


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__).parse_args()
    found: dict[str, Any] = {}
    for name in NETWORKS[: 1 if args.quick else None]:
        network = load(name, BATCH)
        if network is None:
            print(f"{name}: skipped, no model")
            continue
        for rule in list(PROFILES)[: 1 if args.quick else None]:
            rows = profile(network, rule, 3 if args.quick else 15)
            show(name, rule, rows)
            found.setdefault(name, {"macs": network.macs, "rules": {}})["rules"][rule] = rows
    save(args.json, {"networks": found, "batch": BATCH})


if __name__ == "__main__":
    main()
