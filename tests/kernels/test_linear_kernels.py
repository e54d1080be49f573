"""Integer kernels == oracles, jitted and plain, with extreme operands and accumulators that wrap or saturate."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import linear as oracle
from workbench.kernels.gemm import gemm_narrow, gemm_s64

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
@given(SEEDS, st.integers(8, 40), st.booleans())
def test_gemm_narrow_wraps_or_saturates_in_order(seed: int, bits: int, saturate: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = draw(rng, -255, 255, (2, 30)), draw(rng, -128, 127, (3, 30))
    start = rng.integers(-(2**31), 2**31, 3)
    acc = run_both(gemm_narrow, a, b, start, bits, saturate, np.empty((2, 3), np.int64))
    want = oracle.fully_connected(a.tolist(), b.tolist(), start.tolist(), 0, bits, "saturate" if saturate else "wrap")
    assert acc.tolist() == want


def test_saturation_depends_on_the_order() -> None:
    acc = np.empty((1, 1), np.int64)
    gemm_narrow(np.array([[127, 127, -127]], np.int16), np.ones((1, 3), np.int16), np.zeros(1, np.int64), 8, True, acc)
    assert acc[0, 0] == 0
    gemm_narrow(np.array([[127, -127, 127]], np.int16), np.ones((1, 3), np.int16), np.zeros(1, np.int64), 8, True, acc)
    assert acc[0, 0] == 127
