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
    """out += x @ w. Four steps of k per pass over four rows of outputs: vectors over the columns, additions still in order."""
    rows, depth = x.shape
    columns = w.shape[1]
    rows4, depth4 = rows - rows % 4, depth - depth % 4
    for i in range(0, rows4, 4):
        for k in range(0, depth4, 4):
            a0, a1, a2, a3 = x[i, k], x[i, k + 1], x[i, k + 2], x[i, k + 3]
            b0, b1, b2, b3 = x[i + 1, k], x[i + 1, k + 1], x[i + 1, k + 2], x[i + 1, k + 3]
            c0, c1, c2, c3 = x[i + 2, k], x[i + 2, k + 1], x[i + 2, k + 2], x[i + 2, k + 3]
            d0, d1, d2, d3 = x[i + 3, k], x[i + 3, k + 1], x[i + 3, k + 2], x[i + 3, k + 3]
            for j in range(columns):
                w0, w1, w2, w3 = w[k, j], w[k + 1, j], w[k + 2, j], w[k + 3, j]
                out[i, j] = (((out[i, j] + a0 * w0) + a1 * w1) + a2 * w2) + a3 * w3
                out[i + 1, j] = (((out[i + 1, j] + b0 * w0) + b1 * w1) + b2 * w2) + b3 * w3
                out[i + 2, j] = (((out[i + 2, j] + c0 * w0) + c1 * w1) + c2 * w2) + c3 * w3
                out[i + 3, j] = (((out[i + 3, j] + d0 * w0) + d1 * w1) + d2 * w2) + d3 * w3
    for i in range(rows):
        for k in range(depth4 if i < rows4 else 0, depth):
            a = x[i, k]
            for j in range(columns):
                out[i, j] += a * w[k, j]


def gemm_f32(x: F32, w: F32) -> F32:
    """Return x @ w with additions in the order of k.

    Args:
        x: float32 [M, K]. w: float32 [K, N].
    Returns: float32 [M, N].
    """
    out = np.zeros((x.shape[0], w.shape[1]), np.float32)
    _gemm(np.ascontiguousarray(x), np.ascontiguousarray(w), out)
    return out
