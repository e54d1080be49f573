"""relu: y = clip(x, minimum, maximum): RELU, RELU6, RELU_N1_TO_1 and ONNX Clip with real limits.

Integers: y = clip(requantize(x - zx, sx / sy) + zy, q(minimum), q(maximum)), q(v) = zy + round_half_away(v / sy).
TFLM ignores a different output scale when there is an upper limit: it clamps the input integers at the input's own q(v).
Source: TFLite activations.cc (QuantizedReluX); TFLM activations_common.cc (Relu6Prepare).
Constraints: (C1) x and y of one integer type, (C2) int16 has zero point 0, (C3) minimum <= maximum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.numerics.activation import quantized_limit
from workbench.numerics.requantize import effective_scale
from workbench.ops._elementwise import float_run, quant_of, same_types, symmetric_int16
from workbench.ops._float32 import quotient_table, real_grid
from workbench.ops._tables import grid, rescaled, table_run
from workbench.ops.base import Array, OpSpec, Run, Site, count_outputs, register, same_shape
from workbench.tensor import RANGES, STORAGE


@dataclass(frozen=True)
class ReluAttrs:
    """Real limits; infinite when there is none."""

    minimum: float = 0.0
    maximum: float = math.inf


def _reference(attrs: ReluAttrs, args: list[Array]) -> list[Array]:
    return [np.clip(args[0], np.float32(attrs.minimum), np.float32(attrs.maximum))]


def _limits(attrs: ReluAttrs, scale: np.float32, zero_point: int, dtype: str) -> tuple[int, int]:
    """Return the integer limits, both within the type."""
    low, high = RANGES[dtype]
    q_min = low if math.isinf(attrs.minimum) else quantized_limit(attrs.minimum, float(scale), zero_point)
    q_max = high if math.isinf(attrs.maximum) else quantized_limit(attrs.maximum, float(scale), zero_point)
    return min(max(q_min, low), high), min(max(q_max, low), high)


def _prepare(site: Site) -> Run:
    attrs: ReluAttrs = site.attrs
    if not attrs.minimum <= attrs.maximum or attrs.minimum == math.inf or attrs.maximum == -math.inf:
        raise site.unsupported(f"limits [{attrs.minimum}, {attrs.maximum}] are empty.")
    run = float_run(_reference, site)
    if run is not None:
        return run
    dtype = same_types(site)
    symmetric_int16(site, site.x, site.y)
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    if dtype == "int8" and site.arithmetic.rescale == "float32":
        return table_run(site, quotient_table(site, _reference(attrs, [real_grid(site)])[0]))
    if math.isfinite(attrs.maximum) and site.arithmetic.bounded_relu == "clamp_only":
        table = np.clip(grid(dtype), *_limits(attrs, sx, zx, dtype)).astype(STORAGE[dtype])
        return table_run(site, table)
    scale = effective_scale(site.arithmetic, sx, 1.0, sy)
    return table_run(site, rescaled(site, grid(dtype) - np.int32(zx), float(scale[0]), _limits(attrs, sy, zy, dtype)))


RELU = register(
    OpSpec(
        name="relu", attrs=ReluAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="clip to real limits: RELU, RELU6, RELU_N1_TO_1, Clip",
    )
)  # fmt: skip
