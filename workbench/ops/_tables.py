"""Functions of one value as tables over all of them, and integers that share one scale requantized as a flat array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.kernels.lookup import lookup
from workbench.numerics.arithmetic import RequantizeRule
from workbench.numerics.requantize import Requantizer, make_requantizer
from workbench.ops._elementwise import quant_of
from workbench.ops.base import DTYPES, Array, Run, Site, checked
from workbench.tensor import RANGES

COLUMNS = 1024
"""Elements with one scale are requantized in rows of this many."""


def grid(dtype: str) -> npt.NDArray[np.int32]:
    """Return every value of an integer type, lowest first."""
    low, high = RANGES[dtype]
    return np.arange(low, high + 1, dtype=np.int32)


@lru_cache(maxsize=32)
def tail_positions(size: int, run: int, block: int) -> npt.NDArray[np.intp]:
    """Return the positions of a flat array of `size` elements that vector blocks leave over at the end of every `run`."""
    place = np.arange(size) % run
    found = np.flatnonzero(place >= run - run % block)
    found.flags.writeable = False
    return found


def table_run(site: Site, table: Array, tail: Array | None = None, block: int = 16) -> Run:
    """Return the run of a function of one value. table: one entry per input value, lowest first.

    tail: another table for what is left after whole vector blocks of an inference. The declared shape (dimension 0 included) is
    what one inference of the target computes, so it places the tail.
    """
    x, y = site.x, table.dtype
    low, high = RANGES[x.dtype]
    if x.dtype in ("int4", "int2"):  # values outside of them do not occur
        table = table[np.clip(np.arange(-128, 128), low, high) - low]
    bits = np.dtype(f"uint{8 * DTYPES[x.dtype].itemsize}")
    inference = max(1, int(np.prod(x.shape, dtype=np.int64)))
    # The kernel reads the bits of x as an unsigned number: the values from 0 on come first.
    unsigned = np.ascontiguousarray(np.roll(table, table.size // 2))
    unsigned_tail = None if tail is None else np.roll(tail, table.size // 2)

    def run(args: Sequence[Array]) -> list[Array]:
        codes = checked(site, args[0], x).view(bits)
        out = np.empty(codes.shape, y)
        flat = codes.reshape(-1), out.reshape(-1)
        lookup(flat[0], unsigned, flat[1])
        if unsigned_tail is not None and inference % block:
            at = tail_positions(out.size, inference, block)
            flat[1][at] = unsigned_tail[flat[0][at]]
        return [out]

    return run


def requantize_flat(requantizer: Requantizer, acc: Array, out: Array, offset: int = 0) -> None:
    """Requantize flat int32 `acc` into flat `out` as rows of COLUMNS elements, which the kernels vectorise over.

    requantizer: of COLUMNS equal channels. offset: added to every acc (wraps).
    """
    bias = np.full(min(COLUMNS, acc.size), offset, np.int64)
    whole = acc.size - acc.size % COLUMNS
    if whole:
        requantizer(acc[:whole].reshape(-1, COLUMNS), bias, out[:whole].reshape(-1, COLUMNS))
    if whole < acc.size:
        requantizer(acc[whole:].reshape(1, -1), bias[: acc.size - whole], out[whole:].reshape(1, -1))


def flat_requantizer(
    site: Site, rule: RequantizeRule, scale: float, zero_point: int, limits: tuple[int, int]
) -> Callable[[Array, Array], None]:
    """Return (flat int32, flat out to fill) -> None: clip(rule(acc * scale) + zero point, limits).

    scale: float64 ~ sx / sy. `double_half_up_simd8`, a rule of blocks of channels, has no block here and is `double`.
    """
    rule = "double" if rule == "double_half_up_simd8" else rule
    arithmetic = replace(site.arithmetic, requantize=rule)
    try:
        requantizer = make_requantizer(arithmetic, np.array([scale]), COLUMNS, zero_point, limits, wide=False)
    except InputError as problem:
        raise site.unsupported(f"{problem}.") from None
    return lambda acc, out: requantize_flat(requantizer, acc, out)


def rescaled(
    site: Site, values: Array, scale: float, limits: tuple[int, int], rule: RequantizeRule | None = None
) -> npt.NDArray[Any]:
    """Return clip(rule(values * scale) + zero point of y, limits) in the type of y.

    values: int32, flat. scale: float64 ~ sx / sy. rule: default `arithmetic.requantize`.
    """
    _, zero_point = quant_of(site, site.y)
    out = np.empty(values.size, DTYPES[site.y.dtype])
    flat_requantizer(site, rule or site.arithmetic.requantize, scale, zero_point, limits)(np.ascontiguousarray(values), out)
    return out
