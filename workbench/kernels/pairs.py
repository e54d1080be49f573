"""int8 (x) int8 -> int8 for any function of two values: all 65,536 pairs in a table, and a line that is nearly the table.

The table is exact by construction. Where the function is nearly clip(((bias + a * ma + b * mb) >> shift) + zero), as every rule of
add and sub is, the line costs a fraction of a lookup and is vectorised. It differs from the table only for pairs whose fraction
(the bits that are shifted out) falls into a narrow window, found by comparing all pairs when the operator is prepared: a block in
which some element comes near is taken from the table. So the result is the table's, bit for bit, whatever the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.int32 import Int32, add32, and32, clip32, min32, mul32, shift_right32
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]
Line = tuple[int, ...]
"""(ma, mb, bias, shift, zero, low, high, start, width), int32 each. low, high: limits before zero is added; shift in [1, 30].

Window: pairs with (sum + start) mod 2**shift < width may differ from the table; width 0: none does.
"""

BLOCK = 1024
"""Elements between two looks at the window: long enough for the vector loop, short enough to be lost."""


@kernel
def pair_line(a: Array, b: Array, line: Line, y: Array) -> None:
    """y = clip((bias + a * ma + b * mb) >> shift, low, high) + zero, where the line is exact. a, b, y: int8, flat.

    The sum fits an int32 (partial sums may wrap). XNNPACK's qs8 add is defined so.
    """
    ma, mb, bias, shift, zero, low, high, _, _ = line
    for i in range(y.size):
        s = add32(add32(mul32(a[i], ma), mul32(b[i], mb)), bias)
        y[i] = add32(clip32(shift_right32(s, shift), low, high), zero)


@inline
def line_block(a: Array, b: Array, line: Line, y: Array) -> Int32:
    """As `pair_line`; return the smallest distance of a fraction from the start of the window."""
    ma, mb, bias, shift, zero, low, high, start, _ = line
    mask = np.int32((1 << shift) - 1)
    nearest: Int32 = mask
    for i in range(y.size):
        s = add32(add32(mul32(a[i], ma), mul32(b[i], mb)), bias)
        nearest = min32(nearest, and32(add32(s, start), mask))
        y[i] = add32(clip32(shift_right32(s, shift), low, high), zero)
    return nearest


@inline
def table_block(a: Array, b: Array, table: Array, y: Array) -> None:
    """y = table[a, b]. a, b: uint8 views of int8."""
    for i in range(y.size):
        y[i] = table[(np.intp(a[i]) << 8) | np.intp(b[i])]


@kernel
def pair_guarded(a: Array, b: Array, line: Line, table: Array, y: Array) -> None:
    """y = table[a, b], by the line wherever no element of a block is near the window. a, b, y: int8, flat.

    table: int8 [65536], entry (a mod 256) * 256 + (b mod 256).
    """
    ua, ub, width = a.view(np.uint8), b.view(np.uint8), line[8]
    for first in range(0, y.size, BLOCK):
        last = min(first + BLOCK, y.size)
        if line_block(a[first:last], b[first:last], line, y[first:last]) < width:
            table_block(ua[first:last], ub[first:last], table, y[first:last])


@kernel
def pair_table(a: Array, b: Array, table: Array, y: Array) -> None:
    """y = table[a, b]. a, b, y: int8, flat. table: as `pair_guarded`."""
    table_block(a.view(np.uint8), b.view(np.uint8), table, y)
