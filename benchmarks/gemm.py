"""(a) The matrix products: GMAC/s against the measured peak of the instruction and against a float32 BLAS, one thread.

    python -m benchmarks.gemm [--json FILE] [--quick]

Three kinds of figures, each beside the peak that was measured in the same round:

    tiles    the tile kernels alone: x [M, K] (already loaded) by w [K, N], sums left in the first-level cache
    layer    the whole operator: activations loaded, multiplied, bias, requantized, clipped, stored
    BLAS     numpy's float32 matmul of the same shape

and the 3 x 3 convolutions of ResNet-8 as the network runs them, padding and requantization included, under two rules.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.drivers import Call, executed_macs, recorded
from benchmarks.networks import PROFILES, load
from benchmarks.peak import peak
from benchmarks.timing import Times, arguments, save, take_turns
from workbench.execute import prepare
from workbench.graph.ir import Tensor
from workbench.hardware import load_profile
from workbench.kernels.linear import TILE, most_quads, pointers, tile
from workbench.numerics.jit import kernel
from workbench.numerics.simd import address
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import single_op

ROWS = 3072
DEPTHS, WIDTHS = (64, 128, 144, 288, 576, 1152), (16, 32, 48, 64, 96, 256)
WORD_SHAPES = ((128, 64), (288, 48), (576, 96))
BATCH = 64


@kernel
def multiply_tiles(
    product: Any, bands: int, source: Any, quads: Any, count: int, offsets: Any, weights: Any, sizes: Any, init: Any, acc: Any
) -> None:
    """Multiply the same loaded band again and again: `multiply_band` without requantization."""
    for _ in range(bands):
        w, start = address(weights), address(init)
        for panels in sizes:
            most = most_quads(product, panels)
            q = 0
            while q < count:
                used = most if count - q >= most else 1
                p0, p1, p2, p3 = pointers(quads, q, used, address(source))
                tile(product, used, panels, p0, p1, p2, p3, address(offsets), product.steps, w, start, address(acc))
                q += used
            w += 64 * panels * product.steps
            start += 64 * panels


def layer(rows: int, k: int, n: int, dtype: str, rule: str) -> tuple[Callable[[], Any], Call]:
    """Return (call of a fully connected layer on random numbers, its driver's call)."""
    rng = np.random.default_rng(k * n)
    q = QuantParams.per_tensor(0.05 if dtype == "int8" else 0.0002, 3 if dtype == "int8" else 0)
    w = rng.integers(-127, 128, (n, k)).astype(np.int8)
    scale = QuantParams.per_channel(rng.uniform(0.002, 0.004, n) / np.sqrt(k), 0)
    bias = Tensor("b", (n,), "int32" if dtype == "int8" else "int64", None, rng.integers(-999, 999, n).astype(np.int64))
    bias = Tensor("b", (n,), bias.dtype, None, bias.data.astype(bias.dtype))  # type: ignore[union-attr]
    graph = single_op(
        "fully_connected", FullyConnectedAttrs("relu"),
        [Tensor("x", (1, k), dtype, q), Tensor("w", (n, k), "int8", scale, w), bias], Tensor("y", (1, n), dtype, q),
    )  # fmt: skip
    run = prepare(graph, load_profile(PROFILES[rule])).steps[0].run
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, (rows, k)).astype(dtype)
    with recorded() as calls:
        run([x, w, bias.data])
    return lambda: run([x, w, bias.data]), calls[0]


def tiles_of(call: Call) -> tuple[Callable[[], None], int]:
    """Return (the tile kernels of a driver's call on one band of it, rows)."""
    a = call.arguments
    rows, bands = a["tile"], max(1, ROWS // a["tile"])
    source = np.random.default_rng(0).integers(0, 100, rows * 4 * call.product.steps + 256).astype(np.uint8)
    init = np.zeros(16 * call.product.panels, np.int32)
    acc = np.empty(TILE, np.int32)
    return (
        lambda: multiply_tiles(
            call.product, bands, source, a["quads"], rows // 4, a["offsets"], a["weights"], a["sizes"], init, acc
        ),
        bands * rows,
    )


def figures(times: Times, name: str, base: str = "peak") -> dict[str, float]:
    """Return GMAC/s (median), its ratio to a base (median of the rounds, and fastest to fastest)."""
    return {
        "gmacs": 1e-9 / times.seconds(name),
        "fraction": times.ratio(name, base),
        "best": times.fastest(base) / times.fastest(name),
    }


def shapes(kind: str, pairs: list[tuple[int, int]], rounds: int) -> list[dict[str, Any]]:
    """Return one row per matrix shape. kind: "bytes" (int8 activations) or "words" (int16)."""
    found = []
    for k, n in pairs:
        whole, call = layer(ROWS, k, n, "int8" if kind == "bytes" else "int16", "double")
        tiles, rows = tiles_of(call)
        a, b = (np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((ROWS, k), (k, n)))
        out = np.empty((ROWS, n), np.float32)
        times = take_turns(
            {
                "peak": peak(kind),
                "tiles": (tiles, float(rows * k * n)),
                "layer": (whole, float(ROWS * k * n)),
                "blas": (lambda a=a, b=b, out=out: np.matmul(a, b, out=out), float(ROWS * k * n)),  # type: ignore[misc]
            },
            0.01, rounds,
        )  # fmt: skip
        row = {"kind": kind, "k": k, "n": n, "peak": 1e-9 / times.seconds("peak"), "fastest_peak": 1e-9 / times.fastest("peak")}
        row |= {name: figures(times, name) for name in ("tiles", "layer", "blas")} | {"over_blas": times.ratio("layer", "blas")}
        print(
            f"{kind} K {k:5d} N {n:4d}: peak {row['peak']:6.1f}  tiles {row['tiles']['gmacs']:6.1f} ({row['tiles']['fraction']:.0%})"
            f"  layer {row['layer']['gmacs']:6.1f} ({row['layer']['fraction']:.0%})  BLAS {row['blas']['gmacs']:6.1f} GMAC/s",
            flush=True,
        )
        found.append(row)
    return found


def convolutions(rounds: int) -> list[dict[str, Any]]:
    """Return one row per 3 x 3 convolution of ResNet-8 and rule; none without the model."""
    network = load("ResNet-8", BATCH)
    if network is None:
        return []
    rows = []
    for rule in PROFILES:
        program = network.program(rule)
        values = program.run(network.feed(network.x), keep_all=True)
        for step in program.steps:
            w = next((t for t in step.site.inputs if t is not None and t.is_constant), None)
            if step.node.op != "conv2d" or w is None or w.shape[1:3] != (3, 3):
                continue
            args = [None if t is None else t.data if t.data is not None else values[t.name] for t in step.site.inputs]
            with recorded() as calls:
                y = step.run(args)[0]  # type: ignore[arg-type]
            positions = int(np.prod(y.shape[:3]))
            macs = positions * int(np.prod(w.shape))
            times = take_turns(
                {"peak": peak("bytes"), "layer": (lambda s=step, a=args: s.run(a), float(macs))},  # type: ignore[misc]
                0.01, rounds,
            )  # fmt: skip
            row = {
                "rule": rule, "layer": step.node.name, "shape": f"{w.shape[3]} to {w.shape[0]} channels, {y.shape[1]} x {y.shape[2]}",
                "k": int(np.prod(w.shape[1:])), "n": w.shape[0], "useful": macs / sum(executed_macs(c, positions) for c in calls),
                **figures(times, "layer"),
            }  # fmt: skip
            print(
                f"{rule:18s} {row['shape']:26s} {row['gmacs']:6.1f} GMAC/s, {row['fraction']:.0%} of the peak, best {row['best']:.0%}"
            )
            rows.append(row)
    return rows


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__).parse_args()
    rounds = 3 if args.quick else 15
    pairs = [(144, 16), (576, 64)] if args.quick else [(k, n) for k in DEPTHS for n in WIDTHS]
    gemm = shapes("bytes", pairs, rounds) + shapes("words", list(WORD_SHAPES[:1] if args.quick else WORD_SHAPES), rounds)
    convs = convolutions(rounds)
    save(
        args.json,
        {"gemm": gemm, "convolutions": convs, "peak": statistics.median(r["peak"] for r in gemm if r["kind"] == "bytes")},
    )


if __name__ == "__main__":
    main()
