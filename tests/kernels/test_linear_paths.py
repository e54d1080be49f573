"""Every path computes the bits of the plain-integer oracle: layers of all forms, in a process of each path that this machine can run.

Paths of other machines run too, with the instructions of this one: the 256-bit VNNI of AVX512 is that of AVX-VNNI, and the code
of Arm is the same for its signed operands but for SDOT itself (`tests/numerics/test_simd_targets.py` shows that instruction).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import workbench
from tests.layer_set import SHAPES, SOME, digest, layers
from tests.linear_layers import guarded
from tests.micro_kernels import runnable
from workbench.numerics.cpu import PATH, VARIABLE, available
from workbench.validate.golden import check_file

ROOT = Path(workbench.__file__).parents[1]
OTHERS = [path.name for path in runnable() if path.name != PATH.name]
DRIVERS = {
    "lines": "convolve_lines", "windows": "convolve_windows", "depthwise": "convolve_depthwise", "rows": "rows_product",
    "paired": "convolve_lines", "turned": "convolve_lines", "pixels": "rows_product", "whole": "rows_product",
    "matrices": "rows_product",
}  # fmt: skip
"""First word of a layer's name -> the driver that it is there for."""


@cache
def expected() -> dict[str, str]:
    return {name: digest(layer.expected()) for name, layer in layers().items()}


def child(path: str, *command: str) -> subprocess.Popen[str]:
    """Start a process that computes on a path: by its variable where this CPU has the path."""
    environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
    environment["PYTHONPATH"] = str(ROOT)
    if path in available():
        environment[VARIABLE] = path
    else:
        command = (*command, path)
    return subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True)


def check_layers(names: dict[str, tuple[str, ...]]) -> None:
    """Compare the layers of every path with the oracle, two processes at a time. names: by path."""
    for first in range(0, len(names), 2):
        started = [(path, child(path, "-m", "tests.layer_set", ",".join(names[path]))) for path in [*names][first : first + 2]]
        for path, process in started:
            out, _ = process.communicate(timeout=600)
            assert process.returncode == 0, path
            assert json.loads(out) == {name: expected()[name] for name in names[path]}, path


@pytest.mark.parametrize("name", SHAPES)
def test_a_layer_equals_the_oracle_by_the_driver_it_is_there_for(name: str) -> None:
    with guarded() as calls:
        got = layers()[name].run()
    assert digest(got) == expected()[name]
    wide_matrices = name == "matrices_wide"  # int16 by int16: `gemm_s64`
    assert list(calls) == ([] if wide_matrices else [DRIVERS[name.split("_")[0]]])


def test_other_paths_compute_the_same_bits() -> None:
    """Of paths that this CPU does not have, what is theirs: products of bytes."""
    check_layers({path: SOME if path in available() else SOME[:2] for path in OTHERS})


@pytest.mark.slow
def test_other_paths_compute_all_layers() -> None:
    check_layers(dict.fromkeys(OTHERS, tuple(SHAPES)))


NETWORKS = ("model_kws_ref_model", "model_pretrainedResnet_quant")
COMPARE = """
import sys
from pathlib import Path
if len(sys.argv) > 2:
    from tests.layer_set import compute_as
    compute_as(sys.argv[2])
from workbench.validate.golden import check_file
rows = [row for path in Path(sys.argv[1]).glob("*.npz") if path.stem in NETWORKS or path.stem.startswith(("cmsis_conv", "litert_fc"))
        for row in check_file(path)]
print(sum(row.elements for row in rows), sum(row.mismatches for row in rows))
"""


@pytest.mark.slow
def test_networks_and_vectors_of_runtimes_on_other_paths(golden_dir: Path, models_dir: Path) -> None:
    """Every tensor of two networks, convolutions of CMSIS-NN and fully connected layers of LiteRT: no element differs."""
    script = COMPARE.replace("NETWORKS", repr(NETWORKS))
    own = [0, 0]
    for row in (row for name in NETWORKS for row in check_file(golden_dir / f"{name}.npz")):
        own = [own[0] + row.elements, own[1] + row.mismatches]
    for path in OTHERS:
        process = child(path, "-c", script, str(golden_dir))
        out, _ = process.communicate(timeout=900)
        elements, mismatches = map(int, out.split())
        assert process.returncode == 0 and (elements > own[0], mismatches) == (True, 0), path
