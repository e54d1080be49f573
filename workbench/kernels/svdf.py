"""One frame through an integer SVDF layer.

s[f] = the last M features: saturate16(double(sum((x - zx) * wf[f]), first)) comes in at the end
y[u] = clip(double(bias[u] + sum over the filters f of u of sum(s[f] * wt[f]), second) + zero point)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.fixed_point import multiply_by_quantized_multiplier, saturate_to_bits, wrap32
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


@kernel
def svdf_s8(
    x: Array, zx: int, wf: Array, wt: Array, bias: Array, first: tuple[int, int], second: tuple[int, int], zy: int, bits: int,
    state: Array, y: Array,
) -> None:  # fmt: skip
    """Fill y int8 [B, U] from x int8 [B, I], and move the state [B, F, M] on, int16 or int8 (`bits`).

    wf: int8 [F, I]. wt: [F, M] like the state. bias: int32 [U]. first, second: (multiplier, shift). F = U * rank. Sums wrap.
    """
    filters, memory = wt.shape
    rank = filters // y.shape[1]
    for b in range(x.shape[0]):
        for u in range(y.shape[1]):
            total = np.int64(bias[u])
            for f in range(u * rank, (u + 1) * rank):
                acc = np.int64(0)
                for k in range(x.shape[1]):
                    acc += (np.int64(x[b, k]) - zx) * np.int64(wf[f, k])
                for m in range(memory - 1):
                    state[b, f, m] = state[b, f, m + 1]
                feature = multiply_by_quantized_multiplier(wrap32(int(acc)), first[0], first[1])
                state[b, f, memory - 1] = saturate_to_bits(feature, bits)
                for m in range(memory):
                    total += np.int64(state[b, f, m]) * np.int64(wt[f, m])
            v = multiply_by_quantized_multiplier(wrap32(int(total)), second[0], second[1])
            y[b, u] = min(max(v + zy, -128), 127)
