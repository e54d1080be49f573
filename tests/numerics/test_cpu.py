"""Which path a machine takes: the best that its features allow, or the one that WORKBENCH_CPU names; never one that it cannot run."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import workbench
from workbench.errors import InputError
from workbench.numerics.cpu import PATHS, Path, available, choose, host_features
from workbench.numerics.simd import LANES
from workbench.ops._linear import TILE_ROWS

BASE = {"sse2": True, "avx": True}
AVX2 = {**BASE, "avx2": True}
AVX512 = {**AVX2, "avx512f": True, "avx512bw": True, "avx512vl": True}
VNNI = {**AVX512, "avx512vnni": True}
MACHINES = [
    ("x86_64", BASE, ["portable"]),
    ("x86_64", AVX2, ["avx2", "portable"]),
    ("x86_64", AVX512, ["avx2", "portable"]),
    ("x86_64", VNNI, ["avx512-vnni", "avx2", "portable"]),
    ("x86_64", {**VNNI, "avxvnni": True}, ["avx512-vnni", "avx-vnni", "avx2", "portable"]),
    ("x86_64", {**AVX2, "avxvnni": True}, ["avx-vnni", "avx2", "portable"]),
    ("x86_64", {**VNNI, "avx512bw": False}, ["avx2", "portable"]),
    ("x86_64", {**VNNI, "avx512vl": False}, ["avx2", "portable"]),
    ("x86_64", {"avxvnni": True}, ["portable"]),
    ("x86_64", {**AVX2, "dotprod": True}, ["avx2", "portable"]),
    ("x86_64", {}, ["portable"]),
    ("AMD64", AVX2, ["avx2", "portable"]),
    ("aarch64", {"neon": True, "dotprod": True}, ["neon-dot", "portable"]),
    ("arm64", {"neon": True, "dotprod": True}, ["neon-dot", "portable"]),
    ("aarch64", {"neon": True, "dotprod": False}, ["portable"]),
    ("aarch64", {"neon": True}, ["portable"]),
    ("aarch64", {**VNNI, "dotprod": False}, ["portable"]),
    ("riscv64", {"dotprod": True, "avx2": True}, ["portable"]),
]


@pytest.mark.parametrize(("machine", "features", "names"), MACHINES)
def test_a_machine_has_the_paths_of_its_features(machine: str, features: dict[str, bool], names: list[str]) -> None:
    assert available(machine, features) == names
    path, forced = choose(None, names)
    assert (path.name, forced) == (names[0], False)
    assert choose("", names) == (path, False)


def test_the_dot_product_of_arm_is_found_although_llvm_is_silent_about_it() -> None:
    line = "processor\t: 0\nFeatures\t: fp asimd aes crc32 atomics asimdhp asimddp\nCPU part\t: 0xd0c\n"
    assert host_features("aarch64", "linux", line)["dotprod"]
    assert not host_features("aarch64", "linux", line.replace(" asimddp", ""))["dotprod"]
    assert not host_features("aarch64", "win32", "")["dotprod"]
    assert host_features("arm64", "darwin", "")["dotprod"]
    assert not host_features("x86_64", "linux", line).get("dotprod")


@pytest.mark.parametrize("wanted", PATHS)
def test_the_variable_chooses_or_is_refused(wanted: str) -> None:
    possible = ["avx512-vnni", "avx2", "portable"]
    if wanted in possible:
        assert choose(wanted, possible) == (PATHS[wanted], wanted != possible[0])
    else:
        with pytest.raises(InputError, match=rf"WORKBENCH_CPU is '{wanted}': this CPU does not have it") as problem:
            choose(wanted, possible)
        assert "avx512-vnni, avx2, portable" in str(problem.value)


def test_a_name_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no such path.*avx512-vnni"):
        choose("avx512vnni", ["avx512-vnni", "portable"])


@pytest.mark.parametrize("path", PATHS.values(), ids=lambda path: path.name)
def test_tiles_are_what_the_drivers_count_on(path: Path) -> None:
    """One or three widths from one panel on, four pointers at most, whole tiles in the rows that are loaded at a time."""
    assert [panels for _, panels in path.tiles] in ([1], [1, 2, 3])
    assert all(quads <= 4 and TILE_ROWS % (4 * quads) == 0 for quads, _ in path.tiles)
    if path.word_dot:  # sums, weights and the bytes of one row stay in registers: 32 of 512 bits and on Arm, else 16
        registers = 32 if path.word_dot == 16 or path.signed else 16
        assert all((4 * quads + 1) * panels * LANES // path.word_dot + 1 <= registers for quads, panels in path.tiles)


MISSING = next(name for name in PATHS if name not in available())


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORKBENCH_CPU": MISSING}, f"WORKBENCH_CPU is '{MISSING}': this CPU does not have it"),
        ({"WORKBENCH_CPU": "avx2", "NUMBA_ENABLE_AVX": "0"}, "NUMBA_ENABLE_AVX is 0, but the kernels use 'avx2'"),
    ],
)
def test_what_cannot_run_ends_the_program_with_one_message(variables: dict[str, str], message: str) -> None:
    if variables["WORKBENCH_CPU"] == "avx2" and "avx2" not in available():
        pytest.skip("this CPU has no AVX2")
    environment = {**os.environ, **variables, "PYTHONPATH": str(pathlib.Path(workbench.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "ops"], env=environment, capture_output=True, text=True, check=False
    )
    assert message in done.stderr
    assert done.returncode == 2 and "Traceback" not in done.stderr
