"""Functions of one value as the tables that TFLite fills in float32: int8 256 entries, int16 513 entries with interpolation.

int8: y = clip(round(f(sx * (x - zx)) * (1 / sy)) + zy), each step rounded to float32; ties away from zero (TFLM, LiteRT), to even after
the zero point is added (XNNPACK, `lut: float_half_even`) or to even of f / sy (`lut: float32`).
int16: `numerics/tables.py`. Source: LUTPopulate and LUTLookup (TFLite common.h), elu.cc of TFLM.
Functions are evaluated in float64 and rounded once, which is what the runtimes' libraries come to but for rare last bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.tables import interpolated, interpolation_table
from workbench.ops._elementwise import quant_of, same_types, symmetric_int16
from workbench.ops._float32 import quotient_table, real_grid
from workbench.ops._tables import table_run
from workbench.ops.base import Run, Site
from workbench.tensor import RANGES

Floats = npt.NDArray[np.float32]
Function = Callable[[Floats], Floats]
"""float32 -> float32, element by element."""


def in_float64(function: Callable[[Any], Any]) -> Function:
    """Return the function of float32 that is evaluated in float64 and rounded once; overflow gives infinity."""

    def rounded(x: Floats) -> Floats:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(function(x.astype(np.float64)), np.float64).astype(np.float32)

    return rounded


def lut_run(site: Site, function: Function) -> Run:
    """Return the run of a function of one value: int8 -> int8 or int16 -> int16, any scales."""
    dtype = same_types(site)
    symmetric_int16(site, site.x, site.y)
    return table_run(site, table_s8(site, function) if dtype == "int8" else table_s16(site, function))


def table_s8(site: Site, function: Function) -> npt.NDArray[np.int8]:
    """Return y for every int8 value of x, lowest first."""
    real = function(real_grid(site))
    if site.arithmetic.lut == "float32":
        return quotient_table(site, real)
    sy, zy = quant_of(site, site.y)
    with np.errstate(over="ignore", under="ignore"):
        scaled = (real * (np.float32(1.0) / sy)).astype(np.float32)
        if site.arithmetic.lut == "float_half_even":
            q = np.rint(scaled + np.float32(zy))
        else:
            q = np.copysign(np.floor(np.abs(scaled.astype(np.float64)) + 0.5), scaled) + zy
    return np.asarray(np.clip(q, *RANGES["int8"]), np.int8)


def table_s16(site: Site, function: Function) -> npt.NDArray[np.int16]:
    """Return y for every int16 value of x, lowest first."""
    (sx, _), (sy, _) = quant_of(site, site.x), quant_of(site, site.y)
    low, high = RANGES["int16"]
    ends = float(sx * np.float32(low)), float(sx * np.float32(high))
    return interpolated(interpolation_table(function, *ends, np.float32, float(sy)))
