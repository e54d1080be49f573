"""quantize: float -> integer or float8, or integer -> integer (requantize). dequantize: integer or float8 -> float.

float -> int: see `Arithmetic.quantize`. int -> int: y = clip(requantize(x - zx, sx / sy) + zy). int -> float: sx * (x - zx),
which LiteRT splits into two roundings. float16 and bfloat16 are float32 numbers here, rounded once where they are the output; float8:
`ops/_float8.py`.
Source: TFLite quantize.cc, requantize.h, optimized_ops.h (AffineQuantize, Requantize); XNNPACK f32-qs8-vcvt, qs8-vcvt.
Constraints: (C1) int8 or int16, per tensor, (C2) int16 -> int16 has zero points 0. NaN becomes the zero point.
The reference is the identity: a float graph has no grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.kernels.quantize import quantize_divide, quantize_divide_even, quantize_reciprocal
from workbench.numerics.float16 import narrow, widen
from workbench.numerics.requantize import effective_scale
from workbench.ops._elementwise import quant_of, symmetric_int16
from workbench.ops._float8 import from_float8, to_float8
from workbench.ops._float32 import quotient_table, real_grid
from workbench.ops._q8 import fits_q8, q8_scaled
from workbench.ops._tables import grid, rescaled, table_run, tail_positions
from workbench.ops.base import DTYPES, Array, NoAttrs, OpSpec, Run, Site, checked, count_outputs, register, same_shape
from workbench.precision import FLOATS, is_float
from workbench.tensor import FLOAT8_MAX, RANGES

QUANTIZE_BLOCK = 8
"""Elements per step of LiteRT's vector loops between float and integer."""


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    return [args[0].astype(np.float32)]


def _prepare_quantize(site: Site) -> Run:
    if site.y.dtype in FLOAT8_MAX:
        return to_float8(site)
    if is_float(site.x.dtype):
        return _from_float(site)
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    if site.x.dtype == site.y.dtype == "int16":
        symmetric_int16(site, site.x, site.y)
    x = grid(site.x.dtype) - np.int32(zx)
    scale = float(effective_scale(site.arithmetic, sx, 1.0, sy)[0])
    limits = RANGES[site.y.dtype]
    rule = site.arithmetic.rescale
    if rule == "float32" and site.x.dtype == site.y.dtype == "int8":
        return table_run(site, quotient_table(site, real_grid(site)))
    if rule == "requantize" or site.x.dtype != "int8" or site.y.dtype != "int8":
        return table_run(site, rescaled(site, x, scale, limits))
    if rule == "xnnpack" and site.lift == site.lift_out and fits_q8(sx / sy):  # it has no kernel from int8 to uint8, nor back
        return table_run(site, q8_scaled(x, sx / sy, zy).astype(np.int8))
    return table_run(site, rescaled(site, x, scale, limits, "double_half_up"), rescaled(site, x, scale, limits, "double"))


def _from_float(site: Site) -> Run:
    scale, zero_point = quant_of(site, site.y)
    limits = RANGES[site.y.dtype]
    inference = max(1, int(np.prod(site.x.shape, dtype=np.int64)))
    rule = site.arithmetic.quantize
    has_tail = rule == "reciprocal_half_even_simd" or (rule == "xnnpack" and site.y.dtype == "int16")
    left_over = has_tail and inference % QUANTIZE_BLOCK > 0
    with np.errstate(over="ignore", under="ignore"):
        inverse = np.float32(1.0) / scale
    dtype = DTYPES[site.y.dtype]

    def run(args: Sequence[Array]) -> list[Array]:
        x = widen(checked(site, args[0], site.x))
        y = np.empty(x.shape, dtype)
        values, found = x.reshape(-1), y.reshape(-1)
        if rule == "divide_half_away":
            quantize_divide(values, scale, zero_point, *limits, found)
        elif rule == "divide_half_even":
            quantize_divide_even(values, scale, zero_point, *limits, found)
        else:
            quantize_reciprocal(values, inverse, zero_point, *limits, found)
        if left_over:
            at = tail_positions(y.size, inference, QUANTIZE_BLOCK)
            rest = np.empty(at.size, dtype)
            quantize_divide(values[at].astype(np.float64), np.float64(scale), zero_point, *limits, rest)
            found[at] = rest
        return [y]

    return run


def _prepare_dequantize(site: Site) -> Run:
    if site.x.dtype in FLOAT8_MAX:
        return from_float8(site)
    scale, zero_point = quant_of(site, site.x)
    if not is_float(site.y.dtype):
        raise site.unsupported(f"the output must be {', '.join(FLOATS.values())}.")

    q = grid(site.x.dtype)
    exact = scale * (q - zero_point).astype(np.float32)
    if site.x.dtype == "int16" or site.arithmetic.dequantize == "exact":
        return _float_table(site, exact)
    q, zero_point = q + np.int32(site.lift), zero_point + site.lift
    return _float_table(site, q.astype(np.float32) * scale + np.float32(-zero_point * float(scale)), exact)


def _float_table(site: Site, values: Array, tail: Array | None = None) -> Run:
    """Return the run of a table of float32, rounded once more where the output is float16 or bfloat16."""

    def bits(real: Array) -> Array:
        stored = narrow(real, site.y.dtype)
        return stored.view(f"uint{8 * stored.itemsize}")

    run = table_run(site, bits(values), None if tail is None else bits(tail), QUANTIZE_BLOCK)
    return lambda args: [run(args)[0].view(DTYPES[site.y.dtype])]


QUANTIZE = register(
    OpSpec(
        name="quantize", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare_quantize,
        count=count_outputs, summary="float to integer, or integer to another scale",
    )
)  # fmt: skip
DEQUANTIZE = register(
    OpSpec(
        name="dequantize", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare_dequantize,
        count=count_outputs, output_quant="none", summary="integer to float",
    )
)  # fmt: skip
