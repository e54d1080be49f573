"""Fixed-point scalars == exact arithmetic, jitted and plain, over the whole legal range and the boundaries above all."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from tests.oracles import requantize as oracle
from workbench.numerics import fixed_point as fp
from workbench.numerics.activation import activation_range

INT32 = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1, 2**30, -(2**30)])
MULTIPLIER = st.integers(2**30, 2**31 - 1) | st.sampled_from([0, 2**30, 2**31 - 1])
SHIFT = st.integers(-31, 30)


def both(function, *args):  # type: ignore[no-untyped-def]
    """The jitted result, which the plain Python function must equal."""
    jitted = function(*args)
    assert function.py_func(*args) == jitted
    return jitted


@given(INT32, INT32)
@example(-(2**31), -(2**31))
def test_srdhm32(a: int, b: int) -> None:
    assert both(fp.srdhm32, a, b) == oracle.srdhm(a, b)


@given(st.integers(-32768, 32767), st.integers(-32768, 32767))
@example(-32768, -32768)
def test_srdhm16(a: int, b: int) -> None:
    assert both(fp.srdhm16, a, b) == oracle.srdhm(a, b, 16)
    expected = 32767 if a == b == -32768 else oracle.truncate(oracle.Fraction(a * b, 1 << 15))
    assert both(fp.truncating_high_mul16, a, b) == expected


@given(INT32, st.integers(0, 31))
def test_rounding_shifts(x: int, exponent: int) -> None:
    assert both(fp.rounding_divide_by_pot, x, exponent) == oracle.half_away(oracle.Fraction(x, 1 << exponent))
    assert both(fp.rounding_shift_right_half_up, x, exponent) == oracle.half_up(oracle.Fraction(x, 1 << exponent))


@given(INT32, MULTIPLIER, SHIFT)
@example(-1992, 2**30, -3)
@example(-(2**31), 2**31 - 1, 30)
@example(2**31 - 1, 2**31 - 1, -31)
def test_multiplications(acc: int, multiplier: int, shift: int) -> None:
    assert both(fp.multiply_by_quantized_multiplier, acc, multiplier, shift) == oracle.double(acc, multiplier, shift)
    assert both(fp.multiply_double_half_up, acc, multiplier, shift) == oracle.double_half_up(acc, multiplier, shift)
    assert both(fp.multiply_single, acc, multiplier, shift) == oracle.single(acc, multiplier, shift)


@given(st.integers(-(2**47) + 1, 2**47 - 1), st.integers(0, 2**15 - 1), st.integers(-31, 14))
@example(2**47 - 1, 2**15 - 1, 14)
@example(-(2**47) + 1, 2**15 - 1, -31)
def test_wide_multiplication(acc: int, reduced: int, shift: int) -> None:
    assert both(fp.multiply_wide, acc, reduced, shift) == oracle.wide(acc, reduced, shift)


@given(st.integers(-(2**61), 2**61), st.integers(2, 62))
def test_narrow_registers(value: int, bits: int) -> None:
    assert both(fp.wrap_to_bits, value, bits) == oracle.wrap(value, bits)
    assert both(fp.saturate_to_bits, value, bits) == oracle.saturate(value, bits)
    assert both(fp.wrap32, value) == oracle.wrap(value, 32)


@given(st.floats(-(2.0**40), 2.0**40))
@example(0.49999999999999994)
@example(-2.5)
def test_round_half_away(value: float) -> None:
    assert both(fp.round_half_away, value) == oracle.half_away(oracle.Fraction(value))


@given(st.floats(2.0**-40, 2.0**30) | st.just(0.0))
@example(1.0 - 2.0**-53)  # the mantissa rounds up to 1.0
@example(2.0**-33)
def test_quantize_multiplier(scale: float) -> None:
    multiplier, shift = fp.quantize_multiplier(scale)
    assert (int(multiplier), int(shift)) == oracle.quantize_multiplier(scale)
    assert int(fp.reduce_multiplier(multiplier)) == oracle.reduce_multiplier(int(multiplier))


def test_activation_range_follows_float32_division() -> None:
    assert activation_range("relu6", np.float32(6.0 / 255), -128, -128, 127) == (-128, 127)
    assert activation_range("relu_n1_to_1", 0.5, 3, -128, 127) == (1, 5)
    assert activation_range("relu", 0.1, 100, -128, 127) == (100, 127)
    assert activation_range("none", 0.1, 5, -128, 127) == (-128, 127)
