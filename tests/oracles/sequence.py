"""Slow twins of rsqrt, log-softmax, sum and LSTM in Python integers and Fractions. Imports nothing of ours.

Sources: TFLite common.h, elementwise.cc, log_softmax.h, lstm_eval.cc; TFLM lstm_eval.h (rules, no code).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from .elementwise import (
    INT_MAX,
    clip,
    exp_negative,
    high_mul,
    logistic,
    logistic_tanh_s16,
    multiplier,
    newton,
    rescale,
    round_away,
    round_up,
    tanh,
    wrap,
)

Matrix = list[list[int]]


def inverse_sqrt(value: int) -> tuple[int, int]:
    """Return (M, s) with 1 / sqrt(value) ~ M * 2**(s - 31): five Newton steps in Q3.28."""
    if value <= 1:
        return INT_MAX[32], 0
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    a = value * 4**pairs // 2
    half = round_away(Fraction(a, 2))
    x = 2**28
    for _ in range(5):
        cube = clip(high_mul(high_mul(x, x), x) * 64, -INT_MAX[32] - 1, INT_MAX[32])
        x = (high_mul(3 * 2**27, x) - high_mul(half, cube)) * 8
    x = high_mul(x, 1518500250)
    shift = 11 - pairs
    return (x * 2**-shift, 0) if shift < 0 else (x, -shift)


def rsqrt(x: int, zx: int, scale: Fraction, zy: int, bits: int) -> int:
    """Return TFLite's fixed-point rsqrt. scale: 1 / (sqrt(sx) * sy) as a float64."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if x == zx:
        return high
    m, s = inverse_sqrt(x - zx)
    root = rescale(1, m, s + 20)
    m, s = multiplier(scale)
    return clip(rescale(root, m, s - 20) + zy, low, high)


def log_of(value: int) -> int:
    """Return log(value) in Q5.26 of a value >= 1 in Q12.19."""
    half_root, quarter_root = 1518500250, 1805811301
    headroom = 32 - value.bit_length()
    rest_a = 2 * high_mul(value * 2 ** (headroom - 1), half_root)
    scaled = high_mul(value, half_root)
    headroom_b = 31 - scaled.bit_length()
    rest_b = min(value * 2**headroom_b, INT_MAX[32])
    quarter = Fraction(1, 4)
    power = max(12 - headroom + quarter, 12 - headroom_b - quarter)  # in Q6.25, exact
    r = min(rest_a, rest_b)
    p = math.floor(Fraction(r + quarter_root + 1, 2))
    q = 2 * (r - quarter_root)
    square = high_mul(q, q)
    num = high_mul(q, r) + high_mul(high_mul(q, square), 117049297)
    den = high_mul(p, 1057819769 + q + high_mul(127690142, square)) + high_mul(638450708, q)
    reciprocal = min(2 * newton(den, 32), INT_MAX[32])
    total = high_mul(int(power * 2**25), 1488522236) + high_mul(round_away(Fraction(num, 64)), reciprocal)
    return min(2 * total, INT_MAX[32])


def log_softmax(row: list[int], sx: Fraction) -> list[int]:
    """Return TFLite's fixed-point log-softmax of one int8 row, in 1/16 with zero point 127."""
    m, s = multiplier(min(sx * 2**26, Fraction(2**31 - 1)))
    reverse, right = multiplier(Fraction(2 ** (31 - s), m))
    lowest = -((31 * 2**26) // 2**s)
    differences = [x - max(row) for x in row]
    exps = [exp_negative(high_mul(d * 2**s, m), 5, 32) for d in differences if d >= lowest]
    log_sum = log_of(sum(round_away(Fraction(e, 2**12)) for e in exps))
    edge = max(lowest - 1, rescale(log_sum - 2**31, reverse, right))
    return [
        clip(round_away(Fraction(high_mul(d * 2**s, m) - log_sum, 2**22)) + 127, -128, 127) if d > edge else -128
        for d in differences
    ]


def total(values: list[int], sx: Fraction, zx: int, sy: Fraction, zy: int, bits: int) -> int:
    """Return TFLM's sum."""
    acc = wrap(sum(values) - zx * len(values), 32)
    return clip(rescale(acc, *multiplier(sx / sy)) + zy, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _sat16(value: int) -> int:
    return clip(value, -(2**15), 2**15 - 1)


def lstm(
    x: Matrix, w: Matrix, bias: list[int], r: Matrix, zx: int, zh: int, gates: list[tuple[int, int]], recurrent: list[tuple[int, int]],
    cell: Callable[[int, int, int, int], int], out: Callable[[int, int], int], functions: tuple[Callable[[int], int], ...],
    sum_first: bool, wide: bool = False,
) -> Matrix:  # fmt: skip
    """Return the hidden states of one sequence x [T][I]. gates, recurrent: (M, s) of every row of w and r.

    cell(f, c, i, g): the new cell. out(o, c): the new hidden state. functions: logistic and tanh of a gate.
    """
    units = len(r[0])
    hidden, cells = [zh] * units, [0] * units
    found = []
    for row in x:
        values = []
        for j in range(4 * units):
            a = sum((v - zx) * k for v, k in zip(row, w[j], strict=True)) + bias[j]
            b = sum((v - zh) * k for v, k in zip(hidden, r[j], strict=True))
            scaled = [wide_rescale(a, *gates[j]), wide_rescale(b, *recurrent[j])] if wide else [
                rescale(wrap(a, 32), *gates[j]), rescale(wrap(b, 32), *recurrent[j])
            ]  # fmt: skip
            first = _sat16(scaled[0])
            values.append(_sat16(first + (scaled[1] if sum_first else _sat16(scaled[1]))))
        sigmoid, candidate = functions
        cells = [
            cell(sigmoid(values[units + n]), cells[n], sigmoid(values[n]), candidate(values[2 * units + n]))
            for n in range(units)
        ]
        hidden = [out(sigmoid(values[3 * units + n]), cells[n]) for n in range(units)]
        found.append(hidden)
    return found


def wide_rescale(acc: int, m: int, s: int) -> int:
    """Return acc * M * 2**(s - 31) with M reduced to 16 bits, half up."""
    reduced = (m + 2**15) // 2**16 if m < 0x7FFF0000 else 0x7FFF
    return wrap(round_up(Fraction(acc * reduced) * Fraction(2) ** (s - 15)), 32)


def lstm_gemmlowp(log2: int, limit: int, hidden: tuple[int, int], zero: int) -> dict[str, object]:
    """LiteRT: the pieces of `lstm`. log2: of the cell's scale. limit: of the cell, 0 for none. hidden: (M, s) of the hidden state."""

    def cell(f: int, c: int, i: int, g: int) -> int:
        new = _sat16(round_away(Fraction(f * c, 2**15)) + round_away(Fraction(i * g, 2 ** (30 + log2))))
        return clip(new, -limit, limit) if limit else new

    def out(o: int, c: int) -> int:
        return clip(rescale(o * tanh(c, 15 + log2, 16), *hidden) + zero, -128, 127)

    return {"cell": cell, "out": out, "functions": (lambda v: logistic(v, 3, 16), lambda v: tanh(v, 3, 16)), "sum_first": True}


def lstm_table(log2: int, limit: int, hidden: tuple[int, int], zero: int, bits: int, table: list[int]) -> dict[str, object]:
    """TFLM: the same. table: of logistic(i / 24)."""
    forget, entering = multiplier(Fraction(1, 2**15)), multiplier(Fraction(1, 2**30) / Fraction(2) ** log2)
    scale = (3 * 2 ** (12 + log2), 0) if log2 >= -12 else (3, -12 - log2)

    def cell(f: int, c: int, i: int, g: int) -> int:
        new = _sat16(_sat16(rescale(f * c, *forget)) + _sat16(rescale(i * g, *entering)))
        return clip(new, -limit, limit) if limit else new

    def out(o: int, c: int) -> int:
        squashed = logistic_tanh_s16(c, *scale, table, True)
        return clip(rescale(o * squashed, *hidden) + zero, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def gate(is_tanh: bool) -> Callable[[int], int]:
        return lambda v: logistic_tanh_s16(v, 3, 0, table, is_tanh)

    return {"cell": cell, "out": out, "functions": (gate(False), gate(True)), "sum_first": False}
