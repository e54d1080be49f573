"""Compiled kernels of the operators without weights equal their slow twins in Python integers (tolerance 0)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import elementwise as oracle
from tests.sites import emulate, site, tensor
from workbench.kernels.hard_swish import hard_swish_s8
from workbench.kernels.lookup import logistic_tanh_s16_table
from workbench.kernels.mean import sum_middle
from workbench.kernels.pool import HALF_AWAY, HALF_EVEN, HALF_UP, TRUNCATE, average_pool, max_pool
from workbench.numerics.reciprocal import reciprocals
from workbench.numerics.tables import SIGMOID_UINT16
from workbench.ops.add import BinaryAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.softmax import SoftmaxAttrs

SETTINGS = settings(max_examples=40, deadline=None)
LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767)}


def scales(low: float = -12.0, high: float = 3.0) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda e: float(np.float32(2.0**e)))


def values(dtype: str, least: int = 1, most: int = 24) -> st.SearchStrategy[list[int]]:
    low, high = LIMITS[dtype]
    return st.lists(st.one_of(st.integers(low, high), st.sampled_from([low, -1, 0, 1, high])), min_size=least, max_size=most)


def zero_points(dtype: str) -> st.SearchStrategy[int]:
    return st.just(0) if dtype == "int16" else st.integers(-128, 127)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("rule", ["double", "single"])
@pytest.mark.parametrize("op", ["add", "sub"])
@given(data=st.data())
@SETTINGS
def test_add_equals_the_oracle(op: str, rule: str, dtype: str, data: st.DataObject) -> None:
    a = data.draw(values(dtype))
    b = data.draw(values(dtype, len(a), len(a)))
    (sa, sb), sy = (data.draw(scales(-8, 2)) for _ in range(2)), data.draw(scales(-10, 3))
    za, zb, zy = (data.draw(zero_points(dtype)) for _ in range(3))
    low, high = LIMITS[dtype]
    bits, sign = 8 if dtype == "int8" else 16, 1 if op == "add" else -1
    shape = (1, len(a))
    place = site(op, BinaryAttrs(), [tensor("a", shape, dtype, (sa, za)), tensor("b", shape, dtype, (sb, zb))],
                 tensor("y", shape, dtype, (sy, zy)), requantize=rule)  # fmt: skip
    got = emulate(place, np.array([a], dtype), np.array([b], dtype))
    fa, fb, fy = (Fraction(s) for s in (sa, sb, sy))
    want = [
        oracle.clip(oracle.add(u, v, fa, za, fb, zb, fy, zy, sign, bits, rule), low, high) for u, v in zip(a, b, strict=True)
    ]
    assert got[0].tolist() == want


@pytest.mark.parametrize("op", ["add", "sub"])
@given(data=st.data())
@SETTINGS
def test_add_xnnpack_equals_the_oracle(op: str, data: st.DataObject) -> None:
    a, sy = data.draw(values("int8")), data.draw(scales(-6, 2))
    b = data.draw(values("int8", len(a), len(a)))
    sa, sb = (float(np.float32(sy * 2.0 ** data.draw(st.floats(-9.9, 7.9)))) for _ in range(2))
    za, zb, zy = (data.draw(zero_points("int8")) for _ in range(3))
    shape = (1, len(a))
    place = site(op, BinaryAttrs(), [tensor("a", shape, "int8", (sa, za)), tensor("b", shape, "int8", (sb, zb))],
                 tensor("y", shape, "int8", (sy, zy)), add="xnnpack")  # fmt: skip
    got = emulate(place, np.array([a], np.int8), np.array([b], np.int8))
    ra, rb = (Fraction(float(np.float32(s) / np.float32(sy))) for s in (sa, sb))
    sign = 1 if op == "add" else -1
    assert got[0].tolist() == [
        oracle.clip(oracle.add_xnnpack(u, v, ra, za, rb, zb, zy, sign), -128, 127) for u, v in zip(a, b, strict=True)
    ]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@given(data=st.data())
@SETTINGS
def test_mul_equals_the_oracle(dtype: str, data: st.DataObject) -> None:
    a = data.draw(values(dtype))
    b = data.draw(values(dtype, len(a), len(a)))
    sa, sb, sy = data.draw(scales(-8, 0)), data.draw(scales(-8, 0)), data.draw(scales(-8, 2))
    za, zb, zy = (data.draw(zero_points(dtype)) for _ in range(3))
    shape = (1, len(a))
    place = site("mul", BinaryAttrs(), [tensor("a", shape, dtype, (sa, za)), tensor("b", shape, dtype, (sb, zb))],
                 tensor("y", shape, dtype, (sy, zy)))  # fmt: skip
    got = emulate(place, np.array([a], dtype), np.array([b], dtype))
    # sa * sb is exact in float64; the quotient is rounded there, as the runtime does.
    m, s = oracle.multiplier(Fraction(sa * sb / sy))
    want = [oracle.rescale((u - za) * (v - zb), m, s) + zy for u, v in zip(a, b, strict=True)]
    assert got[0].tolist() == [oracle.clip(w, *LIMITS[dtype]) for w in want]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@given(data=st.data())
@SETTINGS
def test_mean_equals_the_oracle(dtype: str, data: st.DataObject) -> None:
    row = data.draw(values(dtype, 1, 200))
    sx, sy = data.draw(scales(-10, 0)), data.draw(scales(-10, 0))
    zx, zy = data.draw(zero_points(dtype)), data.draw(zero_points(dtype))
    place = site(
        "mean", MeanAttrs((1,), False), [tensor("x", (1, len(row)), dtype, (sx, zx))], tensor("y", (1,), dtype, (sy, zy))
    )
    got = emulate(place, np.array([row], dtype))
    want = oracle.mean(row, Fraction(sx / sy), zx, Fraction(1), zy)
    assert got.tolist() == [oracle.clip(want, *LIMITS[dtype])]


@pytest.mark.parametrize("bits", [8, 16])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_softmax_s8_equals_the_oracle(bits: int, data: st.DataObject) -> None:
    rows = [data.draw(values("int8", 5, 5)) for _ in range(data.draw(st.integers(1, 3)))]
    sx, beta = data.draw(scales(-10, 2)), data.draw(st.sampled_from([0.5, 1.0, 2.0]))
    quant = (1 / 256, -128) if bits == 8 else (1 / 65536, -32768)
    place = site(
        "softmax", SoftmaxAttrs(beta), [tensor("x", (1, 5), "int8", (sx, 3))], tensor("y", (1, 5), f"int{bits}", quant)
    )
    got = emulate(place, np.array(rows, np.int8))
    assert got.tolist() == [oracle.softmax_s8(row, Fraction(sx) * Fraction(beta), bits) for row in rows]


@given(x=st.integers(-255, 255), m=st.integers(2**14, 32767), right=st.integers(0, 15), relu_m=st.integers(2**14, 32767),
       relu_shift=st.integers(-15, 15), zero=st.integers(-128, 127))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_hard_swish_equals_the_oracle(x: int, m: int, right: int, relu_m: int, relu_shift: int, zero: int) -> None:
    y = np.empty(1, np.int8)
    hard_swish_s8(np.array([x], np.int32), m, right, relu_m, relu_shift, zero, y)
    assert y[0] == oracle.hard_swish(x, 0, m, right, relu_m, relu_shift, zero)


@pytest.mark.parametrize("is_tanh", [False, True])
@given(x=st.integers(-32768, 32767), m=st.integers(1, 32767), shift=st.integers(0, 31))
@settings(max_examples=150, deadline=None)
def test_logistic_tanh_s16_equal_the_oracle(is_tanh: bool, x: int, m: int, shift: int) -> None:
    y = np.empty(1, np.int16)
    logistic_tanh_s16_table(np.array([x], np.int32), is_tanh, m, shift, SIGMOID_UINT16, y)
    assert y[0] == oracle.logistic_tanh_s16(x, m, shift, SIGMOID_UINT16.tolist(), is_tanh)


NOTHING = np.zeros(0, np.int64)


@pytest.mark.parametrize("bits", [6, 7])
def test_reciprocals_are_those_of_the_library(bits: int) -> None:
    factors, shifts = reciprocals(3000, bits)
    assert [(int(f), int(s)) for f, s in zip(factors[1:], shifts[1:], strict=True)] == [
        oracle.reciprocal(n, bits) for n in range(1, 3001)
    ]
    assert factors.max() < 2**bits


@pytest.mark.parametrize(
    ("rule", "dtype", "bits"),
    [
        (HALF_AWAY, "int8", 0), (HALF_AWAY, "int16", 0), (TRUNCATE, "int8", 0), (TRUNCATE, "int16", 0), (HALF_UP, "int8", 6),
        (HALF_EVEN, "int8", 7),
    ],
)  # fmt: skip
@pytest.mark.parametrize("whole", [False, True])
@given(data=st.data())
@SETTINGS
def test_pools_equal_the_oracle(whole: bool, rule: int, dtype: str, bits: int, data: st.DataObject) -> None:
    n, h, w, c = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(0, 3)))
    fh, fw, sh, sw = (data.draw(st.integers(1, 4)) for _ in range(4))
    top, left = data.draw(st.integers(0, fh - 1)), data.draw(st.integers(0, fw - 1))
    oh, ow = (h + top - 1) // sh + 1, (w + left - 1) // sw + 1
    padding, (low, high) = data.draw(zero_points(dtype)), LIMITS[dtype]
    x = np.random.default_rng(h * 7 + w).integers(low, high + 1, (n, h, w, c)).astype(dtype)
    mean, largest = np.empty((n, oh, ow, c), dtype), np.empty((n, oh, ow, c), dtype)
    factors, shifts = reciprocals(fh * fw, bits) if bits else (NOTHING, NOTHING)
    average_pool(x, fh, fw, sh, sw, top, left, padding, whole, rule, factors, shifts, low, high - 1, mean)
    max_pool(x, fh, fw, sh, sw, top, left, low, high - 1, largest)
    for i, oy, ox, k in np.ndindex(n, oh, ow, c):
        rows, columns = range(oy * sh - top, oy * sh - top + fh), range(ox * sw - left, ox * sw - left + fw)
        seen = [int(x[i, r, q, k]) for r in rows for q in columns if 0 <= r < h and 0 <= q < w]
        count = fh * fw if whole else len(seen)
        if rule == HALF_AWAY:
            value = oracle.average(seen, count, padding)
        elif rule == TRUNCATE:
            value = oracle.average_truncated(seen, count, padding)
        else:
            value = oracle.average_by_reciprocal(seen, count, padding, bits)
        assert mean[i, oy, ox, k] == oracle.clip(value, low, high - 1)
        assert largest[i, oy, ox, k] == oracle.clip(max(seen), low, high - 1)


def test_sums_wrap_at_32_bits_and_accept_empty_axes() -> None:
    out = np.full((1, 2), 7, np.int32)
    sum_middle(np.zeros((1, 0, 2), np.int8), out)
    assert out.tolist() == [[0, 0]]
    sum_middle(np.full((1, 70_000, 2), 32767, np.int16), out)
    assert out.tolist() == [[oracle.wrap(70_000 * 32767, 32)] * 2]
