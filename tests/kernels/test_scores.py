"""Scores of outputs against the definitions, in Python floats and one correctly rounded float32 product."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from workbench.kernels.scores import score_outputs, sum_rows

KINDS: list[tuple[type[Any], float, int]] = [
    (np.int8, 1 / 256, -128), (np.int8, 0.0473, 12), (np.uint8, 0.1, 3), (np.int16, 1 / 32768, 0), (np.int32, 1e-3, 5),
    (np.float32, 1.0, 0),
]  # fmt: skip
RUNS = [pytest.param(score_outputs, id="compiled"), pytest.param(score_outputs.py_func, id="plain")]  # type: ignore[attr-defined]


def draw(kind: type[Any], n: int, classes: int) -> np.ndarray:
    rng = np.random.default_rng(classes)
    if kind is np.float32:
        return rng.standard_normal((n, classes)).astype(np.float32)
    info = np.iinfo(kind)
    return rng.integers(max(info.min, -(2**20)), min(info.max, 2**20), (n, classes)).astype(kind)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("kind", "scale", "zero_point"), KINDS)
@pytest.mark.parametrize("floor", [0.0, 1 / 512])
@pytest.mark.parametrize("labelled", [True, False])
def test_scores_follow_their_definitions(
    run: Callable[..., None], kind: type[Any], scale: float, zero_point: int, floor: float, labelled: bool
) -> None:
    n, first, classes = 7, 2, 5
    raw = draw(kind, n, classes)
    reference = np.random.default_rng(1).standard_normal((n + 4, classes))
    labels = np.random.default_rng(2).integers(0, classes, n + 4) if labelled else np.empty(0, np.int64)
    got, error = np.full(n + 4, 99, np.uint8), np.full(n + 4, -1.0)
    entropy = np.full(n + 4 if labelled else 0, -1.0)
    run(raw, np.float32(scale), zero_point, reference, labels, floor, first, got, error, entropy)
    for row in range(n):
        real = [float(np.float32(float(np.float32(scale)) * (float(v) - zero_point))) for v in raw[row]]
        i = first + row
        assert got[i] == real.index(max(real))
        assert error[i] == pytest.approx(math.fsum((a - b) ** 2 for a, b in zip(real, reference[i], strict=True)), rel=1e-14)
        if labelled and floor:
            assert entropy[i] == pytest.approx(-math.log(max(real[labels[i]], floor)), rel=1e-14, abs=1e-15)
        elif labelled:
            powers = math.fsum(math.exp(v - max(real)) for v in real)
            assert entropy[i] == pytest.approx(math.log(powers) + max(real) - real[labels[i]], rel=1e-13, abs=1e-13)
    outside = [0, 1, n + 2, n + 3]
    assert (got[outside] == 99).all() and (error[outside] == -1).all()


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    ("row", "best"),
    [
        ([1.0, 3.0, 3.0], 1), ([2.0, 2.0, 2.0], 0), ([math.nan, 1.0, 2.0], 0), ([1.0, math.nan, math.nan], 1),
        ([-math.inf, -math.inf, -math.inf], 0), ([-math.inf, 1.0, math.inf], 2), ([5.0, math.inf, math.nan], 2), ([7.0], 0),
    ],
)  # fmt: skip
def test_the_class_is_the_first_of_the_largest_and_of_nan(run: Callable[..., None], row: list[float], best: int) -> None:
    got, error = np.zeros(1, np.uint8), np.zeros(1)
    none, reference = np.empty(0, np.int64), np.zeros((1, len(row)))
    run(np.array([row], np.float32), np.float32(1), 0, reference, none, 0.0, 0, got, error, np.empty(0))
    assert got[0] == best == np.argmax(row)


@pytest.mark.parametrize("rows", [1, 2, 50])
def test_a_row_is_summed_from_left_to_right(rows: int) -> None:
    values = np.random.default_rng(rows).standard_normal((rows, 101)) * 10.0 ** np.random.default_rng(0).integers(-9, 9, 101)
    sums = np.empty(rows)
    sum_rows(values, sums)
    for row in range(rows):
        total = 0.0
        for value in values[row].tolist():
            total += value
        assert sums[row] == total
