"""The float16 matrix kernel equals the Fractions twin (small) and the integer rule (large), for any size and tiling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import tensor_core as oracle
from tests.oracles.float_inputs import KINDS, opposite_halves, patterns
from workbench.errors import InputError
from workbench.kernels.gemm_f16 import epilogue_f16, gemm_f16
from workbench.numerics.float16 import F32_CANONICAL_NAN, f16_to_f32_array
from workbench.numerics.tensor_core import DotRule, dot_add

OUTPUT = {0: "f32", 1: "e8m13", 2: "f16"}
RULES = [DotRule(16, 25), DotRule(16, 25, 2), DotRule(8, 24), DotRule(8, 24, 2), DotRule(4, 23), DotRule(4, 23, 2),
         DotRule(16, 13, 1), DotRule(6, 25)]  # fmt: skip


def _operands(rng: np.random.Generator, m: int, n: int, depth: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    a, b = patterns(rng, (m, depth), kind), patterns(rng, (n, depth), kind)
    return a.astype(np.uint16), (opposite_halves(b) if kind == "cancel" else b).astype(np.uint16)


def _start(rng: np.random.Generator, m: int, n: int, kind: str, rule: DotRule) -> tuple[np.ndarray, np.ndarray]:
    """Return (patterns, float32 values) of starting accumulators [M, N]."""
    if rule.is_float16:
        bits = patterns(rng, (m, n), kind, "fp16").astype(np.uint16)
        return bits, f16_to_f32_array(bits)
    bits = patterns(rng, (m, n), kind, "fp32").astype(np.uint32)
    return bits, bits.view(np.float32)


def _value_patterns(bits: np.ndarray, rule: DotRule) -> np.ndarray:
    """Return accumulator patterns as patterns of float32 values, NaN canonical."""
    values = f16_to_f32_array(bits.astype(np.uint16)) if rule.is_float16 else bits.astype(np.uint32).view(np.float32)
    return np.where(np.isnan(values), np.uint32(F32_CANONICAL_NAN), values.view(np.uint32))


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), m=st.integers(1, 4), n=st.integers(1, 5), depth=st.integers(1, 50),
    kind=st.sampled_from(KINDS), c_kind=st.sampled_from(KINDS), rule=st.sampled_from(RULES), scale=st.integers(-40, 40),
)  # fmt: skip
def test_c1_gemm_equals_the_fractions(
    seed: int, m: int, n: int, depth: int, kind: str, c_kind: str, rule: DotRule, scale: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = _operands(rng, m, n, depth, kind)
    start, c = _start(rng, m, n, c_kind, rule)
    bias = (rng.normal(size=n) * 2.0**scale).astype(np.float32)
    acc = gemm_f16(a, b, rule, c=c, output="accumulator")
    out = gemm_f16(a, b, rule, bias=bias, c=c)
    bare = gemm_f16(a, b, rule, c=c)
    for i in range(m):
        for j in range(n):
            want = oracle.dot_add(
                a[i].tolist(), b[j].tolist(), int(start[i, j]), ("fp16", "fp16"),
                rule.products_per_step, rule.fraction_bits, OUTPUT[rule.accumulator],
            )  # fmt: skip
            wide = int(_value_patterns(np.array([want]), rule)[0])
            assert acc.view(np.uint32)[i, j] == wide
            assert out[i, j] == oracle.epilogue_f16(wide, int(bias.view(np.uint32)[j]))
            assert bare[i, j] == oracle.epilogue_f16(wide, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES[:4])
@pytest.mark.parametrize("shape", [(3, 150, 333), (150, 3, 333), (17, 1, 1024), (40, 40, 16)])
def test_c2_long_k_and_any_size_equal_the_integer_rule(kind: str, rule: DotRule, shape: tuple[int, int, int]) -> None:
    m, n, depth = shape
    rng = np.random.default_rng(m * n + depth)
    a, b = _operands(rng, m, n, depth, kind)
    start, c = _start(rng, m, n, "normal", rule)
    pairs_a, pairs_b = np.repeat(a, n, axis=0), np.tile(b, (m, 1))
    want = _value_patterns(dot_add(pairs_a, pairs_b, start.reshape(-1), "fp16", "fp16", rule).reshape(m, n), rule)
    assert np.array_equal(gemm_f16(a, b, rule, c=c, output="accumulator").view(np.uint32), want)


def test_c2_one_row_of_a_large_product_has_the_same_bits() -> None:
    rng = np.random.default_rng(5)
    a, b = _operands(rng, 200, 30, 77, "normal")
    whole = gemm_f16(a, b, DotRule(16, 25))
    assert np.array_equal(whole[:1], gemm_f16(a[:1], b, DotRule(16, 25)))
    assert np.array_equal(whole[:, 4:5], gemm_f16(a, b[4:5], DotRule(16, 25)))


def test_float16_accumulator_overflows_to_infinity_and_stays_there() -> None:
    big = np.full((1, 64), 200.0, np.float16).view(np.uint16)  # 16 * 40000 > 65520 after one step
    assert gemm_f16(big, big, DotRule(16, 25, 2))[0, 0] == 0x7C00
    assert gemm_f16(big, big, DotRule(16, 25))[0, 0] == 0x7C00
    assert gemm_f16(big, big, DotRule(16, 25), output="accumulator")[0, 0] == 64 * 40000.0


def test_epilogue_adds_the_bias_in_float32_and_rounds_once() -> None:
    acc = np.array([[2048.0, 1.0]], np.float32)
    bias = np.array([1.0 + 2.0**-10, -1.0 - 2.0**-24], np.float32)
    # 2049.001 rounds up to 2050; rounding the bias to float16 steps first would give a tie and 2048.
    assert epilogue_f16(acc, bias).view(np.float16)[0, 0] == 2050.0
    assert epilogue_f16(acc, bias, (0.0, np.inf))[0].tolist() == [0x6801, 0]
    assert epilogue_f16(np.array([[-0.0]], np.float32), None, (0.0, 6.0))[0, 0] == 0
    assert epilogue_f16(np.array([[np.nan, 7.0]], np.float32), None, (0.0, 6.0))[0].tolist() == [0x7FFF, 0x4600]


def test_empty_sides_and_wrong_arguments() -> None:
    a, rule = np.zeros((2, 3), np.uint16), DotRule(16, 25)
    assert gemm_f16(a[:0], a, rule).shape == (0, 2)
    for bad in (lambda: gemm_f16(a, a[:, :2], rule), lambda: gemm_f16(a[:, :0], a[:, :0], rule),
                lambda: gemm_f16(a.astype(np.int16), a, rule), lambda: gemm_f16(a, a, rule, bias=np.zeros(3, np.float32)),
                lambda: gemm_f16(a, a, rule, c=np.zeros((2, 2)))):  # fmt: skip
        with pytest.raises(InputError, match="expected"):
            bad()
