"""Depthwise convolution as chains of float32 multiply-adds in (kh, kw) order: GPUs' ordinary cores; XNNPACK on a turned image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.kernels.load import Window
from workbench.numerics.fused import fused_multiply_add
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


@kernel
def depthwise_float(x: Array, w: Array, geometry: tuple[int, ...], fused: bool, out: Array) -> None:
    """out[n, i, j, c] += sum over (kh, kw) of x * w, each step rounded to float32; taps in the padding are left out.

    x: float32 [N, H, W, C]. w: float32 [KH, KW, C]. geometry: a `Window`. fused: one rounding for a product and its sum, else one for
    each (the same bits where products are exact, as of float16; those of bfloat16 overflow and underflow float32).
    out: float32 [N, OH, OW, C], in and out: where the chains begin.
    """
    window = Window(*geometry)
    height, width = x.shape[1], x.shape[2]
    for n in range(x.shape[0]):
        for i in range(window.out_h):
            for j in range(window.out_w):
                sums = out[n, i, j]
                for kh in range(window.kernel_h):
                    for kw in range(window.kernel_w):
                        row = i * window.stride_h + kh * window.dilation_h - window.top
                        column = j * window.stride_w + kw * window.dilation_w - window.left
                        if 0 <= row < height and 0 <= column < width:
                            pixel, tap = x[n, row, column], w[kh, kw]
                            if fused:
                                for c in range(sums.size):
                                    sums[c] = fused_multiply_add(pixel[c], tap[c], sums[c])
                            else:
                                for c in range(sums.size):
                                    sums[c] = np.float32(sums[c] + np.float32(pixel[c] * tap[c]))
