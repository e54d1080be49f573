"""The benchmarks run, count what they say they count, and refuse figures when bits differ. No timings here."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peak, tensor_core, throughput
from benchmarks.networks import Network
from benchmarks.printed import SWEEP, number
from benchmarks.run_all import ROOT, SECTIONS
from benchmarks.timing import middle, take_turns
from workbench.numerics.cpu import PATH

ITERATIONS = 1000


@pytest.mark.parametrize("n", range(1, 13))
def test_interval_of_a_median_holds_it_in_95_of_100_cases_and_is_the_narrowest_that_does(n: int) -> None:
    values = [float(v) for v in range(n)]
    low, high = (int(v) for v in middle(values)[1:])
    sides = [sum(fall) for fall in itertools.product((0, 1), repeat=n)]  # how many of n values lie below the true median

    def held(cut: int) -> float:
        return sum(cut < below < n - cut for below in sides) / len(sides)

    assert low == n - 1 - high
    assert held(low) >= 0.95 or low == 0
    assert held(low + 1) < 0.95
    assert middle(values).median == np.median(values)


def test_calls_take_turns_in_every_round() -> None:
    order: list[str] = []
    times = take_turns({"a": (lambda: order.append("a"), 2.0), "b": (lambda: order.append("b"), 1.0)}, 0.0, 3)
    assert "".join(order) == "aabb" + "ab" * 3
    assert [len(v) for v in times.rounds.values()] == [3, 3]


def test_the_page_of_tensor_cores_gives_no_ratio_that_was_not_measured() -> None:
    row = {"unit": "Hopper fp16", "m": 8, "k": 16, "n": 4, "gmacs": 1.25, "fastest_gmacs": 1.5, "of_blas": middle([0.5])}
    machine = {"date": "d", "cpu": "c", "llvm_cpu": "l", "path": "p", "usable_cores": 2}
    run = {"machine": machine, "load": {"start": (1.0,), "end": (2.0,)}, "tensor_core": [row]}
    assert "Not measured" in tensor_core.page(run) and "| Hopper fp16 | 1.2 (1.5) |" in tensor_core.page(run)
    row["model"] = {"tile": [16, 8, 16], "ours_per_s": 5e6, "model_per_s": 1e3, "ratio": middle([5e3]), "bits_differ": 0}
    assert "| Hopper fp16 | 16 x 8 x 16 | 5,000,000 | 1,000 | 5,000 (5,000 to 5,000) | 0 |" in tensor_core.page(run)


@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_the_register_loop_computes_all_the_products_that_it_counts(kind: str) -> None:
    if kind == "bytes" and not PATH.byte_dot:
        pytest.skip("this CPU has no byte dot product")
    rng = np.random.default_rng(0)
    operands = rng.integers(0, 100, 128).astype(np.uint8)
    lanes = peak.products(kind) // peak.MACS_OF_LANE[kind]
    sums = np.empty(peak.ACCUMULATORS * lanes, np.int32)
    spin = peak._spin_bytes if kind == "bytes" else peak._spin_words
    spin(ITERATIONS, operands, sums)
    x, w = (operands[i : i + 4 * lanes].view(np.uint8 if kind == "bytes" else np.int16).astype(np.int64) for i in (0, 64))
    once = (x * w).reshape(lanes, -1).sum(axis=1)
    expected = np.arange(peak.ACCUMULATORS)[:, None] + ITERATIONS * peak.REPEATS * once
    np.testing.assert_array_equal(sums.reshape(peak.ACCUMULATORS, lanes), expected.astype(np.uint32).view(np.int32))
    _, counted = peak.peak(kind, ITERATIONS)
    assert counted == ITERATIONS * peak.REPEATS * peak.ACCUMULATORS * x.size


def test_a_bit_that_differs_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(256, dtype=np.int8)[:, None]

    def wrong(samples: np.ndarray) -> np.ndarray:
        return np.where(samples == 7, samples + 1, samples).astype(np.int8)

    def right(samples: np.ndarray) -> np.ndarray:
        return samples

    network = Network("a network", Path("a"), None, x, "made")  # type: ignore[arg-type]
    monkeypatch.setattr(throughput.runtimes, "emulator", lambda *_: right)
    everybody = [
        throughput.Contestant(who, 1, 1, x, wrong if who == "tflite-micro" else right)
        for who in ("double", "tflite-micro", "float32_half_even", "default", "reference")
    ]
    with pytest.raises(SystemExit, match="a network: 1 of 256 samples of double differ from tflite-micro; nothing was timed"):
        throughput.check(network, everybody, 10.0)


def test_figures_of_a_sweep_are_read_from_its_text() -> None:
    text = """
kws_ref_int8, 10 layers x w8a8,w4a8: 1,024 plans on 1,000 samples
  work       141 passes by MAC count (141 as a trie), 0.37 TMAC
  seconds    12.41 (6.11 of processor time): reference 0.99, lowering 0.03, scheduling 0.33, walking 10.92, recording 0.13
  rate       83 plans/s, 34 GMAC/s while walking
  memory     peak RSS 1,320 MB; activations at most 69 MiB; journal 1.3 MB
  naive loop 133 s (130 ms per plan): x 10.7; 0 of 2 plans differ
  growth     4 plans 0.14 s, 1,024 plans 11.42 s: plans ** 0.79"""
    found = {name: number(pattern, text) for name, pattern in SWEEP.items()}
    assert found == {
        "plans": 1024, "samples": 1000, "passes": 141, "tmac": 0.37, "seconds": 12.41, "processor": 6.11, "rss_mb": 1320,
        "naive_seconds": 133, "over_naive": 10.7, "differ": 0, "compared": 2, "exponent": 0.79,
    }  # fmt: skip
    with pytest.raises(ValueError, match="nothing like"):
        number(SWEEP["plans"], "another text")


def run_all(folder: Path, *sections: str) -> str:
    """Return the page of a quick run."""
    command = [sys.executable, "-m", "benchmarks.run_all", *sections, "--quick", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return (folder / "README.md").read_text()


def test_one_section_alone_makes_a_page_that_names_what_it_lacks(tmp_path: Path) -> None:
    page = run_all(tmp_path, "gemm")
    assert page.count("Not measured: not asked for.") == len(SECTIONS) - 1
    assert {(row["kind"], row["k"], row["n"]) for row in json.loads((tmp_path / "gemm.json").read_text())["gemm"]} == {
        ("bytes", 144, 16), ("bytes", 576, 64), ("words", 128, 64),
    }  # fmt: skip
    assert "| 144 | " in page and "A quick run" in page and "None" not in page


@pytest.mark.slow
def test_everything_runs_and_compares_equal(tmp_path: Path, models_dir: Path) -> None:
    for runtime in ("ai_edge_litert", "tflite_micro", "onnxruntime"):
        pytest.importorskip(runtime)
    page = run_all(tmp_path)
    assert "Not measured" not in page and "nan" not in page and "None" not in page
    assert {p.name for p in tmp_path.glob("*.png")} == {"ratios.png", "parts.png", "growth.png"}
    networks = json.loads((tmp_path / "throughput.json").read_text())["networks"]
    assert len(networks) == 6
    for row in networks:
        assert min(row["compared"].values()) > 0 and row["onnx"]["top1"] > 0.9, row["network"]
