"""How long the program of a choice takes to solve, to a gap of 0: one problem, a frontier, and the published ones.

Random networks (seeds given): layers of log-normal size and sensitivity, five formats of two activation types, conversions where
neighbours differ in type (a chain; a residual graph with a second edge over every third layer), an arena of 60 steps, limits on flash,
latency and RAM together. Wanted: 100 groups x 5 formats in 1 s, 20 points of a frontier in 10 s, each problem of HAWQ-V3 in 50 ms.
Processor time of one thread; the wall time beside it.

Usage: python benchmarks/program_speed.py [--seeds 10] [--frontiers 3] [--golden ../shared/golden]
Exit code 1 when a median is above what is wanted, or a gap is not 0.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workbench.search.program import Program
from workbench.search.solve import Solution, frontier, solve
from workbench.search.tables import Assembly
from workbench.validate.cases import read_json
from workbench.validate.golden_search import choose_bits

WEIGHT_BITS, ACTIVATION_BITS = np.array([8, 4, 2, 8, 4]), np.array([8, 8, 8, 16, 16])
SLOWER = np.array([1.0, 1.1, 1.15, 1.6, 1.7])
"""Cycles in a format against w8a8: unpacking, and twice the bytes moved."""
STEPS, POINTS = 60, 20
WANTED_S = {"one": 1.0, "frontier": 10.0, "HAWQ-V3": 0.05}


def random_network(seed: int, residual: bool, groups: int = 100) -> Program:
    """Return the program of a random network: loss, flash, latency, ram."""
    rng = np.random.default_rng(seed)
    weights, maps = rng.lognormal(9, 1.2, groups).round(), rng.lognormal(9, 0.8, groups).round()
    sensitivity = rng.lognormal(0, 1.5, groups)
    edges = [(g, g + 1) for g in range(groups - 1)]
    edges += [(g, g + 3) for g in range(0, groups - 3, 3)] if residual else []
    made = Assembly((len(WEIGHT_BITS),) * groups, 3 + STEPS)
    step = [3 + g * STEPS // groups for g in range(groups)]
    for g in range(groups):
        error = (
            sensitivity[g]
            * (4.0 ** (-WEIGHT_BITS / 2) + (ACTIVATION_BITS == 8) * 2e-3)
            * rng.lognormal(0, 0.3, len(WEIGHT_BITS))
        )
        seconds = weights[g] * SLOWER * rng.lognormal(0, 0.1) * 1e-6
        made.add([g], np.stack([error, weights[g] * WEIGHT_BITS / 8, seconds], axis=1), (0, 1, 2))
        for row in {step[g], step[min(g + 1, groups - 1)]}:  # written, then read
            made.add([g], (maps[g] * ACTIVATION_BITS / 8)[:, None], [row])
    differ = ACTIVATION_BITS[:, None] != ACTIVATION_BITS
    for a, b in edges:
        made.add((a, b), differ[..., None] * np.array([40.0, maps[a] * 2e-7, maps[a] * 0.5]), (1, 2, step[a]))
    return made.program({"loss": 0, "flash": 1, "latency": 2}, {"ram": range(3, 3 + STEPS)}, {})


def limits(program: Program) -> dict[str, float]:
    """Return limits that all bind or nearly: shares of what 8 bits everywhere take."""
    eight = {name: float(v[0]) for name, v in program.values(np.zeros((1, len(program.options)), np.int64)).items()}
    return {"flash": 0.55 * eight["flash"], "latency": 1.15 * eight["latency"], "ram": 1.3 * eight["ram"]}


def timed(what: Callable[[], list[Solution]]) -> tuple[float, float, list[Solution]]:
    """Return (processor seconds, wall seconds, solutions)."""
    wall, own = time.perf_counter(), time.process_time()
    found = what()
    return time.process_time() - own, time.perf_counter() - wall, found


def told(kind: str, shape: str, runs: list[tuple[float, float, list[Solution]]]) -> bool:
    """Print the times of several problems; return whether they are as wanted."""
    own, wall = sorted(run[0] for run in runs), sorted(run[1] for run in runs)
    gap = max((solution.gap for run in runs for solution in run[2]), default=0.0)
    print(
        f"{kind:9} {shape:42} {len(runs):3} problems: median {statistics.median(own):.3f} s, worst {own[-1]:.3f} s of processor time "
        f"(wall {statistics.median(wall):.3f}, {wall[-1]:.3f}); largest gap {gap:.0e}; wanted {WANTED_S[kind]:g} s"
    )
    return statistics.median(own) <= WANTED_S[kind] and gap == 0.0


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--frontiers", type=int, default=3)
    parser.add_argument("--golden", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "golden")
    options = parser.parse_args()
    good = True
    for residual in (False, True):
        shape = f"100 groups x 5 formats, {'residual' if residual else 'chain'}, {STEPS} steps"
        programs = [random_network(seed, residual) for seed in range(options.seeds)]
        runs = [timed(lambda p=p: [s for s in [solve(p, {"loss": 1.0}, limits(p))] if s is not None]) for p in programs]  # type: ignore[misc]
        good &= told("one", shape, runs) and all(run[2] for run in runs)
        for program in programs[: options.frontiers]:
            ram = {"ram": limits(program)["ram"]}
            run = timed(lambda p=program, r=ram: frontier(p, "loss", "flash", POINTS, r))  # type: ignore[misc]
            good &= told("frontier", f"{shape}, {len(run[2])} points", [run])
    file = options.golden / "hawq_v3_ilp.json"
    if file.exists():
        data, runs = read_json(file), []
        for name in data["published"]:
            network, limit, share = name.removeprefix("bit_config_").split("_")
            start, own = time.perf_counter(), time.process_time()
            choose_bits(data["instances"][network], limit, float(share))
            runs.append((time.process_time() - own, time.perf_counter() - start, []))
        good &= told("HAWQ-V3", "19 and 52 layers, 4 or 8 bits", runs)
    sys.exit(not good)


if __name__ == "__main__":
    main()
