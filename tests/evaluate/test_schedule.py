"""Schedules: every value once, in an order that needs little memory, and the memory known beforehand."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from tests.evaluate.cases import all_plans, lowering
from tests.networks import random_network, two_branches
from workbench.evaluate.schedule import Schedule, make_schedule, sort_programs
from workbench.execute import Program
from workbench.graph.ir import Graph
from workbench.precision import PrecisionPlan

BRANCHES = ("conv1", "conv2", "dw3", "conv4", "fc5")


def sorted_programs(plans: Sequence[PrecisionPlan], graph: Graph | None = None) -> tuple[list[Program], Sequence[str]]:
    low = lowering(graph)
    programs = [low.program(p) for p in plans]
    return [programs[i] for i in sort_programs(programs)], low.graph.inputs


def runs_of(schedule: Schedule, node: str) -> int:
    return sum(run.step.node.name == node for segment in schedule.segments for run in segment.runs)


def test_a_chain_runs_once_per_prefix() -> None:
    schedule = make_schedule(*sorted_programs(all_plans(("w8a8", "w4a8", "w2a8"))))
    assert [runs_of(schedule, n) for n in ("conv1", "dw2", "pw3", "add4", "mean5", "fc6")] == [3, 9, 27, 27, 27, 81]


def test_a_branch_is_not_run_again_when_only_the_other_one_changes() -> None:
    programs, inputs = sorted_programs(all_plans(("w8a8", "w4a8"), BRANCHES), two_branches())
    schedule = make_schedule(programs, inputs)
    assert [runs_of(schedule, n) for n in ("conv1", "conv2", "dw3", "join", "conv4", "fc5")] == [2, 4, 4, 8, 16, 32]


@pytest.mark.parametrize("graph", [two_branches(), *map(random_network, range(5))], ids=lambda graph: graph.name)
@pytest.mark.parametrize("formats", [("w8a8", "w4a8"), ("w8a8", "w8a16", "fp32")])
def test_values_live_from_their_run_to_their_last_reader_and_the_peak_is_known(graph: Graph, formats: tuple[str, ...]) -> None:
    chance, layers = random.Random(1), lowering(graph).layers
    plans = [PrecisionPlan.of("w8a8", {layer: chance.choice(formats) for layer in layers}) for _ in range(60)]
    programs, inputs = sorted_programs(plans, graph)
    schedule = make_schedule(programs, inputs)
    bits = {"int8": 8, "int16": 16, "float32": 32}
    live: dict[int, int] = dict.fromkeys(schedule.inputs.values(), 0)
    peak, tick, later = 0, 0, reads_after(schedule)
    for segment in schedule.segments:
        assert segment.first == tick
        for run in segment.runs:
            assert all(r in live for r in run.reads if r >= 0), "a value is read after it died"
            for number, tensor in zip(run.writes, run.step.site.outputs, strict=True):
                assert number not in live, "a value is made twice"
                live[number] = math.prod(tensor.shape[1:]) * bits[tensor.dtype] // 8
            peak = max(peak, sum(live.values()))
            for number in schedule.dead[tick]:
                del live[number]
                assert number not in later[tick], "a value dies before its last reader"
            assert all(number in later[tick] for number in live), "a value outlives its last reader"
            tick += 1
        assert live.keys() >= set(segment.outputs)
        for number in schedule.dead[tick]:
            del live[number]
        tick += 1
    assert not live and tick == len(schedule.dead)
    assert peak == schedule.peak_bytes


def reads_after(schedule: Schedule) -> list[set[int]]:
    """Return, by tick, the values that something reads after it."""
    reads = []
    for segment in schedule.segments:
        reads += [set(run.reads) for run in segment.runs] + [set(segment.outputs)]
    found: list[set[int]] = [set() for _ in reads]
    for tick in range(len(reads) - 1, 0, -1):
        found[tick - 1] = found[tick] | reads[tick]
    return found


def test_constants_are_held_once() -> None:
    schedule = make_schedule(*sorted_programs(all_plans(("w8a8", "w4a8"))))
    arrays = [a for a in schedule.constants.values() if a is not None]
    # weights of four layers in two formats, and as many biases; a bias of pw3 and fc6 has another scale with other weights
    assert len(arrays) == 16
    assert len({(a.dtype, a.shape, a.tobytes()) for a in arrays if a.ndim > 1}) == 8


def test_programs_are_sorted_by_the_keys_of_their_steps() -> None:
    programs, _ = sorted_programs(all_plans())
    keys = [[s.key for s in p.steps] for p in programs]
    assert keys == sorted(keys)
    assert len(np.unique([k[0] for k in keys])) < len(keys)
