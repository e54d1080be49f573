"""sqrt, square, reciprocal: one IEEE operation each.

sqrt of integers with scales: q = trunc(sqrt(sx * (x - zx)) / sy) + zy in float32; a negative number is an error, as it is in LiteRT.
Source: TFLite elementwise.cc (SqrtEvalQuantized). Constraint: (C1) int8 or int16.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.errors import InputError
from workbench.ops._elementwise import quant_of, same_types, symmetric_int16
from workbench.ops._functions import register_function
from workbench.ops._tables import grid, table_run
from workbench.ops.base import DTYPES, Array, Run, Site
from workbench.tensor import RANGES


def _truncated(site: Site) -> Run:
    dtype = same_types(site)
    symmetric_int16(site, site.x, site.y)
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    real = sx * np.maximum(grid(dtype) - zx, 0).astype(np.float32)
    found = np.clip(np.trunc(np.sqrt(real) / sy).astype(np.float64) + zy, *RANGES[dtype]).astype(DTYPES[dtype])
    run = table_run(site, found)

    def checking(args: Sequence[Array]) -> list[Array]:
        if (args[0] < zx).any():
            raise InputError(f"node '{site.name}': the square root of a negative number ('{site.x.name}' is below {zx}).")
        return run(args)

    return checking


SQRT = register_function("sqrt", lambda _, x: np.sqrt(x), "square root", quantized=_truncated)
SQUARE = register_function("square", lambda _, x: x * x, "x * x", whole=lambda x: x * x)
RECIPROCAL = register_function("reciprocal", lambda _, x: np.float32(1.0) / x, "1 / x")
