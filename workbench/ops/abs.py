"""abs: |x|. Integers: y = clip(requantize(|x - zx|, sx / sy) + zy); in one scale the lowest integer becomes the largest.

Source: TFLite elementwise.cc (AbsEvalQuantized); MAX78000: the activation `Abs`, which clamps to [0, 127]. Constraints: (C1) x and y
of one integer type, (C2) int16 has zero point 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.numerics.requantize import effective_scale
from workbench.ops._elementwise import float_run, quant_of, same_types, symmetric_int16
from workbench.ops._plain import is_plain, plain_unary
from workbench.ops._tables import grid, rescaled, table_run
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape
from workbench.tensor import RANGES, STORAGE


def _reference(attrs: Any, args: list[Array]) -> list[Array]:
    return [np.abs(args[0])]


def _prepare(site: Site) -> Run:
    run = float_run(_reference, site)
    if run is not None:
        return run
    if is_plain(site):
        return plain_unary(site, np.abs, ("int32", "int64"))
    dtype = same_types(site)
    symmetric_int16(site, site.x, site.y)
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    x = np.abs(grid(dtype) - np.int32(zx))
    if sx == sy:
        return table_run(site, np.clip(x + zy, *RANGES[dtype]).astype(STORAGE[dtype]))
    return table_run(site, rescaled(site, x, float(effective_scale(site.arithmetic, sx, 1.0, sy)[0]), RANGES[dtype]))


ABS = register(
    OpSpec(
        name="abs", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        plain=True, summary="|x|",
    )
)  # fmt: skip
