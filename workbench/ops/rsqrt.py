"""rsqrt: y = 1 / sqrt(x). int8 in fixed point; int16 in fixed point (TFLM) or by an interpolated table (LiteRT).

Fixed point: multiplier and shift of 1 / sqrt(x - zx) by Newton-Raphson, applied to 1 with 20 fraction bits, then rescaled by
1 / (sqrt(sx) * sy). x = zx gives the largest output; smaller x are refused, as the runtimes stop there.
Source: TFLite and TFLM elementwise.cc (RsqrtEvalQuantized, SetRsqrtOutputMultiplier), common.h.
Constraints: (C1) one integer type, (C2) int16 has zero points 0, (C3) every x >= its zero point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.numerics.gemmlowp import high_mul
from workbench.numerics.tflite_fixed_point import inverse_sqrt
from workbench.ops._elementwise import float_run, quant_of, same_types, symmetric_int16
from workbench.ops._lut import Floats, table_s16
from workbench.ops._tables import grid, rescaled, table_run
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape
from workbench.tensor import RANGES

FRACTION_BITS = 20


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return [np.float32(1.0) / np.sqrt(args[0].astype(np.float32))]


def _prepare(site: Site) -> Run:
    run = float_run(_reference, site)
    if run is not None:
        return run
    dtype = same_types(site)
    symmetric_int16(site, site.x, site.y)
    zero_point = quant_of(site, site.x)[1]
    by_table = dtype == "int16" and site.arithmetic.rsqrt_int16 == "table"
    looked_up = table_run(site, _interpolated(site) if by_table else _fixed_point(site, dtype))

    def checked_run(args: Sequence[Array]) -> list[Array]:
        if int(args[0].min(initial=zero_point)) < zero_point:
            raise InputError(
                f"node '{site.name}': rsqrt of {args[0].min()}, below its zero point {zero_point}: a negative number.\n"
                "The runtimes stop there. Give calibration data, or a scale, by which the lowest integer is zero."
            )
        return looked_up(args)

    return checked_run


def _fixed_point(site: Site, dtype: str) -> npt.NDArray[np.integer]:
    (sx, zx), (sy, _) = quant_of(site, site.x), quant_of(site, site.y)
    value = np.maximum(grid(dtype).astype(np.int64) - zx, 1)
    multiplier, shift = inverse_sqrt(value)  # shift >= -11: one rounding
    root = high_mul(np.int64(1) << (shift + FRACTION_BITS), multiplier, 32)
    scale = 1.0 / (math.sqrt(float(sx)) * float(sy)) * 2.0**-FRACTION_BITS
    table = rescaled(site, root.astype(np.int32), scale, RANGES[dtype])
    table[grid(dtype) <= zx] = RANGES[dtype][1]
    return table


def _interpolated(site: Site) -> npt.NDArray[np.int16]:
    largest = np.float32(RANGES["int16"][1]) * quant_of(site, site.y)[0]

    def function(x: Floats) -> Floats:
        return np.where(x > 0, np.float32(1.0) / np.sqrt(np.where(x > 0, x, np.float32(1.0))), largest)

    return table_s16(site, function)


RSQRT = register(
    OpSpec(
        name="rsqrt", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="1 / sqrt(x)",
    )
)  # fmt: skip
