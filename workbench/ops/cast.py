"""cast: between float types without scales (float32, float16, bfloat16), rounded once to nearest even (IEEE 754)."""

from __future__ import annotations

from typing import Any

from workbench.numerics.float16 import narrow, widen
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape
from workbench.precision import is_float


def _reference(attrs: Any, arrays: list[Array]) -> list[Array]:
    return [arrays[0]]


def _prepare(site: Site) -> Run:
    if not (is_float(site.x.dtype) and is_float(site.y.dtype)):
        raise site.unsupported("cast is between float types; integers and float8 use quantize and dequantize.")
    dtype = site.y.dtype
    return lambda args: [narrow(widen(args[0]), dtype)]


CAST = register(
    OpSpec(
        name="cast",
        attrs=NoAttrs,
        infer_shape=same_shape,
        reference=_reference,
        prepare=_prepare,
        count=count_outputs,
        output_quant="none",
        summary="between float types",
    )
)
