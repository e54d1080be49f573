"""Rules of operators on accelerators that only shift or multiply by small integers, over all pairs of bytes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.oracles import elementwise as oracle
from tests.oracles import requantize
from tests.sites import emulate, site, tensor
from workbench.errors import ModelError, UnsupportedError
from workbench.ops import OPS
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pool import PoolAttrs

Array = np.ndarray[Any, Any]
BYTES = np.arange(-128, 128)
A, B = np.repeat(BYTES, 256).astype(np.int8)[None], np.tile(BYTES, 256).astype(np.int8)[None]
WIDE = (A.astype(int)[0], B.astype(int)[0])


def binary(
    op: str, quants: tuple[tuple[float, int], ...], types: tuple[str, str, str] = ("int8",) * 3, **arithmetic: Any
) -> Any:
    a, b, y = (tensor(name, A.shape, dtype, quant) for name, dtype, quant in zip("aby", types, quants, strict=True))
    return site(op, BinaryAttrs(), [a, b], y, **arithmetic)


@pytest.mark.parametrize("sign", [1, -1])
def test_one_scale_adds_integers(sign: int) -> None:
    op, one = "add" if sign > 0 else "sub", ((0.25, 0),) * 3
    got = emulate(binary(op, one, add="one_scale"), A, B)
    assert np.array_equal(got[0], np.clip(WIDE[0] + sign * WIDE[1], -128, 127))
    # What TFLite computes for equal scales is the same: one rule under two names, but it also takes other scales.
    assert np.array_equal(got, emulate(binary(op, one), A, B))
    got = emulate(binary(op, ((0.25, 3), (0.25, -5), (0.25, 7)), add="one_scale"), A, B)
    assert np.array_equal(got[0], np.clip(WIDE[0] - 3 + sign * (WIDE[1] + 5) + 7, -128, 127))
    got = emulate(binary(op, one, ("int8", "int8", "int16"), add="one_scale"), A, B)
    assert got.dtype == np.int16 and np.array_equal(got[0], WIDE[0] + sign * WIDE[1])
    with pytest.raises(UnsupportedError, match="of one scale"):
        emulate(binary(op, ((0.25, 0), (0.5, 0), (0.25, 0)), add="one_scale"), A, B)


def test_sums_by_multipliers_round_down() -> None:
    sa, sb, sy = (float(np.float32(s)) for s in (0.013, 0.021, 0.034))
    got = emulate(binary("add", ((sa, -128), (sb, -128), (sy, -128)), add="multiplier_floor", multiplier_bits=8), A, B)
    _, d = requantize.floor_multiplier(sb / sy, 8)
    ma, mb = (math.floor(Fraction(s) / Fraction(sy) * 2**d) for s in (sa, sb))
    assert mb < 128
    want = np.clip((((WIDE[0] + 128) * ma + (WIDE[1] + 128) * mb) >> d) - 128, -128, 127)
    assert np.array_equal(got[0], want)
    with pytest.raises(UnsupportedError, match="no subtraction"):
        emulate(binary("sub", ((sa, 0), (sb, 0), (sy, 0)), add="multiplier_floor"), A, B)


@pytest.mark.parametrize("rule", ["power_of_two_half_up", "power_of_two_half_even"])
@pytest.mark.parametrize("exponent", [-7, -1, 0, 3])
def test_products_are_shifted(exponent: int, rule: str) -> None:
    got = emulate(binary("mul", ((0.5, 0), (0.25, 0), (0.125 / 2.0**exponent, 0)), requantize=rule), A, B)
    rounding = requantize.half_up if rule.endswith("up") else requantize.half_even
    found = {
        v: requantize.finish(requantize.power_of_two(v, exponent, rounding), 0, -128, 127)
        for v in set((WIDE[0] * WIDE[1]).tolist())
    }
    assert got[0].tolist() == [found[v] for v in (WIDE[0] * WIDE[1]).tolist()]


def test_bits_are_combined_as_they_are_stored() -> None:
    for op, combine in (("bitwise_or", np.bitwise_or), ("bitwise_xor", np.bitwise_xor)):
        a, b, y = (tensor(name, A.shape, "int8", (0.5, 0)) for name in "aby")
        assert np.array_equal(emulate(site(op, NoAttrs(), [a, b], y), A, B), combine(A, B))
        with pytest.raises(UnsupportedError, match="same quantization"):
            emulate(site(op, NoAttrs(), [a, tensor("b", A.shape, "int8", (0.25, 0))], y), A, B)
        with pytest.raises(ModelError, match="real numbers have no bits"):
            OPS[op].reference(NoAttrs(), [np.ones(3, np.float32), np.ones(3, np.float32)])
        assert (
            OPS[op].reference(NoAttrs(), [np.array([5, 6]), np.array([3, 6])])[0].tolist() == combine([5, 6], [3, 6]).tolist()
        )


def test_the_lowest_integer_has_the_largest_magnitude_that_fits() -> None:
    x, y = (tensor(name, A.shape, "int8", (0.5, 0)) for name in "xy")
    assert emulate(site("abs", NoAttrs(), [x], y), A)[0].tolist() == [min(abs(v), 127) for v in WIDE[0].tolist()]
    real = tensor("x", (1, 2), "float32"), tensor("y", (1, 2), "float32")
    assert emulate(site("abs", NoAttrs(), [real[0]], real[1]), np.array([[-1.5, 2.0]], np.float32)).tolist() == [[1.5, 2.0]]


@pytest.mark.parametrize(("rule", "bits"), [("reciprocal6_half_up", 6), ("reciprocal7_half_even", 7)])
def test_the_mean_of_an_image_is_a_pool(rule: str, bits: int) -> None:
    x = np.random.default_rng(3).integers(-128, 128, (2, 7, 6, 5)).astype(np.int8)
    place = site(
        "mean", MeanAttrs((1, 2), True), [tensor("x", x.shape, "int8", (0.5, 0))], tensor("y", (2, 1, 1, 5), "int8", (0.5, 0)),
        mean="average_pool", avg_pool=rule,
    )  # fmt: skip
    want = [oracle.average_by_reciprocal(image.reshape(-1).tolist(), 42, 0, bits) for n in x for image in n.transpose(2, 0, 1)]
    assert emulate(place, x).reshape(-1).tolist() == want
    with pytest.raises(UnsupportedError, match="as average pooling"):
        emulate(site("mean", MeanAttrs((3,), True), list(place.inputs), place.y, mean="average_pool"), x)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attrs", "quant", "dtype", "reason"),
    [
        (PoolAttrs((2, 2)), (0.5, 3), "int8", "zero point 0"),
        (PoolAttrs((2, 2)), (0.5, 0), "int16", "int8 alone"),
        (PoolAttrs((13, 13)), (0.5, 0), "int8", "may saturate at 20 bits"),
    ],
)
def test_averages_by_reciprocals_that_are_not_known_are_refused(attrs: Any, quant: Any, dtype: str, reason: str) -> None:
    x = tensor("x", (1, 13, 13, 1), dtype, quant)
    with pytest.raises(UnsupportedError, match=reason):
        emulate(
            site("avg_pool2d", attrs, [x], tensor("y", (), dtype, quant), avg_pool="reciprocal6_half_up"),
            np.zeros((1, 13, 13, 1), dtype),
        )
