"""TOSA's reciprocal of a window is exact: its averages are those of a division that rounds half away from zero."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tests.oracles.requantize import half_away
from workbench.numerics.tosa import arithmetic_right_shift, average, divide


def test_averages_are_divisions() -> None:
    rng = np.random.default_rng(0)
    count = np.concatenate([np.arange(1, 300), rng.integers(1, 65536, 3000)])
    total = rng.integers(-128, 128, count.size) * count + rng.integers(-1, 2, count.size) * (count // 2)
    want = [half_away(Fraction(t, n)) for t, n in zip(total.tolist(), count.tolist(), strict=True)]
    # Ties of negative sums: TOSA rounds them up, TFLite away from zero; the reciprocal is a little too large, which makes up for it.
    assert average(total, count).tolist() == want


def test_shifts_and_quotients_at_the_ends() -> None:
    x = np.array([-(2**31), -3, -1, 0, 3, 2**31 - 1])
    assert arithmetic_right_shift(x, np.array([31] * 6), True).tolist() == [-1, 0, 0, 0, 0, 1]
    assert arithmetic_right_shift(x, np.zeros(6, int), True).tolist() == x.tolist()
    assert divide(np.array([-7, 7, -8, 1]), np.array([2, -2, 8, 3])).tolist() == [-3, -3, -1, 0]
