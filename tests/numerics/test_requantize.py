"""Requantization kernels == exact arithmetic, per rule, jitted and plain, with extreme accumulators, scales and zero points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import requantize as oracle
from workbench.errors import InputError
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.fixed_point import floor_multiplier, multiply_single, shift_half_up
from workbench.numerics.requantize import REQUANTIZE, effective_scale, make_requantizer, product_precision, rule_name

INT32 = st.integers(-(2**31), 2**31 - 1)
RULES = [*REQUANTIZE, "double_half_up_simd8"]
LIMITS = {np.int8: (-128, 127), np.int16: (-32768, 32767)}


FLOAT32 = ("float32_half_even", "float32_truncate", "rndnu")
SHIFTS = ("power_of_two_half_up", "power_of_two_half_even")


def arithmetic_of(rule: str) -> Arithmetic:
    bits = 32 if rule.endswith("32") else 64
    return Arithmetic(requantize=rule.removesuffix("32"), product_bits=bits)  # type: ignore[arg-type]


def fitting(rule: str, scale: np.ndarray) -> np.ndarray:
    """Return scales that a rule takes: powers of two, or those that XNNPACK asserts."""
    if rule in SHIFTS:
        return 2.0 ** np.round(np.log2(scale))
    return np.maximum(scale, 2.0**-32) if rule == "rndnu" else scale


def expected(rule: str, acc: int, scale: float) -> int:
    return oracle.by_rule(rule, acc, float(np.float32(scale)) if rule in FLOAT32 else scale)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_rule_equals_exact_arithmetic(rule: str, data: st.DataObject) -> None:
    channels = data.draw(st.integers(1, 19))
    dtype = data.draw(st.sampled_from([np.int8, np.int16]))
    low, high = LIMITS[dtype]
    zero_point = data.draw(st.integers(low, high))
    acc = np.array(data.draw(st.lists(st.lists(INT32, min_size=channels, max_size=channels), min_size=1, max_size=3)), np.int32)
    bias = np.array(data.draw(st.lists(INT32, min_size=channels, max_size=channels)), np.int64)
    scale = np.array(data.draw(st.lists(st.floats(2.0**-34, 2.0**4), min_size=channels, max_size=channels)))
    scale = fitting(rule, scale)
    requantize = make_requantizer(arithmetic_of(rule), scale, channels, zero_point, (low, high), wide=False)
    out = np.empty(acc.shape, dtype)
    requantize(acc, bias, out)
    for (m, c), got in np.ndenumerate(out):
        name = rule if rule != "double_half_up_simd8" else "double_half_up" if c < channels // 8 * 8 else "double"
        value = expected(name, oracle.wrap(int(acc[m, c]) + int(bias[c]), 32), float(scale[c]))
        assert got == oracle.finish(value, zero_point, low, high)
    if requantize.remainder is None:
        plain = np.empty_like(out)
        args = (acc, bias, requantize.first, requantize.second, zero_point, low, high, plain, 0)
        requantize.rule.py_func(*args)  # type: ignore[attr-defined]
        assert np.array_equal(plain, out)


@pytest.mark.parametrize("rule", ["reduced_multiplier", "float64_half_away", *SHIFTS])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_wide_rule_equals_exact_arithmetic(rule: str, data: st.DataObject) -> None:
    wide = st.integers(-(2**46), 2**46)
    channels = data.draw(st.integers(1, 5))
    acc = np.array([data.draw(st.lists(wide, min_size=channels, max_size=channels))], np.int64)
    bias = np.array(data.draw(st.lists(wide, min_size=channels, max_size=channels)), np.int64)
    scale = np.array(data.draw(st.lists(st.floats(2.0**-34, 2.0**4), min_size=channels, max_size=channels)))
    scale = fitting(rule, scale)
    requantize = make_requantizer(Arithmetic(requantize_wide=rule), scale, channels, 0, (-32768, 32767), wide=True)  # type: ignore[arg-type]
    out = np.empty(acc.shape, np.int16)
    requantize(acc, bias, out)
    for c in range(channels):
        total = int(acc[0, c]) + int(bias[c])
        value = oracle.by_wide_rule(rule, total, float(scale[c]))
        assert out[0, c] == oracle.finish(value, 0, -32768, 32767)


def test_subbyte_weights_and_groups_can_have_their_own_rule() -> None:
    arithmetic = Arithmetic(requantize="float32_half_even", requantize_subbyte="double_half_up")
    assert rule_name(arithmetic) == rule_name(arithmetic, grouped=True) == "float32_half_even"
    assert rule_name(arithmetic, subbyte=True) == "double_half_up"
    assert rule_name(arithmetic, wide=True, subbyte=True) == "reduced_multiplier"
    assert rule_name(Arithmetic(requantize_grouped="single"), grouped=True) == "single"


def test_columns_are_written_in_place() -> None:
    requantize = make_requantizer(Arithmetic(), np.array([0.5, 0.25, 1.0 - 2**-20]), 3, 0, (-128, 127), wide=False)
    out = np.full((2, 3), 99, np.int8)
    requantize(np.full((2, 4), 40, np.int32), np.zeros(2, np.int64), out, column=1)
    assert out.tolist() == [[99, 10, 40], [99, 10, 40]]


def test_scale_precision_is_honoured() -> None:
    sx, sw, sy = np.float32(0.1), np.float32(0.3), np.float32(0.7)
    assert effective_scale(Arithmetic(), sx, sw, sy)[0] == float(sx) * float(sw) / float(sy)
    single = float(np.float32(sx * sw) / sy)
    assert effective_scale(Arithmetic(scale_precision="float32"), sx, sw, sy)[0] == single
    assert effective_scale(Arithmetic(), sx, sw, sy, "float32_half_even")[0] == single
    assert effective_scale(Arithmetic(), sx, sw, sy, product="float32")[0] == float(np.float32(sx * sw)) / float(sy)
    assert product_precision(Arithmetic(product_precision="float32"), "double") == "float32"
    assert product_precision(Arithmetic(product_precision="float32"), "float64_half_away") == ""


@pytest.mark.parametrize(("scale", "wide"), [(2.0**31, False), (2.0**15, True), (np.inf, False)])
def test_a_scale_out_of_range_is_refused(scale: float, wide: bool) -> None:
    rule = "float32_half_even" if np.isinf(scale) else "double"
    with pytest.raises(InputError, match="scale"):
        make_requantizer(Arithmetic(requantize=rule), np.array([scale]), 1, 0, (-128, 127), wide)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(acc=INT32, right=st.integers(0, 30))
def test_half_up_by_a_power_of_two_is_single_rounding_where_nothing_is_shifted_left(acc: int, right: int) -> None:
    """floor((acc * 2**30 + 2**(29 + right)) / 2**(30 + right)) = floor(acc / 2**right + 1/2): one rule for both names."""
    multiplier, shift = oracle.quantize_multiplier(2.0**-right)
    assert (multiplier, shift) == (2**30, 1 - right)
    by_shift = oracle.power_of_two(acc, -right, oracle.half_up)
    assert (
        by_shift
        == oracle.single(acc, multiplier, shift)
        == shift_half_up(acc, 0, right)
        == multiply_single(acc, multiplier, shift)
    )


def test_left_shifts_saturate_where_single_rounding_wraps() -> None:
    made = {
        rule: make_requantizer(Arithmetic(requantize=rule), np.array([256.0]), 1, 0, (-128, 127), False)
        for rule in (*SHIFTS, "single")
    }  # type: ignore[arg-type]
    found = {}
    for rule, requantize in made.items():
        out = np.empty((3, 1), np.int8)
        requantize(np.array([[2**23], [-(2**23) - 1], [0]], np.int32), np.zeros(1, np.int64), out)
        found[rule] = out[:, 0].tolist()
    assert found == {"power_of_two_half_up": [127, -128, 0], "power_of_two_half_even": [127, -128, 0], "single": [-128, 127, 0]}


@pytest.mark.parametrize(
    ("arithmetic", "scale", "reason"),
    [
        (Arithmetic(requantize="power_of_two_half_up"), 0.3, "no power of two"),
        (Arithmetic(requantize="power_of_two_half_up", scale_exponent_min=-22, scale_exponent_max=8), 2.0**9, "shifter has"),
        (Arithmetic(requantize="power_of_two_half_even", scale_exponent_min=-22), 2.0**-23, "shifter has"),
        (Arithmetic(requantize="rndnu"), 256.0, "rndnu"),
        (Arithmetic(requantize="multiplier_floor", multiplier_bits=8), 128.0, "below 128"),
        (Arithmetic(requantize="icn"), 2.0**31, "must be below"),
    ],
)
def test_a_scale_that_a_rule_does_not_have_is_refused(arithmetic: Arithmetic, scale: float, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        make_requantizer(arithmetic, np.array([scale]), 1, 0, (-128, 127), wide=False)


@settings(max_examples=100, deadline=None)
@given(scale=st.floats(2.0**-40, 100.0), bits=st.integers(8, 16))
def test_floor_multipliers(scale: float, bits: int) -> None:
    m, d = floor_multiplier(scale, bits)
    assert (int(m), int(d)) == oracle.floor_multiplier(scale, bits)
