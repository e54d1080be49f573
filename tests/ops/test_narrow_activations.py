"""Operators without weights on 4- and 2-bit integers: the rule of int8, clipped to the narrower range."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.oracles import elementwise as oracle
from tests.sites import emulate, site, tensor
from workbench.errors import InputError
from workbench.execute import check_inputs
from workbench.graph.ir import Node
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.concat import ConcatAttrs
from workbench.ops.leaky_relu import LeakyReluAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pad import PadAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.reshape import ReshapeAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.tensor import RANGES
from workbench.validate.golden_base import single_op

TYPES = ["int4", "int2"]
Array = np.ndarray[Any, Any]


def every_pair(dtype: str) -> tuple[Array, Array]:
    low, high = RANGES[dtype]
    values = np.arange(low, high + 1, dtype=np.int8)
    return np.repeat(values, values.size)[None], np.tile(values, values.size)[None]


def ports(dtype: str, shape: tuple[int, ...], quants: dict[str, tuple[float, int]]) -> list[Any]:
    return [tensor(name, shape, dtype, quant) for name, quant in quants.items()]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_two_inputs(op: str, dtype: str) -> None:
    a, b = every_pair(dtype)
    low, high = RANGES[dtype]
    sa, sb, sy = (float(np.float32(s)) for s in (0.11, 0.07, 0.19))
    za, zb, zy = low, high, low + 1
    x1, x2, y = ports(dtype, a.shape, {"a": (sa, za), "b": (sb, zb), "y": (sy, zy)})
    got = emulate(site(op, BinaryAttrs("relu"), [x1, x2], y), a, b)
    reals = [Fraction(s) for s in (sa, sb, sy)]
    want = []
    for u, v in zip(a[0].tolist(), b[0].tolist(), strict=True):
        if op == "mul":
            value = oracle.rescale((u - za) * (v - zb), *oracle.multiplier(reals[0] * reals[1] / reals[2])) + zy
        else:
            value = oracle.add(u, v, reals[0], za, reals[1], zb, reals[2], zy, 1 if op == "add" else -1, 8, "double")
        want.append(oracle.clip(value, zy, high))
    assert got.dtype == np.int8 and got[0].tolist() == want


@pytest.mark.parametrize("dtype", TYPES)
def test_tables(dtype: str) -> None:
    low, high = RANGES[dtype]
    x = np.arange(low, high + 1, dtype=np.int8)[None]
    one, other = ("x", (0.25, low)), ("y", (0.5, low))
    x1, y = ports(dtype, x.shape, dict([one, other]))
    half = [oracle.clip(oracle.round_away(Fraction(v - low, 2)) + low, low, high) for v in x[0].tolist()]
    assert emulate(site("quantize", NoAttrs(), [x1], y), x)[0].tolist() == half
    assert emulate(site("relu", ReluAttrs(), [x1], y), x)[0].tolist() == half
    assert emulate(site("leaky_relu", LeakyReluAttrs(0.5), [x1], y), x)[0].tolist() == half
    assert emulate(site("abs", NoAttrs(), [x1], y), x)[0].tolist() == half
    wide = tensor("y", x.shape, "int8", (0.25, 3))
    assert emulate(site("quantize", NoAttrs(), [x1], wide), x)[0].tolist() == [v - low + 3 for v in x[0].tolist()]
    real = tensor("y", x.shape, "float32")
    found = emulate(site("dequantize", NoAttrs(), [x1], real), x)
    assert found.dtype == np.float32 and found[0].tolist() == [(v - low) * 0.25 for v in x[0].tolist()]
    back = emulate(site("quantize", NoAttrs(), [real], x1), found * 8 - 1)
    assert back[0].tolist() == [oracle.clip((v - low) * 8 - 4 + low, low, high) for v in x[0].tolist()]


@pytest.mark.parametrize("dtype", TYPES)
def test_pools_and_moves(dtype: str) -> None:
    low, high = RANGES[dtype]
    x = np.random.default_rng(1).integers(low, high + 1, (2, 4, 4, 3)).astype(np.int8)
    one = tensor("x", x.shape, dtype, (0.5, low))
    sums = x.astype(int).reshape(2, 2, 2, 2, 2, 3).sum(axis=(2, 4))
    for rule in ("half_away", "truncate"):
        pool = site("avg_pool2d", PoolAttrs((2, 2), (2, 2)), [one], tensor("y", (2, 2, 2, 3), dtype, (0.5, low)), avg_pool=rule)
        want = [
            oracle.round_away(Fraction(s, 4)) if rule == "half_away" else low + (s - 4 * low) // 4
            for s in sums.reshape(-1).tolist()
        ]
        assert emulate(pool, x).reshape(-1).tolist() == want
    pool = site("max_pool2d", PoolAttrs((2, 2), (2, 2)), [one], tensor("y", (2, 2, 2, 3), dtype, (0.5, low)))
    assert emulate(pool, x).tolist() == x.reshape(2, 2, 2, 2, 2, 3).max(axis=(2, 4)).tolist()
    image = site(
        "mean",
        MeanAttrs((1, 2), False),
        [one],
        tensor("y", (2, 3), dtype, (0.5, low)),
        mean="average_pool",
        avg_pool="truncate",
    )
    assert emulate(image, x).tolist() == ((x.astype(int) - low).sum(axis=(1, 2)) // 16 + low).tolist()
    flat = tensor("y", (2, 48), dtype, (0.5, low))
    assert emulate(site("reshape", ReshapeAttrs((-1, 48)), [one], flat), x).tolist() == x.reshape(2, 48).tolist()
    padded = tensor("y", (2, 6, 4, 3), dtype, (0.5, low))
    y = emulate(site("pad", PadAttrs(((0, 0), (1, 1), (0, 0), (0, 0))), [one], padded), x)
    assert (y[:, [0, -1]] == low).all() and np.array_equal(y[:, 1:-1], x)
    joined = tensor("y", (2, 4, 4, 6), dtype, (0.5, low))
    y = emulate(site("concat", ConcatAttrs(3), [one, tensor("z", x.shape, dtype, (0.5, low))], joined), x, x)
    assert np.array_equal(y, np.concatenate([x, x], axis=3))


@pytest.mark.parametrize(("x_type", "y_type", "bits"), [("int4", "int4", 4), ("int2", "int2", 2), ("int4", "int8", 8)])
def test_softmax(x_type: str, y_type: str, bits: int) -> None:
    low, high = RANGES[x_type]
    x = np.random.default_rng(2).integers(low, high + 1, (20, 7)).astype(np.int8)
    quant = (2.0**-bits, -(1 << (bits - 1)))
    got = emulate(
        site("softmax", SoftmaxAttrs(), [tensor("x", x.shape, x_type, (0.3, 0))], tensor("y", x.shape, y_type, quant)), x
    )
    e = np.exp(0.3 * (x - x.max(axis=1, keepdims=True)).astype(float))
    real = e / e.sum(axis=1, keepdims=True) * 2**bits - (1 << (bits - 1))
    wide = emulate(
        site(
            "softmax", SoftmaxAttrs(), [tensor("x", x.shape, "int8", (0.3, 0))], tensor("y", x.shape, "int8", (1 / 256, -128))
        ),
        x,
    )
    if bits == 8:
        assert np.array_equal(got, wide)
    assert np.abs(got - np.clip(real, *RANGES[y_type])).max() <= 0.51


def test_integers_beyond_a_narrow_type_are_refused_at_the_input() -> None:
    x = tensor("x", (1, 4), "int4", (0.5, 0))
    graph = single_op("relu", ReluAttrs(), [x], tensor("y", (1, 4), "int4", (0.5, 0)))
    assert isinstance(graph.nodes[0], Node)
    with pytest.raises(InputError, match=r"outside of int4 \[-8, 7\]"):
        check_inputs(graph, np.array([[0, 8, 1, 2]], np.int8))
    assert check_inputs(graph, np.array([[0.0, 99.0, 1.0, -99.0]], np.float32))["x"].tolist() == [[0, 7, 2, -8]]
