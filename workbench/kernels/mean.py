"""Sums over the middle axis of a [outer, n, inner] array, exact."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from workbench.numerics.fixed_point import wrap32
from workbench.numerics.jit import kernel

Array = npt.NDArray[Any]


@kernel
def sum_middle(x: Array, out: Array) -> None:
    """out[o, i] = sum over n of x[o, n, i], wrapped to int32. x: int8 or int16. out: int32, zeroed by this kernel."""
    for o in range(x.shape[0]):
        for i in range(x.shape[2]):
            out[o, i] = 0
        for n in range(x.shape[1]):
            for i in range(x.shape[2]):
                out[o, i] = wrap32(out[o, i] + x[o, n, i])
