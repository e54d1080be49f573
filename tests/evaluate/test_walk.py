"""Walks: within the memory budget, the same bits for any budget and number of threads, stopped by the first error."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import workbench.evaluate.walk as module
from tests.evaluate.cases import all_plans, check_against_plain_loop, dataset, lowering, same, two_branches
from tests.networks import small_cnn
from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate import Evaluator
from workbench.evaluate.schedule import make_schedule, sort_programs
from workbench.execute import run_reference
from workbench.graph.ir import Array
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering

BRANCHES = ("conv1", "conv2", "dw3", "conv4", "fc5")


class Meter:
    """Counts the bytes of activations that runs have made and not yet freed, over all threads."""

    def __init__(self, low: Lowering, plans: Sequence[PrecisionPlan]) -> None:
        self.bytes = self.peak = self.most_samples = self.runs = self.active = self.most_active = 0
        self.lock = threading.Lock()
        for step in {step for plan in plans for step in low.program(plan).steps}:
            object.__setattr__(step, "run", self.metered(step.run))

    def metered(self, run: Any) -> Any:
        def measured(args: Sequence[Array]) -> list[Array]:
            with self.lock:
                self.active += 1
                self.most_active = max(self.most_active, self.active)
            outputs = [Counted(a, self) for a in run([getattr(a, "array", a) for a in args])]
            with self.lock:
                self.runs += 1
                self.active -= 1
                self.most_samples = max(self.most_samples, len(outputs[0].array))
            return outputs  # type: ignore[return-value]

        return measured


class Counted:
    """An array that tells a meter when it is made and when it is freed."""

    def __init__(self, array: Array, meter: Meter) -> None:
        self.array, self.meter = array, meter
        with meter.lock:
            meter.bytes += array.nbytes
            meter.peak = max(meter.peak, meter.bytes)

    def __del__(self) -> None:
        with self.meter.lock:
            self.meter.bytes -= self.array.nbytes

    def __len__(self) -> int:
        return len(self.array)

    def reshape(self, *shape: int) -> Array:
        return self.array.reshape(*shape)

    def astype(self, kind: type) -> Array:
        return self.array.astype(kind)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("share", [10.0, 1.0, 0.5, 0.1, 0.04])
def test_activations_stay_within_the_budget(monkeypatch: pytest.MonkeyPatch, threads: int, share: float) -> None:
    monkeypatch.setattr(module, "BLOCK_SECONDS", 0.02)
    graph, plans = two_branches(), all_plans(("w8a8", "w4a8"), BRANCHES)
    low, data = lowering(graph), dataset(50, graph)
    programs = [low.program(p) for p in plans]
    peak = make_schedule([programs[i] for i in sort_programs(programs)], graph.inputs).peak_bytes
    budget = int(peak * len(data) * share)
    expected = Evaluator(low, data).evaluate(plans)
    meter = Meter(low, plans)
    records = Evaluator(low, data, threads=threads, memory_bytes=budget).evaluate(plans)
    assert meter.peak <= budget
    assert meter.bytes == 0
    assert meter.most_active <= threads
    assert all(same(records[p], expected[p]) for p in plans)
    if share >= 1:
        assert meter.peak > 0.5 * peak * len(data), "the samples of all threads are resident"
        assert meter.most_samples == len(data) // threads
    else:
        assert meter.most_samples < len(data) // threads


def test_shared_steps_run_once_per_chunk_when_all_samples_fit() -> None:
    graph, plans = two_branches(), all_plans(("w8a8", "w4a8"), BRANCHES)
    low, data = lowering(graph), dataset(20, graph)
    programs = [low.program(p) for p in plans]
    schedule = make_schedule([programs[i] for i in sort_programs(programs)], graph.inputs)
    meter = Meter(low, plans)
    Evaluator(low, data, threads=2).evaluate(plans)
    assert meter.runs == 2 * sum(len(s.runs) for s in schedule.segments)


def test_a_budget_below_one_sample_of_one_plan_is_refused() -> None:
    low, data = lowering(), dataset(5)
    with pytest.raises(
        InputError, match=r"a plan needs 0\.0 MiB for the activations of one sample; memory_bytes allows 0\.0 MiB"
    ):
        Evaluator(low, data, memory_bytes=1000).evaluate([PrecisionPlan.of("w8a8")])
    with pytest.raises(InputError, match="memory_bytes is 0"):
        Evaluator(low, data, memory_bytes=0)


@pytest.mark.parametrize(("threads", "memory"), [(1, 2**29), (3, 2**29), (1, 9_000), (2, 9_000), (5, 40_000)])
def test_same_records_for_any_threads_and_memory(threads: int, memory: int) -> None:
    plans = [*all_plans()[::5], PrecisionPlan.of("fp32")]
    data = dataset(30)
    base = Evaluator(lowering(), data, threads=1).evaluate(plans)
    other = Evaluator(lowering(), data, threads=threads, memory_bytes=memory).evaluate(plans)
    assert all(same(base[p], other[p]) for p in plans)


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("samples", [1, 2, 15])
def test_few_samples(threads: int, samples: int) -> None:
    evaluator = Evaluator(lowering(), dataset(samples), threads=threads)
    plans = all_plans()[::7]
    check_against_plain_loop(evaluator, evaluator.evaluate(plans), plans)


@pytest.mark.parametrize("memory", [2**29, 30_000])
def test_a_fixed_batch_is_fed_again_and_again(memory: int) -> None:
    graph = small_cnn()
    fixed = replace(graph, fixed_batch=5, tensors={
        name: t if t.is_constant else replace(t, shape=(5, *t.shape[1:])) for name, t in graph.tensors.items()
    })  # fmt: skip
    low, plans, data = lowering(), all_plans()[::9], dataset(20)
    expected = Evaluator(low, data).evaluate(plans)
    batched = Lowering(fixed, low.profile, low.calibration)
    meter = Meter(batched, plans)
    records = Evaluator(batched, data, threads=2, memory_bytes=memory).evaluate(plans)
    assert meter.most_samples == 5
    for plan in plans:
        np.testing.assert_array_equal(records[plan].predictions, expected[plan].predictions)
        assert records[plan].metrics == expected[plan].metrics


def test_progress_grows_to_its_total() -> None:
    ticks: list[tuple[int, int]] = []
    Evaluator(lowering(), dataset(20), threads=2).evaluate(all_plans(), lambda *t: ticks.append(t))
    done = [d for d, _ in ticks]
    assert done == sorted(done) and done[-1] == ticks[-1][1] > 0
    assert len({total for _, total in ticks}) == 1


def test_an_error_in_one_thread_stops_the_others() -> None:
    low, plans, data = lowering(), all_plans(), dataset(20)
    for step in low.program(plans[-1]).steps:
        if step.node.name == "fc6":
            object.__setattr__(step, "run", broken)
    with pytest.raises(MemoryError, match="no room"):
        Evaluator(low, data, threads=2).evaluate(plans)


def broken(args: Sequence[Array]) -> list[Array]:
    raise MemoryError("no room")


def test_unlabelled_data_have_no_accuracy() -> None:
    data = dataset(10)
    evaluator = Evaluator(lowering(), Dataset("x", data.inputs, None))
    (only,) = evaluator.evaluate([PrecisionPlan.of("w8a8")]).values()
    assert only.correct is None
    assert set(only.metrics) == {"agreement", "sqnr_db", "mse"}
    reference = run_reference(small_cnn(), {"x": data.inputs})["y"].argmax(axis=1)
    assert only.metrics["agreement"] == (only.predictions == reference).mean()
