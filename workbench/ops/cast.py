"""cast: to another type without a scale. Floats among each other are rounded once to nearest even (IEEE 754).

Float to integer: toward zero; outside of the integer's range (undefined in C, which the runtimes leave it to) and for NaN as the
instruction of the CPU does, see `Arithmetic.float_to_int`. Integer to integer: modulo 2**bits. To bool: not equal to zero.
Integers with a scale are read and written as they are stored, as TFLite does; lowering gives a cast floats (`placement.computed_in`).
Source: TFLite cast.cc, ONNX Cast. Constraints: (C1) no float8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.numerics.float16 import narrow, widen
from workbench.ops.base import Array, OpSpec, Run, Site, checked, count_outputs, register, same_shape
from workbench.precision import is_float
from workbench.tensor import RANGES, STORAGE


@dataclass(frozen=True)
class CastAttrs:
    """to: the type of the output (a key of `tensor.STORAGE`)."""

    to: str = "float32"


def truncated(x: Array, dtype: str, rule: str = "saturate") -> Array:
    """Return floats as integers, toward zero. rule: what becomes of the others, see `Arithmetic.float_to_int`."""
    wide = np.trunc(x.astype(np.float64))
    low_bits = rule == "low_bits"
    low, high = RANGES["int32" if low_bits and dtype != "int64" else dtype]
    fits = (wide >= float(low)) & (wide < float(high) + 1.0)
    made: Array = np.where(fits, wide, 0.0).astype(np.int64)
    if low_bits:
        made[~fits] = low
        return made.astype(STORAGE[dtype])
    made[~fits & (wide < 0.0)] = low
    made[~fits & (wide > 0.0)] = high
    if rule == "saturate_nan_max":
        made[np.isnan(wide)] = high
    return made.astype(STORAGE[dtype])


def _converted(x: Array, dtype: str, rule: str = "saturate") -> Array:
    """Return the array in an integer type or bool, or integers as float32."""
    if dtype == "bool":
        return np.asarray(x != 0)
    if is_float(dtype):
        return x.astype(np.float32)
    return truncated(x, dtype, rule) if x.dtype.kind not in "iub" else x.astype(STORAGE[dtype])


def _reference(attrs: CastAttrs, arrays: list[Array]) -> list[Array]:
    x = arrays[0]
    return [x.astype(STORAGE[attrs.to]) if is_float(attrs.to) and x.dtype.kind not in "iub" else _converted(x, attrs.to)]


def _prepare(site: Site) -> Run:
    x, y = site.x, site.y
    if not all(is_float(t.dtype) or np.dtype(STORAGE[t.dtype]).kind in "iub" for t in (x, y)):
        raise site.unsupported("cast is between float types, integers and bools; float8 uses quantize and dequantize.")
    dtype = y.dtype

    def convert(value: Array) -> Array:
        wide = widen(value) if is_float(x.dtype) else value
        if not is_float(dtype):
            return _converted(wide, dtype, site.arithmetic.float_to_int)
        return narrow(wide if is_float(x.dtype) else wide.astype(np.float32), dtype)

    def run(args: Sequence[Any]) -> list[Array]:
        return [convert(checked(site, args[0], x))]

    return run


CAST = register(
    OpSpec(
        name="cast", attrs=CastAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        output_quant="none", plain=True, summary="between floats, integers and bools",
    )
)  # fmt: skip
