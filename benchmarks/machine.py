"""The machine: what it is, what runs on it, and how quiet it is.

    python -m benchmarks.machine [--json FILE] [--quick]

The noise is that of the register loop of `benchmarks.peak`, which needs no memory and no other core: it should take the same time
every time. The clock is counted by additions that wait for one another; two loops at once show what a second core is worth.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import binding as llvm

from benchmarks.peak import clock, peak, products
from benchmarks.timing import arguments, save, take_turns
from workbench.numerics.cpu import FORCED, PATH, available

PACKAGES = ("numpy", "numba", "llvmlite", "ai-edge-litert", "tflite-micro", "onnxruntime")
FEATURES = (
    "avx2",
    "avxvnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512vnni",
    "avx512vbmi",
    "amx-int8",
    "neon",
    "dotprod",
    "i8mm",
)


def command(*words: str) -> str:
    """Return what a command prints, nothing when it fails."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def cpu_name() -> str:
    """Return the CPU's own name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or command("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def version(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def describe() -> dict[str, Any]:
    """Return what is known without measuring."""
    features = dict(llvm.get_host_cpu_features())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    changed = command("git", "status", "--porcelain", "--untracked-files=no")
    return {
        "date": datetime.date.today().isoformat(), "cpu": cpu_name(), "llvm_cpu": llvm.get_host_cpu_name(),
        "features": [f for f in FEATURES if features.get(f)], "path": PATH.name, "forced": FORCED, "paths": available(),
        "cores": os.cpu_count(), "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "virtual": "hypervisor" in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else None,
        "memory_bytes": pages, "system": platform.platform(), "python": platform.python_version(),
        "blas": f"{blas['name']} {blas['version']}", "packages": {name: version(name) for name in PACKAGES},
        "commit": command("git", "rev-parse", "--short=12", "HEAD") + (" with changes" if changed else ""),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }  # fmt: skip


def noise(rounds: int) -> dict[str, Any]:
    """Return the peaks in GMAC/s, the clock in GHz (the fastest of all loops), the spread of equal loops, the worth of a thread."""
    calls = {"bytes": peak("bytes"), "words": peak("words"), "clock": clock()}
    loop, macs = calls["bytes"]
    with ThreadPoolExecutor(1) as pool:

        def both() -> None:
            job = pool.submit(loop)
            loop()
            job.result()

        times = take_turns(calls | {"two": (both, 2 * macs)}, 0.02, rounds)
    spread = np.quantile(np.array(times.rounds["bytes"]) / times.seconds("bytes"), (0.1, 0.9)).tolist()
    return {
        "bytes": 1e-9 / times.fastest("bytes"), "words": 1e-9 / times.fastest("words"), "ghz": 1e-9 / times.fastest("clock"),
        "per_cycle": round(times.fastest("clock") / times.fastest("bytes")),
        "per_instruction": products("bytes" if PATH.byte_dot else "words"),
        "spread": spread, "two_threads": times.ratio("two", "bytes"), "rounds": rounds,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__).parse_args()
    found = describe()
    found["noise"] = noise(10 if args.quick else 50)
    for name, value in found.items():
        print(f"{name:14s} {value}")
    save(args.json, found)


if __name__ == "__main__":
    main()
