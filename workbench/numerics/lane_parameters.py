"""From a `Requantizer` to the parameter vectors of the rules in `simd_rules.py`: which form of a rule, and its numbers per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.requantize import Requantizer
from workbench.numerics.simd import LANES
from workbench.numerics.simd_rules import DOUBLE, FAMILIES, LONG, RULES

Array = npt.NDArray[Any]

BIAS = 1 << 31
"""What `bounded` wants accumulators to start from."""


def lane_parameters(
    requantize: Requantizer, repeat: int, channels: slice, columns: int, low: Array, high: Array
) -> tuple[str, npt.NDArray[np.int32]]:
    """Return (name of the lanes' rule, int32 [panels, words]).

    repeat: the requantizer's channels are taken so many times, one after the other. channels: of those, the ones that are asked for.
    columns: room for them, a multiple of 16; what lies beyond gives anything. low, high: int64, the range of every channel's
    accumulator before it wraps.
    """
    first, second = np.tile(requantize.first, repeat), np.tile(requantize.second, repeat)
    if requantize.name.startswith("float32"):
        name, rows = {"float32_half_even": "float32"}.get(requantize.name, requantize.name), [first.view(np.int32)]
    elif requantize.name.startswith("power_of_two"):
        name, rows = "shift", _shift_parameters(first, second, requantize.name.endswith("even"), 32)
    elif requantize.name == "multiplier_floor32":
        name, rows = "wrapped", [first, second]
    elif requantize.name in _PRODUCTS:
        name, rows = "product", _PRODUCTS[requantize.name](first.astype(np.int64), second.astype(np.int64))
    elif requantize.name == "float64_half_away":
        name, rows = "float64", [first]
    elif requantize.name == "single":
        right: Array = 31 - second.astype(np.int64)
        name, rows = "single", [first.astype(np.int64), np.left_shift(1, right - 1), right]
    else:
        away = np.tile(requantize.away, repeat)
        name, rows = _fixed_parameters(first, second.astype(np.int64), away, requantize.zero_point, low, high)
    panels = []
    for row, kind in zip(rows, RULES[name][1], strict=True):
        part = row[channels]
        padded = np.zeros(columns, part.dtype if kind in (LONG, DOUBLE) else np.int32)
        padded[: part.size] = part
        panels.append(padded.view(np.int32).reshape(columns // LANES, -1))
    return name, np.ascontiguousarray(np.concatenate(panels, axis=1))


def wide_parameters(
    requantize: Requantizer, repeat: int, bias: Array, wrap: int, channels: slice, columns: int
) -> tuple[str, Array]:
    """As `lane_parameters` for int64 accumulators: (name, [panels, words] in the type of the rule's family).

    bias: int64, of every channel. wrap: 64 - bits of the accumulator.
    """
    first, second = np.tile(requantize.first, repeat), np.tile(requantize.second, repeat)
    rows: list[Array] = [bias, np.full(bias.size, wrap)]
    if requantize.name == "float64_half_away":
        name, rows = "wide_float64", [*rows, first.view(np.int64)]
    elif requantize.name.startswith("power_of_two"):
        name, rows = "wide_shift", [*rows, *_shift_parameters(first, second, requantize.name.endswith("even"), 64)]
    else:
        right: Array = 15 - second.astype(np.int64)
        name, rows = "wide_reduced", [*rows, first, np.left_shift(1, right - 1), right]
    padded = np.zeros((len(rows), columns), np.int64)
    for row, part in zip(padded, rows, strict=True):
        row[: part[channels].size] = part[channels]
    panels = padded.reshape(len(rows), -1, LANES).transpose(1, 0, 2)
    return name, np.ascontiguousarray(panels).reshape(columns // LANES, -1).view(FAMILIES[name])


def _fixed_parameters(
    multiplier: Array, shift: Array, away: Array, zero_point: int, low: Array, high: Array
) -> tuple[str, list[Array]]:
    right, one = np.maximum(-shift, 0), (shift < 0).astype(np.int64)
    away = -(away * one)

    def rescaled(acc: Array) -> Array:
        v = (acc * multiplier + (1 << 30)) >> 31
        return (v + ((np.int64(1) << right) >> 1) + np.where(v < 0, away, 0)) >> right

    bounded = (shift <= 0) & (low >= -(2**31)) & (high < 2**31)
    ends = [rescaled(np.where(bounded, v, 0)) for v in (low, high)]
    dead = bounded & (ends[0] == ends[1])  # as of channels that training has switched off: tiny scales, shifts about 30
    alive = ~dead
    rounding = (((np.int64(1) << right) >> 1) + (zero_point << right)) * alive + (ends[0] + zero_point) * dead
    largest = np.maximum(-low, high) * alive  # |srdhm| is not larger
    if bounded.all() and (largest + np.abs(rounding) < 2**31 - 2).all():
        factor = multiplier * alive
        return "bounded", [factor, 2 * factor.astype(np.int64), rounding - factor, away * alive, right * alive]
    return "fixed", [multiplier, np.maximum(shift, 0), away, np.maximum(right - 1, 0), one]


def _shift_parameters(left: Array, right: Array, even: bool, bits: int) -> list[Array]:
    """Return the rows of `shift`. A clipped accumulator shifted to the left fits `bits` bits, and is beyond every int16 where it was
    clipped; shifted by `bits` or more to the right everything is 0, which clipping to 0 gives too."""
    left, right = left.astype(np.int64), right.astype(np.int64)
    reach = np.int64(1) << (bits - 1 - np.maximum(left, 1 if bits > 32 else 0))
    gone = right >= bits
    least, most = np.where(gone, 0, -reach), np.where(gone, 0, reach - 1)
    right = np.where(gone, 0, right)
    half = (np.int64(1) << right) >> 1
    rounded = (right > 0).astype(np.int64)
    return [least, most, left, right, (np.int64(1) << right) - 1, half - rounded * even, rounded * even]


def _icn_parameters(multiplier: Array, shift: Array) -> list[Array]:
    left = np.maximum(shift + 1, 0)
    return [*_unclipped(left), left, multiplier, 0 * left, 32 + np.maximum(-shift - 1, 0)]


def _rndnu_parameters(mantissa: Array, shift: Array) -> list[Array]:
    return [*_unclipped(shift), 0 * shift, mantissa, np.int64(1) << (shift - 1), shift]


def _floor_parameters(multiplier: Array, shift: Array) -> list[Array]:
    return [*_unclipped(shift), 0 * shift, multiplier, 0 * shift, shift]


def _unclipped(like: Array) -> list[Array]:
    return [np.full(like.shape, -(2**31)), np.full(like.shape, 2**31 - 1)]


_PRODUCTS = {"icn": _icn_parameters, "rndnu": _rndnu_parameters, "multiplier_floor": _floor_parameters}
