"""float32 matrix product with a fixed order of additions: the same bits on any machine, batch size and thread count.

A BLAS chooses its summation order by shape and CPU, so a float reference (and every SQNR against it) would change with the
batch size. Here each output is ((x0*w0 + x1*w1) + x2*w2) ..., every operation rounded to float32 (IEEE 754, no FMA).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.jit import kernel

F32 = npt.NDArray[np.float32]


@kernel
def _gemm(x: Any, w: Any, out: Any) -> None:
    rows, depth = x.shape
    columns = w.shape[1]
    zero = np.float32(0)
    for j0 in range(0, columns - 15, 16):  # 16 columns stay in registers over the whole depth
        for i in range(rows):
            acc = np.zeros(16, np.float32)
            for k in range(depth):
                a = x[i, k]
                for j in range(16):
                    acc[j] += a * w[k, j0 + j]
            for j in range(16):
                out[i, j0 + j] = acc[j]
    for i in range(rows):
        for j in range(columns - columns % 16, columns):
            total = zero
            for k in range(depth):
                total += x[i, k] * w[k, j]
            out[i, j] = total


def gemm_f32(x: F32, w: F32) -> F32:
    """Return x @ w with additions in the order of k.

    Args:
        x: float32 [M, K]. w: float32 [K, N].
    Returns: float32 [M, N].
    """
    out = np.empty((x.shape[0], w.shape[1]), np.float32)
    _gemm(np.ascontiguousarray(x), np.ascontiguousarray(w), out)
    return out
