"""How weights are stored when that is not in the type they are computed in: block formats, narrow floats, 2:4 sparsity.

A layer in such a format is computed with the decoded values; what the coding changes is their bits, and their size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SPARSE = "2:4"
"""At most two of every four neighbours along the input are not zero; nothing is decoded, half is stored."""


@dataclass(frozen=True)
class Coding:
    """One way of storing weights.

    block: weights that are stored together, along the last axis of a row (rows are output channels; a row is padded to whole blocks).
    bits: width of the computed type -> bits that one stored weight takes, scales included.
    round_trip: float32 [rows, K] -> float32 [rows, K], the values that decoding gives back.
    """

    name: str
    block: int
    bits: Callable[[int], float]
    round_trip: Callable[[Array], Array]
    summary: str


CODINGS: dict[str, Coding] = {
    SPARSE: Coding(
        SPARSE, 4, lambda width: width / 2 + 1, lambda w: w, "two of four values, and two bits each of where they are"
    ),
}
"""Name -> coding."""


def two_of_four(w: Array | None) -> bool:
    """True when at most two of every four neighbours along the last axis (input channels of [O, KH, KW, I] and [O, I]) are not 0."""
    if w is None or w.shape[-1] < 4:
        return False
    present = np.zeros((*w.shape[:-1], -(-w.shape[-1] // 4) * 4), bool)
    present[..., : w.shape[-1]] = w != 0
    return bool((present.reshape(*w.shape[:-1], -1, 4).sum(axis=-1) <= 2).all())
