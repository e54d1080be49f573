"""Which instructions the kernels use: chosen once from the CPU's features, or by WORKBENCH_CPU. All paths have the same bits.

A path decides two things. The *dot product* instruction of the micro-kernels (`numerics/simd.py`), and the CPU that Numba compiles
for: a path that is not the machine's own best is compiled as for an older CPU, so that a test of it runs what such a CPU would run.
"""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path as File

from llvmlite import binding as llvm

from workbench.errors import InputError, nearest

VARIABLE = "WORKBENCH_CPU"


@dataclass(frozen=True)
class Path:
    """One way to compute.

    name: value of WORKBENCH_CPU. features: what the CPU must have (LLVM names). target: the CPU that Numba compiles for when the
    path is asked for by name ("" = the machine's own). byte_dot: lanes of the byte dot-product instruction (0: none,
    int8 is widened to int16). word_dot: lanes of the int16 pair product. signed: bytes are multiplied signed by signed.
    tiles: (quads of rows, panels of 16 columns) that the registers hold.
    """

    name: str
    features: tuple[str, ...]
    target: str
    byte_dot: int
    word_dot: int
    signed: bool
    tiles: tuple[tuple[int, int], ...]


X86 = ("x86_64", "amd64")
ARM = ("aarch64", "arm64")
WIDE = ((4, 1), (3, 2), (2, 3))
"""16, 24 and 24 accumulators of 512 bits: 32 registers hold them with weights and one broadcast."""
NARROW = ((1, 1),)

PATHS: dict[str, Path] = {
    path.name: path
    for path in (
        Path("avx512-vnni", ("avx512vnni", "avx512bw", "avx512vl"), "", 16, 16, False, WIDE),
        Path("avx-vnni", ("avxvnni", "avx2"), "alderlake", 8, 8, False, NARROW),
        Path("avx2", ("avx2",), "haswell", 0, 8, False, NARROW),
        Path("neon-dot", ("dotprod",), "", 4, 4, True, NARROW),
        Path("portable", (), "generic", 0, 0, False, NARROW),
    )
}
"""Best first, but for `portable`, which every CPU has."""


def host_features(machine: str, system: str, cpuinfo: str) -> dict[str, bool]:
    """Return what a CPU has, by LLVM's names: as LLVM reports it for this one.

    Of Arm's dot product LLVM says nothing. Linux lists it in /proc/cpuinfo (`asimddp`); every Mac with Arm's instructions has it.
    """
    features = dict(llvm.get_host_cpu_features())
    if machine in ARM:
        features["dotprod"] = system == "darwin" or "asimddp" in cpuinfo.split()
    return features


def _cpuinfo() -> str:
    with suppress(OSError):
        return File("/proc/cpuinfo").read_text(errors="replace")
    return ""


def available(machine: str | None = None, features: dict[str, bool] | None = None) -> list[str]:
    """Return the names of the paths that a machine can run, best first."""
    machine = (machine or platform.machine()).lower()
    if features is None:
        features = host_features(machine, sys.platform, _cpuinfo())
    family = X86 if machine in X86 else ARM if machine in ARM else ()
    fits = []
    for path in PATHS.values():
        own = X86 if path.name.startswith("avx") else ARM if path.name.startswith("neon") else family
        if own == family and all(features.get(f, False) for f in path.features):
            fits.append(path.name)
    return fits


def choose(wanted: str | None, possible: list[str]) -> tuple[Path, bool]:
    """Return (path, asked for by name). Raises InputError when the CPU cannot run what WORKBENCH_CPU says."""
    if not wanted:
        return PATHS[possible[0]], False
    wanted = wanted.lower()
    if wanted not in possible:
        known = "this CPU does not have it." if wanted in PATHS else f"no such path.{nearest(wanted, PATHS)}"
        raise InputError(f"{VARIABLE} is '{wanted}': {known}\nThis machine can run: {', '.join(possible)}.")
    return PATHS[wanted], wanted != possible[0]


PATH, FORCED = choose(os.environ.get(VARIABLE), available())
"""The path of this process, and whether it is another than the machine's best."""

UNREPORTED = ",".join(f"+{name}" for name in PATH.features if not llvm.get_host_cpu_features().get(name))
"""Features of the path that LLVM has to be told of, as LLVM writes them."""
