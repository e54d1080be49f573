"""The vectorised loops of the operators without weights: arrays longer than any vector, every value where values are few."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.oracles import elementwise as oracle
from tests.oracles import requantize
from tests.sites import emulate, site, tensor
from workbench.kernels.lookup import lookup
from workbench.kernels.mean import sum_middle
from workbench.kernels.pool import HALF_AWAY, average_pool, divide_half_away, max_pool
from workbench.kernels.quantize import quantize_divide, quantize_reciprocal
from workbench.numerics.arithmetic import REQUANTIZE_CODES
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.numerics.jit import kernel
from workbench.ops.add import BinaryAttrs
from workbench.ops.softmax import SoftmaxAttrs

Array = np.ndarray[Any, Any]
NOTHING = np.zeros(0, np.int64)
EXTREMES = [-32768, -32767, -1, 0, 1, 32767]


@kernel
def divide_all(totals, count, out):  # type: ignore[no-untyped-def]
    for i in range(totals.size):
        out[i] = divide_half_away(totals[i], count)


def c_division(totals: Array, count: int) -> Array:
    """(total +- count / 2) / count in C, in int64."""
    totals = totals.astype(np.int64)
    half = count // 2
    return np.where(totals > 0, (totals + half) // count, -((half - totals) // count))


def test_average_divides_every_sum_of_int8_windows_as_c_does() -> None:
    for count in [*range(1, 130), 196, 255, 256, 1000]:
        totals = np.arange(-128 * count, 127 * count + 1, dtype=np.int32)
        out = np.empty_like(totals)
        divide_all(totals, count, out)
        np.testing.assert_array_equal(out, c_division(totals, count))


def test_average_divides_the_largest_sums_as_c_does() -> None:
    for count in (1, 2, 3, 7, 49, 625, 65535, 2**24 - 1):
        largest = 2**31 - 1 - count
        steps = np.arange(-2000, 2000) * count + count // 2
        near = np.concatenate([largest - np.arange(4000), -largest + np.arange(4000), steps, steps - 1, steps + 1])
        totals = near[np.abs(near) <= largest].astype(np.int32)
        out = np.empty_like(totals)
        divide_all(totals, count, out)
        np.testing.assert_array_equal(out, c_division(totals, count))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("channels", [1, 15, 67, 130])
def test_pools_of_many_channels(channels: int, dtype: str) -> None:
    limits = np.iinfo(dtype)
    x = np.random.default_rng(channels).integers(limits.min, limits.max + 1, (2, 5, 4, channels)).astype(dtype)
    mean, largest = np.empty((2, 3, 2, channels), dtype), np.empty((2, 3, 2, channels), dtype)
    average_pool(x, 3, 2, 2, 2, 1, 0, 0, False, HALF_AWAY, NOTHING, NOTHING, limits.min, limits.max, mean)
    max_pool(x, 3, 2, 2, 2, 1, 0, limits.min, limits.max, largest)
    for n, oy, ox in np.ndindex(2, 3, 2):
        seen = x[n, max(2 * oy - 1, 0) : 2 * oy + 2, 2 * ox : 2 * ox + 2].reshape(-1, channels).astype(np.int64)
        np.testing.assert_array_equal(largest[n, oy, ox], seen.max(axis=0))
        want = [oracle.average(column, len(seen), 0) for column in seen.T.tolist()]
        assert mean[n, oy, ox].tolist() == want


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_sums_of_any_shape(dtype: str) -> None:
    limits, rng = np.iinfo(dtype), np.random.default_rng(5)
    for outer, n, inner in [(1, 1, 1), (3, 513, 1), (2, 7, 3), (3, 100, 17), (2, 5, 300), (1, 4097, 2), (2, 0, 5)]:
        x = rng.integers(limits.min, limits.max + 1, (outer, n, inner)).astype(dtype)
        out = np.full((outer, inner), 9, np.int32)
        sum_middle(x, out)
        np.testing.assert_array_equal(out, x.sum(axis=1, dtype=np.int64))


@pytest.mark.parametrize("bits", [8, 16])
def test_lookup_of_every_value(bits: int) -> None:
    codes = np.tile(np.arange(2**bits), 2).astype(f"uint{bits}")
    table = np.random.default_rng(bits).integers(-128, 128, 2**bits).astype(np.int8)
    out = np.empty(codes.size, np.int8)
    lookup(codes, table, out)
    assert out.tolist() == [table[c] for c in codes.tolist()]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "float32"])
def test_lookup_at_any_address_and_length(dtype: str) -> None:
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 256, 600).astype(np.uint8)
    table = rng.integers(0, 128, 259).astype(dtype)[3:]
    for start, size in [(0, 0), (0, 1), (1, 63), (0, 64), (3, 65), (5, 191), (2, 256), (1, 599)]:
        out = np.full(size + 2, 77, dtype)
        lookup(codes[start : start + size], table, out[1:-1])
        assert out.tolist() == [77, *(table[c] for c in codes[start : start + size].tolist()), 77]


def pairs16() -> tuple[Array, Array]:
    """Every pair of extremes, then random values: 300 elements."""
    rng = np.random.default_rng(16)
    a, b = (rng.integers(-32768, 32768, 300).astype(np.int16) for _ in range(2))
    grid = np.array(np.meshgrid(EXTREMES, EXTREMES)).reshape(2, -1)
    a[: grid.shape[1]], b[: grid.shape[1]] = grid
    return a, b


@pytest.mark.parametrize("scales", [(1.0, 1.0, 2.0), (0.7, 0.0003, 0.9), (2.0**-20, 1.0, 1.7), (0.01, 0.0171, 0.00213)])
@pytest.mark.parametrize("rule", ["double", "single"])
@pytest.mark.parametrize("op", ["add", "sub"])
def test_add_s16_at_the_extremes(op: str, rule: str, scales: tuple[float, float, float]) -> None:
    a, b = pairs16()
    sa, sb, sy = (float(np.float32(s)) for s in scales)
    ports = [tensor("a", (1, 300), "int16", (sa, 0)), tensor("b", (1, 300), "int16", (sb, 0))]
    got = emulate(site(op, BinaryAttrs(), ports, tensor("y", (1, 300), "int16", (sy, 0)), requantize=rule), a[None], b[None])
    real = [Fraction(s) for s in (sa, sb, sy)]
    sign = 1 if op == "add" else -1
    want = [
        oracle.clip(oracle.add(u, v, real[0], 0, real[1], 0, real[2], 0, sign, 16, rule), -32768, 32767)
        for u, v in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert got[0].tolist() == want


@pytest.mark.parametrize("rule", REQUANTIZE_CODES)
def test_mul_s16_by_every_rule_in_rows_and_rest(rule: str) -> None:
    a, b = (np.resize(v, 2500) for v in pairs16())
    sa, sb, sy = np.float32(0.0007), np.float32(0.0011), np.float32(0.0163)
    ports = [tensor("a", (1, 2500), "int16", (float(sa), 0)), tensor("b", (1, 2500), "int16", (float(sb), 0))]
    place = site("mul", BinaryAttrs(), ports, tensor("y", (1, 2500), "int16", (float(sy), 0)), requantize=rule)
    scale = float(sa) * float(sb) / float(sy)
    m, s = (int(v) for v in quantize_multiplier(scale))

    def want(acc: int) -> int:
        if rule == "float32_half_even":
            value = requantize.float32_half_even(acc, Fraction(float(np.float32(scale))))
        elif rule == "float64_half_away":
            value = requantize.float64_half_away(acc, scale)
        else:
            value = getattr(requantize, rule)(acc, m, s)
        return requantize.finish(value, 0, -32768, 32767)

    found = {acc: want(acc) for acc in set((a.astype(int) * b).tolist())}
    assert emulate(place, a[None], b[None])[0].tolist() == [found[acc] for acc in (a.astype(int) * b).tolist()]


def test_softmax_of_more_rows_than_are_inverted_together() -> None:
    rows = np.random.default_rng(2).integers(-128, 128, (150, 4)).astype(np.int8)
    place = site(
        "softmax", SoftmaxAttrs(), [tensor("x", (1, 4), "int8", (0.04, 3))], tensor("y", (1, 4), "int8", (1 / 256, -128))
    )
    scale = Fraction(float(np.float32(0.04)))
    assert emulate(place, rows).tolist() == [oracle.softmax_s8(row, scale, 8) for row in rows.tolist()]


@pytest.mark.parametrize("scale", [1.0, 0.1, 3e-20, 1e20])
@pytest.mark.parametrize("limits", [(-128, 127), (-32768, 32767)])
def test_quantize_of_floats(limits: tuple[int, int], scale: float) -> None:
    rng = np.random.default_rng(8)
    unit = np.float32(scale)
    ties = rng.integers(-600, 600, 200).astype(np.float32) * np.float32(0.5) * unit
    near = np.concatenate([np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(-np.inf))])
    with np.errstate(over="ignore"):
        wild = (rng.standard_normal(100) * 10.0 ** rng.uniform(-40, 38, 100)).astype(np.float32)
    x = np.concatenate([ties, near, wild, np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)])
    inverse, zero = np.float32(1.0) / unit, limits[0] + 100

    def want(ratio: Array, rounding: Any) -> list[int]:
        ends = {"inf": limits[1], "-inf": limits[0], "nan": zero}
        return [ends[str(r)] if str(r) in ends else oracle.clip(rounding(Fraction(r)) + zero, *limits) for r in ratio.tolist()]

    with np.errstate(all="ignore"):
        cases = [(x, unit, x / unit), (x.astype(np.float64), np.float64(unit), x.astype(np.float64) / np.float64(unit))]
        product = x * inverse
    out = np.empty(x.size, np.int8 if limits[0] == -128 else np.int16)
    for values, divisor, ratio in cases:
        quantize_divide(values, divisor, zero, *limits, out)
        assert out.tolist() == want(ratio, oracle.round_away)
    quantize_reciprocal(x, inverse, zero, *limits, out)
    assert out.tolist() == want(product, round)
