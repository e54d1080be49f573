"""Tables that runtimes make at start: the precision in which they are made shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.numerics.tables import interpolation_table


def reciprocal(v: Any) -> Any:
    return v.dtype.type(1) / (v.dtype.type(1) + v)


def test_float32_moves_two_entries_of_the_reciprocal() -> None:
    # tflite-micro (float32) and LiteRT (float64) print softmax values that differ by one where these entries are used.
    wide = interpolation_table(reciprocal, 0.0, 1.0, np.float64)
    narrow = interpolation_table(reciprocal, 0.0, 1.0, np.float32)
    assert np.flatnonzero(wide != narrow).tolist() == [160, 294]
    assert (wide[160], narrow[160], wide[294], narrow[294]) == (24967, 24966, 20815, 20816)


def test_exponential_is_the_same_in_both() -> None:
    np.testing.assert_array_equal(
        interpolation_table(np.exp, -10.0, 0.0, np.float64), interpolation_table(np.exp, -10.0, 0.0, np.float32)
    )
