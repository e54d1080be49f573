"""TOSA operators on integers that no operator of the workbench is, exact: shifts, TABLE, MUL, AVG_POOL2D, RESIZE, INTDIV.

RESCALE is not here: its roundings are rules of `Arithmetic.requantize` (ROUNDING). Arrays in, arrays out. Source: TOSA 1.0
specification; Arm, TOSA reference model (tosa-tools 2026.8.0).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROUNDING = {"SINGLE_ROUND": "single", "DOUBLE_ROUND": "double", "INEXACT_ROUND": "float32_half_even"}
"""`rounding_mode` of RESCALE -> rule. INEXACT_ROUND is up to the implementation; this one is the reference model's."""


def wrap32(value: Array) -> Array:
    """Return the low 32 bits, signed, as int64."""
    return value.astype(np.int64).astype(np.int32).astype(np.int64)


def arithmetic_right_shift(x: Array, amount: Array, rounding: bool) -> Array:
    """Return x >> amount; rounding adds the last bit that is shifted out."""
    x, amount = x.astype(np.int64), amount.astype(np.int64)
    last = np.where(amount > 0, (x >> np.maximum(amount - 1, 0)) & 1, 0)
    return np.asarray((x >> amount) + (last if rounding else 0))


def table_lookup(x: Array, table: Array) -> Array:
    """int8: table[x + 128] of 256. int16: 513 entries, 7 bits apart: (t[i] << 7) + (t[i + 1] - t[i]) * (x & 127), int32."""
    if x.dtype == np.int8:
        return np.asarray(table[x.astype(np.int64) + 128])
    t, i, part = table.astype(np.int64), (x.astype(np.int64) >> 7) + 256, x.astype(np.int64) & 127
    return np.asarray((t[i] << 7) + (t[i + 1] - t[i]) * part, np.int32)


def multiply(a: Array, b: Array, shift: int) -> Array:
    """Return a * b, int32 ones rounded half up at `shift` bits."""
    product = a.astype(np.int64) * b.astype(np.int64)
    return wrap32((product + (np.int64(1) << (shift - 1))) >> shift if shift else product).astype(np.int32)


def average(total: Array, count: Array) -> Array:
    """Return total / count by a 31-bit reciprocal, half up: AVG_POOL2D. total: less its zero points; count: valid positions."""
    k = np.array([int(n - 1).bit_length() for n in count.reshape(-1).tolist()], np.int64).reshape(count.shape)
    scale = (((np.int64(1) << 30) + 1) << k) // count
    return np.asarray((total.astype(np.int64) * scale + (np.int64(1) << (29 + k))) >> (30 + k))


def divide(a: Array, b: Array) -> Array:
    """Return a / b toward zero, as C: INTDIV."""
    a, b = a.astype(np.int64), b.astype(np.int64)
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), np.int32)


def resize(x: Array, scale: Array, offset: Array, border: Array, bilinear: bool) -> Array:
    """Return x [N, H, W, C] resized: nearest in its own type, bilinear in int32 (int8) or int64 (int16), scaled by both numerators.

    scale: (numerator, denominator) of height and width. offset, border: (height, width), in units of 1 / numerator.
    """
    height, width = x.shape[1:3]
    sizes = [
        ((n - 1) * s - o + b) // d + 1
        for n, (s, d), o, b in zip(x.shape[1:3], scale.reshape(2, 2), offset, border, strict=True)
    ]
    places = []
    for i, size in enumerate((height, width)):
        numerator, denominator = (int(v) for v in scale.reshape(2, 2)[i])
        at = np.arange(int(sizes[i]), dtype=np.int64) * denominator + int(offset[i])
        low = at // numerator
        part = at - low * numerator
        inside = [np.clip(low + step, 0, size - 1) for step in (0, 1)]
        places.append((inside[0], inside[1], part, numerator))
    (y0, y1, dy, ny), (x0, x1, dx, nx) = places
    if not bilinear:
        rows, columns = np.where(2 * dy >= ny, y1, y0), np.where(2 * dx >= nx, x1, x0)
        return np.asarray(x[:, rows][:, :, columns])
    wide = x.astype(np.int64)
    v, h = dy[:, None, None], dx[None, :, None]
    top = wide[:, y0][:, :, x0] * (nx - h) + wide[:, y0][:, :, x1] * h
    bottom = wide[:, y1][:, :, x0] * (nx - h) + wide[:, y1][:, :, x1] * h
    return np.asarray(top * (ny - v) + bottom * v)
