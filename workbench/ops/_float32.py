"""8-bit operators as ONNX Runtime computes them: real numbers in float32, one division by the output scale, ties to even.

Functions of one value, subtractions: q = clip(rint(f(sx * (x - zx)) / sy) + zy), each step rounded to float32. Additions,
multiplications and average pools have kernels that add the output's zero point *before* they round, which moves results near a tie:
there the zero points are those of unsigned bytes (128 higher), as x86 builds turn int8 activations into uint8 ones.
Source: MLAS qladd_avx2.cpp, qlmul.cpp, qlgavgpool.cpp, qlinear_pool.cc, qlinear_lookup_table.cc. Constraint: (C1) int8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.ops._broadcast import Compute
from workbench.ops._elementwise import quant_of
from workbench.ops._pairs import fit_line, pair_compute, tabulate
from workbench.ops._tables import grid
from workbench.ops.base import Array, Shape, Site

Floats = npt.NDArray[np.float32]
BYTE = 128
"""An unsigned byte less its signed twin."""


def real_grid(site: Site) -> Floats:
    """Return the real number of every int8 value of the first input, lowest first."""
    scale, zero_point = quant_of(site, site.x, ("int8",))
    return np.asarray(scale * (grid("int8") - zero_point).astype(np.float32))


def quotient_table(site: Site, real: Floats) -> npt.NDArray[np.int8]:
    """Return real numbers in the output's integers: clip(rint(real / sy) + zy)."""
    scale, zero_point = quant_of(site, site.y, ("int8",))
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.clip(np.rint(real / scale) + zero_point, -128, 127), np.int8)


LOGISTIC_RANGE = 18.0
LOGISTIC_ODD = (4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01)
LOGISTIC_EVEN = (
    6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03, 1.16817656904453e-01, 9.93151921023180e-01,
)  # fmt: skip
"""Coefficients of x^9 .. x and of x^10 .. 1, highest first. Source: MLAS logistic.cpp (Eigen's rational approximation)."""


def logistic_quotient(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) as MLAS with fused multiply-adds: x * odd(x^2) / even(x^2) + 1/2, in [0, 1]."""
    v = np.clip(x, np.float32(-LOGISTIC_RANGE), np.float32(LOGISTIC_RANGE))
    square = v * v
    over, under = (np.full_like(v, c[0]) for c in (LOGISTIC_ODD, LOGISTIC_EVEN))
    for c in LOGISTIC_ODD[1:]:
        over = _fused(over, square, np.float32(c))
    for c in LOGISTIC_EVEN[1:]:
        under = _fused(under, square, np.float32(c))
    return np.asarray(np.clip(over * v / under + np.float32(0.5), 0, 1), np.float32)


def add_compute(site: Site, sign: int, limits: tuple[int, int]) -> Compute:
    """Return int8 a + b (or a - b) of two activations. limits: of the output.

    Sum: rint(fma(a, ra, fma(b, rb, fixed))) of unsigned bytes, ra = sa / sy, fixed = zy - fma(ra, za, rb * zb). Where a is a scalar of
    the vector loop, the operands change places. A product of 8 by 24 bits and the sum with it are taken in float64 and rounded once.
    """
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t, ("int8",)) for t in (site.input(0), site.input(1), site.y))
    swapped = sign > 0 and first_is_scalar(site.input(0).shape, site.input(1).shape)
    ra, rb, byte = sa / sy, sb / sy, 0 if site.attrs.signed_bytes else BYTE

    def exact(a: Array, b: Array, y: Array) -> None:
        if sign < 0:
            real_a, real_b = (s * (v.astype(np.float32) - np.float32(z)) for v, s, z in ((a, sa, za), (b, sb, zb)))
            q = np.rint((real_a - real_b) / sy) + zy
        elif swapped:
            q = _sum(b, a, rb, ra, zb, za, zy, byte)
        else:
            q = _sum(a, b, ra, rb, za, zb, zy, byte)
        y[:] = np.clip(q, *limits)

    table = tabulate(exact)
    line = fit_line(table, (float(ra), sign * float(rb)), (za, zb), zy, limits)
    return pair_compute(table, line)


def _sum(a: Array, b: Array, ra: np.float32, rb: np.float32, za: int, zb: int, zy: int, byte: int) -> Array:
    left, right = np.float32(za + byte), np.float32(zb + byte)
    fixed = np.float32(np.float32(zy + byte) - _fused(left, ra, np.float32(rb * right)))
    inner = _fused(b.astype(np.float32) + np.float32(byte), rb, fixed)
    return np.asarray(np.rint(_fused(a.astype(np.float32) + np.float32(byte), ra, inner)) - byte)


def _fused(x: Any, factor: Any, term: Any) -> Any:
    """Return x * factor + term rounded once to float32."""
    return (np.float64(x) * np.float64(factor) + np.float64(term)).astype(np.float32)


def first_is_scalar(a: Shape, b: Shape) -> bool:
    """True when the first operand has one value where the second has a whole innermost dimension."""
    return (a[-1] if a else 1) == 1 < (b[-1] if b else 1)


def multiply_compute(site: Site, limits: tuple[int, int]) -> Compute:
    """Return int8 a * b: rint(float32((a - za) * (b - zb)) * (sa * sb / sy) + zy) of unsigned bytes."""
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t, ("int8",)) for t in (site.input(0), site.input(1), site.y))
    with np.errstate(over="ignore", under="ignore"):
        ratio = (sa * sb) / sy
    byte = 0 if site.attrs.signed_bytes else BYTE

    def exact(a: Array, b: Array, y: Array) -> None:
        product = ((a.astype(np.int32) - za) * (b.astype(np.int32) - zb)).astype(np.float32)
        q = np.rint(product * ratio + np.float32(zy + byte)) - byte
        y[:] = np.clip(q, *limits)

    return pair_compute(tabulate(exact), None)


def mean_finish(site: Site, count: int) -> Callable[[Array], Array]:
    """Return sums int32 of `count` values -> int8: rint(float32(sum - count * zx) * (sx / (sy * count))) + zy."""
    (sx, zx), (sy, zy) = quant_of(site, site.x, ("int8",)), quant_of(site, site.y, ("int8",))
    scale = sx / (sy * np.float32(count))

    def finish(sums: Array) -> Array:
        acc = sums - np.int32(count * zx)
        return np.asarray(np.clip(np.rint(acc.astype(np.float32) * scale) + zy, -128, 127), np.int8)

    return finish
