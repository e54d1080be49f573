"""(b) Whole int8 networks: images per second of the emulator beside LiteRT, tflite-micro and ONNX Runtime, in one process, in turns.

    python -m benchmarks.throughput [NETWORK ...] [--json FILE] [--quick]

Needs the extra `verify` and the models (WORKBENCH_MODELS, default ../shared/models). Before anything is timed, outputs on the same
samples are compared: the emulator under `double` with tflite-micro, under `float32_half_even` with LiteRT's default kernels, under
LiteRT's reference profile with its reference kernels, and every batch size and number of threads with the first of the same kind.
A bit that differs ends the run without a figure. ONNX Runtime has a rule of its own: how near it comes is printed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import runtimes
from benchmarks.networks import FILES, PROFILES, Network, folder, load
from benchmarks.timing import Call, Times, arguments, save, take_turns
from workbench.errors import UnsupportedError

WHOLE, PART, FEW = 256, 64, 16
CHECK_SLOTS = 10
"""Slots spent at most on the outputs of a slow runtime that are compared: tflite-micro takes up to 75 ms for one image."""

REFERENCE_PROFILE = "x86-litert-reference"
EQUAL = (("double", "tflite-micro"), ("float32_half_even", "default"), ("reference profile", "reference"))
"""Who must have the same bits as whom."""


@dataclass(frozen=True)
class Contestant:
    """A runner. who: rule of the emulator or name of the runtime. batch: samples of one call. x: the samples as it wants them.

    halves: two threads, each with its half of the samples; else threads are the runtime's own.
    """

    who: str
    batch: int
    threads: int
    x: Any
    run: runtimes.Runner
    halves: bool = False

    @property
    def key(self) -> str:
        """Return the name in the results."""
        return f"{self.who}/{self.batch}/{self.threads}"

    def some(self, seconds: float) -> Any:
        """Return as many samples as take about that long, in whole batches: at least one, at most all."""
        batch = self.batch * (2 if self.halves else 1)
        inputs = np.concatenate([self.x] * 2) if self.halves else self.x
        self.run(inputs[:batch])
        began = time.perf_counter()
        self.run(inputs[:batch])
        count = int(np.clip(seconds / (time.perf_counter() - began), 1, len(inputs) // batch))
        return inputs[: batch * count]

    def call(self, seconds: float) -> Call:
        """Return (call, samples of it) that takes at most about that long, but that threads are not started for too little."""
        x = self.some(seconds)
        if self.halves:
            began = time.perf_counter()
            self.run(x)
            x = np.concatenate([x] * max(1, round(seconds / (time.perf_counter() - began))))
        return lambda: self.run(x), float(len(x))


def contestants(network: Network, pool: ThreadPoolExecutor) -> Iterator[Contestant]:
    """Yield everybody that is timed, but for ONNX Runtime."""
    path, x, halves = network.path, network.x, partial(runtimes.in_two_threads, pool)
    for rule in PROFILES:
        runs = {batch: runtimes.emulator(network, rule, batch) for batch in (WHOLE, PART, 1)}
        yield from (Contestant(rule, batch, 1, x, run) for batch, run in runs.items())
        yield from (Contestant(rule, batch, 2, x, halves([runs[batch]]), True) for batch in (WHOLE, 1))
    yield from (Contestant("default", batch, 1, x, runtimes.litert(path, "default", batch)) for batch in (WHOLE, PART, 1))
    yield Contestant("default", WHOLE, 2, x, runtimes.litert(path, "default", WHOLE, threads=2))
    for batch in (PART, 1):
        runners = [runtimes.litert(path, "default", batch) for _ in range(2)]
        yield Contestant("default", batch, 2, x, halves(runners), True)
    yield from (Contestant("reference", batch, 1, x, runtimes.litert(path, "reference", batch)) for batch in (FEW, 1))
    yield Contestant("tflite-micro", 1, 1, x, runtimes.micro(path))


def onnx_contestants(network: Network) -> Iterator[Contestant]:
    """Yield ONNX Runtime's. Raises UnsupportedError when the network has no twin."""
    x = runtimes.onnx_input(network.x)
    yield from (Contestant("onnx", batch, 1, x, runtimes.onnx_runtime(network, batch)) for batch in (WHOLE, PART, 1))
    yield Contestant("onnx", WHOLE, 2, x, runtimes.onnx_runtime(network, WHOLE, threads=2))


def check(network: Network, everybody: list[Contestant], seconds: float) -> tuple[dict[str, int], dict[str, Any]]:
    """Return (samples compared per pair, outputs per kind). Raises SystemExit with the count of samples that differ.

    seconds: most time of one runner.
    """
    outputs: dict[str, Any] = {"reference profile": runtimes.emulator(network, REFERENCE_PROFILE, WHOLE)(network.x)}

    def compare(name: str, y: Any, base: str) -> int:
        count = min(len(y), len(outputs[base]))
        differ = int((y[:count] != outputs[base][:count]).reshape(count, -1).any(axis=1).sum())
        if differ:
            raise SystemExit(f"{network.name}: {differ} of {count} samples of {name} differ from {base}; nothing was timed.")
        return count

    for c in everybody:
        y = c.run(c.some(seconds))
        compare(c.key, y, c.who) if c.who in outputs else outputs.update({c.who: y})
    return {f"{a} = {b}": compare(a, outputs[a], b) for a, b in EQUAL}, outputs


def nearness(twin: Contestant, want: Any) -> dict[str, Any]:
    """Return how near ONNX Runtime's outputs are: share of equal values, largest difference in steps, share of equal classes."""
    got, want = (y.reshape(len(y), -1).astype(int) for y in (runtimes.onnx_output(twin.run(twin.x)), want))
    return {
        "equal": float((got == want).mean()), "steps": int(np.abs(got - want).max()),
        "top1": float((got.argmax(axis=1) == want.argmax(axis=1)).mean()),
    }  # fmt: skip


def measure(network: Network, slot: float, rounds: int) -> dict[str, Any]:
    """Return the figures of one network: seconds per sample of everybody in every round."""
    with ThreadPoolExecutor(1) as pool:
        everybody = list(contestants(network, pool))
        compared, outputs = check(network, everybody, CHECK_SLOTS * slot)
        try:
            twins = list(onnx_contestants(network))
            near: dict[str, Any] = nearness(twins[0], outputs["float32_half_even"])
        except UnsupportedError as problem:
            twins, near = [], {"missing": str(problem)}
        times = take_turns({c.key: c.call(slot) for c in (*everybody, *twins)}, slot, rounds)
    return {
        "network": network.name, "macs": network.macs, "inputs": network.source, "compared": compared, "onnx": near,
        "seconds": dict(times.rounds),
    }  # fmt: skip


def fastest(row: dict[str, Any], who: str, threads: int = 1) -> str:
    """Return the key of somebody's fastest batch."""
    times = Times(row["seconds"])
    return min((k for k in times.rounds if k.split("/")[0] == who and k.split("/")[2] == str(threads)), key=times.seconds)


def show(row: dict[str, Any]) -> None:
    """Print one network."""
    times = Times(row["seconds"])
    print(f"\n{row['network']}: {row['inputs']}; samples with equal bits: {row['compared']}; ONNX Runtime: {row['onnx']}")
    bases = [fastest(row, who) for who in ("default", "reference", "tflite-micro")]
    print(f"  {'who / batch / threads':28s} {'samples/s':>10s} " + " ".join(f"{'x ' + base:>24s}" for base in bases))
    for key in times.rounds:
        ratios = [times.ratio(key, base) for base in bases]
        print(
            f"  {key:28s} {1 / times.seconds(key):10.0f} "
            + " ".join(f"{r.median:9.3f} ({r.low:5.3g}-{r.high:5.3g})" for r in ratios)
        )
    print(flush=True)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of: {', '.join(FILES)}")
    args = parser.parse_args()
    rows, missing = [], []
    for name in args.networks or FILES:
        network = load(name, WHOLE)
        if network is None:
            missing.append(name)
            print(f"{name}: skipped, no {FILES[name]} below {folder()}; set WORKBENCH_MODELS")
            continue
        rows.append(measure(network, *((0.02, 3) if args.quick else (0.3, 9))))
        show(rows[-1])
    save(args.json, {"networks": rows, "missing": missing, "cores": os.cpu_count()})


if __name__ == "__main__":
    main()
