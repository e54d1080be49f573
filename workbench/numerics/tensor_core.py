"""The fused dot-add of a matrix unit: K products plus an accumulator, one truncation per term, one rounding per step.

    e_max = max(exponent of every nonzero product, exponent of c, -126)
    term  = truncate_toward_zero(significand * 2**(fraction_bits + exponent - e_max))      an integer
    d     = round_once(sum(terms) * 2**(e_max - fraction_bits))

A product's significand is sa * sb, *not* renormalised (in [1, 4) for normal inputs); subnormals keep the smallest exponent.
Longer dot products chain such steps in the order of k, the accumulator going through its own format in between.
Everything is exact int64 arithmetic on formats that are data, so fp16, bf16, tf32 and fp8 are the same code.

Source: MMA-Sim (microsoft/MMA-Sim c785138), which also gives -126 as the exponent of a zero, +0 for every zero result, signed
infinity on overflow and the canonical NaN; verified on GPU outputs of MATLAB-tensor-core (b12b5a7): `validate golden`.
The order over more steps than the GPU vectors hold (one; two of Ada's fp8) rests on MMA-Sim alone: docs/arithmetic_float.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.float16 import F16_CANONICAL_NAN, F32_CANONICAL_NAN
from workbench.numerics.float_formats import decode
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]


ACCUMULATOR_CODES = {"float32": 0, "float32_e8m13": 1, "float16": 2}
"""Result rule -> code: truncate to 24 bits; truncate to 14 bits in a float32; round to nearest even to float16."""

_EXPONENT_FLOOR = -126


class DotRule(NamedTuple):
    """The numbers of a matrix unit: products fused per step, fraction bits kept when aligning, accumulator code.

    pruned: zeros of b are not in the compressed operand (2:4 sparsity). What they stand against is never multiplied, so an infinity or
    NaN there does not reach the sum.
    """

    products_per_step: int
    fraction_bits: int
    accumulator: int = 0
    pruned: bool = False

    @property
    def is_float16(self) -> bool:
        """True when c and d are float16 patterns (uint16), False for float32 patterns (uint32)."""
        return self.accumulator == ACCUMULATOR_CODES["float16"]


def rule_of(arithmetic: Arithmetic, pruned: bool = False) -> DotRule:
    """Return the dot product rule of a target; InputError when its numbers are outside what int64 can hold exactly."""
    steps, bits = arithmetic.float_products_per_step, arithmetic.float_fraction_bits
    if not (1 <= steps <= 1024 and 1 <= bits <= 40):
        raise InputError(
            f"arithmetic: float_products_per_step {steps} and float_fraction_bits {bits} do not fit; "
            "expected 1 to 1024 products and 1 to 40 bits."
        )
    return DotRule(steps, bits, ACCUMULATOR_CODES[arithmetic.float_accumulator], pruned)


@inline
def decode_accumulator(bits: Any, is_float16: bool) -> tuple[Any, Any, Any]:
    """Return (signed significand, exponent, special) of a float32 or float16 pattern; a zero has exponent -126 (MMA-Sim)."""
    fraction_bits, exponent_bits = (10, 5) if is_float16 else (23, 8)
    fraction = bits & ((1 << fraction_bits) - 1)
    biased = (bits >> fraction_bits) & ((1 << exponent_bits) - 1)
    negative = (bits >> (fraction_bits + exponent_bits)) != 0
    special = 0
    if biased == (1 << exponent_bits) - 1:
        special = 2 if fraction != 0 else 1
        fraction = 0
    magnitude = fraction if biased == 0 else fraction | (1 << fraction_bits)
    exponent = _EXPONENT_FLOOR if magnitude == 0 else max(biased, 1) - (1 << (exponent_bits - 1)) + 1
    return (-magnitude if negative else magnitude), exponent, special


@inline
def truncate_shift(value: Any, shift: Any) -> Any:
    """Return value * 2**shift truncated toward zero (sign-magnitude); int64, shift in [-inf, 40]."""
    magnitude = abs(value)
    moved = magnitude << shift if shift >= 0 else magnitude >> min(-shift, 62)
    return -moved if value < 0 else moved


@inline
def leading_bit(magnitude: Any) -> Any:
    """Return floor(log2(magnitude)) of an int64 in [1, 2**53): the exponent of its exact double."""
    return (np.float64(magnitude).view(np.int64) >> 52) - 1023


@inline
def round_to_f32(total: Any, unit: Any, fraction_bits: int) -> Any:
    """Return the float32 pattern of total * 2**unit, truncated to `fraction_bits` (23 or 13) after the leading bit.

    |total| < 2**52. Subnormals are kept, every zero is +0, overflow is a signed infinity.
    """
    magnitude = abs(total)
    if magnitude == 0:
        return 0
    exponent = leading_bit(magnitude) + unit
    kept = truncate_shift(magnitude, unit - (max(exponent, _EXPONENT_FLOOR) - fraction_bits)) << (23 - fraction_bits)
    if kept == 0:
        return 0
    sign = 0x8000_0000 if total < 0 else 0
    if exponent > 127:
        return sign | 0x7F80_0000
    return sign | (((max(exponent, _EXPONENT_FLOOR) + 126) << 23) + kept)


@inline
def round_to_f16(total: Any, unit: Any) -> Any:
    """Return the float16 pattern of total * 2**unit, to nearest even.

    |total| < 2**52. Subnormals are kept, every zero is +0, overflow is a signed infinity.
    """
    magnitude = abs(total)
    if magnitude == 0:
        return 0
    exponent = leading_bit(magnitude) + unit
    lowest = max(exponent, -14)
    shift = lowest - 10 - unit
    if shift > 60:
        return 0
    half_less_one = (1 << (shift - 1)) - 1 if shift > 0 else 0
    kept = (magnitude + half_less_one + ((magnitude >> shift) & 1)) >> shift if shift > 0 else magnitude << -shift
    if kept == 0:
        return 0
    return (0x8000 if total < 0 else 0) | min(((lowest + 14) << 10) + kept, 0x7C00)


@inline
def special_sum(sa: Any, ka: Any, sb: Any, kb: Any, start: Any, stop: Any, c: Any, c_special: Any, pruned: Any) -> Any:
    """Return 0 when all terms are finite, else 1, -1 (infinity of that sign) or 2 (NaN: inf * 0, inf - inf, NaN).

    pruned: zeros of b take no part, see `DotRule`.
    """
    plus, minus = c_special == 1 and c > 0, c_special == 1 and c < 0
    nan = c_special == 2
    for k in range(start, stop):
        if (ka[k] | kb[k]) and not (pruned and sb[k] == 0 and kb[k] == 0):
            product = np.int64(sa[k]) * np.int64(sb[k])
            nan = nan or ka[k] == 2 or kb[k] == 2 or product == 0
            plus, minus = plus or product > 0, minus or product < 0
    if nan or (plus and minus):
        return 2
    return 1 if plus else -1 if minus else 0


@inline
def dot_step(
    sa: Any, ea: Any, sb: Any, eb: Any, start: Any,
    stop: Any, product_fraction: Any, c: Any, c_exponent: Any, c_fraction: Any, kept: Any,
) -> Any:  # fmt: skip
    """Return (sum, e_max) of the products start..stop and c: the finite part of one step, `kept` fraction bits."""
    e_max = max(c_exponent, _EXPONENT_FLOOR)
    for k in range(start, stop):
        if sa[k] != 0 and sb[k] != 0:
            e_max = max(e_max, np.int64(ea[k]) + np.int64(eb[k]))
    total = truncate_shift(c, kept - c_fraction + c_exponent - e_max)
    for k in range(start, stop):
        product = np.int64(sa[k]) * np.int64(sb[k])
        if product != 0:
            total += truncate_shift(product, kept - product_fraction + np.int64(ea[k]) + np.int64(eb[k]) - e_max)
    return total, e_max


@inline
def dot_chain(sa: Any, ea: Any, ka: Any, sb: Any, eb: Any, kb: Any, product_fraction: Any, c_bits: Any, rule: Any) -> Any:
    """Return the accumulator pattern after all products of two decoded rows, `rule.products_per_step` at a time."""
    half = rule.accumulator == 2
    bits: Any = np.int64(c_bits)
    for start in range(0, sa.size, rule.products_per_step):
        stop = min(start + rule.products_per_step, sa.size)
        c, c_exponent, c_special = decode_accumulator(bits, half)
        if c_special == 1:
            c = 1 if bits >> (15 if half else 31) == 0 else -1
        found = special_sum(sa, ka, sb, kb, start, stop, c, c_special, rule.pruned)
        if found == 2:
            bits = F16_CANONICAL_NAN if half else F32_CANONICAL_NAN
        elif found != 0:
            bits = (0x7C00 if half else 0x7F80_0000) | ((0x8000 if half else 0x8000_0000) if found < 0 else 0)
        else:
            total, e_max = dot_step(
                sa, ea, sb, eb, start, stop, product_fraction, c, c_exponent, 10 if half else 23, rule.fraction_bits
            )
            unit = e_max - rule.fraction_bits
            bits = round_to_f16(total, unit) if half else round_to_f32(total, unit, 13 if rule.accumulator == 1 else 23)
    return bits


@kernel
def dot_rows(sa: Any, ea: Any, ka: Any, sb: Any, eb: Any, kb: Any, product_fraction: Any, c: Any, rule: Any, out: Any) -> None:
    """out[i] = chain(a[i], b[i], c[i]) for decoded [n, K] arrays; c and out are patterns [n]."""
    for i in range(c.size):
        out[i] = dot_chain(sa[i], ea[i], ka[i], sb[i], eb[i], kb[i], product_fraction, c[i], rule)


def dot_add(a: Array, b: Array, c: Array, a_format: str, b_format: str, rule: DotRule) -> Array:
    """Return d[i] = sum_k a[i, k] * b[i, k] + c[i] as the unit computes it, all as bit patterns.

    Args:
        a, b: patterns [n, K] of `a_format` and `b_format` (keys of FORMATS).
        c: [n], uint16 when `rule` accumulates in float16, else uint32 (float32 patterns).
        rule: products per step, fraction bits, accumulator.
    Returns: patterns [n], type of c.
    Raises: InputError when shapes or types do not fit.
    """
    storage = np.uint16 if rule.is_float16 else np.uint32
    if a.ndim != 2 or a.shape != b.shape or c.shape != a.shape[:1] or c.dtype != storage:
        raise InputError(
            f"dot_add: a {a.shape}, b {b.shape}, c {c.shape} of {c.dtype} do not fit; "
            f"expected [n, K], [n, K] and [n] of {np.dtype(storage)}."
        )
    left, right = decode(a, a_format), decode(b, b_format)
    out = np.empty(c.shape, storage)
    dot_rows(*left[:3], *right[:3], left.fraction_bits + right.fraction_bits, c, rule, out)
    return out
