"""The arena against TFLite Micro itself, against brute force, and by hand."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from tests.cost.arena_models import RandomNet, reported
from tests.cost.graphs import activation, residual
from workbench.cost.arena import Span, best_fit, exact, first_fit, in_banks, lower_bound, overlaps, plan
from workbench.cost.counts import sample_bytes
from workbench.cost.lifetimes import Buffer, activation_buffers
from workbench.cost.memory import plan_arena
from workbench.graph.ir import Graph, Node
from workbench.hardware import list_profiles, load_profile
from workbench.hardware.costs import Banks
from workbench.loaders.load import load_model
from workbench.ops import OPS

NETWORKS = (
    "ad01_fp32", "ad01_int8", "ic_resnet8_float32", "ic_resnet8_int8", "ic_resnet8_large_float32", "ic_resnet8_large_int8",
    "kws_ref_float32", "kws_ref_int8", "sww_int8", "vww_96_float", "vww_96_int8",
)  # fmt: skip
TFLM = "stm32l4r5-cortex-m4-tflm"


def planned(path: Path) -> int:
    """Return the peak of the plan as TFLite Micro makes it (no view, nothing in place, 16 bytes of alignment)."""
    return plan(activation_buffers(load_model(path), sample_bytes), "greedy", 16).peak_bytes


@pytest.mark.parametrize("network", NETWORKS)
def test_plan_is_what_tflite_micro_reports(models_dir: Path, network: str, capfd: Any) -> None:
    path = models_dir / "mlperf_tiny" / f"{network}.tflite"
    assert planned(path) == reported(path, capfd)["head"]


@pytest.mark.parametrize("seed", range(12))
def test_plan_of_random_networks_is_what_tflite_micro_reports(tmp_path: Path, seed: int, capfd: Any) -> None:
    path = RandomNet(seed).write(tmp_path / "net.tflite")
    assert planned(path) == reported(path, capfd)["head"]


@pytest.mark.parametrize("network", NETWORKS)
def test_ram_of_a_board_is_not_below_what_tflite_micro_reports(models_dir: Path, network: str, capfd: Any) -> None:
    """Records of a 32-bit board are smaller than those of the computer that runs this, hence the runtime's own RAM in the sum."""
    path = models_dir / "mlperf_tiny" / f"{network}.tflite"
    profile = load_profile(TFLM)
    assert profile.costs is not None
    total = plan_arena(load_model(path), profile).total_bytes + profile.costs.memory.runtime_ram_bytes.value
    assert total >= 0.85 * reported(path, capfd)["total"]


def spans(seed: int, count: int, most: int) -> tuple[Span, ...]:
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        a, b = sorted((rng.randrange(6), rng.randrange(6)))
        found.append((rng.randint(1, most), a, b))
    return tuple(found)


def height(found: tuple[Span, ...], offsets: tuple[int, ...]) -> int:
    """Return the height of a plan; AssertionError when two buffers overlap."""
    for (a, x), (b, y) in itertools.combinations(zip(found, offsets, strict=True), 2):
        if a[1] <= b[2] and b[1] <= a[2]:
            assert x + a[0] <= y or y + b[0] <= x
    return max(x + a[0] for a, x in zip(found, offsets, strict=True))


def brute_force(found: tuple[Span, ...]) -> int:
    """Return the least height over all offsets."""
    top = sum(size for size, _, _ in found)
    for limit in range(lower_bound(found), top + 1):
        places = [range(limit - size + 1) for size, _, _ in found]
        for offsets in itertools.product(*places):
            try:
                height(found, offsets)
            except AssertionError:
                continue
            return limit
    return top


@pytest.mark.parametrize("seed", range(40))
def test_exact_plan_is_that_of_brute_force(seed: int) -> None:
    found = spans(seed, 5, 3)
    assert height(found, exact(found)) == brute_force(found)


@pytest.mark.parametrize("seed", range(60))
def test_greedy_plans_lie_between_the_optimum_and_double_booking_never(seed: int) -> None:
    found = spans(seed, 9, 40)
    best = height(found, exact(found))
    assert best >= lower_bound(found)
    order = sorted(range(len(found)), key=lambda i: (-found[i][0], -i))
    for offsets in (first_fit(found, order), best_fit(found, order)):
        assert height(found, offsets) >= best
    buffers = [Buffer(str(i), *span) for i, span in enumerate(found)]
    greedy, optimised = plan(buffers, "greedy"), plan(buffers, "optimised")
    assert best <= optimised.peak_bytes <= greedy.peak_bytes
    assert not overlaps(greedy.buffers) and not overlaps(optimised.buffers)


def test_exact_plans_are_lower_than_greedy_ones_where_those_leave_gaps() -> None:
    found = ((4, 0, 1), (4, 2, 3), (3, 1, 2), (5, 3, 4), (2, 0, 2))
    greedy = plan([Buffer(str(i), *span) for i, span in enumerate(found)], "greedy").peak_bytes
    assert greedy >= height(found, exact(found)) == brute_force(found)
    assert any(
        plan([Buffer(str(i), *span) for i, span in enumerate(s)], "greedy").peak_bytes > height(s, exact(s))
        for s in (spans(seed, 8, 6) for seed in range(60))
    )


def test_exact_refuses_what_would_take_too_long() -> None:
    with pytest.raises(ValueError, match="at most 12"):
        exact(((1, 0, 0),) * 13)


@pytest.mark.parametrize(
    ("spans", "offsets"),
    [
        ([(4, 0, 1), (4, 1, 2)], (0, 4)),  # one bank holds them all
        ([(6, 0, 1), (6, 1, 2), (6, 2, 3)], (0, 6, 0)),  # each apart from the one before, then the first bank again
        ([(6, 0, 3), (6, 0, 3), (6, 0, 3)], (0, 6, 12)),  # a third at once: the memory after the banks
        ([(12, 0, 1), (4, 1, 2)], (4, 0)),  # larger than a bank: the memory after them, and the other one in a bank
        ([(18, 0, 1), (3, 1, 2)], (0, 18)),  # larger than that memory: both banks as one
        ([(30, 0, 1), (3, 1, 2)], (3, 0)),  # larger than anything: outside
        (
            [(2, 0, 1), (8, 1, 2), (5, 2, 3)],
            (8, 0, 8),
        ),  # largest first, not in their order: the first bank is the largest one's
    ],
)
def test_banks(spans: list[Span], offsets: tuple[int, ...]) -> None:
    """Two banks of 10 bytes and a memory of 15. Offsets go on behind what is used of the memory before."""
    assert in_banks(spans, Banks(count=2, size_bytes=10, next_bytes=15)) == offsets


def test_banks_are_used_by_a_profile_that_has_them() -> None:
    """Of 64 channels on 112 x 112 and 32 before them none fit one bank of the STM32N6: three memories are used, as ST reports."""
    chain = [Buffer(str(i), size * 1024, i, i + 1) for i, size in enumerate((147, 392, 392, 784, 196))]
    memory = load_profile("stm32n6-neural-art").costs.memory  # type: ignore[union-attr]
    arena = plan(chain, memory.planner, banks=memory.banks)
    assert arena.peak_bytes == (784 + 392 + 392) * 1024 and arena.lower_bound_bytes == (784 + 392) * 1024
    assert not overlaps(arena.buffers)


def test_operands_that_no_bank_holds_are_not_used_again() -> None:
    """An addition of two activations that keeps three of them beside the plan; none where they are small, none for one operand."""

    def kept(side: int, op: str, inputs: tuple[str, ...]) -> list[int]:
        tensors = {name: activation(name, (1, side, side, 16)) for name in "xyz"}
        attrs = OPS[op].attrs()
        nodes = (Node("first", "abs", ("x",), ("y",), OPS["abs"].attrs()), Node("second", op, inputs, ("z",), attrs))
        profile = load_profile("stm32n6-neural-art")
        buffers = plan_arena(Graph("made", nodes, tensors, ("x",), ("z",)), profile).buffers
        return [b.size for b in buffers if b.kind == "scratch"]

    assert kept(112, "add", ("x", "y")) == [3 * 112 * 112 * 16]
    assert kept(8, "add", ("x", "y")) == []
    assert kept(112, "abs", ("y",)) == []


def test_views_and_in_place_operators_share_buffers_and_nothing_that_is_read_later_is_overwritten() -> None:
    graph = residual()  # conv0 -> a, conv1 -> b, add(a, b) -> c, flat(c) -> y
    apart = {b.name: b for b in activation_buffers(graph, sample_bytes)}
    assert list(apart) == ["x", "a", "b", "c", "y"]
    assert (apart["a"].first, apart["a"].last, apart["y"].last) == (0, 2, 4)
    shared = {b.name: b for b in activation_buffers(graph, sample_bytes, frozenset({"reshape"}), frozenset({"add", "conv2d"}))}
    assert shared["a"].tensors == ("a", "c", "y") and shared["a"].kind == "in place"  # the sum overwrites one of its inputs
    assert shared["b"].tensors == ("b",)  # conv1 may not overwrite a, which the addition reads again


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_plans_without_overlap_and_not_below_what_is_live(name: str) -> None:
    profile = load_profile(name)
    if profile.costs is None:
        pytest.skip("has no costs")
    arena = plan_arena(residual(), profile)
    assert not overlaps(arena.buffers)
    assert arena.peak_bytes >= arena.lower_bound_bytes >= 2 * 6 * 6 * 8
    assert all(b.offset % profile.costs.memory.alignment == 0 for b in arena.buffers)
