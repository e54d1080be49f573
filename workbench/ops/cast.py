"""cast: between float types without scales (float32, float16, bfloat16), rounded once to nearest even (IEEE 754)."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape
from workbench.precision import is_float
from workbench.tensor import STORAGE


def _reference(attrs: Any, arrays: list[Array]) -> list[Array]:
    return [arrays[0]]


def _prepare(site: Site) -> Run:
    if not (is_float(site.x.dtype) and is_float(site.y.dtype)):
        raise site.unsupported("cast is between float types; integers and float8 use quantize and dequantize.")
    storage = STORAGE[site.y.dtype]

    def run(args: Any) -> list[Array]:
        with np.errstate(over="ignore"):
            return [args[0].astype(storage)]

    return run


CAST = register(
    OpSpec(
        name="cast",
        attrs=NoAttrs,
        infer_shape=same_shape,
        reference=_reference,
        prepare=_prepare,
        count=count_outputs,
        summary="between float types",
    )
)
