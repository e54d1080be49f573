"""Matrix product of a tensor core, bit-exact: the rule of `numerics/tensor_core.py` for every input format, at vector speed.

`pack_columns` prepares b once (the weights of a layer), `multiply` takes rows of a. Tiles of rows x 16 columns run over all steps of K
in registers (`numerics/simd_tensor_core.py`). What those cannot hold goes through the integer rule with the same bits: rows and
columns with infinities or NaN, outputs that a tile flagged, and rules with other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.kernels.tensor_core_load import TAPS, Layout, layout_of, load_columns, load_rows
from workbench.numerics.float16 import F32_CANONICAL_NAN, f16_to_f32_array, f32_to_f16_array
from workbench.numerics.float_formats import FORMATS, Decoded, decode
from workbench.numerics.jit import kernel
from workbench.numerics.simd import LANES, address
from workbench.numerics.simd_tensor_core import ROWS, ZERO_EXPONENT, Shape, tensor_core_tile
from workbench.numerics.tensor_core import ACCUMULATOR_CODES, DotRule, dot_chain

Array = npt.NDArray[Any]

BLOCK_BYTES = 64 * 1024
"""Loaded rows at a time: a part of the second-level cache."""
LEAST_FRACTION = {0: 23, 1: 13, 2: 10}
"""Accumulator code -> fraction bits with which an accumulator passes unchanged through a step of zeros."""


def sums_of(rule: DotRule) -> int:
    """Return how many int32 sums the products of a step need: 0, 1 or 2 as in `simd_tensor_core.Shape`, or more than the tiles have."""
    products = rule.products_per_step << (rule.fraction_bits + 2)  # each is below 4 * 2**F, c below 2 * 2**F
    return -(-products >> 31) if products + (1 << (rule.fraction_bits + 1)) > 1 << 31 else 0


def is_fast(rule: DotRule) -> bool:
    """True when the tiles have a rule: two int32 hold the products of a step, and an accumulator alone passes unchanged."""
    fits = rule.products_per_step << (rule.fraction_bits + 2) <= 1 << 32
    return fits and rule.products_per_step % TAPS == 0 and rule.fraction_bits >= LEAST_FRACTION[rule.accumulator]


def is_wide(*formats: str) -> bool:
    """True when exponents of a format need more than 6 bits, as in bf16 and tf32."""
    return any(FORMATS[name].exponent_bits > 5 for name in formats)


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a product, loaded for a rule. patterns: [N, K] of `form`, to meet rows of `other`; wide: so is one of them.

    values, exponents, base: see `load_columns` (empty when the rule is not `is_fast`). special: uint8 [N].
    """

    patterns: Array
    form: str
    other: str
    wide: bool
    rule: DotRule
    values: Array
    exponents: Array
    base: Array
    special: Array

    @cached_property
    def decoded(self) -> Decoded:
        """The columns as integers."""
        return decode(self.patterns, self.form)


def pack_columns(b: Array, form: str, other: str, rule: DotRule) -> Columns:
    """Load the columns b [N, K] of `form`, which rows of the format `other` will meet; K >= 1.

    Raises: InputError when the shape or the type does not fit, or a format is none of a matrix unit.
    """
    for name in (form, other):
        if name not in FORMATS or not FORMATS[name].signed or FORMATS[name].nan == "negative_zero":
            raise InputError(f"'{name}' is not an input format of a matrix unit.")
    if b.ndim != 2 or b.shape[1] < 1 or b.dtype != FORMATS[form].storage:
        want = np.dtype(FORMATS[form].storage)
        raise InputError(f"tensor core: b is {b.shape} of {b.dtype}; expected [N, K >= 1] of {want} ({form}).")
    wide, b = is_wide(form, other), np.ascontiguousarray(b)
    panels, depth = -(-b.shape[0] // LANES), -(-b.shape[1] // TAPS) * TAPS
    steps = -(-depth // rule.products_per_step)
    if not is_fast(rule):
        panels = 0
    columns = Columns(
        b, form, other, wide, rule, np.zeros((panels, depth, LANES), np.float32),
        np.full((panels, depth // TAPS, LANES, TAPS), ZERO_EXPONENT, np.int8),
        np.zeros((panels, steps if wide else 0, LANES), np.int32), np.zeros(b.shape[0], np.uint8),
    )  # fmt: skip
    load_columns(b, layout_of(form), rule.products_per_step, columns.values, columns.exponents, columns.base, columns.special)
    return columns


@cache
def _driver(wide: bool, accumulator: int, sums: int) -> Any:
    """Return the kernel that multiplies all rows by all panels; compiled for what is known of the rule and the formats."""
    several = tensor_core_tile(Shape(ROWS, wide, accumulator, sums))
    single = tensor_core_tile(Shape(1, wide, accumulator, sums))

    @kernel
    def multiply_panels(
        a: Any, layout: Layout, block: Any, step: Any, fraction: Any, values: Any, exponents: Any, base: Any, acc: Any, flags: Any,
        special: Any,
    ) -> None:  # fmt: skip
        panels, depth, lanes = values.shape
        steps = (depth + step - 1) // step
        number = np.zeros((block, depth), np.float32)
        exponent = np.full((block, depth), ZERO_EXPONENT, np.int8)
        bases, tops = np.zeros((block, base.shape[1]), np.int32), np.zeros(depth, np.int8)
        for first in range(0, a.shape[0], block):
            rows = min(block, a.shape[0] - first)
            load_rows(a, first, rows, layout, step, number, exponent, bases, tops, special)
            for t in range(panels):
                right, right_exponent, right_base = address(values[t]), address(exponents[t]), address(base[t])
                r = 0
                while r < rows:
                    left, left_exponent, left_base = address(number[r]), address(exponent[r]), address(bases[r])
                    target, flag = address(acc[first + r]) + 4 * lanes * t, address(flags[t]) + 2 * (first + r)
                    if rows - r >= ROWS:
                        several(
                            left, left_exponent, depth, right, right_exponent, depth, step, fraction, left_base, steps, right_base,
                            target, 4 * lanes * panels, flag,
                        )  # fmt: skip
                        r += ROWS
                    else:
                        single(
                            left, left_exponent, depth, right, right_exponent, depth, step, fraction, left_base, steps, right_base,
                            target, 4 * lanes * panels, flag,
                        )  # fmt: skip
                        r += 1

    return multiply_panels


@kernel
def _integer_outputs(
    sa: Any, ea: Any, ka: Any, sb: Any, eb: Any, kb: Any,
    product_fraction: Any, rows: Any, special: Any, flags: Any, rule: Any, c: Any, acc: Any,
) -> None:  # fmt: skip
    """Compute the outputs of rows `rows` (all columns where special, else flagged ones) with exact integers.

    sa, ea, ka: decoded rows [len(rows), K]. sb, eb, kb: decoded columns. special: uint8 [M] and uint8 [N]. flags: uint16 [T, M].
    c, acc: accumulator patterns [len(rows), N].
    """
    row_special, column_special = special
    for i in range(rows.size):
        m = rows[i]
        for n in range(column_special.size):
            flagged = flags.shape[0] > 0 and (flags[n // LANES, m] >> (n % LANES)) & 1
            if row_special[m] or column_special[n] or flagged:
                acc[i, n] = dot_chain(sa[i], ea[i], ka[i], sb[n], eb[n], kb[n], product_fraction, c[i, n], rule)


def _canonical_nan(values: Array) -> Array:
    """Return float32 values with every NaN replaced by the canonical one."""
    return np.where(np.isnan(values), np.uint32(F32_CANONICAL_NAN).view(np.float32), values).astype(np.float32)


def _start(c: Array, rule: DotRule) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return starting accumulators for the tiles, and bool [M]: rows whose accumulators only the integer rule can start from."""
    bits, unfit = c.view(np.uint32), ~np.isfinite(c)
    if rule.accumulator == ACCUMULATOR_CODES["float32_e8m13"]:
        cut = ~unfit & ((bits & np.uint32(0x3FF)) != 0)
        if rule.fraction_bits == LEAST_FRACTION[rule.accumulator]:  # the first step cuts them off anyway
            c, cut = np.where(cut, bits & np.uint32(0xFFFF_FC00), bits).view(np.float32), np.zeros_like(unfit)
        unfit |= cut
    return c, np.asarray(unfit.any(axis=1))


def multiply(a: Array, columns: Columns, c: Array | None = None) -> npt.NDArray[np.float32]:
    """Multiply rows as a tensor core does: out[m, n] = sum_k a[m, k] * b[n, k] + c[m, n], the accumulators after the last step.

    The sum starts at c and takes `rule.products_per_step` products at a time, in the order of k, each step rounded as
    `numerics/tensor_core.py` says. Assumed, not verified on a device: nothing splits K over thread blocks (split-K would add partial
    sums in another order).

    Args:
        a: patterns [M, K] of the format `columns.other`. c: float32 [M, N] or None (zero); float16 values when the accumulator
        is float16.
    Returns: float32 [M, N], the values of the accumulators.
    Raises: InputError when shapes or types do not fit.
    Constraints: (C1) equal to the integer chain for every input, infinities and NaN included. (C2) independent of M, N and of the
        tiling. (C3) a zero sum is +0. (C4) NaN is 0x7FFFFFFF.
    """
    rule, form, (count, depth) = columns.rule, columns.other, columns.patterns.shape
    shape = (a.shape[0], count)
    if a.ndim != 2 or a.shape[1] != depth or a.dtype != FORMATS[form].storage:
        want = np.dtype(FORMATS[form].storage)
        raise InputError(f"tensor core: a is {a.shape} of {a.dtype}; expected [M, {depth}] of {want} ({form}).")
    if c is not None and (c.shape != shape or c.dtype != np.float32):
        raise InputError(f"tensor core: c is {c.shape} of {c.dtype}; expected {shape} of float32.")
    panels = len(columns.values)
    acc = np.zeros((a.shape[0], max(panels * LANES, count)), np.float32)
    special = np.ones(a.shape[0], np.uint8)
    flags = np.zeros((panels, a.shape[0]), np.uint16)
    if c is not None:
        c = _canonical_nan(c) + np.float32(0)  # a zero sum is +0
    if is_fast(rule):
        unfit: Any = False
        if c is not None:
            acc[:, :count], unfit = _start(c, rule)
        block = max(1, min(64, BLOCK_BYTES // (5 * depth * ROWS))) * ROWS
        _driver(columns.wide, rule.accumulator, sums_of(rule))(
            np.ascontiguousarray(a), layout_of(form), block, rule.products_per_step, rule.fraction_bits, columns.values,
            columns.exponents, columns.base, acc, flags, special,
        )  # fmt: skip
        special |= unfit
    out = acc[:, :count]
    _repair(a, columns, c, special, flags, out)
    return out


def _repair(a: Array, columns: Columns, c: Array | None, special: Array, flags: Array, out: Array) -> None:
    """Compute what the tiles could not."""
    rows = np.flatnonzero(special | flags.any(axis=0) | columns.special.any())
    if not rows.size:
        return
    rule, left, right = columns.rule, decode(a[rows], columns.other), columns.decoded
    start = np.zeros((rows.size, out.shape[1]), np.float32) if c is None else c[rows]
    both = start, np.ascontiguousarray(out[rows])
    bits: list[Array] = [f32_to_f16_array(v) if rule.is_float16 else v.view(np.uint32) for v in both]
    _integer_outputs(
        *left[:3], *right[:3], left.fraction_bits + right.fraction_bits, rows, (special, columns.special), flags, rule, *bits
    )
    out[rows] = _canonical_nan(f16_to_f32_array(bits[1]) if rule.is_float16 else bits[1].view(np.float32))


def gemm_tensor_core(
    a: Array, b: Array, formats: tuple[str, str], rule: DotRule, c: Array | None = None
) -> npt.NDArray[np.float32]:
    """Return the accumulators of a [M, K] by b [N, K]; formats: of a and of b. See `multiply`."""
    return multiply(a, pack_columns(b, formats[1], formats[0], rule), c)
