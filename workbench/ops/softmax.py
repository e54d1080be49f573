"""softmax over one axis: y = exp(beta * (x - max)) / sum.

Integer forms, each with a fixed output quantization: int8 -> int8 (1/256, -128), int8 -> int16 (1/65536, -32768),
int16 -> int16 (1/32768, 0); the first also with 4 or 2 bits instead of 8 (1/16 and 1/4).
Source: TFLite softmax.h, softmax_common.cc, optimized_ops.h (float table), gemmlowp.
Constraints: (C1) the quantization above (scales within 0.1 %, as the runtimes check), (C2) beta > 0, (C3) int16 input zero
point 0, (C4) at most 4095 classes (int16: 65,535): the target adds exponentials in Q12.19 (Q16.15) in an int32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.kernels.softmax import (
    exp_table_s8,
    rising_exp_table,
    softmax_float_quotient,
    softmax_float_table,
    softmax_s8,
    softmax_s16,
)
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.numerics.tables import interpolation_table
from workbench.ops._elementwise import float_run, normal_axis, quant_of, symmetric_int16
from workbench.ops.base import DTYPES, Array, OpSpec, Run, Shape, Site, checked, count_outputs, register
from workbench.precision import TYPE_BITS

FIXED_QUANT: tuple[tuple[str, tuple[float, int]], ...] = (
    ("int8", (1 / 256, -128)), ("int16", (1 / 32768, 0)), ("int4", (1 / 16, -8)), ("int2", (1 / 4, -2)),
)  # fmt: skip
OUTPUT_QUANT = {
    ("int8", "int8"): (1 / 256, -128), ("int8", "int16"): (1 / 65536, -32768), ("int16", "int16"): (1 / 32768, 0),
    ("int4", "int4"): (1 / 16, -8), ("int2", "int2"): (1 / 4, -2), ("int4", "int8"): (1 / 256, -128), ("int2", "int8"): (1 / 256, -128),
}  # fmt: skip
MAX_CLASSES = {"int8": 4095, "int4": 4095, "int2": 4095, "int16": 65535}
Rows = Callable[[Array, Array], None]
"""(x [rows, classes], y to fill) -> None."""


@dataclass(frozen=True)
class SoftmaxAttrs:
    """beta: factor of the input. axis: along which the outputs sum to 1."""

    beta: float = 1.0
    axis: int = -1


def _infer(attrs: SoftmaxAttrs, shapes: list[Shape]) -> list[Shape]:
    normal_axis(attrs.axis, len(shapes[0]), "softmax")
    return [shapes[0]]


def _reference(attrs: SoftmaxAttrs, args: list[Array]) -> list[Array]:
    x = args[0].astype(np.float32)
    if not x.size:
        return [x]
    with np.errstate(under="ignore"):
        e = np.exp((x - x.max(axis=attrs.axis, keepdims=True)) * np.float32(attrs.beta))
        return [e / e.sum(axis=attrs.axis, keepdims=True)]


def _prepare(site: Site) -> Run:
    axis = normal_axis(site.attrs.axis, len(site.x.shape), f"node '{site.name}'")
    if not (np.isfinite(site.attrs.beta) and site.attrs.beta > 0):
        raise site.unsupported(f"beta {site.attrs.beta} must be finite and > 0.")
    run = float_run(_reference, site)
    if run is not None:
        return run
    if site.x.shape[axis] < 1:
        raise site.unsupported(f"axis {axis} of {site.x.shape} is empty.")
    sx, _ = quant_of(site, site.x)
    sy, zy = quant_of(site, site.y)
    symmetric_int16(site, site.x)
    want = OUTPUT_QUANT.get((site.x.dtype, site.y.dtype))
    free = site.arithmetic.softmax == "float_quotient" and site.x.dtype == site.y.dtype == "int8"
    if not free and (want is None or zy != want[1] or abs(float(sy) / want[0] - 1.0) > 0.001):
        raise site.unsupported(f"the output must be one of {list(OUTPUT_QUANT)} with (scale, zero point) {want}.")
    most = MAX_CLASSES[site.x.dtype]
    if site.x.shape[axis] > most:
        raise site.unsupported(f"{site.x.shape[axis]} classes; the int32 sum of exponentials holds {most}.")
    rows = _rows_s16(site, float(sx)) if site.x.dtype == "int16" else _rows_s8(site, sx, float(sy), zy)

    classes, dtype = site.x.shape[axis], DTYPES[site.y.dtype]
    last = axis == len(site.x.shape) - 1

    def run_integer(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        if not last:
            x = np.ascontiguousarray(np.moveaxis(x, axis, -1))
        y = np.empty(x.shape, dtype)
        rows(x.reshape(-1, classes), y.reshape(-1, classes))
        return [y if last else np.ascontiguousarray(np.moveaxis(y, -1, axis))]

    return run_integer


def _rows_s8(site: Site, sx: np.float32, sy: float, zy: int) -> Rows:
    beta = np.float32(site.attrs.beta)
    bits = TYPE_BITS[site.y.dtype]
    if site.arithmetic.softmax == "float_quotient":
        if bits != 8:
            raise site.unsupported("the float_quotient rule writes int8.")
        factor = np.floor(np.float32(1.0) / np.float32(sy))
        rising = rising_exp_table(float(np.float32(sx * beta)), site.x.shape[site.attrs.axis])
        return lambda x, y: softmax_float_quotient(x, rising, factor, zy, y)
    if site.arithmetic.softmax == "float_table":
        # float32(-sx * beta) times 0 .. 255, each product and each exp rounded to float32.
        steps = np.float32(-sx * beta) * np.arange(256, dtype=np.float32)
        with np.errstate(under="ignore"):
            table32 = np.exp(steps.astype(np.float64)).astype(np.float32)
        low = -(1 << (bits - 1))
        return lambda x, y: softmax_float_table(x, table32, sy, zy, low, -low - 1, y)
    multiplier, shift = (int(v) for v in quantize_multiplier(min(float(beta) * float(sx) * 2.0**26, 2.0**31 - 1)))
    if shift < 0:
        raise site.unsupported(f"beta * input scale is {float(beta) * float(sx):g}; at least 2**-27 fits.")
    table = exp_table_s8(multiplier, shift)
    terms = ((table.astype(np.int64) + (1 << 11)) >> 12).astype(np.int32)
    return lambda x, y: softmax_s8(x, table, terms, bits, y)


def _rows_s16(site: Site, sx: float) -> Rows:
    multiplier, shift = (int(v) for v in quantize_multiplier(sx * site.attrs.beta / (10.0 / 65535.0)))
    if shift > 14:
        raise site.unsupported(f"beta * input scale is {sx * site.attrs.beta:g}; a difference of 65535 would overflow.")
    precision = np.float64 if site.arithmetic.softmax_table_int16 == "float64" else np.float32
    exp = interpolation_table(np.exp, -10.0, 0.0, precision)
    reciprocal = interpolation_table(lambda v: v.dtype.type(1) / (v.dtype.type(1) + v), 0.0, 1.0, precision)
    return lambda x, y: softmax_s16(x, multiplier, shift, exp, reciprocal, y)


SOFTMAX = register(
    OpSpec(
        name="softmax", attrs=SoftmaxAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs,
        output_quant="fixed", fixed_quant=FIXED_QUANT, summary="exp(beta * x) / sum over one axis",
    )
)  # fmt: skip
