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
    """out += x @ w. Eight steps of k per pass over a row of outputs: vectors over the columns, additions still in order."""
    rows, depth = x.shape
    columns = w.shape[1]
    whole = depth - depth % 8
    for i in range(rows):
        for k in range(0, whole, 8):
            a0, a1, a2, a3 = x[i, k], x[i, k + 1], x[i, k + 2], x[i, k + 3]
            a4, a5, a6, a7 = x[i, k + 4], x[i, k + 5], x[i, k + 6], x[i, k + 7]
            for j in range(columns):
                t = out[i, j] + a0 * w[k, j]
                t = t + a1 * w[k + 1, j]
                t = t + a2 * w[k + 2, j]
                t = t + a3 * w[k + 3, j]
                t = t + a4 * w[k + 4, j]
                t = t + a5 * w[k + 5, j]
                t = t + a6 * w[k + 6, j]
                out[i, j] = t + a7 * w[k + 7, j]
        for k in range(whole, depth):
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
