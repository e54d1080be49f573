"""gemmlowp functions equal their slow twins, of integers and of arrays, and the real functions within their known error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import elementwise as oracle
from workbench.numerics import gemmlowp
from workbench.numerics.tables import SIGMOID_UINT16, interpolation_table

FORMATS = [(4, 32), (5, 32), (3, 16), (4, 16)]
SETTINGS = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize(("integer_bits", "bits"), FORMATS)
@given(data=st.data())
@SETTINGS
def test_exp_equals_the_oracle(integer_bits: int, bits: int, data: st.DataObject) -> None:
    a = data.draw(st.integers(-(2 ** (bits - 1)) + 1, 0))
    assert gemmlowp.exp_on_negative_values(a, integer_bits, bits) == oracle.exp_negative(a, integer_bits, bits)


@pytest.mark.parametrize(("integer_bits", "bits"), [(4, 32), (3, 16)])
@given(data=st.data())
@SETTINGS
def test_logistic_and_tanh_equal_the_oracle(integer_bits: int, bits: int, data: st.DataObject) -> None:
    a = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    assert gemmlowp.logistic(a, integer_bits, bits) == oracle.logistic(a, integer_bits, bits)
    assert gemmlowp.tanh(a, integer_bits, bits) == oracle.tanh(a, integer_bits, bits)


@pytest.mark.parametrize(("integer_bits", "bits", "tolerance"), [(4, 32, 1e-6), (3, 16, 4e-4)])
def test_functions_are_near_the_real_ones(integer_bits: int, bits: int, tolerance: float) -> None:
    one = 2.0 ** (bits - 1)
    for a in np.linspace(-one, one - 1, 257).astype(np.int64).tolist():
        x = a / 2.0 ** (bits - 1 - integer_bits)
        assert gemmlowp.logistic(a, integer_bits, bits) / one == pytest.approx(1 / (1 + math.exp(-x)), abs=tolerance)
        assert gemmlowp.tanh(a, integer_bits, bits) / one == pytest.approx(math.tanh(x), abs=tolerance)


@pytest.mark.parametrize("bits", [16, 32])
def test_arrays_are_computed_element_by_element(bits: int) -> None:
    end = 2 ** (bits - 1)
    near = np.concatenate([sign * (2 ** np.arange(bits)[:, None] + np.arange(-3, 4)) for sign in (1, -1)])
    a = np.unique(np.clip(near, -end, end - 1))
    negative, inside, bits_of = a[a <= 0], a[a >= 0], 4 if bits == 32 else 3
    assert gemmlowp.exp_on_negative_values(negative, 4, bits).tolist() == [
        oracle.exp_negative(v, 4, bits) for v in negative.tolist()
    ]
    assert gemmlowp.newton_reciprocal(inside, bits).tolist() == [oracle.newton(v, bits) for v in inside.tolist()]
    assert gemmlowp.logistic(a, bits_of, bits).tolist() == [oracle.logistic(v, bits_of, bits) for v in a.tolist()]
    assert gemmlowp.tanh(a, bits_of, bits).tolist() == [oracle.tanh(v, bits_of, bits) for v in a.tolist()]


def test_special_values() -> None:
    assert gemmlowp.exp_on_negative_values(0, 5, 32) == 2**31 - 1
    assert gemmlowp.logistic(0, 4, 32) == 2**30
    assert gemmlowp.tanh(0, 4, 32) == 0


def test_sigmoid_table_is_the_logistic_within_two_units() -> None:
    exact = 65536.0 / (1.0 + np.exp(-np.arange(256) / 24.0))
    assert SIGMOID_UINT16.shape == (256,) and (np.diff(SIGMOID_UINT16.astype(int)) >= 0).all()
    assert np.abs(SIGMOID_UINT16 - exact).max() < 1.2
    assert (np.round(exact) != SIGMOID_UINT16).sum() == 44


def test_interpolation_table_ends_and_size() -> None:
    table = interpolation_table(np.exp, -10.0, 0.0, np.float32)
    assert table.shape == (513,) and table[-1] == 32767 and table[0] in (1, 2)
