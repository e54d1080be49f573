"""A whole sequence through an integer LSTM: int8 (int16) activations, int8 weights, int16 gates and cells.

Gates in the order input, forget, cell, output; N of each, side by side. Of a step:

    g = saturate(scaled(start_x + x . w))        then with h: g = saturate(g + scaled(start_h + h . r))
    i, f, o = logistic[g], candidate = tanh[g]   (tables of every int16 value)
    c = saturate(scaled(f * c) + scaled(i * candidate)), clipped
    h = saturate(scaled(o * cell_tanh[c]) + zero point)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.numerics.fixed_point import (
    multiply_by_quantized_multiplier,
    multiply_wide,
    rounding_divide_by_pot,
    saturate_to_bits,
)
from workbench.numerics.jit import inline, kernel

Array = npt.NDArray[Any]


class LstmRule(NamedTuple):
    """sum_first: both products of a gate are added before anything saturates. shifted: products of the cell are shifted right, half
    away from zero, by `forget_shift` and `input_shift`; else they have multipliers too. wide: int64 sums (16-bit multipliers). clip: of
    the cell, 0 for none. zero_point, q_min, q_max: of the hidden state that is written.
    """

    sum_first: bool
    shifted: bool
    wide: bool
    forget_multiplier: int
    forget_shift: int
    input_multiplier: int
    input_shift: int
    hidden_multiplier: int
    hidden_shift: int
    clip: int
    zero_point: int
    q_min: int
    q_max: int


@inline
def scaled_sum(acc: int, multiplier: int, shift: int, wide: bool) -> int:
    """Return acc * multiplier * 2**shift by rule `double` (int32), or by the reduced multiplier (int64)."""
    return multiply_wide(acc, multiplier, shift) if wide else multiply_by_quantized_multiplier(acc, multiplier, shift)


@inline
def scaled_product(a: int, b: int, multiplier: int, shift: int, shifted: bool) -> int:
    """Return a * b of two int16, rescaled. shifted: by 2**-shift alone."""
    return rounding_divide_by_pot(a * b, shift) if shifted else multiply_by_quantized_multiplier(a * b, multiplier, shift)


@inline
def spread(x: Array, w: Array, acc: Array) -> None:
    """acc += x . w, wrapping. x: [K]. w: int16 [K, M]. acc: int32 or int64 [M]."""
    for k in range(x.size):
        value, row = acc.dtype.type(x[k]), w[k]
        for j in range(acc.size):
            acc[j] += value * row[j]


@kernel
def lstm_sequence(
    x: Array, w: Array, start_x: Array, scale_x: tuple[Array, Array], r: Array, start_h: Array, scale_h: tuple[Array, Array],
    rule: LstmRule, logistic: Array, tanh: Array, cell_tanh: Array, hidden: Array, cells: Array, y: Array,
) -> None:  # fmt: skip
    """Fill y [B, T, N] from x [B, T, I], both int8 or both int16, and move the states on: hidden [B, N] like y, cells int16 [B, N].

    w: int16 [I, 4N]. r: int16 [N, 4N]. start_x, start_h: bias less zero point * sum of weights, int32 or int64 [4N]. scale_x, scale_h:
    (multiplier, shift), int32 [4N]. logistic, tanh, cell_tanh: int16 [65536], lowest input first.
    """
    units = y.shape[2]
    acc, gates = np.empty(4 * units, start_x.dtype), np.empty(4 * units, np.int64)
    for b in range(x.shape[0]):
        h, cell = hidden[b], cells[b]
        for t in range(x.shape[1]):
            acc[:] = start_x
            spread(x[b, t], w, acc)
            for j in range(acc.size):
                gates[j] = saturate_to_bits(scaled_sum(int(acc[j]), int(scale_x[0][j]), int(scale_x[1][j]), rule.wide), 16)
            acc[:] = start_h
            spread(h, r, acc)
            for j in range(acc.size):
                v = scaled_sum(int(acc[j]), int(scale_h[0][j]), int(scale_h[1][j]), rule.wide)
                gates[j] = saturate_to_bits(gates[j] + (v if rule.sum_first else saturate_to_bits(v, 16)), 16) + 32768
            for n in range(units):
                enter, keep = int(logistic[gates[n]]), int(logistic[gates[units + n]])
                candidate, leave = int(tanh[gates[2 * units + n]]), int(logistic[gates[3 * units + n]])
                kept = scaled_product(keep, int(cell[n]), rule.forget_multiplier, rule.forget_shift, rule.shifted)
                new = scaled_product(enter, candidate, rule.input_multiplier, rule.input_shift, rule.shifted)
                c = saturate_to_bits(saturate_to_bits(kept, 16) + saturate_to_bits(new, 16), 16)
                if rule.clip > 0:
                    c = min(max(c, -rule.clip), rule.clip)
                cell[n] = c
                v = scaled_product(leave, int(cell_tanh[c + 32768]), rule.hidden_multiplier, rule.hidden_shift, False)
                h[n] = min(max(v + rule.zero_point, rule.q_min), rule.q_max)
            y[b, t] = h
