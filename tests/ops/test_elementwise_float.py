"""Elementwise operators on float16 and bfloat16 round as one IEEE operation does; conversions to and from float8 round once."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.oracles import tensor_core as oracle
from tests.oracles.float_inputs import patterns
from workbench.errors import UnsupportedError
from workbench.graph.ir import Tensor
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.cast import CastAttrs
from workbench.ops.concat import ConcatAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.tensor import STORAGE, QuantParams

Array = np.ndarray[Any, Any]
FORMS = {"float16": "fp16", "bfloat16": "bf16"}


def _run(op: str, attrs: Any, inputs: list[Tensor], output: Tensor, args: list[Array], **rules: Any) -> Array:
    site = Site("node", op, attrs, tuple(inputs), (output,), Arithmetic(**rules))
    found: Array = OPS[op].prepare(site)(args)[0]
    assert found.dtype == STORAGE[output.dtype]
    return found


def _same(dtype: str, shape: tuple[int, ...], count: int) -> tuple[list[Tensor], Tensor]:
    return [Tensor(f"x{i}", (1, *shape), dtype) for i in range(count)], Tensor("y", (1, *shape), dtype)


def _hard(rng: np.random.Generator, dtype: str, count: int) -> Array:
    kinds = ("bits", "subnormal", "normal", "wide", "ones", "finite")
    return np.concatenate([patterns(rng, (1, count), kind, FORMS[dtype])[0] for kind in kinds]).astype(np.uint16)


@pytest.mark.parametrize("dtype", FORMS)
@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_one_operation_is_the_exact_result_rounded_once(dtype: str, op: str) -> None:
    """Rounding to float32 first changes nothing: 24 >= 2 * p + 2 (Figueroa), also where results are subnormal."""
    rng = np.random.default_rng(len(op))
    form = FORMS[dtype]
    a, b = _hard(rng, dtype, 500), rng.permutation(_hard(rng, dtype, 500))
    near = rng.random(a.size) < 0.3  # sums a little above or below a power of two, products near the smallest number
    b = np.where(near, a ^ rng.integers(0, 4, a.size).astype(np.uint16) ^ np.uint16(0x8000 * (op == "add")), b)
    tensors, y = _same(dtype, (a.size,), 2)
    with np.errstate(invalid="ignore"):
        got = _run(
            op, BinaryAttrs() if op != "mul" else OPS["mul"].attrs(), tensors, y, [v.view(STORAGE[dtype])[None] for v in (a, b)]
        )
    for left, right, found in zip(a.tolist(), b.tolist(), got[0].view(np.uint16).tolist(), strict=True):
        x, z = oracle.value_of(left, form), oracle.value_of(right, form)
        if isinstance(x, str) or isinstance(z, str):
            continue
        exact = x * z if op == "mul" else x + z if op == "add" else x - z
        signs = (left >> 15) ^ (right >> 15) if op == "mul" else (left >> 15) & ((right >> 15) ^ (op == "sub"))
        assert found == oracle.encode_nearest(exact, form, negative_zero=bool(signs) and (op == "mul" or x == z == 0)), (
            left,
            right,
        )


@pytest.mark.parametrize("dtype", FORMS)
def test_operators_that_compute_in_float32_round_on_store(dtype: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 4, 4, 3)).astype(STORAGE[dtype])
    wide = x.astype(np.float32)
    cases = [("relu", ReluAttrs(0.0, 6.0), np.clip(wide, 0, 6), (4, 4, 3)),
             ("max_pool2d", PoolAttrs((4, 4)), wide.max(axis=(1, 2), keepdims=True), (1, 1, 3)),
             ("mean", MeanAttrs((1, 2), True), wide.astype(np.float64).mean(axis=(1, 2), keepdims=True).astype(np.float32), (1, 1, 3)),
             ("softmax", SoftmaxAttrs(), OPS["softmax"].reference(SoftmaxAttrs(), [wide])[0], (4, 4, 3)),
             ("concat", ConcatAttrs(3), np.concatenate([wide, wide], axis=3), (4, 4, 6))]  # fmt: skip
    for op, attrs, want, shape in cases:
        count = 2 if op == "concat" else 1
        tensors, _ = _same(dtype, (4, 4, 3), count)
        got = _run(op, attrs, tensors, Tensor("y", (1, *shape), dtype), [x] * count)
        assert np.array_equal(got, want.astype(STORAGE[dtype])), op


def test_tfloat32_is_float32_outside_of_products() -> None:
    x = np.random.default_rng(3).normal(size=(1, 50)).astype(np.float32)
    tensors, y = _same("tfloat32", (50,), 2)
    assert np.array_equal(_run("add", BinaryAttrs(), tensors, y, [x, x / 3]), x + x / 3)
    cast = _run("cast", CastAttrs("bfloat16"), [Tensor("x", (1, 50), "tfloat32")], Tensor("y", (1, 50), "bfloat16"), [x])
    assert np.array_equal(cast, x.astype(ml_dtypes.bfloat16))


@pytest.mark.parametrize("dtype", ["float8_e4m3", "float8_e5m2"])
@pytest.mark.parametrize("source", ["float32", "float16", "bfloat16"])
def test_quantize_to_float8_divides_saturates_and_rounds_to_even(dtype: str, source: str) -> None:
    values = np.array([0.0, -0.0, 1.0, 17.0, 18.0, 19.0, 1e4, -1e9, np.inf, np.nan, 2.0**-9, 3 * 2.0**-11], np.float32) * 0.25
    with np.errstate(over="ignore"):
        x = values.astype(STORAGE[source])[None]
    tensors = [Tensor("x", (1, 12), source)], Tensor("y", (1, 12), dtype, QuantParams.per_tensor(0.25))
    got = _run("quantize", NoAttrs(), *tensors, [x])[0].astype(np.float32)
    largest = 448.0 if dtype.endswith("e4m3") else 57344.0
    fine = dtype.endswith("e4m3")
    want = [0.0, 0.0, 1.0, 16.0, 18.0 if fine else 16.0, 20.0, min(largest, 10240.0), -largest, largest]
    assert got[:9].tolist() == want and np.signbit(got[1]) and np.isnan(got[9])
    assert got[10:].tolist() == [2.0**-9, 2.0**-9 if fine else 1.5 * 2.0**-10]


@pytest.mark.parametrize("target", ["float32", "float16", "bfloat16", "tfloat32"])
def test_dequantize_multiplies_in_float32_and_rounds_on_store(target: str) -> None:
    codes = np.arange(256).astype(np.uint8)
    for dtype in ("float8_e4m3", "float8_e5m2", "int8"):
        q = codes.view(STORAGE[dtype])[None]
        quant = QuantParams.per_tensor(0.3, 5 if dtype == "int8" else 0)
        got = _run("dequantize", NoAttrs(), [Tensor("x", (1, 256), dtype, quant)], Tensor("y", (1, 256), target), [q])[0]
        real = np.float32(0.3) * (q[0].astype(np.float32) - np.float32(5 * (dtype == "int8")))
        assert np.array_equal(got.astype(np.float32), real.astype(STORAGE[target]).astype(np.float32), equal_nan=True)


def test_float8_of_another_scale_and_integers_pass_through_real_numbers() -> None:
    x = np.array([[3, -100, 127]], np.int8)
    inputs, y = (
        [Tensor("x", (1, 3), "int8", QuantParams.per_tensor(0.5, 1))],
        Tensor("y", (1, 3), "float8_e4m3", QuantParams.per_tensor(0.125)),
    )
    first = _run("quantize", NoAttrs(), inputs, y, [x])
    assert first.astype(np.float32).tolist() == [
        [8.0, -416.0, 448.0]
    ]  # 2 * 0.5 / 0.125, -101 * 4 = -404 to 13 * 32, 504 saturated
    other = Tensor("z", (1, 3), "float8_e4m3", QuantParams.per_tensor(0.25))
    assert _run("quantize", NoAttrs(), [y], other, [first]).astype(np.float32).tolist() == [[4.0, -208.0, 224.0]]


def test_float16_becomes_integers_by_the_rule_of_float32() -> None:
    x = np.array([[0.5, 1.5, -0.5, 300.0, Fraction(1, 3)]], np.float16)
    tensors = [Tensor("x", (1, 5), "float16")], Tensor("y", (1, 5), "int8", QuantParams.per_tensor(1.0))
    assert _run("quantize", NoAttrs(), *tensors, [x]).tolist() == [[1, 2, -1, 127, 0]]
    assert _run("quantize", NoAttrs(), *tensors, [x], quantize="divide_half_even").tolist() == [[0, 2, 0, 127, 0]]


def test_types_without_a_rule_are_refused() -> None:
    x = np.zeros((1, 3), np.float32)
    for op, source, target, says in (
        ("quantize", Tensor("x", (1, 3), "float32"), Tensor("y", (1, 3), "float8_e4m3"), "one scale"),
        ("dequantize", Tensor("x", (1, 3), "float8_e4m3", QuantParams.per_tensor(1.0)), Tensor("y", (1, 3), "int8"), "must be float32"),
        ("cast", Tensor("x", (1, 3), "float32"), Tensor("y", (1, 3), "float8_e4m3"), "between float types"),
    ):  # fmt: skip
        with pytest.raises(UnsupportedError, match=says):
            _run(op, NoAttrs(), [source], target, [x])
