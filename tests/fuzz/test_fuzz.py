"""Broken model files: no crash, no hang, no gigabytes; always a clear error or a result of the declared shape."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fuzz.networks import small_networks
from workbench.errors import ModelError
from workbench.loaders.tflite import load_tflite

MOST_MEMORY = 2**30
WORKERS = 2


def run_worker(seed: int, count: int, folder: Path, seconds: float) -> dict[str, Any]:
    """Run one worker process to its end; what killed it, if anything did, is the last file it wrote."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra 'verify' (ai-edge-litert writes the broken .tflite files)")
    own = folder / str(seed)
    own.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.worker", str(seed), str(count), str(own)], cwd=ROOT, capture_output=True, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"worker {seed} ended with {done.returncode}; see {own}\n{done.stderr[-3000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check_totals(found: list[dict[str, Any]], mutants: int) -> None:
    assert [p for f in found for p in f["problems"]] == []
    assert sum(f["mutants"] for f in found) == mutants
    assert max(f["memory_bytes"] for f in found) < MOST_MEMORY
    for what in ("refused", "loaded", "ran"):  # each path is taken often, so that the check means something
        assert sum(f[what] for f in found) > mutants / 20, found


def test_broken_files_are_run_or_refused(tmp_path: Path) -> None:
    check_totals([run_worker(1, 400, tmp_path, 300)], 400)


@pytest.mark.slow
def test_twenty_thousand_broken_files_are_run_or_refused(tmp_path: Path) -> None:
    seeds = range(1000, 1008)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda seed: run_worker(seed, 2500, tmp_path, 3600), seeds))
    check_totals(found, 20_000)


def test_every_truncation_of_a_small_network_is_refused() -> None:
    for data in small_networks():
        assert load_tflite("whole.tflite", data).nodes
        for length in range(0, len(data), 7):
            with pytest.raises(ModelError, match=r"cut\.tflite: "):
                load_tflite("cut.tflite", data[:length])
