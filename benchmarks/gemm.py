"""(a) The matrix products: GMAC/s against the measured peak of the instruction and against a float32 BLAS, one thread.

    python -m benchmarks.gemm [--json FILE] [--quick]

Each beside the peak that was measured in the same rounds (convolutions as a network runs them: `benchmarks.layers`):

    tiles    the tile kernels alone: x [M, K] (already loaded) by w [K, N], sums left in the first-level cache
    layer    the whole operator: activations loaded, multiplied, bias, requantized, clipped, stored
    BLAS     numpy's float32 matmul of the same shape
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.drivers import Call, recorded
from benchmarks.networks import PROFILES
from benchmarks.peak import peak
from benchmarks.timing import Times, arguments, save, take_turns
from workbench.execute import prepare
from workbench.graph.ir import Tensor
from workbench.hardware import load_profile
from workbench.kernels.linear import pointers
from workbench.kernels.product import TILE, most_quads, tile
from workbench.numerics.jit import kernel
from workbench.numerics.simd import address
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import single_op

ROWS = 3072
DEPTHS, WIDTHS = (64, 128, 144, 288, 576, 1152), (16, 32, 48, 64, 96)
WORD_SHAPES = ((128, 64), (288, 48), (576, 96))
QUICK = (("bytes", 144, 16), ("bytes", 576, 64), ("words", 128, 64))


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
    wide = "int32" if dtype == "int8" else "int64"
    b = rng.integers(-999, 999, n).astype(wide)
    inputs = [Tensor("x", (1, k), dtype, q), Tensor("w", (n, k), "int8", scale, w), Tensor("b", (n,), wide, None, b)]
    graph = single_op("fully_connected", FullyConnectedAttrs("relu"), inputs, Tensor("y", (1, n), dtype, q))
    run = prepare(graph, load_profile(PROFILES[rule])).steps[0].run
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, (rows, k)).astype(dtype)
    with recorded() as calls:
        run([x, w, b])
    return lambda: run([x, w, b]), calls[0]


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


def figures(times: Times, name: str) -> dict[str, Any]:
    """Return GMAC/s (median) and what that is of the peak of the same rounds."""
    return {"gmacs": 1e-9 / times.seconds(name), "of_peak": times.ratio(name, "peak")}


def shape(kind: str, k: int, n: int, slot: float, rounds: int) -> dict[str, Any]:
    """Return the figures of one matrix shape. kind: "bytes" (int8 activations) or "words" (int16)."""
    whole, call = layer(ROWS, k, n, "int8" if kind == "bytes" else "int16", "double")
    tiles, rows = tiles_of(call)
    a, b = (np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((ROWS, k), (k, n)))
    out = np.empty((ROWS, n), np.float32)
    products = float(ROWS * k * n)
    times = take_turns(
        {
            "peak": peak(kind), "tiles": (tiles, float(rows * k * n)), "layer": (whole, products),
            "blas": (lambda: np.matmul(a, b, out=out), products),
        },
        slot, rounds,
    )  # fmt: skip
    row = {"kind": kind, "k": k, "n": n, "peak": 1e-9 / times.seconds("peak"), "over_blas": times.ratio("layer", "blas")}
    return row | {name: figures(times, name) for name in ("tiles", "layer", "blas")}


def show(row: dict[str, Any]) -> None:
    """Print one shape."""
    parts = (f"{name} {row[name]['gmacs']:6.1f} ({row[name]['of_peak'].median:4.0%})" for name in ("tiles", "layer", "blas"))
    print(f"{row['kind']} K {row['k']:5d} N {row['n']:4d}: peak {row['peak']:6.1f}  {'  '.join(parts)} GMAC/s", flush=True)


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__).parse_args()
    shapes = [("bytes", k, n) for k in DEPTHS for n in WIDTHS] + [("words", *pair) for pair in WORD_SHAPES]
    rows = []
    for kind, k, n in QUICK if args.quick else shapes:
        rows.append(shape(kind, k, n, *((0.02, 3) if args.quick else (0.1, 9))))
        show(rows[-1])
    save(args.json, {"rows": ROWS, "gemm": rows})


if __name__ == "__main__":
    main()
