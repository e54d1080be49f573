"""Integer kernels == oracles, jitted and plain, with extreme operands and accumulators that wrap or saturate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import linear as oracle
from workbench.kernels.depthwise import depthwise_narrow, depthwise_sums
from workbench.kernels.gemm import gemm_narrow, gemm_s32, gemm_s64, pack_rows
from workbench.kernels.im2col import Window, im2col_s16, shift_pad_s16, shift_rows_s16

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


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 3), st.integers(1, 9), st.integers(1, 70))
def test_gemm_s32_wraps(seed: int, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = draw(rng, -32768, 32767, (m, k)), draw(rng, -128, 127, (n, k))
    packed = pack_rows(b)
    rows = np.zeros((m, packed.shape[1]), np.int16)
    rows[:, :k] = a
    acc = run_both(gemm_s32, rows, packed, np.empty((m, len(packed)), np.int32))
    assert acc[:, :n].tolist() == wide_matmul(a, b, 32)


def test_gemm_s32_wraps_beyond_int32() -> None:
    a = np.full((1, 16 * 64), -32768, np.int16)
    b = pack_rows(np.full((1, 16 * 64), -128, np.int16))
    acc = np.empty((1, 4), np.int32)
    gemm_s32(a, b, acc)
    assert acc[0, 0] == oracle.wrap(32768 * 128 * 1024, 32) == 0
    gemm_s32(a[:, :-1], np.ascontiguousarray(b[:, :-1]), acc)
    assert acc[0, 0] == oracle.wrap(32768 * 128 * 1023, 32) < 0


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


GEOMETRY = st.tuples(*[st.integers(1, 3)] * 6, st.integers(0, 2), st.integers(0, 2), st.integers(1, 3), st.integers(1, 3))


def padded_input(
    window: Window, rng: np.random.Generator, channels: int, dtype: type
) -> tuple[Array, tuple[int, int, int, int]]:
    """An input for which the window gives its output size, and the pads."""
    height = (window.out_h - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1
    width = (window.out_w - 1) * window.stride_w + (window.kernel_w - 1) * window.dilation_w + 1
    bottom, right = max(0, 1 - (height - window.top)), max(0, 1 - (width - window.left))
    shape = (2, max(1, height - window.top - bottom), max(1, width - window.left - right), channels)
    pads = (window.top, window.left, height - window.top - shape[1], width - window.left - shape[2])
    limits = np.iinfo(dtype)
    return draw(rng, limits.min, limits.max, shape).astype(dtype), pads


@settings(max_examples=30)
@given(
    SEEDS, GEOMETRY, st.sampled_from([1, 2]), st.sampled_from([(np.int8, -128), (np.int8, 127), (np.int8, 5), (np.int16, 0)])
)
def test_windows_times_weights_are_the_convolution(seed: int, geometry: Any, groups: int, kind: Any) -> None:
    dtype, zero_point = kind
    rng = np.random.default_rng(seed)
    window = Window(*geometry)
    x, pads = padded_input(window, rng, 4, dtype)
    if min(pads) < 0:
        return
    w = draw(rng, -128, 127, (4, window.kernel_h, window.kernel_w, 4 // groups))
    padded = np.empty((2, x.shape[1] + pads[0] + pads[2], x.shape[2] + pads[1] + pads[3], 4), np.int16)
    run_both(shift_pad_s16, x, zero_point, window.top, window.left, padded)
    count, depth = 2 * window.out_h * window.out_w, window.kernel_h * window.kernel_w * 4 // groups
    want = oracle.conv2d(
        x.tolist(), w.tolist(), [0] * 4, zero_point,
        (window.stride_h, window.stride_w), (window.dilation_h, window.dilation_w), pads, groups,
    )  # fmt: skip
    columns = []
    for g in range(groups):
        rows = run_both(im2col_s16, padded, window, g * 4 // groups, 4 // groups, 1, np.zeros((count - 1, depth), np.int16))
        kernel = w[g * 4 // groups : (g + 1) * 4 // groups].reshape(-1, depth)
        columns.append(rows.astype(np.int64) @ kernel.T)
    flat = np.array(want).reshape(count, 4)[1:]  # from the second output position on
    assert np.array_equal(oracle_wrap(np.concatenate(columns, axis=1)), flat)


def oracle_wrap(values: Array) -> Array:
    return np.array([[oracle.wrap(int(v), 32) for v in row] for row in values]).reshape(values.shape)


@settings(max_examples=30)
@given(SEEDS, GEOMETRY, st.sampled_from([(np.int8, -128), (np.int8, 9), (np.int16, 0)]), st.sampled_from([np.int32, np.int64]))
def test_depthwise_sums(seed: int, geometry: Any, kind: Any, acc_type: type) -> None:
    dtype, zero_point = kind
    rng = np.random.default_rng(seed)
    window = Window(*geometry)
    x, pads = padded_input(window, rng, 3, dtype)
    if min(pads) < 0:
        return
    w = draw(rng, -128, 127, (1, window.kernel_h, window.kernel_w, 3)).astype(np.int8)
    geometry_args = ((window.stride_h, window.stride_w), (window.dilation_h, window.dilation_w), pads, 3)
    grouped = oracle.depthwise_as_conv2d(w.tolist())
    want = np.array(oracle.conv2d(x.tolist(), grouped, [0] * 3, zero_point, *geometry_args)).reshape(-1, 3)
    acc = np.empty((len(want) - 1, 3), acc_type)
    assert np.array_equal(run_both(depthwise_sums, x, w[0], window, zero_point, 1, acc), want[1:])
    start = rng.integers(-5000, 5000, 3)
    for saturate, overflow in ((True, "saturate"), (False, "wrap")):
        narrow = oracle.conv2d(x.tolist(), grouped, start.tolist(), zero_point, *geometry_args, 12, overflow)
        acc64 = np.empty((len(want), 3), np.int64)
        got = run_both(depthwise_narrow, x, w[0], window, zero_point, start, 12, saturate, 0, acc64)
        assert np.array_equal(got, np.array(narrow).reshape(-1, 3))


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_shift_rows_removes_the_zero_point_and_keeps_further_columns(dtype: type) -> None:
    x = np.array([[-128, 127], [0, 1]], dtype)
    rows = run_both(shift_rows_s16, x, -128, np.full((2, 3), 7, np.int16))
    assert rows.tolist() == [[0, 255, 7], [128, 129, 7]]
