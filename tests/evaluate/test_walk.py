"""Walks: within the memory budget, the same bits for any budget and number of threads, stopped by the first error."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import workbench.evaluate.walk as module
from tests.evaluate.cases import all_plans, check_against_plain_loop, dataset, lowering, same
from tests.networks import random_network, small_cnn, two_branches
from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate import Evaluator
from workbench.evaluate.schedule import make_schedule, sort_programs
from workbench.execute import run_reference
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.strided_slice import StridedSliceAttrs
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering

BRANCHES = ("conv1", "conv2", "dw3", "conv4", "fc5")


class Meter:
    """Counts the bytes of activations that runs have made and not yet freed, over all threads. A view counts as all of its array."""

    def __init__(self, low: Lowering, plans: Sequence[PrecisionPlan]) -> None:
        self.bytes = self.peak = self.most_samples = self.runs = self.active = self.most_active = 0
        self.lock = threading.RLock()  # an array may be freed while another one is counted
        self.users: dict[int, int] = {}  # of an array, by its id
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
        self.owner: Array = array if array.base is None else array.base
        with meter.lock:
            meter.users[id(self.owner)] = meter.users.get(id(self.owner), 0) + 1
            meter.bytes += self.owner.nbytes if meter.users[id(self.owner)] == 1 else 0
            meter.peak = max(meter.peak, meter.bytes)

    def __del__(self) -> None:
        with self.meter.lock:
            self.meter.users[id(self.owner)] -= 1
            self.meter.bytes -= self.owner.nbytes if self.meter.users[id(self.owner)] == 0 else 0

    def __len__(self) -> int:
        return len(self.array)

    def reshape(self, *shape: int) -> Array:
        return self.array.reshape(*shape)

    def astype(self, kind: type) -> Array:
        return self.array.astype(kind)


@pytest.mark.parametrize("threads", [1, 2, 3])
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
        assert meter.most_samples == -(-len(data) // threads)
    else:
        assert meter.most_samples < len(data) // threads


def test_a_slice_of_one_sample_does_not_keep_what_it_was_cut_from() -> None:
    rows = np.random.default_rng(0).standard_normal((8, 1, 1, 8)).astype(np.float32)
    nodes = (
        Node("conv1", "conv2d", ("x", "w1"), ("t1",), Conv2dAttrs()),
        Node("cut", "strided_slice", ("t1",), ("t2",), StridedSliceAttrs((0,) * 4, (None, 1, 6, 8), (1,) * 4)),
        Node("conv2", "conv2d", ("t2", "w2"), ("t3",), Conv2dAttrs()),
        Node("mean", "mean", ("t3",), ("y",), MeanAttrs((1, 2), keep_dims=False)),
    )
    shapes = {"x": (1, 6, 6, 8), "t1": (1, 6, 6, 8), "t2": (1, 1, 6, 8), "t3": (1, 1, 6, 96), "y": (1, 96)}
    tensors = {name: Tensor(name, shape, "float32") for name, shape in shapes.items()}
    for name, data in (("w1", rows), ("w2", np.concatenate([rows] * 12))):
        tensors[name] = Tensor(name, data.shape, "float32", data=data)
    low = lowering(Graph("sliced", nodes, tensors, ("x",), ("y",)))
    plan = PrecisionPlan.of("w8a8")
    meter = Meter(low, [plan])
    Evaluator(low, dataset(3, low.graph), threads=1, memory_bytes=7 * 96).evaluate([plan])  # t3 and y as int8
    assert meter.peak == 7 * 96


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("samples", [1, 3])
def test_the_smallest_budget_is_what_a_plan_needs_for_one_sample(seed: int, samples: int) -> None:
    graph, chance = random_network(seed), random.Random(seed)
    low, data = lowering(graph), dataset(7, graph)
    plans = [PrecisionPlan.of("w8a8", {n: chance.choice(["w8a8", "w8a16"]) for n in low.layers}) for _ in range(5)]
    most = max(make_schedule([low.program(p)], graph.inputs).peak_bytes for p in plans)
    expected = Evaluator(low, data).evaluate(plans)
    meter = Meter(low, plans)
    records = Evaluator(low, data, threads=3, memory_bytes=samples * most).evaluate(plans)
    assert 0.9 * most < meter.peak <= samples * most
    assert all(same(records[p], expected[p]) for p in plans)
    with pytest.raises(InputError, match=f"a plan needs {most:,} bytes for the activations of one sample"):
        Evaluator(low, data, memory_bytes=most - 1).evaluate(plans)


def test_shared_steps_run_once_per_chunk_when_all_samples_fit() -> None:
    graph, plans = two_branches(), all_plans(("w8a8", "w4a8"), BRANCHES)
    low, data = lowering(graph), dataset(20, graph)
    programs = [low.program(p) for p in plans]
    schedule = make_schedule([programs[i] for i in sort_programs(programs)], graph.inputs)
    meter = Meter(low, plans)
    Evaluator(low, data, threads=2).evaluate(plans)
    assert meter.runs == 2 * sum(len(s.runs) for s in schedule.segments)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="memory_bytes is 0; expected at least 1"):
        Evaluator(lowering(), dataset(5), memory_bytes=0)


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("samples", [1, 2, 15])
def test_few_samples(threads: int, samples: int) -> None:
    evaluator = Evaluator(lowering(), dataset(samples), threads=threads)
    plans = all_plans()[::7]
    check_against_plain_loop(evaluator, evaluator.evaluate(plans), plans)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("memory", [2**29, 60_000, 30_000])
def test_a_fixed_batch_is_fed_again_and_again(threads: int, memory: int) -> None:
    graph, low, plans, data = small_cnn(), lowering(), all_plans()[::9], dataset(20)
    expected = Evaluator(low, data).evaluate(plans)
    batched = Lowering(with_fixed_batch(graph, 5), low.profile, low.calibration)
    meter = Meter(batched, plans)
    records = Evaluator(batched, data, threads=threads, memory_bytes=memory).evaluate(plans)
    assert meter.most_samples == 5
    assert meter.peak <= memory
    for plan in plans:
        np.testing.assert_array_equal(records[plan].predictions, expected[plan].predictions)
        assert records[plan].metrics == expected[plan].metrics


def test_a_budget_below_a_fixed_batch_is_refused() -> None:
    low = lowering()
    batched = Lowering(with_fixed_batch(small_cnn(), 5), low.profile, low.calibration)
    message = "needs 7,680 bytes for the activations of 5 samples that belong together; memory_bytes is 7,679"
    with pytest.raises(InputError, match=message):
        Evaluator(batched, dataset(20), memory_bytes=7_679).evaluate([PrecisionPlan.of("w8a8")])


def with_fixed_batch(graph: Graph, size: int) -> Graph:
    tensors = {n: t if t.is_constant else replace(t, shape=(size, *t.shape[1:])) for n, t in graph.tensors.items()}
    return replace(graph, fixed_batch=size, tensors=tensors)


def test_progress_grows_to_its_total() -> None:
    ticks: list[tuple[int, int]] = []
    Evaluator(lowering(), dataset(20), threads=2).evaluate(all_plans(), lambda *t: ticks.append(t))
    done = [d for d, _ in ticks]
    assert done == sorted(done) and done[-1] == ticks[-1][1] > 0
    assert len({total for _, total in ticks}) == 1


def test_an_error_in_one_thread_stops_the_others() -> None:
    low, plans, data = lowering(), all_plans(), dataset(20)
    calls: list[str] = []

    def breaking(run: Any) -> Any:
        def broken(args: Sequence[Array]) -> Any:
            calls.append(threading.current_thread().name)
            if len(calls) == 30:  # in the third block, of 64 plans
                raise MemoryError("no room")
            time.sleep(0.003)
            return run(args)

        return broken

    for step in {step for plan in plans for step in low.program(plan).steps if step.node.name == "fc6"}:
        object.__setattr__(step, "run", breaking(step.run))
    with pytest.raises(MemoryError, match="no room"):
        Evaluator(low, data, threads=2).evaluate(plans)
    assert len(set(calls[18:])) == 2, "two threads were at work"
    assert len(calls) < 60


def test_unlabelled_data_have_no_accuracy() -> None:
    data = dataset(10)
    evaluator = Evaluator(lowering(), Dataset("x", data.inputs, None))
    (only,) = evaluator.evaluate([PrecisionPlan.of("w8a8")]).values()
    assert set(only.metrics) == {"agreement", "sqnr_db", "mse"}
    reference = run_reference(small_cnn(), {"x": data.inputs})["y"].argmax(axis=1)
    assert only.metric == "agreement" and np.array_equal(only.correct, only.predictions == reference)
    assert only.metrics["agreement"] == (only.predictions == reference).mean()
