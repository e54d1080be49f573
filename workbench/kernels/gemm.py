"""Integer matrix products that `kernels/linear` does not have: two int16 operands in int64, and exotic accumulators.

acc[m, n] = sum over k of a[m, k] * b[n, k]. Arrays in, arrays out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.fixed_point import saturate_to_bits, wrap_to_bits
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


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
