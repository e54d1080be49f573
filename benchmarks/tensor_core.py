"""The matrix units of GPUs: GMAC/s per rule and shape on one thread, against a float32 BLAS and against MMA-Sim.

python -m benchmarks.tensor_core [--mma-sim FOLDER] [--json FILE] [--out FOLDER] [--quick]

product   rows [M, K] by packed columns [N, K]: numbers loaded, multiplied, accumulators stored (a layer without its epilogue)
BLAS      numpy's float32 matmul of the same shape, which rounds otherwise
MMA-Sim   its Python on one tile of the instruction, as dot products a second, ours on the same operands after a comparison of
          every bit. FOLDER: a checkout of microsoft/MMA-Sim (c785138); needs torch. Without it no ratio is given.
--out     writes FOLDER/tensor_core.json and the page FOLDER/README.md. Figures are medians of rounds; beside them the fastest round.
          Seconds are CPU time of the one thread that computes: what other programs take of the machine is not counted, what they take
          of its caches and of a core that two threads share is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import describe
from benchmarks.timing import arguments, save, take_turns
from workbench.kernels.gemm_tensor_core import multiply, pack_columns
from workbench.numerics.float16 import widen
from workbench.numerics.float_formats import FORMATS
from workbench.numerics.tensor_core import DotRule
from workbench.ops._linear_float import INPUT_FORMATS
from workbench.tensor import STORAGE

Array = np.ndarray[Any, Any]
TYPES = {form: STORAGE[dtype] for dtype, form in INPUT_FORMATS.items()}
BATCH = 4096
"""Tiles of one instruction that our side multiplies in one call."""


class Unit(NamedTuple):
    """A rule, and the instruction of MMA-Sim that has it."""

    form: str
    rule: DotRule
    architecture: str
    instruction: str


UNITS = {
    "Volta fp16": Unit("fp16", DotRule(4, 23), "Volta", "m8n8k4.f32.f16.f16.f32"),
    "Turing fp16": Unit("fp16", DotRule(8, 24), "Turing", "m16n8k8.f32.f16.f16.f32"),
    "Ampere bf16": Unit("bf16", DotRule(8, 24), "Ampere", "m16n8k16.f32.bf16.bf16.f32"),
    "Ampere tf32": Unit("tf32", DotRule(4, 24), "Ampere", "m16n8k8.f32.tf32.tf32.f32"),
    "Ada fp8": Unit("e4m3", DotRule(16, 13, 1), "Ada Lovelace", "m16n8k32.f32.e4m3.e4m3.f32"),
    "Hopper fp16": Unit("fp16", DotRule(16, 25), "Hopper", "m16n8k16.f32.f16.f16.f32"),
    "Hopper fp16, fp16 sums": Unit("fp16", DotRule(16, 25, 2), "Hopper", "m16n8k16.f16.f16.f16.f16"),
    "Hopper bf16": Unit("bf16", DotRule(16, 25), "Hopper", "m16n8k16.f32.bf16.bf16.f32"),
    "Hopper tf32": Unit("tf32", DotRule(8, 25), "Hopper", "m16n8k8.f32.tf32.tf32.f32"),
    "Hopper fp8": Unit("e4m3", DotRule(32, 13, 1), "Hopper", ""),
}  # fmt: skip
SHAPES = ((1024, 1024, 256), (1024, 576, 64), (4096, 144, 16), (1, 1024, 1024))
QUICK = ("Hopper fp16", "Hopper bf16")


def numbers(unit: Unit, rows: int, depth: int) -> Array:
    """Return normal numbers in the unit's format."""
    return np.random.default_rng(rows * depth).normal(size=(rows, depth)).astype(TYPES[unit.form])


def patterns(values: Array, form: str) -> Array:
    """Return the bits of numbers."""
    return np.ascontiguousarray(values).view(FORMATS[form].storage)


def speed(unit: Unit, m: int, k: int, n: int, slot: float, rounds: int) -> dict[str, Any]:
    """Return the figures of one shape."""
    a, b = numbers(unit, m, k), numbers(unit, n, k)
    columns, rows = pack_columns(patterns(b, unit.form), unit.form, unit.form, unit.rule), patterns(a, unit.form)
    left, right, out = widen(a), np.ascontiguousarray(widen(b).T), np.empty((m, n), np.float32)
    times = take_turns(
        {
            "product": (lambda: multiply(rows, columns), float(m * k * n)),
            "blas": (lambda: np.matmul(left, right, out=out), float(m * k * n)),
        },
        slot, rounds, time.thread_time,
    )  # fmt: skip
    return {
        "m": m, "k": k, "n": n, "gmacs": 1e-9 / times.seconds("product"), "fastest_gmacs": 1e-9 / times.fastest("product"),
        "of_blas": times.ratio("product", "blas"),
    }  # fmt: skip


def reference_model(folder: Path) -> Callable[[Unit], tuple[Callable[[], Any], tuple[int, int, int], Array, Array]]:
    """Return a function: unit -> (a call of MMA-Sim on one tile, (m, n, k), its operands' patterns a [m, k], b [n, k])."""
    sys.path.insert(0, str(folder))
    import torch
    from mmasim.simulator.nv_ptx import mma  # type: ignore[import-not-found]

    torch.set_num_threads(1)

    def make(unit: Unit) -> tuple[Callable[[], Any], tuple[int, int, int], Array, Array]:
        model = mma(unit.architecture, unit.instruction)
        a, b = (numbers(unit, rows, model.k) for rows in (model.m, model.n))
        left, right = (torch.tensor(widen(v)).to(kind) for v, kind in ((a, model.a_type), (b, model.b_type)))
        c = torch.zeros((model.m, model.n), dtype=model.c_type)
        bits = patterns(a, unit.form), patterns(b, unit.form)
        return lambda: model(left, right.T, c).float().numpy(), (model.m, model.n, model.k), *bits

    return make


def against_model(unit: Unit, make: Any, slot: float, rounds: int) -> dict[str, Any]:
    """Return dot products a second of both, and how often ours is as fast, after comparing all bits of the tile."""
    theirs, (m, n, k), a, b = make(unit)
    columns = pack_columns(b, unit.form, unit.form, unit.rule)
    differ = int((multiply(a, columns).view(np.uint32) != theirs().view(np.uint32)).sum())
    many = np.tile(a, (BATCH, 1))
    times = take_turns(
        {"ours": (lambda: multiply(many, columns), float(BATCH * m * n)), "theirs": (theirs, float(m * n))},
        slot,
        rounds,
        time.thread_time,
    )
    return {
        "tile": [m, n, k], "bits_differ": differ, "ours_per_s": 1 / times.seconds("ours"),
        "model_per_s": 1 / times.seconds("theirs"), "ratio": times.ratio("ours", "theirs"),
    }  # fmt: skip


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))


def page(found: dict[str, Any]) -> str:
    """Return the page of a run."""
    rows, machine = found["tensor_core"], found["machine"]
    shapes = list(dict.fromkeys((r["m"], r["k"], r["n"]) for r in rows))
    cells = {(r["unit"], r["m"], r["k"], r["n"]): f"{r['gmacs']:.1f} ({r['fastest_gmacs']:.1f})" for r in rows}
    speeds = [(unit, *(cells[unit, *shape] for shape in shapes)) for unit in dict.fromkeys(r["unit"] for r in rows)]
    models = [
        (r["unit"], "{} x {} x {}".format(*m["tile"]), f"{m['ours_per_s']:,.0f}", f"{m['model_per_s']:,.0f}",
         "{:,.0f} ({:,.0f} to {:,.0f})".format(*m["ratio"]), str(m["bits_differ"]))
        for r in rows if (m := r.get("model"))
    ]  # fmt: skip
    header = ("rule", "m x n x k", "this kernel", "MMA-Sim", "ratio", "bits that differ")
    beside = table(header, models) if models else "Not measured: the run had no `--mma-sim FOLDER`."
    before, after = (", ".join(f"{x:.2f}" for x in found["load"][when]) for when in ("start", "end"))
    return f"""# Tensor core products, {machine["date"]}, {machine["cpu"]} ({machine["llvm_cpu"]}), {machine["path"]}, one thread

Made by `python -m benchmarks.tensor_core --out FOLDER`, which says what is measured. The figures are in `tensor_core.json`.
Seconds are CPU time of the one thread that computes. Load average (1, 5, 15 minutes; this run alone makes 1.0) at the start
{before}, at the end {after}, {machine["usable_cores"]} cores: what lies above 1 is other programs, which slow a core that they share.

## Products, GMAC/s: median of the rounds (fastest)

{table(("rule", *(f"M {m}, K {k}, N {n}" for m, k, n in shapes)), speeds)}

## Dot products a second beside MMA-Sim's Python

Both on the operands of one instruction, in turns; the ratio is the median of the rounds' ratios, with its 95 % interval.

{beside}
"""


def load() -> tuple[float, ...]:
    """Return the load averages, nothing where nobody counts."""
    return os.getloadavg() if hasattr(os, "getloadavg") else ()


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--mma-sim", type=Path, metavar="FOLDER", help="a checkout of microsoft/MMA-Sim (needs torch)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the figures and a page there")
    args = parser.parse_args()
    slot, rounds = (0.02, 3) if args.quick else (0.05, 15)
    make = None if args.mma_sim is None else reference_model(args.mma_sim)
    rows: list[dict[str, Any]] = []
    start = load()
    for name in QUICK if args.quick else UNITS:
        unit = UNITS[name]
        for shape in SHAPES[:2] if args.quick else SHAPES:
            rows.append({"unit": name, **speed(unit, *shape, slot, rounds)})
            r = rows[-1]
            print(
                f"{name:24s}{shape!s:20s}{r['gmacs']:7.2f} GMAC/s (fastest round {r['fastest_gmacs']:.2f}), "
                f"{r['of_blas'].median:6.3f} of BLAS",
                flush=True,
            )
        if make is not None and unit.instruction:
            found = rows[-1]["model"] = against_model(unit, make, slot, rounds)
            print(
                f"{name:24s}dot products a second: {found['ours_per_s']:,.0f}, MMA-Sim {found['model_per_s']:,.0f} "
                f"({found['bits_differ']} bits differ): x {found['ratio'].median:,.0f}",
                flush=True,
            )
    if make is None:
        print("MMA-Sim: not measured (--mma-sim FOLDER).")
    result = {"machine": describe(), "load": {"start": start, "end": load()}, "tensor_core": rows}
    save(args.json, result)
    if args.out is not None:
        save(args.out / "tensor_core.json", result)
        (args.out / "README.md").write_text(page(result))


if __name__ == "__main__":
    main()
