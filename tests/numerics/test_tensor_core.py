"""The fused dot-add equals its twin in Fractions, for every format and rule, special values included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import tensor_core as oracle
from tests.oracles.float_inputs import KINDS, opposite_halves, patterns
from workbench.errors import InputError
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.float_formats import FORMATS, decode
from workbench.numerics.tensor_core import ACCUMULATOR_CODES, DotRule, dot_add, rule_of

OUTPUT = {0: "f32", 1: "e8m13", 2: "f16"}
RULES = [DotRule(4, 23), DotRule(8, 24), DotRule(16, 25), DotRule(4, 23, 2), DotRule(8, 24, 2), DotRule(16, 25, 2),
         DotRule(16, 13, 1), DotRule(32, 13, 1), DotRule(32, 13, 2), DotRule(5, 30), DotRule(3, 1)]  # fmt: skip
PAIRS = [("fp16", "fp16"), ("bf16", "bf16"), ("tf32", "tf32"), ("e4m3", "e4m3"), ("e5m2", "e5m2"), ("e5m2", "e4m3")]


@settings(max_examples=250, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 70), kind=st.sampled_from(KINDS), c_kind=st.sampled_from(KINDS),
    rule=st.sampled_from(RULES), formats=st.sampled_from(PAIRS),
)  # fmt: skip
def test_dot_add_equals_the_fractions(
    seed: int, depth: int, kind: str, c_kind: str, rule: DotRule, formats: tuple[str, str]
) -> None:
    rng = np.random.default_rng(seed)
    rows = 6
    a = patterns(rng, (rows, depth), kind, formats[0])
    b = patterns(rng, (rows, depth), kind, formats[1])
    b = opposite_halves(b, formats[1]) if kind == "cancel" else b
    c = patterns(rng, (rows, 1), c_kind, "fp16" if rule.is_float16 else "fp32")[:, 0]
    got = dot_add(
        a.astype(FORMATS[formats[0]].storage), b.astype(FORMATS[formats[1]].storage),
        c.astype(np.uint16 if rule.is_float16 else np.uint32), *formats, rule,
    )  # fmt: skip
    want = [
        oracle.dot_add(x.tolist(), y.tolist(), int(z), formats, *rule[:2], OUTPUT[rule.accumulator])
        for x, y, z in zip(a, b, c, strict=True)
    ]
    assert got.tolist() == want


@pytest.mark.parametrize("name", ["fp16", "bf16", "e4m3", "e5m2"])
def test_decode_equals_the_oracle_on_all_codes(name: str) -> None:
    storage = FORMATS[name].storage
    codes = np.arange(1 << (8 * np.dtype(storage).itemsize)).astype(storage)
    got = decode(codes, name)
    for code in codes.tolist():
        want = oracle.decode(code, name)
        if isinstance(want, str):
            assert got.special[code] == (2 if want == oracle.NAN else 1)
            assert want == oracle.NAN or got.significand[code] == (1 if want == oracle.INF else -1)
        else:
            assert got.special[code] == 0
            assert (got.significand[code], got.exponent[code]) == (
                want[0] * 2**got.fraction_bits,
                want[1] if want[0] else -1000,
            )


def _fp16(*values: float) -> np.ndarray:
    return np.array([values], np.float16).view(np.uint16)


def test_c1_each_term_is_truncated_toward_zero_at_the_largest_exponent() -> None:
    one, tiny = _fp16(1.0, 1.0), _fp16(1.0, 2.0**-24)
    c = np.zeros(1, np.uint32)
    for bits, kept in ((23, 0.0), (24, 2.0**-24), (25, 2.0**-24)):
        got = dot_add(one, np.array([tiny[0] ^ np.uint16([0x8000, 0])]), c, "fp16", "fp16", DotRule(16, bits))
        want = np.float64(-1.0 + kept).astype(np.float32)  # exact in float32
        assert got.view(np.float32)[0] == want


def test_c2_results_are_truncated_to_24_bits_per_step_not_rounded() -> None:
    a, b = _fp16(1.0, 2.0**-12, 2.0**-12), _fp16(1.0, 2.0**-12, 2.0**-12)  # 1 + 2 * 2**-24 in one step: all kept
    c = np.zeros(1, np.uint32)
    assert dot_add(a, b, c, "fp16", "fp16", DotRule(16, 25)).view(np.float32)[0] == np.float32(1 + 2.0**-23)
    assert dot_add(a, b, c, "fp16", "fp16", DotRule(1, 25)).view(np.float32)[0] == np.float32(1)  # lost at every step


def test_c3_nan_infinity_and_zero_results() -> None:
    inf, zero, one = np.inf, 0.0, 1.0
    rule, c = DotRule(16, 25), np.zeros(1, np.uint32)
    cases = [((inf, one), (zero, one), 0x7FFFFFFF), ((inf, inf), (one, -one), 0x7FFFFFFF),
             ((inf, one), (-one, one), 0xFF800000), ((-one, one), (one, one), 0), ((-zero, zero), (one, one), 0)]  # fmt: skip
    for a, b, want in cases:
        assert dot_add(_fp16(*a), _fp16(*b), c, "fp16", "fp16", rule)[0] == want


def test_rule_of_the_profile_fields() -> None:
    assert rule_of(Arithmetic()) == DotRule(16, 25, ACCUMULATOR_CODES["float32"])
    assert rule_of(Arithmetic(float_products_per_step=8, float_fraction_bits=24, float_accumulator="float16")).is_float16
    with pytest.raises(InputError, match="float_fraction_bits 60"):
        rule_of(Arithmetic(float_fraction_bits=60))


def test_wrong_shapes_types_and_formats_are_refused() -> None:
    a, c = np.zeros((2, 3), np.uint16), np.zeros(2, np.uint32)
    with pytest.raises(InputError, match="do not fit"):
        dot_add(a, a[:, :2], c, "fp16", "fp16", DotRule(16, 25))
    with pytest.raises(InputError, match="do not fit"):
        dot_add(a, a, c, "fp16", "fp16", DotRule(16, 25, 2))
    with pytest.raises(InputError, match="Did you mean 'fp16'"):
        dot_add(a, a, c, "fp61", "fp16", DotRule(16, 25))
    with pytest.raises(InputError, match="stored as uint8"):
        dot_add(a, a, c, "e4m3", "e4m3", DotRule(16, 25))
