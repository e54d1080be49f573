"""The inner loops of `gemm_f16`: one row of `a` against many columns of `b`, every step exact in float arithmetic.

A product of two float16 has 22 bits, so it is exact in float32; times the power of two 2**(fraction_bits - e_max) it is exact
again (or far below 1), and converting to int32 *is* the truncation toward zero. 16 such terms of 25 fraction bits stay below
2**31: 16 * (2047 / 1024)**2 * 2**25 = 2_145_387_008. The sum with c is exact in float64, whose low bits are then cut off.
All loops over lanes are free of branches, so LLVM vectorizes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.numerics.jit import kernel

UNROLL = 4
ZERO = -64
"""Exponent of a zero factor: a product with it lies at or below -49, every product of nonzero float16 at or above -28."""
ZERO_PRODUCT = -49
LOWEST_PRODUCT = -28
_TOP_24_BITS = np.int64(-(1 << 29))  # of a double, which has 29 significand bits more than a float


@kernel
def _largest_exponent(ea: Any, eb: Any, c_exponent: Any, top: Any) -> None:
    """top[j] = max(c_exponent[j], ea[k] + eb[k, j] for all k); K is a multiple of 4."""
    for j in range(top.size):
        top[j] = max(c_exponent[j], np.int32(ZERO_PRODUCT))
    for k in range(0, ea.size, UNROLL):
        a0, a1, a2, a3 = np.int32(ea[k]), np.int32(ea[k + 1]), np.int32(ea[k + 2]), np.int32(ea[k + 3])
        b0, b1, b2, b3 = eb[k], eb[k + 1], eb[k + 2], eb[k + 3]
        for j in range(top.size):
            low = max(np.int32(a0 + b0[j]), np.int32(a1 + b1[j]))
            high = max(np.int32(a2 + b2[j]), np.int32(a3 + b3[j]))
            top[j] = max(top[j], max(low, high))


@kernel
def _sum_terms(a: Any, b: Any, scale: Any, total: Any) -> None:
    """total[j] = sum over k of int32(a[k] * b[k, j] * scale[j]): exact products, truncated toward zero by the conversion."""
    for j in range(total.size):
        total[j] = 0
    for k in range(0, a.size, UNROLL):
        a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        for j in range(total.size):
            s = scale[j]
            low = np.int32(np.int32(a0 * b0[j] * s) + np.int32(a1 * b1[j] * s))
            high = np.int32(np.int32(a2 * b2[j] * s) + np.int32(a3 * b3[j] * s))
            total[j] = np.int32(total[j] + np.int32(low + high))


@kernel
def _accumulator_exponent(acc: Any, lowest: Any, c_exponent: Any) -> None:
    """c_exponent[j] = exponent of acc[j], at least `lowest`; -127 for zeros, infinities and NaN, which align nothing."""
    for j in range(acc.size):
        biased = (np.float32(acc[j]).view(np.int32) >> np.int32(23)) & np.int32(255)
        present = acc[j] != 0 and biased != 255
        c_exponent[j] = max(np.int32(biased - np.int32(127)), lowest) if present else np.int32(-127)


@kernel
def _set_scale(top: Any, fraction_bits: Any, scale: Any) -> None:
    for j in range(top.size):
        scale[j] = np.int32((fraction_bits - top[j] + 127) << 23).view(np.float32)


@kernel
def _finish_f32(total: Any, scale: Any, top: Any, fraction_bits: Any, acc: Any) -> None:
    """acc[j] = (total[j] + truncated c) * 2**(top - fraction_bits), truncated to 24 bits; unchanged if all products are 0."""
    for j in range(acc.size):
        old = acc[j]
        finite = abs(old) < np.inf
        c = np.trunc((old if finite else np.float32(0)) * scale[j])
        exact = np.float64(total[j]) + np.float64(c)
        kept = np.int64(np.float64(exact).view(np.int64) & _TOP_24_BITS).view(np.float64)
        unit = np.int64((np.int64(top[j]) - fraction_bits + 1023) << 52).view(np.float64)
        acc[j] = np.float32(kept * unit) if finite and top[j] >= LOWEST_PRODUCT else old


@kernel
def _finish_f16(total: Any, scale: Any, top: Any, fraction_bits: Any, acc: Any) -> None:
    """The same with the result rounded to float16, to nearest even: adding 1.5 * 2**52 units in the last place does it."""
    for j in range(acc.size):
        old = acc[j]
        finite = abs(old) < np.inf
        c = np.trunc((old if finite else np.float32(0)) * scale[j])
        unit = np.int64((np.int64(top[j]) - fraction_bits + 1023) << 52).view(np.float64)
        exact = (np.float64(total[j]) + np.float64(c)) * unit
        exponent = max((np.float64(exact).view(np.int64) >> 52) & 2047, np.int64(1023 - 14))
        magic = np.int64(((exponent + 42) << 52) | (1 << 51)).view(np.float64)
        rounded = (exact + magic) - magic
        rounded = np.copysign(np.inf, rounded) if abs(rounded) > 65504.0 else rounded
        acc[j] = np.float32(rounded) if finite and top[j] >= LOWEST_PRODUCT else old


@kernel
def gemm_lanes(a: Any, ea: Any, b: Any, eb: Any, step: Any, fraction_bits: Any, half: Any, acc: Any) -> None:
    """Add a * b to acc, step by step.

    a, ea: values float32 and exponents int8 [M, K], K a multiple of 4. b, eb: the same in tiles [T, K, lanes].
    acc: float32 [M, T, lanes] of values that the accumulator format holds.
    """
    tiles, depth, lanes = b.shape
    c_exponent, top, total = np.empty(lanes, np.int32), np.empty(lanes, np.int32), np.empty(lanes, np.int32)
    scale = np.empty(lanes, np.float32)
    lowest = np.int32(-14 if half else -126)
    for t in range(tiles):
        for m in range(a.shape[0]):
            c = acc[m, t]
            for k0 in range(0, depth, step):
                k1 = min(k0 + step, depth)
                _accumulator_exponent(c, lowest, c_exponent)
                _largest_exponent(ea[m, k0:k1], eb[t, k0:k1], c_exponent, top)
                _set_scale(top, fraction_bits, scale)
                _sum_terms(a[m, k0:k1], b[t, k0:k1], scale, total)
                if half:
                    _finish_f16(total, scale, top, fraction_bits, c)
                else:
                    _finish_f32(total, scale, top, fraction_bits, c)
