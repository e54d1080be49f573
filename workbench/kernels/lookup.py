"""Table lookups: every function of one int8 (256 entries) or int16 (65,536 entries) value is an array made once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import overload

from workbench.numerics.jit import kernel
from workbench.numerics.simd import address
from workbench.numerics.simd_lookup import WIDTH, lookup_bytes

Array = npt.NDArray[Any]


def read_vectors(x: Array, table: Array, y: Array) -> int:
    """Look up as many values as whole vectors hold; return how many. See `lookup`."""
    raise NotImplementedError


@overload(read_vectors, strict=False)
def _read_vectors(x: Any, table: Any, y: Any) -> Any:
    if WIDTH == 0 or x.dtype != types.uint8 or table.dtype.bitwidth != 8:
        return lambda x, table, y: 0

    def read(x, table, y):  # type: ignore[no-untyped-def]
        steps = x.size // WIDTH
        lookup_bytes(address(table), address(x), address(y), steps)
        return steps * WIDTH

    return read


@kernel
def lookup(x: Array, table: Array, y: Array) -> None:
    """y[i] = table[x[i]]. x, y: flat, equal sizes. x: uint8 with 256 entries or uint16 with 65,536 (the bits of int8, int16).

    An unsigned index needs no check for a negative one: one load, one lookup, one store.
    """
    for i in range(read_vectors(x, table, y), x.size):
        y[i] = table[x[i]]


@kernel
def logistic_tanh_s16_table(x: Array, is_tanh: bool, multiplier: int, shift: int, table: Array, y: Array) -> None:
    """int16 logistic or tanh (scale 2**-15) by interpolation in the table of logistic(i / 24). TFLM, LiteRT reference.

    x: int32, zero point 0. (x * multiplier + 2**(shift-1)) >> shift is the input in units of 1 / (3 * 4096).
    tanh(x) = 2 * logistic(2x) - 1 reads the table one bit coarser.
    """
    bits = 8 if is_tanh else 9
    for i in range(x.size):
        v = (x[i] * multiplier + ((1 << shift) >> 1)) >> shift
        a = abs(v)
        k = a >> bits
        if k >= 255:
            r = (0xFFFF << 8) if is_tanh else (0x7FFF << 10)
        else:
            low = np.int64(table[k])
            r = (low << bits) + (a & ((1 << bits) - 1)) * (np.int64(table[k + 1]) - low)
        if is_tanh:
            y[i] = (r - (1 << 23) + 128) >> 8 if v >= 0 else (-r + (1 << 23) + 127) >> 8
        else:
            y[i] = (r + 512) >> 10 if v >= 0 else ((1 << 25) - r + 511) >> 10
