"""What follows the integer sums of a layer with float32 activations that are quantized as it runs, where NumPy has no such step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.fused import fused_multiply_add
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


@kernel
def scale_fused(acc: Array, inputs: Array, weights: Array, bias: Array, out: Array) -> None:
    """Write fma(float32(acc) * inputs[n], weights[o], bias[o]): one rounding after the first product, one at the end (XNNPACK).

    acc: int32 [N, P, O]. inputs: float32 [N]. weights, bias: float32 [O]. out: float32 [N, P, O].
    """
    for n in range(acc.shape[0]):
        for p in range(acc.shape[1]):
            for o in range(acc.shape[2]):
                scaled = np.float32(np.float32(acc[n, p, o]) * inputs[n])
                out[n, p, o] = fused_multiply_add(scaled, weights[o], bias[o])


@kernel
def spread(
    x: Array, w: Array, inputs: Array, weights: Array, stride: tuple[int, int], start: tuple[int, int], out: Array
) -> None:
    """Add float32(x * w) * weights[o] * inputs[n] to every output that x reaches, product by product (LiteRT's transposed convolution).

    Additions are in float32, so their order counts: by line, column and channel of the input. x: int16 [N, H, W, C], less its zero
    point. w: int8 [O, KH, KW, C]. inputs: float32 [N]. weights: float32 [O]. start: (row, column) of output that tap (0, 0) of
    input (0, 0) reaches. out: float32 [N, OH, OW, O], in and out.
    """
    samples, height, width, channels = x.shape
    outputs, kernel_h, kernel_w, _ = w.shape
    for n in range(samples):
        for i in range(height):
            for j in range(width):
                for c in range(channels):
                    for u in range(kernel_h):
                        row = start[0] + i * stride[0] + u
                        if row < 0 or row >= out.shape[1]:
                            continue
                        for v in range(kernel_w):
                            column = start[1] + j * stride[1] + v
                            if column < 0 or column >= out.shape[2]:
                                continue
                            for o in range(outputs):
                                product = np.float32(np.int32(x[n, i, j, c]) * np.int32(w[o, u, v, c]))
                                out[n, row, column, o] += np.float32(np.float32(product * weights[o]) * inputs[n])
