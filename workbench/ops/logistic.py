"""logistic and tanh. int8: a table of 256 values; int16: interpolated table or 16-bit fixed point.

Output quantization is fixed by the specification: logistic int8 (1/256, -128), tanh int8 (1/128, 0), int16 (1/32768, 0).
Source: TFLite 8-bit specification, LUTPopulate (common.h), activations.cc; TFLM logistic_common.cc, tanh.cc and
reference/integer_ops; XNNPACK unary-elementwise.cc. Constraints: (C1) one integer type, (C2) the fixed output quantization,
(C3) int16 input has zero point 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.kernels.lookup import logistic_tanh_s16_table
from workbench.numerics import gemmlowp
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.numerics.tables import SIGMOID_UINT16
from workbench.ops._elementwise import fixed_output, float_run, quant_of, same_types, symmetric_int16
from workbench.ops._float32 import logistic_quotient, quotient_table, real_grid
from workbench.ops._tables import grid, table_run
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape

LOGISTIC_QUANT: tuple[tuple[str, tuple[float, int]], ...] = (("int8", (1 / 256, -128)), ("int16", (1 / 32768, 0)))
TANH_QUANT: tuple[tuple[str, tuple[float, int]], ...] = (("int8", (1 / 128, 0)), ("int16", (1 / 32768, 0)))


def _logistic_reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    return [logistic32(args[0].astype(np.float32))]


def tanh_reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    return [tanh32(args[0].astype(np.float32))]


def logistic32(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) with each step rounded to float32; exp is the rounded float64 one, as a good expf."""
    with np.errstate(over="ignore"):
        return np.float32(1.0) / (np.float32(1.0) + np.exp(-x.astype(np.float64)).astype(np.float32))


def tanh32(x: Array) -> Array:
    """Return tanh(x) rounded once to float32."""
    return np.tanh(x.astype(np.float64)).astype(np.float32)


def _logistic64(x: Array) -> Array:
    """XNNPACK: exp(x) / (1 + exp(x)) in float64, rounded once; saturated beyond +-100."""
    e = np.exp(np.clip(x, -100.0, 100.0).astype(np.float64))
    return np.where(x > 100, 1.0, np.where(x < -100, 0.0, e / (1.0 + e))).astype(np.float32)


def _prepare(is_tanh: bool) -> Callable[[Site], Run]:
    reference = tanh_reference if is_tanh else _logistic_reference
    fixed = dict(TANH_QUANT if is_tanh else LOGISTIC_QUANT)

    def prepare(site: Site) -> Run:
        run = float_run(reference, site)
        if run is not None:
            return run
        dtype = same_types(site)
        symmetric_int16(site, site.x)
        if dtype not in fixed:
            raise site.unsupported("known for int8 and int16 alone.")
        if dtype != "int8" or site.arithmetic.lut != "float32":
            fixed_output(site, fixed[dtype])
        table = _table_s8(site, is_tanh) if dtype == "int8" else _table_s16(site, is_tanh)
        return table_run(site, table)

    return prepare


def _table_s8(site: Site, is_tanh: bool) -> Array:
    sx, zx = quant_of(site, site.x)
    sy, zy = quant_of(site, site.y)
    x = grid("int8") - np.int32(zx)
    if site.arithmetic.lut == "gemmlowp":
        return _table_s8_gemmlowp(site, x, float(sx), is_tanh)
    if site.arithmetic.lut == "float32":  # tanh: as the runtime's polynomial wherever it was tried
        return quotient_table(site, tanh32(real_grid(site)) if is_tanh else logistic_quotient(real_grid(site)))
    real = sx * x.astype(np.float32)
    inverse = np.float32(1.0) / sy
    if site.arithmetic.lut == "float_half_away":
        scaled = ((tanh32(real) if is_tanh else logistic32(real)) * inverse).astype(np.float64)
        q = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) + zy
    else:
        q = np.rint((tanh32(real) if is_tanh else _logistic64(real)) * inverse + np.float32(zy))
    return np.asarray(np.clip(q, -128, 127), np.int8)


def _table_s8_gemmlowp(site: Site, x: Array, scale: float, is_tanh: bool) -> Array:
    multiplier, shift = (int(v) for v in quantize_multiplier(scale * 2.0**27))
    if not 0 <= shift <= 30:
        raise site.unsupported(f"the input scale {scale:g} is outside of what Q4.27 represents (2**-28 to 8).")
    radius = (15 << 27) >> shift  # from here on the result is the limit
    v = gemmlowp.high_mul(np.clip(x, -radius, radius).astype(np.int64) << shift, multiplier, 32)
    if is_tanh:
        q = gemmlowp.divide_by_pot(gemmlowp.tanh(v, 4, 32), 24)
    else:
        q = gemmlowp.divide_by_pot(gemmlowp.logistic(v, 4, 32), 23) - 128
    return np.where(x <= -radius, -128, np.where(x >= radius, 127, np.clip(q, -128, 127))).astype(np.int8)


def _table_s16(site: Site, is_tanh: bool) -> Array:
    scale = float(quant_of(site, site.x)[0])
    table = np.empty(65536, np.int16)
    mantissa, exponent = np.frexp(scale)
    shift = 12 + int(exponent) - 1
    if mantissa == 0.5 and shift in ((0, 1) if is_tanh else (0,)):
        if site.arithmetic.lut_int16 == "gemmlowp_power_of_two":
            v = np.clip(grid("int16").astype(np.int64) << shift, -32768, 32767)
            return np.asarray(gemmlowp.tanh(v, 3, 16) if is_tanh else gemmlowp.logistic(v, 3, 16), np.int16)
        logistic_tanh_s16_table(grid("int16"), is_tanh, 3 << shift, 0, SIGMOID_UINT16, table)
        return table
    multiplier, right = scale * 4096.0 * 3.0, 0
    if multiplier >= 32768.0:
        raise site.unsupported(f"the input scale {scale:g} is too large for int16; below {32768 / 12288:g} fits.")
    while multiplier <= 32767.0 / 2.0 and right <= 30:
        right += 1
        multiplier *= 2.0
    logistic_tanh_s16_table(grid("int16"), is_tanh, int(multiplier), right, SIGMOID_UINT16, table)
    return table


def register_table(name: str, reference: Any, is_tanh: bool, summary: str) -> OpSpec:
    return register(
        OpSpec(
            name=name, attrs=NoAttrs, infer_shape=same_shape, reference=reference, prepare=_prepare(is_tanh),
            count=count_outputs, output_quant="fixed", fixed_quant=TANH_QUANT if is_tanh else LOGISTIC_QUANT, summary=summary,
        )
    )  # fmt: skip


LOGISTIC = register_table("logistic", _logistic_reference, False, "1 / (1 + exp(-x))")
