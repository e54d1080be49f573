"""What follows the sum of a float layer: scale, bias, clamp in float32, and one rounding to the type that the layer writes.

    y = round(clamp(acc * scale[n] + bias[n]))      each operation rounded to float32, half to even; every NaN becomes the canonical one

Source: the cuBLASLt documentation (compute and scale type float32: CUBLASLT_MATMUL_DESC_A/B_SCALE_POINTER, CUBLASLT_EPILOGUE_BIAS and
_RELU work in the scale type, D is converted on store). Assumed for other libraries.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.float16 import F16_CANONICAL_NAN, F32_CANONICAL_NAN, NARROW, f32_to_bf16, f32_to_f16
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]


@inline
def _value(acc: Any, scale: Any, bias: Any, minimum: Any, maximum: Any) -> Any:
    value = np.float32(np.float32(acc * scale) + bias)
    value = minimum if value <= minimum else value  # a NaN passes; relu(-0) = +0
    return maximum if value > maximum else value


@kernel
def _finish_narrow(acc: Any, scale: Any, bias: Any, minimum: Any, maximum: Any, bfloat: Any, out: Any) -> None:
    for m in range(acc.shape[0]):
        for n in range(acc.shape[1]):
            value = _value(acc[m, n], scale[n], bias[n], minimum, maximum)
            rounded = f32_to_bf16(value) if bfloat else f32_to_f16(value)
            out[m, n] = rounded if value == value else np.uint16(F16_CANONICAL_NAN)


@kernel
def _finish_float32(acc: Any, scale: Any, bias: Any, minimum: Any, maximum: Any, out: Any) -> None:
    for m in range(acc.shape[0]):
        for n in range(acc.shape[1]):
            value = _value(acc[m, n], scale[n], bias[n], minimum, maximum)
            out[m, n] = value if value == value else np.uint32(F32_CANONICAL_NAN).view(np.float32)


def finish(
    acc: Array, dtype: str, bias: Array | None = None, clamp: tuple[float, float] | None = None, scale: Array | None = None
) -> Array:
    """Return the outputs of a layer as `dtype`: 'float16', 'bfloat16', or any other name for float32.

    Args:
        acc: float32 [M, N]. bias, scale: float32 [N] or None. clamp: (minimum, maximum) of a fused activation, or None.
    """
    low, high = (np.float32(limit) for limit in clamp or (-np.inf, np.inf))
    columns = acc.shape[1]
    # -0 is the neutral element of addition.
    addend = np.full(columns, -0.0, np.float32) if bias is None else np.ascontiguousarray(bias, np.float32)
    factor = np.ones(columns, np.float32) if scale is None else np.ascontiguousarray(scale, np.float32)
    if dtype in NARROW:
        bits = np.empty(acc.shape, np.uint16)
        _finish_narrow(acc, factor, addend, low, high, dtype == "bfloat16", bits)
        return bits.view(NARROW[dtype])
    out = np.empty(acc.shape, np.float32)
    _finish_float32(acc, factor, addend, low, high, out)
    return out
