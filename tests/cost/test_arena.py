"""The arena against TFLite Micro itself, against brute force, and by hand."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from tests.cost.arena_models import RandomNet, reported
from tests.cost.graphs import residual
from workbench.cost.arena import Span, best_fit, exact, first_fit, in_memories, lower_bound, overlaps, plan
from workbench.cost.counts import sample_bytes
from workbench.cost.lifetimes import Buffer, activation_buffers
from workbench.cost.memory import plan_arena
from workbench.hardware import list_profiles, load_profile
from workbench.loaders.load import load_model

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
    ("spans", "sizes", "used"),
    [
        ([(4, 0, 1), (4, 1, 2), (4, 2, 3)], [10, 10], [4, 4, 0]),  # each apart from the one before, the first memory again
        ([(4, 0, 1), (4, 1, 2)], [10], [8, 0]),  # no other memory: above the one before
        ([(4, 0, 2), (4, 1, 2), (4, 2, 3)], [5, 5], [4, 4, 4]),  # three at once, of which two memories hold one each
        ([(20, 0, 1), (4, 1, 2)], [10, 10], [4, 0, 20]),  # larger than any memory
        ([(2, 0, 1), (8, 1, 2), (5, 2, 3)], [8, 8], [8, 5, 0]),  # the largest is placed first
    ],
)
def test_buffers_go_to_a_memory_of_their_own_while_there_is_one(spans: list[Span], sizes: list[int], used: list[int]) -> None:
    assert in_memories(spans, sizes) == used


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
