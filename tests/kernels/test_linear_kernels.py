"""Integer kernels == oracles, with extreme operands and accumulators that wrap or saturate."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import linear as oracle
from workbench.kernels.gemm import FINAL, NOTHING, RUNNING, TILES, gemm_narrow, gemm_s64, sum_ends

Array = np.ndarray[Any, Any]
SEEDS = st.integers(0, 2**32 - 1)


def run_both(kernel: Any, *args: Any) -> Array:
    """Run jitted and plain on the last argument (overwritten); both must agree."""
    plain = args[-1].copy()
    kernel(*args)
    with np.errstate(over="ignore"):  # plain NumPy scalars warn where a register wraps
        kernel.py_func(*args[:-1], plain)
    assert np.array_equal(plain, args[-1])
    return args[-1]


def draw(rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...]) -> Array:
    """Random integers in which the extremes are frequent."""
    values = rng.integers(low, high + 1, shape)
    extremes = rng.choice([low, high], shape)
    return np.where(rng.random(shape) < 0.3, extremes, values).astype(np.int16)


def wide_matmul(a: Array, b: Array, bits: int) -> list[list[int]]:
    return oracle.fully_connected(a.tolist(), b.tolist(), [0] * len(b), 0, bits)


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([(256, 127), (1, 32767)]), st.integers(1, 600))
def test_gemm_s64_is_exact(seed: int, block: tuple[int, int], k: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = draw(rng, -32768, 32767, (2, k)), draw(rng, -block[1] - 1, block[1], (3, k))
    acc = run_both(gemm_s64, a, b, block[0], np.empty((2, 3), np.int64))
    assert acc.tolist() == wide_matmul(a, b, 64)


@settings(max_examples=20)
@given(SEEDS, st.integers(8, 40), st.integers(1, 34))
def test_gemm_narrow_saturates_in_order_after_every_tile(seed: int, bits: int, tile: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = draw(rng, -255, 255, (2, 30)), draw(rng, -128, 127, (19, 30))
    start = rng.integers(-(2**31), 2**31, 19)
    acc = np.empty((2, 19), np.int64)
    gemm_narrow(a, np.ascontiguousarray(b.T), start, tile, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, acc)
    assert acc.tolist() == oracle.fully_connected(a.tolist(), b.tolist(), start.tolist(), 0, bits, "saturate", tile)


@settings(max_examples=20)
@given(SEEDS, st.integers(8, 22), st.integers(1, 34))
def test_sum_ends_are_those_of_the_exact_sums(seed: int, bits: int, tile: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = draw(rng, -255, 255, (3, 30)), draw(rng, -128, 127, (5, 30))
    start = rng.integers(-20_000, 20_000, 5)
    limits = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    for kind in (FINAL, RUNNING, TILES):
        reached = [
            (
                oracle.tile_sums(list(zip(x, y, strict=True)), tile) if kind == TILES
                else oracle.running_sums(list(zip(x, y, strict=True)), z, tile)[-1 if kind == FINAL else 0 :]
            )
            for x in a.tolist()
            for y, z in zip(b.tolist(), start.tolist(), strict=True)
        ]  # fmt: skip
        ends = np.array([NOTHING, -NOTHING])
        beyond = sum_ends(a, np.ascontiguousarray(b.T), start, tile, kind, limits, ends)
        assert ends.tolist() == [min(map(min, reached)), max(map(max, reached))]
        assert beyond == sum(min(sums) < limits[0] or max(sums) > limits[1] for sums in reached)


def test_saturation_depends_on_the_order_and_on_the_tile() -> None:
    def sums(row: list[int], tile: int) -> int:
        acc = np.empty((1, 1), np.int64)
        gemm_narrow(np.array([row], np.int16), np.ones((3, 1), np.int16), np.zeros(1, np.int64), tile, -128, 127, acc)
        return int(acc[0, 0])

    assert sums([127, 127, -127], 1) == 0
    assert sums([127, -127, 127], 1) == 127
    assert sums([127, 127, -127], 2) == 0
    assert sums([127, 127, -127], 3) == 127
