"""Scores of every sample's outputs: class, squared error against the reference, -log p(label). One pass, no temporaries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.jit import inline, kernel

F64 = npt.NDArray[np.float64]


@inline
def real_value(q: Any, scale: np.float32, zero_point: int) -> float:
    """Return float32(scale * float32(q - zero_point)) as float64; the difference is exact."""
    return np.float64(scale * np.float32(np.float64(q) - zero_point))


@kernel
def score_outputs(
    raw: npt.NDArray[Any],
    scale: np.float32,
    zero_point: int,
    reference: F64,
    labels: npt.NDArray[np.int64],
    floor: float,
    first: int,
    classes: npt.NDArray[Any],
    error: F64,
    entropy: F64,
) -> None:
    """Score outputs raw [n, C], real = float32(scale * (q - zero_point)), of samples first .. first + n - 1.

    classes[i]: the first of the largest outputs (of the first NaN, if any). error[i]: sum of (real - reference)**2 in float64,
    in the order of the outputs. entropy[i], with labels: -log(max(p, floor)) of probabilities (floor > 0), or
    log(sum(exp(y - max y))) - (y[label] - max y) of logits (floor 0).

    Args:
        raw: integers of at most 32 bits, or float32 with scale 1 and zero point 0.
        reference: [N, C]. labels: [N], or [0] for none. classes, error, entropy: [N], of which n entries are set.
    """
    for row in range(raw.shape[0]):
        i = first + row
        best, largest, total = 0, -math.inf, 0.0
        for c in range(raw.shape[1]):
            real = real_value(raw[row, c], scale, zero_point)
            difference = real - reference[i, c]
            total += difference * difference
            if real > largest or (math.isnan(real) and not math.isnan(largest)) or c == 0:
                best, largest = c, real
        classes[i] = best
        error[i] = total
        if labels.size == 0:
            continue
        own = real_value(raw[row, labels[i]], scale, zero_point)
        if floor > 0.0:
            entropy[i] = -math.log(floor if own < floor else own)
            continue
        powers = 0.0
        for c in range(raw.shape[1]):
            powers += math.exp(real_value(raw[row, c], scale, zero_point) - largest)
        entropy[i] = math.log(powers) - (own - largest)


@kernel
def sum_rows(values: F64, sums: F64) -> None:
    """Add up every row of values [R, N] from left to right, so that a row's sum depends on nothing else."""
    for row in range(values.shape[0]):
        total = 0.0
        for i in range(values.shape[1]):
            total += values[row, i]
        sums[row] = total
