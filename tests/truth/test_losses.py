"""Levels: exact where they fit into two bytes, else within the stated error."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.truth.losses import MOST_LEVELS, Losses, encode, find_levels


@pytest.mark.parametrize(("count", "kind"), [(1, np.uint8), (256, np.uint8), (257, np.uint16), (MOST_LEVELS, np.uint16)])
def test_few_values_are_kept_exactly(count: int, kind: type) -> None:
    rng = np.random.default_rng(count)
    values = np.concatenate((rng.permutation(count), rng.integers(0, count, 70_000)))[: 7 * 10_000].reshape(7, -1) / 3.0
    values = values if count < MOST_LEVELS else np.concatenate((np.arange(count), np.zeros(7)))[None] / 3.0
    levels, exact = find_levels([values[:3], values[3:]] if len(values) > 3 else [values])
    codes = encode(values, levels, exact)
    assert exact and codes.dtype == kind and len(levels) == count
    np.testing.assert_array_equal(Losses(codes, levels, exact).values(slice(None)), values)


def test_many_values_are_rounded_by_at_most_a_five_thousandth() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.uniform(np.log(1e-9), np.log(1e3), (4, 40_000)))
    values[0, :3] = 0.0, np.inf, np.nan
    levels, exact = find_levels([values])
    codes = encode(values, levels, exact)
    found = Losses(codes, levels, exact).values(slice(None))
    assert not exact and codes.dtype == np.uint16 and len(levels) == MOST_LEVELS
    np.testing.assert_array_equal(found[0, :3], values[0, :3])
    assert np.abs(found.flat[3:] / values.flat[3:] - 1.0).max() < 0.00022  # half of 1e12 ** (1 / 65532)
    nearest = np.abs(np.log(levels[1:-2])[:, None] - np.log(values[1, :50])).argmin(axis=0)
    np.testing.assert_array_equal(codes[1, :50], 1 + nearest)


def test_undefined_and_infinite_losses_survive() -> None:
    values = np.array([[0.0, np.nan, np.inf], [1.0, np.nan, 2.0]])
    levels, exact = find_levels([values[:1], values[1:]])
    np.testing.assert_array_equal(Losses(encode(values, levels, exact), levels, exact).values(slice(None)), values)


def test_rows_and_samples_are_picked() -> None:
    values = np.arange(12.0).reshape(3, 4)
    losses = Losses(encode(values, *find_levels([values])), *find_levels([values]))
    np.testing.assert_array_equal(losses.values(np.array([2, 0]), np.array([3, 1])), [[11, 9], [3, 1]])
    np.testing.assert_array_equal(losses.take(np.array([1])).values(slice(None)), values[1:2])
