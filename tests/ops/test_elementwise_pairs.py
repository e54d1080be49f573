"""int8 add, sub and mul through tables and lines: all 65,536 pairs, every rule, and where vector blocks end."""

from __future__ import annotations

import weakref
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.oracles import elementwise as oracle
from tests.sites import emulate, site, tensor
from workbench.kernels.elementwise import AddParams, add_fixed_point, add_simd
from workbench.kernels.pairs import pair_guarded
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.ops._pairs import PAIR_A, PAIR_B, fit_line, pair_compute, tabulate
from workbench.ops.add import BinaryAttrs

SCALES = [
    (0.027131337, 0.071624815, 0.035013579),
    (0.0271, 0.0716, 0.0350),  # ratios of small integers, nearly: too many sums beside a tie for a line
    (0.05, 0.05, 0.05),
    (0.05, 0.05, 0.1),  # every other pair is a tie
    (0.1, 0.05, 0.2),
    (0.5, 0.125, 1.0),
    (0.9, 0.0021, 0.011),
    (0.0004, 0.7, 0.6),
    (0.013, 0.027, 9.0),
    (1.0, 1.0, 0.02),
]
ZEROS = [(0, 0, 0), (-128, 127, -128), (3, -5, 11)]


def params(scales: tuple[float, ...], zeros: tuple[int, ...], sign: int, single: int, low: int) -> tuple[AddParams, Any]:
    sa, sb, sy = (np.float32(s) for s in scales)
    twice = 2.0 * float(max(sa, sb))
    m, s = (v.tolist() for v in quantize_multiplier([float(sa) / twice, float(sb) / twice, twice / (float(sy) * 2.0**20)]))
    p = AddParams(zeros[0], m[0], s[0], zeros[1], m[1], s[1], sign, 20, m[2], s[2], zeros[2], low, 127, single)
    return p, (sa / sy, sign * sb / sy)


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("rule", ["double", "single", "simd", "simd scalar", "double, minus"])
def test_the_fast_way_equals_the_table_on_all_pairs(rule: str, scales: tuple[float, ...], zeros: tuple[int, ...]) -> None:
    low = max(-128, zeros[2])
    p, ratios = params(scales, zeros, -1 if "minus" in rule else 1, int(rule == "single"), low)

    def exact(a: Any, b: Any, y: Any) -> None:
        if "simd" in rule:
            add_simd(a, b, tuple(p), True, "scalar" in rule, 0, y)
        else:
            add_fixed_point(a, b, tuple(p), y)

    table = tabulate(exact)
    line = fit_line(table, ratios, zeros[:2], zeros[2], (low, 127))
    fast = pair_compute(table, line)
    got = np.empty_like(table)
    fast(PAIR_A, PAIR_B, got)
    np.testing.assert_array_equal(got, table)
    order = np.random.default_rng(1).permutation(65536)[:3001]  # a last block that is not whole
    got = np.empty(order.size, np.int8)
    fast(PAIR_A[order], PAIR_B[order], got)
    np.testing.assert_array_equal(got, table[order])


@pytest.mark.parametrize("rule", ["double", "single"])
@pytest.mark.parametrize("scales", SCALES[:4])
def test_the_table_equals_the_oracle(scales: tuple[float, ...], rule: str) -> None:
    p, _ = params(scales, (3, -5, 11), 1, int(rule == "single"), -128)
    table = tabulate(lambda a, b, y: add_fixed_point(a, b, tuple(p), y))
    real = [Fraction(float(np.float32(s))) for s in scales]
    for i in np.random.default_rng(3).integers(0, 65536, 400).tolist():
        a, b = int(PAIR_A[i]), int(PAIR_B[i])
        assert table[i] == oracle.clip(oracle.add(a, b, real[0], 3, real[1], -5, real[2], 11, 1, 8, rule), -128, 127)


def test_lines_fit_ordinary_scales_and_nothing_else() -> None:
    fits = []
    for scales in SCALES:
        p, ratios = params(scales, (3, -5, 11), 1, 0, -128)
        fits.append(
            fit_line(tabulate(lambda a, b, y, q=tuple(p): add_fixed_point(a, b, q, y)), ratios, (3, -5), 11, (-128, 127))
        )
    assert sum(line is not None for line in fits) >= 7
    assert any(line is not None and line[8] == 0 for line in fits)  # exact as it is
    noise = np.random.default_rng(4).integers(-128, 128, 65536).astype(np.int8)
    assert fit_line(noise, (1.0, 1.0), (0, 0), 0, (-128, 127)) is None
    assert fit_line(noise, (2.0**25, 1.0), (0, 0), 0, (-128, 127)) is None


def test_equal_tables_are_one_until_nobody_reads_them() -> None:
    def largest(a: Any, b: Any, y: Any) -> None:
        np.maximum(a, b, out=y)

    table, again = tabulate(largest), tabulate(largest)
    other = tabulate(lambda a, b, y: np.minimum(a, b, out=y))
    assert table is again and table is not other
    held = weakref.ref(table)
    del table, again
    assert held() is None


def test_a_pair_in_the_window_takes_its_block_from_the_table() -> None:
    # y = (a + b) / 2 half up by the line; the table differs where the sum is -1, whose fraction is 0 as of every odd sum.
    line = (1 << 21, 1 << 21, 1 << 21, 22, 0, -128, 127, 0, 1)
    half_up = np.clip((PAIR_A.astype(np.int32) + PAIR_B + 1) >> 1, -128, 127).astype(np.int8)
    table = np.where(PAIR_A.astype(np.int32) + PAIR_B == -1, np.int8(77), half_up).astype(np.int8)
    a = np.zeros(5000, np.int8)
    b = np.full(5000, 2, np.int8)
    b[[0, 2047, 3333, 4999]] = -1
    y = np.empty(5000, np.int8)
    pair_guarded(a, b, line, table, y)
    assert y.tolist() == [77 if v == -1 else 1 for v in b.tolist()]


@pytest.mark.parametrize("op", ["add", "mul"])
@pytest.mark.parametrize(
    "shapes", [((1, 5, 7), (1, 5, 7)), ((1, 3, 41), (1, 1, 41)), ((1, 3, 21), (1, 3, 1)), ((1, 9), (1, 9))]
)
def test_blocks_end_with_every_run_of_every_sample(op: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(6)
    out = tuple(np.broadcast_shapes(*shapes))
    # Output at half the scale of equal inputs: many ties, which body and tail round differently.
    ports = [tensor(n, s, "int8", (0.125, z)) for n, s, z in zip("ab", shapes, (1, 0), strict=True)]
    y = tensor("y", out, "int8", (0.25 if op == "add" else 1 / 16, -3))
    place = site(op, BinaryAttrs(), ports, y, add="fixed_point_simd", mul="rescale_simd")
    a, b = (rng.integers(-128, 128, (4, *s[1:])).astype(np.int8) for s in shapes)
    got = emulate(place, a, b)
    np.testing.assert_array_equal(got, np.concatenate([emulate(place, a[i : i + 1], b[i : i + 1]) for i in range(4)]))


@pytest.mark.parametrize("target", [{}, {"mul": "rescale_simd"}, {"mul": "xnnpack"}, {"requantize": "single"}])
def test_mul_of_all_pairs_equals_the_oracle(target: dict[str, Any]) -> None:
    sa, sb, sy = (float(np.float32(s)) for s in (0.011, 0.07, 0.0153))
    m, s = oracle.multiplier(Fraction(sa * sb / sy))
    ratio = np.float32(np.float32(sa) * np.float32(sb)) / np.float32(sy)
    ports = [tensor("a", (1, 65536), "int8", (sa, 7)), tensor("b", (1, 65536), "int8", (sb, -9))]
    got = emulate(
        site("mul", BinaryAttrs(), ports, tensor("y", (1, 65536), "int8", (sy, 20)), **target), PAIR_A[None], PAIR_B[None]
    )

    def want(product: int) -> int:
        if target.get("mul") == "xnnpack":
            return round(float(np.float32(product) * ratio)) + 20
        return oracle.rescale(product, m, s, target.get("requantize", "double")) + 20

    products = ((PAIR_A.astype(int) - 7) * (PAIR_B.astype(int) + 9)).tolist()
    found = {p: oracle.clip(want(p), -128, 127) for p in set(products)}
    assert got[0].tolist() == [found[p] for p in products]
