"""Operands of `gemm_tensor_core` as its tiles want them: float32 values and int8 exponents, rows as they are, columns in panels of 16.

Numbers are *narrow* (all exponents of products lie within 2**+-64: fp16, fp8) or *wide* (bf16, tf32: 8 exponent bits). Every step of a
wide row is divided by the power of two of its largest number; see `numerics/simd_tensor_core.py`, which says why that is exact.
Infinities and NaN become zeros, and their row is marked: its outputs are computed elsewhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.numerics.float_formats import FORMATS
from workbench.numerics.jit import inline, kernel
from workbench.numerics.simd_tensor_core import LOWEST_EXPONENT, ZERO_EXPONENT

Array = npt.NDArray[Any]

TAPS = 4
"""K is padded with zeros to a multiple of this: exponents are compared four at a time."""


class Layout(NamedTuple):
    """A format as kernels read it. special: patterns without sign from here on are infinities or NaN."""

    dropped_bits: int
    exponent_bits: int
    fraction_bits: int
    bias: int
    special: int


def layout_of(name: str) -> Layout:
    """Return the layout of a format of matrix units (a key of FORMATS with a sign and without NaN at -0)."""
    form = FORMATS[name]
    ones = (1 << (form.exponent_bits + form.fraction_bits)) - 1
    special = ones + 1 if form.nan == "none" else ones
    if form.has_infinity:
        special = ones + 1 - (1 << form.fraction_bits)
    return Layout(form.dropped_bits, form.exponent_bits, form.fraction_bits, form.bias, special)


@inline
def _split(bits: Any, layout: Layout) -> tuple[Any, Any, Any]:
    """Return (float32 value, exponent, special) of a pattern: value 0 and the exponent of a zero for zeros and specials."""
    code = np.uint32(bits) >> np.uint32(layout.dropped_bits)
    width = layout.exponent_bits + layout.fraction_bits
    magnitude = np.uint32(code & np.uint32((1 << width) - 1))
    special = magnitude >= np.uint32(layout.special)
    shifted = np.uint32(magnitude << np.uint32(23 - layout.fraction_bits)).view(np.float32)
    value = np.float32(shifted * np.uint32((254 - layout.bias) << 23).view(np.float32))  # 2**(127 - bias)
    value = np.float32(0) if special else value
    sign = np.uint32(np.uint32(code >> np.uint32(width)) << np.uint32(31))
    field = np.int32(magnitude >> np.uint32(layout.fraction_bits))
    exponent = np.int32(max(field, np.int32(1)) - np.int32(layout.bias))
    exponent = np.int32(ZERO_EXPONENT) if special or magnitude == np.uint32(0) else exponent
    return np.uint32(np.float32(value).view(np.uint32) | sign).view(np.float32), exponent, special


@inline
def _divide_steps(step: Any, base: Any, tops: Any, values: Any, exponents: Any) -> None:
    """Divide every step of a wide row by 2**base, the power of two of its largest number. tops: room for int8 [K]."""
    depth = values.size
    for s in range(base.size):
        first, last = s * step, min((s + 1) * step, depth)
        top = np.int8(-126)
        for k in range(first, last):
            top = max(top, exponents[k])
        base[s] = top
        for k in range(first, last):
            tops[k] = top
    for k in range(depth):
        divisor, exponent = np.int32(tops[k]), np.int32(exponents[k])
        # 2**-127 is a subnormal float32, and as good a factor as any.
        inverse = np.uint32(
            np.int32(1 << 22) if divisor == np.int32(127) else np.int32((np.int32(127) - divisor) << np.int32(23))
        )
        below = np.int32(exponent - divisor)
        value = np.float32(values[k] * inverse.view(np.float32))
        values[k] = np.float32(0) if below < np.int32(LOWEST_EXPONENT) else value
        kept = max(below, np.int32(LOWEST_EXPONENT))
        exponents[k] = np.int8(ZERO_EXPONENT) if exponent == np.int32(ZERO_EXPONENT) else np.int8(kept)


@inline
def load_rows(
    bits: Any, first: Any, rows: Any, layout: Layout, step: Any, values: Any, exponents: Any, base: Any, tops: Any, special: Any
) -> None:
    """Load rows first, first + 1, ... of patterns [M, K] into the first rows of values, exponents [block, depth] and base.

    What lies beyond K is kept. base: int32 [block, steps], without steps for narrow numbers. tops: int8 [depth], overwritten.
    special: uint8 [M], set for rows with infinities or NaN.
    """
    depth = bits.shape[1]
    for r in range(rows):
        line, number, exponents_of_row = bits[first + r], values[r, :depth], exponents[r, :depth]
        found = np.uint32(0)
        for k in range(depth):
            value, exponent, is_special = _split(line[k], layout)
            number[k], exponents_of_row[k] = value, np.int8(exponent)
            found |= np.uint32(is_special)
        special[first + r] = found
        if base.shape[1] > 0:
            _divide_steps(step, base[r], tops, number, exponents_of_row)


@kernel
def load_columns(bits: Any, layout: Layout, step: Any, values: Any, exponents: Any, base: Any, special: Any) -> None:
    """Load patterns [N, K] as panels: values [T, depth, 16], exponents [T, depth / 4, 16, 4], base [T, steps, 16]; special [N]."""
    panels, depth, lanes = values.shape
    number = np.zeros((lanes, depth), np.float32)
    exponent = np.full((lanes, depth), ZERO_EXPONENT, np.int8)
    bases, tops = np.zeros((lanes, base.shape[1]), np.int32), np.zeros(depth, np.int8)
    for t in range(panels):
        columns = min(lanes, bits.shape[0] - lanes * t)
        load_rows(bits, lanes * t, columns, layout, step, number, exponent, bases, tops, special)
        for k in range(depth):
            for n in range(columns):
                values[t, k, n] = number[n, k]
        for n in range(columns):
            for k in range(0, depth, TAPS):
                for i in range(TAPS):
                    exponents[t, k // TAPS, n, i] = exponent[n, k + i]
            for s in range(base.shape[1]):
                base[t, s, n] = bases[n, s]
