"""One evaluator: equal to a plain loop, on any number of threads and batch size, resumable after a crash."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.networks import small_cnn
from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate import Evaluator, Journal, Record
from workbench.evaluate.trie import count_steps, sort_programs
from workbench.execute import batches, real_values, run_reference
from workbench.hardware import load_profile
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate

PROFILE = "stm32l4r5-cortex-m4-tflm"


def dataset(n: int = 90) -> Dataset:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((n, 8, 8, 1)).astype(np.float32)
    graph = small_cnn()
    y = run_reference(graph, {"x": x})["y"].argmax(axis=1)
    y[::7] = (y[::7] + 1) % 3
    return Dataset("random", x, y.astype(np.int64))


def lowering() -> Lowering:
    graph = small_cnn()
    x = np.random.default_rng(5).standard_normal((40, 8, 8, 1)).astype(np.float32)
    return Lowering(graph, load_profile(PROFILE), calibrate(graph, x))


def all_plans(formats: tuple[str, ...] = ("w8a8", "w4a8", "w8a16")) -> list[PrecisionPlan]:
    layers = ("conv1", "dw2", "pw3", "fc6")
    return [PrecisionPlan.of("w8a8", zip(layers, f, strict=True)) for f in itertools.product(formats, repeat=4)]


def same(a: Record, b: Record) -> bool:
    return a.to_json() == b.to_json()


def test_trie_equals_a_plain_loop_over_plans() -> None:
    low, data = lowering(), dataset()
    plans = all_plans()
    records = Evaluator(low, data, batch_size=32).evaluate(plans)
    for plan in plans[::5]:
        program = low.program(plan)
        out = program.graph.outputs[0]
        raw = np.concatenate([program.run({"x": data.inputs[p]})[out] for p in batches(len(data), 17)])
        predicted = real_values(program.graph.tensors[out], raw).argmax(axis=1)
        np.testing.assert_array_equal(records[plan].predictions, predicted)


def test_trie_shares_prefixes() -> None:
    low = lowering()
    programs = [low.program(p) for p in all_plans(("w8a8", "w4a8"))]
    ordered = [programs[i] for i in sort_programs(programs)]
    assert count_steps(ordered) < 0.5 * sum(len(p.steps) for p in programs)


@pytest.mark.parametrize(("threads", "batch"), [(1, 7), (3, 90), (2, 1)])
def test_same_bits_for_any_threads_and_batch_size(threads: int, batch: int) -> None:
    plans = [*all_plans()[:9], PrecisionPlan.of("fp32")]
    data = dataset(30)
    base = Evaluator(lowering(), data, threads=1, batch_size=30).evaluate(plans)
    other = Evaluator(lowering(), data, threads=threads, batch_size=batch).evaluate(plans)
    assert all(same(base[p], other[p]) for p in plans)


def test_journal_is_reused_and_survives_a_torn_line(tmp_path: Path) -> None:
    path, data, plans = tmp_path / "journal.jsonl", dataset(20), all_plans()[:4]
    first = Evaluator(lowering(), data, Journal(path)).evaluate(plans)
    text = path.read_bytes()
    path.write_bytes(text[:-25])
    journal = Journal(path)
    assert len(journal.records) == 3
    ticks: list[int] = []
    again = Evaluator(lowering(), data, journal).evaluate(plans, lambda done, total: ticks.append(total))
    assert all(same(first[p], again[p]) for p in plans)
    assert ticks, "the torn record is computed again"
    assert len(path.read_text().splitlines()) == 4
    assert all(json.loads(line) for line in path.read_text().splitlines())


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
import workbench.evaluate.evaluator as module
from tests.evaluate.test_evaluator import *
module.BLOCK_SECONDS = 0.01
from pathlib import Path
journal = Journal(Path({path!r}))
add = journal.add
def slow(records):
    add(records); time.sleep(0.2); print("block", flush=True)
journal.add = slow
Evaluator(lowering(), dataset(20), journal).evaluate(all_plans(("w8a8", "w4a8")))
"""


def test_resumes_after_kill_9_and_ends_with_the_same_records(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    root = str(Path(__file__).resolve().parents[2])
    code = KILLED.format(root=root, path=str(path))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": root}
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.05)
    journal, data, plans = Journal(path), dataset(20), all_plans(("w8a8", "w4a8"))
    assert 0 < len(journal.records) < len(plans)
    resumed = Evaluator(lowering(), data, journal).evaluate(plans)
    fresh = Evaluator(lowering(), data).evaluate(plans)
    assert all(same(resumed[p], fresh[p]) for p in plans)


def test_unlabelled_data_have_no_accuracy() -> None:
    data = dataset(10)
    record = Evaluator(lowering(), Dataset("x", data.inputs, None)).evaluate([PrecisionPlan.of("w8a8")])
    (only,) = record.values()
    assert only.correct is None
    assert "top1" not in only.metrics
    assert only.metrics["sqnr_db"] > 15


def test_wrong_labels_and_sizes_are_refused() -> None:
    data = dataset(10)
    with pytest.raises(InputError, match="label 3"):
        Evaluator(lowering(), Dataset("x", data.inputs, np.full(10, 3)))
    with pytest.raises(InputError, match="batch size"):
        Evaluator(lowering(), data, batch_size=0)
