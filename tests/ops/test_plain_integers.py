"""Integers without a scale against Python's own: they wrap at their width, divide toward zero, and no divisor may be zero."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.sites import emulate, site, tensor
from workbench.errors import InputError, ModelError, UnsupportedError
from workbench.ops import OPS
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.compare import KINDS, CompareAttrs
from workbench.ops.mean import MeanAttrs

RNG = np.random.default_rng(29)
EDGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1), "uint8": (0, 255)}


def wrap(value: int, dtype: str) -> int:
    low, high = EDGES[dtype]
    return (value - low) % (high - low + 1) + low


def toward_zero(a: int, b: int) -> int:
    return math.trunc(Fraction(a, b))


BINARY: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": toward_zero,
    "floor_div": lambda a, b: a // b, "floor_mod": lambda a, b: a % b, "maximum": max, "minimum": min,
    "squared_difference": lambda a, b: (a - b) ** 2, "bitwise_and": lambda a, b: a & b, "bitwise_or": lambda a, b: a | b,
    "bitwise_xor": lambda a, b: a ^ b,
}  # fmt: skip


def operands(dtype: str) -> tuple[Any, Any]:
    """Return every pair of hard values and random ones, no divisor zero."""
    low, high = EDGES[dtype]
    hard = [low, low + 1, high, high - 1, 1, 2, 3, 7, *([-1, -2, -7] if low < 0 else [])]
    kind = np.dtype(dtype)
    a = np.concatenate([np.repeat(np.array(hard, kind), len(hard)), RNG.integers(low, high, 200, dtype=kind, endpoint=True)])
    b = np.concatenate([np.tile(np.array(hard, kind), len(hard)), RNG.integers(low, high, 200, dtype=kind, endpoint=True)])
    return a[None], np.where(b == 0, 1, b).astype(kind)[None]


def attrs_of(op: str) -> Any:
    return BinaryAttrs() if OPS[op].attrs is BinaryAttrs else NoAttrs()


@pytest.mark.parametrize("dtype", EDGES)
@pytest.mark.parametrize("op", BINARY)
def test_two_integers_are_those_of_python_wrapped(op: str, dtype: str) -> None:
    a, b = operands(dtype)
    want = [wrap(BINARY[op](x, y), dtype) for x, y in zip(a[0].tolist(), b[0].tolist(), strict=True)]
    place = site(op, attrs_of(op), [tensor("a", a.shape, dtype), tensor("b", b.shape, dtype)], tensor("y", a.shape, dtype))
    found = emulate(place, a, b)
    assert found.dtype == np.dtype(dtype) and found[0].tolist() == want
    (reference,) = OPS[op].reference(place.attrs, [a, b])
    assert reference.dtype == np.dtype(dtype) and reference[0].tolist() == want


@pytest.mark.parametrize("kind", KINDS)
def test_comparisons_of_large_integers_are_exact(kind: Any) -> None:
    a, b = operands("int64")
    names = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge"}
    want = [getattr(operator, names[kind])(x, y) for x, y in zip(a[0].tolist(), b[0].tolist(), strict=True)]
    ports = [tensor("a", a.shape, "int64"), tensor("b", b.shape, "int64")]
    assert emulate(site("compare", CompareAttrs(kind), ports, tensor("y", a.shape, "bool")), a, b)[0].tolist() == want


@pytest.mark.parametrize("op", ["div", "floor_div", "floor_mod"])
def test_a_zero_divisor_names_the_node(op: str) -> None:
    a, b = np.array([[4, 5]], np.int32), np.array([[2, 0]], np.int32)
    place = site(op, attrs_of(op), [tensor("a", (1, 2), "int32"), tensor("b", (1, 2), "int32")], tensor("y", (1, 2), "int32"))
    with pytest.raises(InputError, match="node 'node': an integer is divided by zero"):
        emulate(place, a, b)


def test_a_quantized_zero_divisor_names_the_node() -> None:
    a = np.array([[4, 5]], np.int8)
    ports = [tensor("a", (1, 2), "int8", (0.1, 0)), tensor("b", (1, 2), "int8", (0.1, 5))]
    with pytest.raises(InputError, match=r"node 'node': divides by zero \('b' is 5"):
        emulate(site("div", BinaryAttrs(), ports, tensor("y", (1, 2), "int8", (0.1, 0))), a, a)


def test_pow_refuses_negative_exponents_and_wraps() -> None:
    ports = [tensor("a", (1, 3), "int32"), tensor("b", (1, 3), "int32")]
    place = site("pow", NoAttrs(), ports, tensor("y", (1, 3), "int32"))
    a, b = np.array([[-3, 2, 7]], np.int32), np.array([[5, 31, 40]], np.int32)
    assert emulate(place, a, b)[0].tolist() == [-243, -(2**31), wrap(7**40, "int32")]
    with pytest.raises(InputError, match="node 'node': an integer has a negative exponent"):
        emulate(place, a, -b)


def test_shifts_clip_their_counts() -> None:
    a, b = np.array([[-5, -5, 7, 1]], np.int32), np.array([[1, 99, -3, 31]], np.int32)
    ports = [tensor("a", (1, 4), "int32"), tensor("b", (1, 4), "int32")]
    y = tensor("y", (1, 4), "int32")
    assert emulate(site("right_shift", NoAttrs(), ports, y), a, b)[0].tolist() == [-3, -1, 7, 0]
    assert emulate(site("left_shift", NoAttrs(), ports, y), a, b)[0].tolist() == [-10, wrap(-5 << 31, "int32"), 7, -(2**31)]


@pytest.mark.parametrize(
    ("op", "function"),
    [
        ("mean", lambda v: toward_zero(sum(v), len(v))),
        ("sum", sum),
        ("reduce_prod", math.prod),
        ("reduce_max", max),
        ("reduce_min", min),
    ],
)
def test_reductions_of_integers(op: str, function: Callable[[Any], int]) -> None:
    x = RNG.integers(-9, 9, (2, 3, 5), endpoint=True).astype(np.int32)
    place = site(op, MeanAttrs((0, 2), True), [tensor("x", x.shape, "int32")], tensor("y", (1, 3, 1), "int32"))
    found = emulate(place, x)
    want = [wrap(function([v for row in x[:, i].tolist() for v in row]), "int32") for i in range(3)]
    assert found.shape == (1, 3, 1) and found.reshape(-1).tolist() == want


def test_a_reduction_over_the_batch_wants_the_declared_one() -> None:
    x = np.zeros((3, 4), np.int32)
    place = site("reduce_max", MeanAttrs((0,), True), [tensor("x", (2, 4), "int32")], tensor("y", (1, 4), "int32"))
    with pytest.raises(UnsupportedError, match="over the batch, which is 2, not 3"):
        emulate(place, x)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_a_fused_activation_of_plain_integers_is_refused(op: str) -> None:
    ports = [tensor("a", (1, 2), "int32"), tensor("b", (1, 2), "int32")]
    place = site(op, BinaryAttrs("relu"), ports, tensor("y", (1, 2), "int32"))
    with pytest.raises(ModelError, match="a fused relu has no meaning"):
        OPS[op].prepare(place)


@pytest.mark.parametrize(("a", "b"), [("int32", "int64"), ("bool", "bool")])
def test_types_that_do_not_add_are_refused(a: str, b: str) -> None:
    ports = [tensor("a", (1, 2), a), tensor("b", (1, 2), b)]
    with pytest.raises(UnsupportedError, match="of one type here: int32, int64, uint8"):
        OPS["add"].prepare(site("add", BinaryAttrs(), ports, tensor("y", (1, 2), a)))


def test_logical_operators_want_bools() -> None:
    ports = [tensor("a", (1, 2), "int32"), tensor("b", (1, 2), "int32")]
    with pytest.raises(UnsupportedError, match="must be bools"):
        OPS["logical_and"].prepare(site("logical_and", NoAttrs(), ports, tensor("y", (1, 2), "bool")))
    truth = np.array([[False, False, True, True]]), np.array([[False, True, False, True]])
    bools = [tensor("a", (1, 4), "bool"), tensor("b", (1, 4), "bool")]
    assert emulate(site("logical_xor", NoAttrs(), bools, tensor("y", (1, 4), "bool")), *truth)[0].tolist() == [0, 1, 1, 0]
