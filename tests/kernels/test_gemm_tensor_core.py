"""The matrix kernel of every input format equals the Fractions twin (small) and the integer rule (large), for any size and tiling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import tensor_core as oracle
from tests.oracles.float_inputs import KINDS, opposite_halves, patterns
from workbench.errors import InputError
from workbench.kernels import gemm_tensor_core as kernels
from workbench.kernels.gemm_tensor_core import gemm_tensor_core, is_fast, multiply, pack_columns
from workbench.numerics.float16 import F32_CANONICAL_NAN, f16_to_f32_array
from workbench.numerics.float_formats import FORMATS
from workbench.numerics.tensor_core import DotRule, dot_add

Pair = tuple[str, str]
OUTPUT = {0: "f32", 1: "e8m13", 2: "f16"}
VOLTA, TURING, HOPPER, ADA_FP8, HOPPER_FP8 = (
    DotRule(4, 23),
    DotRule(8, 24),
    DotRule(16, 25),
    DotRule(16, 13, 1),
    DotRule(32, 13, 1),
)
HALF, BRAIN, TF32, FP8 = ("fp16", "fp16"), ("bf16", "bf16"), ("tf32", "tf32"), ("e4m3", "e4m3")
NAMED: list[tuple[Pair, DotRule]] = [
    (HALF, VOLTA), (HALF, DotRule(4, 23, 2)), (HALF, TURING), (HALF, DotRule(8, 24, 2)), (HALF, HOPPER), (HALF, DotRule(32, 25)),
    (BRAIN, TURING), (BRAIN, HOPPER), (TF32, DotRule(4, 24)), (TF32, DotRule(8, 25)),
    (FP8, ADA_FP8), (FP8, DotRule(16, 13, 2)), (FP8, HOPPER_FP8), (("e5m2", "e5m2"), HOPPER_FP8), (("e5m2", "e4m3"), HOPPER_FP8),
    (FP8, DotRule(32, 25)),
]  # fmt: skip
"""Formats and rules of units that exist; fp16 with 32 products: 2:4 sparse on Hopper."""
CASES = [
    *NAMED, (HALF, DotRule(16, 25, 2)), (BRAIN, DotRule(16, 25, 2)), (BRAIN, DotRule(24, 25)), (BRAIN, DotRule(16, 20, 1)),
    (("fp16", "bf16"), DotRule(8, 25)), (BRAIN, DotRule(6, 25)), (HALF, DotRule(64, 25)), (TF32, DotRule(16, 20)),
]  # fmt: skip
"""And some that do not: formats that no unit combines, rules that the tiles do not have (the last three)."""


def _operands(
    rng: np.random.Generator, m: int, n: int, depth: int, kinds: Pair, formats: Pair
) -> tuple[np.ndarray, np.ndarray]:
    a, b = patterns(rng, (m, depth), kinds[0], formats[0]), patterns(rng, (n, depth), kinds[1], formats[1])
    if kinds == ("cancel", "cancel"):
        b = opposite_halves(b, formats[1])
    return a.astype(FORMATS[formats[0]].storage), b.astype(FORMATS[formats[1]].storage)


def _start(rng: np.random.Generator, m: int, n: int, kind: str, rule: DotRule) -> tuple[np.ndarray, np.ndarray]:
    """Return (patterns, float32 values) of starting accumulators [M, N]."""
    bits = np.zeros((m, n), np.int64) if kind == "zero" else patterns(rng, (m, n), kind, "fp16" if rule.is_float16 else "fp32")
    stored = bits.astype(np.uint16 if rule.is_float16 else np.uint32)
    return stored, f16_to_f32_array(stored) if rule.is_float16 else stored.view(np.float32)


def _value_patterns(bits: np.ndarray, rule: DotRule) -> np.ndarray:
    """Return accumulator patterns as patterns of float32 values, NaN canonical."""
    values = f16_to_f32_array(bits.astype(np.uint16)) if rule.is_float16 else bits.astype(np.uint32).view(np.float32)
    return np.where(np.isnan(values), np.uint32(F32_CANONICAL_NAN), values.view(np.uint32))


def _chained(a: np.ndarray, b: np.ndarray, start: np.ndarray, formats: Pair, rule: DotRule) -> np.ndarray:
    m, n = len(a), len(b)
    d = dot_add(np.repeat(a, n, axis=0), np.tile(b, (m, 1)), start.reshape(-1), *formats, rule)
    return _value_patterns(d.reshape(m, n), rule)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), m=st.integers(1, 6), n=st.integers(1, 4), depth=st.integers(1, 50),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)), c_kind=st.sampled_from(("zero", *KINDS)),
    case=st.sampled_from(CASES),
)  # fmt: skip
def test_c1_gemm_equals_the_fractions(
    seed: int, m: int, n: int, depth: int, kinds: Pair, c_kind: str, case: tuple[Pair, DotRule]
) -> None:
    (formats, rule), rng = case, np.random.default_rng(seed)
    a, b = _operands(rng, m, n, depth, kinds, formats)
    start, c = _start(rng, m, n, c_kind, rule)
    acc = gemm_tensor_core(a, b, formats, rule, c).view(np.uint32)
    for i, j in np.ndindex(m, n):
        want = oracle.dot_add(a[i].tolist(), b[j].tolist(), int(start[i, j]), formats, *rule[:2], OUTPUT[rule.accumulator])
        assert acc[i, j] == int(_value_patterns(np.array([want]), rule)[0])


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), m=st.integers(1, 9), n=st.integers(1, 36), depth=st.integers(1, 150),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)), c_kind=st.sampled_from(("zero", *KINDS)),
    case=st.sampled_from(CASES), sparse=st.booleans(),
)  # fmt: skip
def test_c1_gemm_equals_the_integer_rule(
    seed: int, m: int, n: int, depth: int, kinds: Pair, c_kind: str, case: tuple[Pair, DotRule], sparse: bool
) -> None:
    (formats, rule), rng = case, np.random.default_rng(seed)
    a, b = _operands(rng, m, n, depth, kinds, formats)
    if sparse:
        a[rng.random(a.shape) < 0.6] = 0
    start, c = _start(rng, m, n, c_kind, rule)
    assert np.array_equal(gemm_tensor_core(a, b, formats, rule, c).view(np.uint32), _chained(a, b, start, formats, rule))


@pytest.mark.parametrize(("formats", "rule"), NAMED)
def test_ordinary_numbers_never_leave_the_tiles(formats: Pair, rule: DotRule, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    a, b = _operands(rng, 19, 70, 333, ("normal", "normal"), formats)
    a[rng.random(a.shape) < 0.3] = 0  # as relu leaves them
    want = _chained(a, b, np.zeros((19, 70), np.uint16 if rule.is_float16 else np.uint32), formats, rule)
    monkeypatch.delattr(kernels, "_integer_outputs")
    assert is_fast(rule)
    assert np.array_equal(gemm_tensor_core(a, b, formats, rule).view(np.uint32), want)


@pytest.mark.parametrize(
    ("formats", "rule"),
    [(BRAIN, HOPPER), (BRAIN, TURING), (TF32, DotRule(8, 25)), (TF32, DotRule(4, 24)), (BRAIN, DotRule(16, 20, 1))],
)
def test_subnormal_results_are_truncated_toward_zero(formats: Pair, rule: DotRule, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of about 2**-132 with bits below 2**-149, of either sign, in one step and in several; the tiles alone."""
    rng, depth = np.random.default_rng(3), 4 * rule.products_per_step
    a, b = (rng.normal(size=(n, depth)).astype(np.float32) * np.float32(2.0**e) for n, e in ((12, -66), (40, -69)))
    a[:6, rule.products_per_step :] = 0
    kept = 16 if formats == BRAIN else 0
    left, right = ((v.view(np.uint32) >> np.uint32(kept)).astype(FORMATS[formats[0]].storage) for v in (a, b))
    want = _chained(left, right, np.zeros((12, 40), np.uint32), formats, rule)
    subnormal = (want & 0x7FFFFFFF) < 0x00800000
    for part in (want[:6], want[6:]):
        assert (part >> 31 == 1).sum() > 50 and (part >> 31 == 0).sum() > 50
    assert subnormal.all()
    monkeypatch.delattr(kernels, "_integer_outputs")
    assert np.array_equal(gemm_tensor_core(left, right, formats, rule).view(np.uint32), want)


def test_a_softmax_of_any_sharpness_stays_in_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(40, 96)) * np.array([[1], [10], [40], [80]]).repeat(10, axis=0)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True)).astype(np.float32)  # down to subnormals and zeros
    a = (weights.view(np.uint32) >> 16).astype(np.uint16)
    b = (rng.normal(size=(33, 96)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    want = _chained(a, b, np.zeros((40, 33), np.uint32), ("bf16", "bf16"), HOPPER)
    monkeypatch.delattr(kernels, "_integer_outputs")
    assert np.array_equal(gemm_tensor_core(a, b, ("bf16", "bf16"), HOPPER).view(np.uint32), want)


@pytest.mark.parametrize(("formats", "rule"), NAMED)
def test_c2_parts_of_a_product_have_the_same_bits(formats: Pair, rule: DotRule) -> None:
    rng = np.random.default_rng(5)
    a, b = _operands(rng, 83, 37, 77, ("wide", "finite"), formats)
    whole = gemm_tensor_core(a, b, formats, rule).view(np.uint32)
    columns = pack_columns(b, formats[1], formats[0], rule)
    for rows in (slice(0, 1), slice(3, 10), slice(80, 83)):
        assert np.array_equal(multiply(np.asfortranarray(a[rows]), columns).view(np.uint32), whole[rows])
    assert np.array_equal(gemm_tensor_core(a, b[4:21], formats, rule).view(np.uint32), whole[:, 4:21])


def test_only_rows_and_columns_with_specials_take_the_integer_path(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    a, b = _operands(rng, 20, 40, 64, ("normal", "normal"), ("bf16", "bf16"))
    a[3, 5], b[17, 2], b[18, 60] = 0x7F80, 0xFF80, 0x7FC1
    seen: list[tuple[int, ...]] = []

    def counted(*args: object) -> None:
        rows, (row_special, column_special), flags = args[7], args[8], args[9]
        seen.append((len(rows), int(row_special.sum()), int(column_special.sum()), int((flags != 0).sum())))  # type: ignore
        inner(*args)

    inner = kernels._integer_outputs
    monkeypatch.setattr(kernels, "_integer_outputs", counted)
    got = gemm_tensor_core(a, b, ("bf16", "bf16"), HOPPER).view(np.uint32)
    assert np.array_equal(got, _chained(a, b, np.zeros((20, 40), np.uint32), ("bf16", "bf16"), HOPPER))
    assert seen == [(20, 1, 2, 0)]


def test_float16_accumulator_overflows_to_infinity_and_stays_there() -> None:
    big = np.full((1, 64), 200.0, np.float16).view(np.uint16)  # 16 * 40000 > 65520 after one step
    assert gemm_tensor_core(big, big, ("fp16", "fp16"), DotRule(16, 25, 2))[0, 0] == np.inf
    assert gemm_tensor_core(big, big, ("fp16", "fp16"), HOPPER)[0, 0] == 64 * 40000.0


def test_empty_sides_and_wrong_arguments() -> None:
    a, half = np.zeros((2, 3), np.uint16), ("fp16", "fp16")
    assert gemm_tensor_core(a[:0], a, half, HOPPER).shape == (0, 2)
    for bad in (lambda: gemm_tensor_core(a, a[:, :2], half, HOPPER), lambda: gemm_tensor_core(a[:, :0], a[:, :0], half, HOPPER),
                lambda: gemm_tensor_core(a.astype(np.int16), a, half, HOPPER), lambda: gemm_tensor_core(a, a, ("fp16", "e4m3"), HOPPER),
                lambda: gemm_tensor_core(a, a, half, HOPPER, np.zeros((2, 2)))):  # fmt: skip
        with pytest.raises(InputError, match="expected"):
            bad()
    with pytest.raises(InputError, match="'e8m0' is not an input format"):
        gemm_tensor_core(a, a, ("fp16", "e8m0"), HOPPER)
