"""Integer matrix products: acc[m, n] = sum over k of a[m, k] * b[n, k]. Arrays in, arrays out.

Operands are int16 so that one instruction (VPMADDWD on x86, SMLAL on Arm) makes two products and a 32-bit sum: zero-point
corrected int8 (9 bits), int16 activations, and 8-, 4- or 2-bit weights all fit. Every layer that multiplies uses these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.fixed_point import saturate_to_bits, wrap_to_bits
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]

ROW_BLOCK = 4
"""`b` has a multiple of this many rows (rows of zeros are appended)."""

K_BLOCK = 16
"""K is padded with zeros to a multiple of this."""


@kernel
def gemm_s32(a: Array, b: Array, acc: Array) -> None:
    """Multiply int16 by int16 into int32 that wraps.

    a: int16 [M, K], b: int16 [N, K], N a multiple of ROW_BLOCK, acc: int32 [M, N] (overwritten).
    Four dot products at a time: the reductions vectorize and each row of `a` is loaded once per four rows of `b`.
    """
    columns = a.shape[1]
    for m in range(a.shape[0]):
        for n in range(0, b.shape[0], 4):
            s0 = np.int32(0)
            s1 = np.int32(0)
            s2 = np.int32(0)
            s3 = np.int32(0)
            for k in range(columns):  # int32() of each step: Numba would widen to int64 and lose the instruction
                v = np.int32(a[m, k])
                s0 = np.int32(s0 + v * np.int32(b[n, k]))
                s1 = np.int32(s1 + v * np.int32(b[n + 1, k]))
                s2 = np.int32(s2 + v * np.int32(b[n + 2, k]))
                s3 = np.int32(s3 + v * np.int32(b[n + 3, k]))
            acc[m, n] = s0
            acc[m, n + 1] = s1
            acc[m, n + 2] = s2
            acc[m, n + 3] = s3


@kernel
def gemm_s64(a: Array, b: Array, block: int, acc: Array) -> None:
    """Multiply int16 by int16 into int64, exactly: int32 sums of `block` products at a time, then int64.

    a: int16 [M, K], b: int16 [N, K], acc: int64 [M, N] (overwritten). block: products whose sum cannot leave int32:
    256 when b holds 8-bit values (256 * 2**15 * 2**7 = 2**30), 1 for two full int16 operands.
    """
    columns = a.shape[1]
    for m in range(a.shape[0]):
        for n in range(b.shape[0]):
            total = np.int64(0)
            for start in range(0, columns, block):
                left = a[m, start : start + block]  # slices from 0 on: the inner loop then vectorizes
                right = b[n, start : start + block]
                part = np.int32(0)
                for k in range(left.size):
                    part = np.int32(part + np.int32(left[k]) * np.int32(right[k]))
                total += np.int64(part)
            acc[m, n] = total


@kernel
def gemm_narrow(a: Array, b: Array, start: Array, bits: int, saturate: bool, acc: Array) -> None:
    """Multiply int16 by int16 into an accumulator of `bits` bits that wraps or saturates after every addition.

    a: int16 [M, K], b: int16 [N, K], start: int64 [N] (the bias, first in the accumulator), bits in [2, 62].
    acc: int64 [M, N] (overwritten). Products are added in the order of k: with saturation the order is part of the result.
    """
    for m in range(a.shape[0]):
        for n in range(start.size):
            total = saturate_to_bits(start[n], bits) if saturate else wrap_to_bits(start[n], bits)
            for k in range(a.shape[1]):
                total += int(a[m, k]) * int(b[n, k])
                total = saturate_to_bits(total, bits) if saturate else wrap_to_bits(total, bits)
            acc[m, n] = total


def pack_rows(b: Array) -> npt.NDArray[np.int16]:
    """Return int16 [N', K'] with the rows of b [N, K] and zeros up to multiples of ROW_BLOCK and K_BLOCK."""
    rows, columns = b.shape
    packed = np.zeros((-(-rows // ROW_BLOCK) * ROW_BLOCK, padded_columns(columns)), np.int16)
    packed[:rows, :columns] = b
    return packed


def padded_columns(columns: int) -> int:
    """Return K rounded up to a multiple of K_BLOCK."""
    return -(-columns // K_BLOCK) * K_BLOCK
