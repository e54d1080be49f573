"""The exact Pareto frontier of many plans over any axes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def pareto_front(values: F64) -> Indices:
    """Return the rows [P, A] that no other row beats (smaller is better on every axis), ordered by the first axis, then the others.

    A row beats another when it is nowhere larger and somewhere smaller. Of equal rows the first stays. A row with a NaN or an
    infinity is never on the frontier.
    """
    usable = np.flatnonzero(np.isfinite(values).all(axis=1))
    if not len(usable):
        return usable
    # Sorted by all axes, ties by position: no row is beaten by a later one, and the first of equal rows comes first.
    order = usable[np.lexsort((usable, *values[usable].T[::-1]))]
    if values.shape[1] == 1:
        return order[:1]
    if values.shape[1] == 2:
        second = values[order, 1]
        before = np.concatenate(([np.inf], np.minimum.accumulate(second)[:-1]))
        return np.asarray(order[second < before])
    kept = np.empty((len(order), values.shape[1]))
    found: list[int] = []
    for row in order:
        if not (kept[: len(found)] <= values[row]).all(axis=1).any():
            kept[len(found)] = values[row]
            found.append(int(row))
    return np.array(found, np.int64)
