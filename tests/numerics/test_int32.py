"""The 32-bit lanes of `numerics/int32.py` equal exact arithmetic, alone and inside a vectorised loop."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from tests.oracles import requantize as oracle
from workbench.numerics import int32
from workbench.numerics.jit import kernel

EDGES = [-(2**31), -(2**30), -1, 0, 1, 2**30, 2**31 - 1]
INT32 = st.integers(-(2**31), 2**31 - 1) | st.sampled_from(EDGES)


@kernel
def apply_all(a, b, amount, low, high, out):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        out[0, i] = int32.add32(a[i], b[i])
        out[1, i] = int32.sub32(a[i], b[i])
        out[2, i] = int32.mul32(a[i], b[i])
        out[3, i] = int32.and32(a[i], b[i])
        out[4, i] = int32.shift_left32(a[i], amount)
        out[5, i] = int32.shift_right32(a[i], amount)
        out[6, i] = int32.clip32(a[i], low, high)


@given(st.lists(INT32, min_size=1, max_size=3), INT32, st.integers(0, 31))
@example(EDGES, -(2**31), 31)
def test_operations_wrap_at_32_bits(seeds: list[int], second: int, amount: int) -> None:
    a = np.resize(np.array(seeds, np.int32), 70)  # longer than a vector loop of any CPU
    b = np.full(70, second, np.int32)
    out = np.empty((7, 70), np.int32)
    apply_all(a, b, amount, -5, 9, out)
    for i, v in enumerate(a.tolist()):
        want = [v + second, v - second, v * second, v & second, v << amount, v >> amount, max(-5, min(9, v))]
        assert out[:, i].tolist() == [oracle.wrap(w, 32) for w in want]


@given(INT32, st.integers(0, 2**31 - 1) | st.sampled_from([0, 2**30, 2**31 - 1]))
@example(-(2**31), 2**31 - 1)
def test_high_mul_equals_srdhm_where_the_multiplier_is_not_negative(a: int, b: int) -> None:
    assert int32.high_mul32(a, b) == oracle.srdhm(a, b)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 31))
@example(-(2**31) + 2**30, 31)
@example(2**31 - 1, 0)
@example(-(2**31), 0)
def test_divide_by_pot_rounds_half_away(x: int, exponent: int) -> None:
    room = 2**31 - 1 - (2**exponent >> 1)
    x = max(-room - (exponent == 0), min(room, x))
    assert int32.divide_by_pot32(x, exponent) == oracle.half_away(oracle.Fraction(x, 2**exponent))


@given(st.integers(0, 2**32 - 1))
@example(0)
def test_leading_zeros(x: int) -> None:
    assert int32.leading_zeros32(x) == 32 - x.bit_length()
