"""float16 matrix product of a tensor core, bit-exact: the rule of `numerics/tensor_core.py`, many outputs side by side.

Lanes (`gemm_f16_lanes`) run over the longer side of the output. Whatever they cannot hold (infinities, NaN, other numbers of
bits) takes the integer path of `tensor_core`, with the same bits.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.kernels.gemm_f16_lanes import UNROLL, ZERO, gemm_lanes
from workbench.numerics.float16 import F16_CANONICAL_NAN, F32_CANONICAL_NAN, f16_to_f32_array, f32_to_f16, f32_to_f16_array
from workbench.numerics.float_formats import decode
from workbench.numerics.jit import kernel
from workbench.numerics.tensor_core import DotRule, dot_chain

Array = npt.NDArray[Any]
LANES = 128


@kernel
def _integer_outputs(
    sa: Any, ea: Any, ka: Any, sb: Any, eb: Any, kb: Any,
    product_fraction: Any, rows: Any, columns: Any, rule: Any, c: Any, acc: Any,
) -> None:  # fmt: skip
    """Compute the outputs of flagged rows or columns with exact integers. c: patterns [M, N]; acc: patterns [M, N]."""
    for m in range(rows.size):
        for n in range(columns.size):
            if rows[m] or columns[n]:
                acc[m, n] = dot_chain(sa[m], ea[m], ka[m], sb[n], eb[n], kb[n], product_fraction, c[m, n], rule)


@kernel
def _epilogue_f16(acc: Any, bias: Any, minimum: Any, maximum: Any, out: Any) -> None:
    for m in range(acc.shape[0]):
        for n in range(acc.shape[1]):
            value = np.float32(acc[m, n] + bias[n])
            value = minimum if value <= minimum else value  # a NaN passes; relu(-0) = +0
            value = maximum if value > maximum else value
            out[m, n] = np.uint16(F16_CANONICAL_NAN) if np.isnan(value) else f32_to_f16(value)


def epilogue_f16(acc: Array, bias: Array | None, clamp: tuple[float, float] | None = None) -> Array:
    """Return float16 patterns of clamp(acc + bias): one float32 addition and one rounding, both to nearest even.

    acc: float32 [M, N]. bias: float32 [N] or None. clamp: (minimum, maximum) or None. Every NaN becomes the canonical one.
    Source: the cuBLASLt documentation (compute and scale type float32: CUBLASLT_EPILOGUE_BIAS and _RELU work in the scale
    type, D is converted on store). Assumed for other libraries.
    """
    out = np.empty(acc.shape, np.uint16)
    # -0 is the neutral element of addition.
    addend = np.full(acc.shape[1], -0.0, np.float32) if bias is None else np.ascontiguousarray(bias, np.float32)
    low, high = clamp or (-np.inf, np.inf)
    _epilogue_f16(acc, addend, np.float32(low), np.float32(high), out)
    return out


def _is_fast(rule: DotRule) -> bool:
    """True when int32 holds the terms of a step and an accumulator alone passes unchanged (it has at most 24 bits)."""
    fits = rule.products_per_step << (rule.fraction_bits + 2) <= 1 << 31
    return fits and rule.fraction_bits >= 23 and rule.products_per_step % UNROLL == 0 and rule.accumulator != 1


def _operand(bits: Array) -> tuple[Array, Array]:
    """Return float32 values and int8 exponents of float16 patterns [R, K], K padded with zeros to a multiple of 4.

    Infinities and NaN become zeros: their outputs are computed elsewhere.
    """
    padded = np.zeros((bits.shape[0], -(-bits.shape[1] // UNROLL) * UNROLL), np.uint16)
    padded[:, : bits.shape[1]] = np.where((bits & 0x7C00) == 0x7C00, np.uint16(0), bits)
    exponent = np.maximum(((padded >> 10) & 31).astype(np.int8), np.int8(1)) - np.int8(15)
    return f16_to_f32_array(padded), np.where((padded & 0x7FFF) == 0, np.int8(ZERO), exponent)


def _tiles(x: Array, lanes: int) -> Array:
    """Return [R, K] as [ceil(R / lanes), K, lanes], the last tile padded with zeros."""
    count = -(-x.shape[0] // lanes)
    padded = np.zeros((count * lanes, x.shape[1]), x.dtype)
    padded[: x.shape[0]] = x
    return np.ascontiguousarray(padded.reshape(count, lanes, -1).transpose(0, 2, 1))


def _accumulate_lanes(a: Array, b: Array, rule: DotRule, c: Array) -> Array:
    """Return float32 [M, N] accumulator values for finite inputs, N in lanes; c: float32 [M, N]."""
    rows, columns = c.shape
    lanes = min(LANES, max(8, -(-columns // 8) * 8))
    values, exponents = _operand(b)
    tiled, tiled_exponents = _tiles(values, lanes), _tiles(exponents, lanes)
    flat = np.zeros((rows, tiled.shape[0] * lanes), np.float32)
    flat[:, :columns] = c
    acc = flat.reshape(rows, tiled.shape[0], lanes)
    gemm_lanes(*_operand(a), tiled, tiled_exponents, rule.products_per_step, rule.fraction_bits, rule.is_float16, acc)
    return flat[:, :columns]


def _accumulate(a: Array, b: Array, rule: DotRule, c: Array) -> Array:
    """Return the accumulators as float32 values [M, N]; c: float32 [M, N] of values that the accumulator format holds."""
    fast = _is_fast(rule)
    rows = ((a & 0x7C00) == 0x7C00).any(axis=1) | (not fast)
    columns = ((b & 0x7C00) == 0x7C00).any(axis=1)
    if not fast:
        acc = np.empty(c.shape, np.float32)
    elif a.shape[0] > b.shape[0]:  # the longer side of the output goes into the lanes
        acc = np.ascontiguousarray(_accumulate_lanes(b, a, rule, np.ascontiguousarray(c.T)).T)
    else:
        acc = np.ascontiguousarray(_accumulate_lanes(a, b, rule, c))
    if rows.any() or columns.any():
        left, right = decode(a, "fp16"), decode(b, "fp16")
        start: Array = f32_to_f16_array(c) if rule.is_float16 else c.view(np.uint32)
        bits: Array = f32_to_f16_array(acc) if rule.is_float16 else acc.view(np.uint32)
        _integer_outputs(*left[:3], *right[:3], 20, rows, columns, rule, start, bits)
        acc = f16_to_f32_array(bits) if rule.is_float16 else bits.view(np.float32)
    return _canonical_nan(acc)


def _canonical_nan(values: Array) -> Array:
    """Return float32 values with every NaN replaced by the canonical one."""
    return np.where(np.isnan(values), np.uint32(F32_CANONICAL_NAN).view(np.float32), values).astype(np.float32)


def _start(c: Array | None, shape: tuple[int, int]) -> Array:
    """Return the starting accumulators: +0 instead of -0 (a zero sum is +0), the canonical NaN instead of any other."""
    if c is None:
        return np.zeros(shape, np.float32)
    if c.shape != shape or c.dtype != np.float32:
        raise InputError(f"gemm_f16: c is {c.shape} of {c.dtype}; expected {shape} of float32.")
    return _canonical_nan(c) + np.float32(0)


def gemm_f16(
    a: Array,
    b: Array,
    rule: DotRule,
    bias: Array | None = None,
    c: Array | None = None,
    clamp: tuple[float, float] | None = None,
    output: Literal["float16", "accumulator"] = "float16",
) -> Array:
    """Multiply float16 matrices as a tensor core does: out[m, n] = epilogue(sum_k a[m, k] * b[n, k] + c[m, n]).

    The sum starts at c and takes `rule.products_per_step` products at a time, in the order of k, each step rounded as
    `numerics/tensor_core.py` says; then bias, clamp and the one rounding to float16 of `epilogue_f16`. Assumed, not verified
    on a device: nothing splits K over thread blocks (split-K would add partial sums in another order).

    Args:
        a: uint16 [M, K] float16 patterns, K >= 1. b: uint16 [N, K].
        rule: products per step, fraction bits, accumulator.
        bias: float32 [N] or None. c: float32 [M, N] or None (zero); float16 values when the accumulator is float16.
        clamp: (minimum, maximum) of a fused activation, or None.
        output: 'float16' = epilogue; 'accumulator' = the float32 values of the accumulators, before any epilogue.
    Returns: uint16 or float32 [M, N].
    Raises: InputError when shapes or types do not fit.
    Constraints: (C1) equal to the integer chain for every input, infinities and NaN included. (C2) independent of M, N and
        of the tiling. (C3) a zero sum is +0. (C4) NaN is 0x7FFF (float16) or 0x7FFFFFFF (float32).
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] < 1 or a.dtype != np.uint16 or b.dtype != np.uint16:
        raise InputError(f"gemm_f16: a {a.shape} {a.dtype}, b {b.shape} {b.dtype}; expected uint16 [M, K] and [N, K], K >= 1.")
    shape = (a.shape[0], b.shape[0])
    if bias is not None and (bias.shape != shape[1:] or bias.dtype != np.float32):
        raise InputError(f"gemm_f16: bias is {bias.shape} of {bias.dtype}; expected {shape[1:]} of float32.")
    acc = _accumulate(np.ascontiguousarray(a), np.ascontiguousarray(b), rule, _start(c, shape))
    if output == "accumulator":
        return acc
    return epilogue_f16(acc, bias, clamp)
