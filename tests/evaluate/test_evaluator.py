"""One evaluator: equal to a plain loop over plans, resumable after a crash with the same journal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.cases import all_plans, check_against_plain_loop, dataset, lowering, same, two_branches
from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate import Evaluator, Journal
from workbench.hardware import load_profile
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering


def test_trie_equals_a_plain_loop_over_plans() -> None:
    evaluator = Evaluator(lowering(), dataset(), threads=2)
    plans = all_plans()
    check_against_plain_loop(evaluator, evaluator.evaluate(plans), random.Random(1).sample(plans, 20))


def test_branches_and_conversions_equal_a_plain_loop_over_plans() -> None:
    graph = two_branches()
    evaluator = Evaluator(lowering(graph), dataset(40, graph), threads=2, memory_bytes=200_000)
    plans = all_plans(("w8a8", "w4a8", "w8a16"), ("conv1", "conv2", "dw3", "conv4", "fc5"))
    check_against_plain_loop(evaluator, evaluator.evaluate(plans), random.Random(2).sample(plans, 20))


def test_plans_that_compute_the_same_have_one_record() -> None:
    evaluator = Evaluator(lowering(), dataset(10))
    a, b = PrecisionPlan.of("w4a8", {"fc6": "w8a8"}), PrecisionPlan.of("w8a8", dict.fromkeys(("conv1", "dw2", "pw3"), "w4a8"))
    records = evaluator.evaluate([a, b, a])
    assert records[a] is records[b]
    assert len(evaluator.journal.records) == 1


def test_key_changes_with_data_plan_and_arithmetic() -> None:
    low, data = lowering(), dataset(10)
    other = dataset(11)
    evaluator = Evaluator(low, data)
    a = evaluator.key(low.program(PrecisionPlan.of("w8a8")))
    assert a != evaluator.key(low.program(PrecisionPlan.of("w8a8", {"fc6": "w4a8"})))
    assert a != Evaluator(low, other).key(low.program(PrecisionPlan.of("w8a8")))
    single = Lowering(low.graph, load_profile("cortex-m-cmsis-nn-single-rounding"), low.calibration)
    assert a != Evaluator(single, data).key(single.program(PrecisionPlan.of("w8a8")))


KILLED = """
import sys, time
sys.path.insert(0, {root!r})
import workbench.evaluate.walk as walk
from tests.evaluate.cases import *
from workbench.evaluate import Evaluator, Journal
from pathlib import Path
walk.BLOCK_SECONDS = 0.002
journal = Journal(Path({path!r}))
add = journal.add
blocks = []
def wait_after_the_last(records):
    add(records); blocks.append(1)
    if len(blocks) == {blocks}:
        print("killable", flush=True); time.sleep(600)
journal.add = wait_after_the_last
Evaluator(lowering(), dataset(20), journal, threads=2, memory_bytes={memory}).evaluate(all_plans())
"""


@pytest.mark.parametrize("memory", [2**29, 30_000])
@pytest.mark.parametrize("blocks", [1, 2])
def test_killed_with_kill_9_it_resumes_and_ends_with_the_same_file(tmp_path: Path, memory: int, blocks: int) -> None:
    path, whole = tmp_path / "journal.jsonl", tmp_path / "whole.jsonl"
    root = str(Path(__file__).resolve().parents[2])
    code = KILLED.format(root=root, path=str(path), memory=memory, blocks=blocks)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": root}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"killable\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    data, plans = dataset(20), all_plans()
    fresh = Evaluator(lowering(), data, Journal(whole), threads=1).evaluate(plans)
    assert whole.read_bytes().startswith(path.read_bytes())
    journal = Journal(path)
    assert 0 < len(journal.records) < len(plans)
    resumed = Evaluator(lowering(), data, journal, threads=2, memory_bytes=memory).evaluate(plans)
    assert all(same(resumed[p], fresh[p]) for p in plans)
    assert path.read_bytes() == whole.read_bytes()


def test_an_interruption_keeps_finished_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.evaluate.walk.BLOCK_SECONDS", 0.001)
    path, data, plans = tmp_path / "journal.jsonl", dataset(20), all_plans()
    expected = Evaluator(lowering(), data, threads=1).evaluate(plans)

    def interrupt(done: int, total: int) -> None:
        if done > total // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Evaluator(lowering(), data, Journal(path), threads=2).evaluate(plans, interrupt)
    kept = Journal(path)
    assert 0 < len(kept.records) < len(plans)
    records = Evaluator(lowering(), data, kept).evaluate(plans)
    assert all(same(records[p], expected[p]) for p in plans)


def test_wrong_labels_are_refused() -> None:
    data = dataset(10)
    with pytest.raises(InputError, match="label 3"):
        Evaluator(lowering(), Dataset("x", data.inputs, np.full(10, 3)))
