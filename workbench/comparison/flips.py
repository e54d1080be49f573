"""Samples whose class differs, and what the labels say about them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.comparison.results import Flip, Flips
from workbench.statistics import paired_difference

Classes = npt.NDArray[np.int64]


def find_flips(a: Classes, b: Classes, labels: Classes | None, output_samples: int) -> Flips:
    """Return the flips between classes [N] of A and B. output_samples: samples whose outputs differ at all."""
    where = np.flatnonzero(a != b)
    flipped = tuple(Flip(int(i), int(a[i]), int(b[i]), None if labels is None else int(labels[i])) for i in where)
    if labels is None:
        return Flips(len(a), output_samples, flipped, None, None, None, None, None, None)
    right_a, right_b = a == labels, b == labels
    change = paired_difference(right_a, right_b)
    wrong = len(flipped) - change.gained - change.lost
    return Flips(
        len(a), output_samples, flipped, int(right_a.sum()), int(right_b.sum()), change.gained, change.lost, wrong, change
    )
