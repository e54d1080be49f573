"""quantize: float -> integer, or integer -> integer (requantize). dequantize: integer -> float.

float -> int: see `Arithmetic.quantize`. int -> int: y = clip(requantize(x - zx, sx / sy) + zy). int -> float: sx * (x - zx),
which LiteRT splits into two roundings.
Source: TFLite quantize.cc, requantize.h, optimized_ops.h (AffineQuantize, Requantize); XNNPACK f32-qs8-vcvt, qs8-vcvt.
Constraints: (C1) int8 or int16, per tensor, (C2) int16 -> int16 has zero points 0. NaN becomes the zero point.
The reference is the identity: a float graph has no grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.numerics.requantize import effective_scale
from workbench.ops._elementwise import arranged, grid, quant_of, rescaled, symmetric_int16, table_run
from workbench.ops._q8 import fits_q8, q8_scaled
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape
from workbench.tensor import RANGES, STORAGE

QUANTIZE_BLOCK = 8
"""Elements per step of LiteRT's vector loops between float and integer."""


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    return [args[0].astype(np.float32)]


def half_away(ratio: Array) -> Array:
    """Return the float64 ratio rounded half away from zero, exactly; beyond +-2**40 (also infinity) it stays at the bound."""
    ratio = np.clip(ratio, -(2.0**40), 2.0**40)
    whole = np.trunc(ratio)
    rounded: Array = whole + np.copysign(np.abs(ratio - whole) >= 0.5, ratio)
    return rounded


def _prepare_quantize(site: Site) -> Run:
    if site.x.dtype == "float32":
        return _from_float(site)
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    if site.x.dtype == site.y.dtype == "int16":
        symmetric_int16(site, site.x, site.y)
    x = grid(site.x.dtype) - np.int32(zx)
    scale = float(effective_scale(site.arithmetic, sx, 1.0, sy)[0])
    limits = RANGES[site.y.dtype]
    rule = site.arithmetic.rescale
    if rule == "requantize" or site.x.dtype != "int8" or site.y.dtype != "int8":
        return table_run(site, rescaled(site, x, scale, limits))
    if rule == "xnnpack" and fits_q8(sx / sy):
        return table_run(site, q8_scaled(x, sx / sy, zy).astype(np.int8))
    return table_run(site, rescaled(site, x, scale, limits, "double_half_up"), rescaled(site, x, scale, limits, "double"))


def _from_float(site: Site) -> Run:
    scale, zero_point = quant_of(site, site.y)
    limits = RANGES[site.y.dtype]
    inference = max(1, int(np.prod(site.x.shape, dtype=np.int64)))
    rule = site.arithmetic.quantize
    has_tail = rule == "reciprocal_half_even_simd" or (rule == "xnnpack" and site.y.dtype == "int16")
    block = QUANTIZE_BLOCK if has_tail else 1

    def run(args: Sequence[Array]) -> list[Array]:
        x = arranged(site, args[0], site.x)
        with np.errstate(over="ignore", under="ignore"):
            if rule == "divide_half_away":
                q = half_away((x / scale).astype(np.float64))
            else:
                q = np.rint(x * (np.float32(1.0) / scale)).astype(np.float64)
        if inference % block:
            tail = np.arange(x.size) % inference >= inference - inference % block
            q.reshape(-1)[tail] = half_away(x.reshape(-1)[tail].astype(np.float64) / np.float64(scale))
        q = np.nan_to_num(np.clip(q + zero_point, *limits), nan=zero_point)
        return [q.astype(STORAGE[site.y.dtype])]

    return run


def _prepare_dequantize(site: Site) -> Run:
    scale, zero_point = quant_of(site, site.x)
    if site.y.dtype != "float32":
        raise site.unsupported("the output must be float32.")

    q = grid(site.x.dtype)
    exact = scale * (q - zero_point).astype(np.float32)
    if site.x.dtype == "int16" or site.arithmetic.dequantize == "exact":
        return table_run(site, exact)
    return table_run(site, q.astype(np.float32) * scale + np.float32(-zero_point * float(scale)), exact, QUANTIZE_BLOCK)


QUANTIZE = register(
    OpSpec(
        name="quantize", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare_quantize,
        count=count_outputs, summary="float to integer, or integer to another scale",
    )
)  # fmt: skip
DEQUANTIZE = register(
    OpSpec(
        name="dequantize", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare_dequantize,
        count=count_outputs, summary="integer to float",
    )
)  # fmt: skip
