"""Where the time goes: every layer of a network in parts, ns per image, one thread.

    python -m benchmarks.layers [--json FILE] [--quick]

The parts of a layer with weights are measured on its own driver, called again with the same arguments, in turns:

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
from typing import Any, NamedTuple

os.environ["WORKBENCH_CACHE_DIR"] = str(Path(__file__).resolve().parents[1] / "build" / "benchmarks" / "cache")

import numpy as np

from benchmarks.drivers import Call, executed_macs, recorded
from benchmarks.networks import PROFILES, Network, load
from benchmarks.peak import peak
from benchmarks.timing import arguments, save, take_turns
from workbench.kernels import linear
from workbench.numerics import simd
from workbench.ops import OPS

BATCH = 64
NETWORKS = ("ResNet-8", "DS-CNN")

FIELDS = [(name, int) for name in linear.BytesProduct._fields]
NothingProduct = NamedTuple("NothingProduct", FIELDS)
NothingDepthwise = NamedTuple("NothingDepthwise", FIELDS)
simd.DOTS["nothing"] = (lambda builder, acc, x, w, lanes, low, high: acc, simd.DOTS["bytes"][1])
linear.KINDS[NothingProduct] = ("nothing", True)
linear.KINDS[NothingDepthwise] = ("nothing", False)

PARTS = ("load", "product", "requantize", "call")


def variants(call: Call) -> dict[str, Callable[[], None]]:
    """Return the driver's call, the one that only loads, and the one that multiplies nothing."""
    spread = linear.KINDS[type(call.product)][1]
    nothing = (NothingProduct if spread else NothingDepthwise)(*call.product)
    return {
        "driver": call.run(),
        "load": call.run(sizes=np.empty(0, np.int64)),
        "nothing": call.run(product=nothing),
    }


def profile(network: Network, rule: str, rounds: int) -> list[dict[str, Any]]:
    """Return one row per layer: ns per image of its parts, products, GMAC/s and what it is of the peak of the same rounds."""
    program = network.program(rule)
    values = program.run(network.feed(network.x), keep_all=True)
    rows = []
    for step in program.steps:
        args = [None if t is None else t.data if t.data is not None else values[t.name] for t in step.site.inputs]
        with recorded() as calls:
            y = step.run(args)[0]  # type: ignore[arg-type]
        runs: dict[str, tuple[Callable[[], Any], float]] = {
            "peak": peak("bytes"),
            "whole": (lambda s=step, a=args: s.run(a), float(BATCH)),  # type: ignore[misc]
        }
        for call in calls:
            runs |= {name: (run, float(BATCH)) for name, run in variants(call).items()}
        times = take_turns(runs, 0.005, rounds)
        ns = {name: 1e9 * times.fastest(name) for name in runs}
        shapes = [t.shape for t in step.site.inputs if t is not None]
        macs = OPS[step.node.op].count(step.node.attrs, shapes, [t.shape for t in step.site.outputs]).macs
        row: dict[str, Any] = {
            "layer": step.node.name, "op": step.node.op, "rule": rule, "macs": macs, "whole": ns["whole"],
            "outputs": int(np.prod(y.shape[1:])), "shape": "x".join(map(str, y.shape[1:])),
        }  # fmt: skip
        if calls:
            row |= {
                "load": ns["load"], "requantize": ns["nothing"] - ns["load"], "product": ns["driver"] - ns["nothing"],
                "call": ns["whole"] - ns["driver"], "peak": 1 / ns["peak"], "gmacs": macs / ns["whole"],
                "fraction": macs * ns["peak"] / ns["whole"],
                "executed": executed_macs(calls[0], int(np.prod(y.shape[1:-1]))),
            }  # fmt: skip
        rows.append(row)
    return rows


def show(name: str, rule: str, rows: list[dict[str, Any]]) -> None:
    """Print one network."""
    print(f"\n{name}, {rule}: ns per image\n  {'layer':44s} {'whole':>8s} " + " ".join(f"{part:>10s}" for part in PARTS))
    for row in rows:
        parts = " ".join(f"{row[part]:10.0f}" if part in row else f"{'':10s}" for part in PARTS)
        print(f"  {row['op'] + ' ' + row['shape']:44s} {row['whole']:8.0f} {parts}")
    print(f"  {'':44s} {sum(row['whole'] for row in rows):8.0f}", flush=True)


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__).parse_args()
    found: dict[str, Any] = {}
    for name in NETWORKS:
        network = load(name, BATCH)
        if network is None:
            print(f"{name}: skipped, no model")
            continue
        for rule in list(PROFILES)[: 1 if args.quick else None]:
            rows = profile(network, rule, 3 if args.quick else 31)
            show(name, rule, rows)
            found.setdefault(name, {"macs": network.macs, "rules": {}})["rules"][rule] = rows
    save(args.json, {"networks": found, "batch": BATCH})


if __name__ == "__main__":
    main()
