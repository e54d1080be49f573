"""How long the command line takes to start: --help, and `emulate` with an empty and with a filled cache of kernels.

    .venv/bin/python benchmarks/startup.py [MODEL.tflite] [--data inputs.npz] [--profile NAME] [--runs 7]

Without a model: kws_ref_int8.tflite below WORKBENCH_MODELS (default ../shared/models) with its 1,000 samples. Without data: 1,000
random samples. Every run is a process of its own; medians are printed, with the processor time beside the wall time (a busy machine
stretches the second, not the first). The cache is a temporary folder. Below the table: where a warm run spends its time, and what a
cold run compiles. Python's own report of imports makes them slower, so these figures say which share is whose; they do not add up
to the first table.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

COLD_RUNS = 3
KWS = ("mlperf_tiny/kws_ref_int8.tflite", "data/kws01_1000.npz")
TRACE = """
import json, sys, time
from numba.core import compiler, event
from numba.core.registry import cpu_target
report = sys.argv.pop(1)
loaded, registry, ready = [], [], []

def timed(function, note):
    def call(*args):
        began = time.perf_counter()
        result = function(*args)
        note(result, time.perf_counter() - began)
        return result
    return call

rebuild = compiler.CompileResult._rebuild
compiler.CompileResult._rebuild = timed(rebuild, lambda result, s: loaded.append((result.fndesc.qualname, s)))
context = type(cpu_target.target_context)
context.load_additional_registries = timed(context.load_additional_registries, lambda result, s: registry.append(s))
compiles = event.RecordingListener()
event.register("numba:compile", compiles)
from workbench.cli import main
try:
    main()
finally:
    names, open_events = [], []
    for when, what in compiles.buffer:
        if what.is_start:
            open_events.append((what.data["dispatcher"].py_func, when))
        else:
            function, began = open_events.pop()
            if not open_events:  # what a kernel calls is compiled inside its own time
                names.append((function.__qualname__, when - began))
    with open(report, "w") as file:
        json.dump({"loaded": loaded, "compiled": names, "registry": max(registry, default=0.0)}, file)
"""


class Run(NamedTuple):
    """Seconds of wall clock, seconds of processor, peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def timed(command: list[str], cache: Path) -> Run:
    """Run a command to its end."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "WORKBENCH_CACHE_DIR": str(cache)})
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / unit)


def show(name: str, runs: list[Run]) -> None:
    """Print the medians of some runs."""
    wall, cpu, peak = (statistics.median(values) for values in zip(*runs, strict=True))
    print(f"{name:28s} {wall:8.3f} s {cpu:8.3f} s {peak:8.0f} MiB {len(runs):5d} runs")


def show_imports(words: list[str], cache: Path) -> None:
    """Print the time of each package's own modules in one warm run."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "workbench.cli", *words],
        env={**os.environ, "WORKBENCH_CACHE_DIR": str(cache)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    spent: collections.Counter[str] = collections.Counter()
    modules: collections.Counter[str] = collections.Counter()
    for micros, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", done.stderr):
        package = name.partition(".")[0]
        package = "Python's own" if package in sys.stdlib_module_names else package
        spent[package] += int(micros)
        modules[package] += 1
    print(f"\nimports of a warm run: {sum(spent.values()) / 1e3:.0f} ms, {sum(modules.values())} modules")
    for package, micros in spent.most_common(10):
        print(f"  {package:26s} {micros / 1e3:8.1f} ms {modules[package]:5d} modules")


def trace(words: list[str], cache: Path) -> dict[str, list[tuple[str, float]]]:
    """Return what one run compiles and loads."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "trace.json"
        timed([sys.executable, "-c", TRACE, str(report), *words], cache)
        found: dict[str, list[tuple[str, float]]] = json.loads(report.read_text())
        return found


def show_kernels(words: list[str], folder: Path) -> None:
    """Print what a cold and a warm run compile and load."""
    cold, warm = trace(words, folder), trace(words, folder)
    print(f"\nNumba's registries: {warm['registry'] * 1e3:.0f} ms before the first kernel")  # type: ignore[operator]
    for title, kernels in (
        ("warm: loaded", warm["loaded"]),
        ("warm: compiled", warm["compiled"]),
        ("cold: compiled", cold["compiled"]),
    ):
        print(f"{title}: {len(kernels)} kernels, {sum(s for _, s in kernels) * 1e3:.0f} ms")
        for name, seconds in sorted(kernels, key=lambda k: -k[1])[:12]:
            print(f"  {name:40s} {seconds * 1e3:8.1f} ms")


def parse() -> argparse.Namespace:
    """Return the arguments, with the default model and data filled in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--profile", default="stm32l4r5-cortex-m4-tflm")
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    if args.model is None:
        folder = Path(os.environ.get("WORKBENCH_MODELS") or Path(__file__).resolve().parents[2] / "shared" / "models")
        args.model, args.data = folder / KWS[0], args.data or folder / KWS[1]
        if not args.model.is_file():
            parser.error(f"no {args.model}; give the path of a model, or set WORKBENCH_MODELS")
    return args


def main() -> None:
    """Print the table and where the time goes."""
    args = parse()
    script = Path(sys.executable).with_name("workbench")
    command = [str(script)] if script.is_file() else [sys.executable, "-m", "workbench.cli"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.data is None:
            import numpy as np  # here, so that this process stays smaller than what it measures

            from workbench.loaders import load_model

            tensor = (graph := load_model(args.model)).tensors[graph.inputs[0]]
            args.data = folder / "inputs.npy"
            np.save(args.data, np.random.default_rng(0).integers(-128, 128, (1000, *tensor.shape[1:])).astype(tensor.dtype))
        out = str(folder / "out.npz")
        words = ["emulate", str(args.model), "--profile", args.profile, "--data", str(args.data), "--out", out]
        bytecode = "not " if sys.dont_write_bytecode else ""
        print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, bytecode {bytecode}kept")
        print(f"{args.model.name}, {args.profile}\n{'':28s} {'wall':>10s} {'user+sys':>10s} {'memory':>12s}")
        timed([*command, "--help"], folder / "warm")  # the first run reads files that later ones find in memory
        show("workbench --help", [timed([*command, "--help"], folder / "warm") for _ in range(args.runs)])
        show("emulate, empty cache", [timed([*command, *words], folder / f"cold{i}") for i in range(COLD_RUNS)])
        show("emulate, filled cache", [timed([*command, *words], folder / "cold0") for _ in range(args.runs)])
        show_imports(words, folder / "cold0")
        show_kernels(words, folder / "traced")


if __name__ == "__main__":
    main()
