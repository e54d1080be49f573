"""`Found`: what a search over plans comes back with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.sweep import Codes

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Found:
    """Plans evaluated on all samples, and the frontier among them.

    codes: uint8 [P, G], in the order of evaluation. badness, loss: float64 [P], of all samples. costs: [P, A], on the axes that were
    minimized. spent: evaluations, parts of the samples counted as that part of one. frontier: rows of `codes` that nothing found
    beats. trace: how the search went on. predict: ranks any plans (smaller is better), or None for a search without a model.
    """

    codes: Codes
    badness: F64
    loss: F64
    costs: F64
    spent: float
    frontier: npt.NDArray[np.int64]
    trace: tuple[Any, ...]
    predict: Callable[[Codes], F64] | None
