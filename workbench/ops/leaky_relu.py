"""leaky_relu: y = x where x >= 0, alpha * x elsewhere.

Integers: y = requantize(x - zx, sx / sy) + zy, and requantize(x - zx, sx * alpha / sy) + zy for x < zx (|alpha| and a sign).
XNNPACK: y = ((x - zx) * m + 128) >> 8, m = rint(256 * scale) with one m for each side.
Source: TFLite leaky_relu.h; XNNPACK qs8-vlrelu.
Constraints: (C1) one integer type, (C2) int16 has zero point 0, (C3) finite alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.numerics.requantize import effective_scale
from workbench.ops._elementwise import float_run, quant_of, same_types, symmetric_int16
from workbench.ops._float32 import quotient_table, real_grid
from workbench.ops._q8 import fits_q8, q8_scaled
from workbench.ops._tables import grid, rescaled, table_run
from workbench.ops.base import Array, OpSpec, Run, Site, count_outputs, register, same_shape
from workbench.tensor import RANGES, STORAGE

INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class LeakyReluAttrs:
    """alpha: slope of the negative side, as float32."""

    alpha: float


def _reference(attrs: LeakyReluAttrs, args: list[Array]) -> list[Array]:
    with np.errstate(over="ignore", under="ignore"):
        return [np.where(args[0] >= 0, args[0], args[0] * np.float32(attrs.alpha)).astype(np.float32, copy=False)]


def _prepare(site: Site) -> Run:
    if not math.isfinite(site.attrs.alpha):
        raise site.unsupported(f"alpha {site.attrs.alpha} must be finite.")
    run = float_run(_reference, site)
    if run is not None:
        return run
    dtype = same_types(site)
    symmetric_int16(site, site.x, site.y)
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    if dtype == "int8" and site.arithmetic.rescale == "float32":
        return table_run(site, quotient_table(site, _reference(site.attrs, [real_grid(site)])[0]))
    alpha = np.float32(site.attrs.alpha)
    x = grid(dtype) - np.int32(zx)
    if dtype == "int8" and site.arithmetic.rescale == "xnnpack" and alpha != 0:
        positive = sx / sy
        negative = np.float32(positive * alpha)
        if fits_q8(positive) and fits_q8(negative, negative_side=True):
            return table_run(site, np.where(x > 0, q8_scaled(x, positive, zy), q8_scaled(x, negative, zy)).astype(np.int8))
    limits = RANGES[dtype]
    identity = rescaled(site, x, float(effective_scale(site.arithmetic, sx, 1.0, sy)[0]), limits)
    # Rounding half away from zero is odd, so a negative slope is the positive one with the sign of x turned.
    slope = float(effective_scale(site.arithmetic, sx, abs(alpha), sy)[0])
    negative_side = rescaled(site, x if alpha >= 0 else -x, slope, limits)
    return table_run(site, np.where(x >= 0, identity, negative_side).astype(STORAGE[dtype]))


LEAKY_RELU = register(
    OpSpec(
        name="leaky_relu", attrs=LeakyReluAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare,
        count=count_outputs, summary="x, or alpha * x below zero",
    )
)  # fmt: skip
