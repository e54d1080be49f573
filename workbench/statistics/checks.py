"""What can be asked of samples at all: one message for what cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError


def table(what: str, values: npt.NDArray[Any], fewest: int = 1) -> None:
    """Refuse values [P, n] without rows, with fewer than `fewest` samples, or with NaN."""
    if values.ndim != 2 or len(values) == 0 or values.shape[1] < fewest:
        raise InputError(f"{what}: shape {values.shape}; give at least one row of at least {fewest} samples, [rows, samples]")
    numbers(what, values)


def numbers(what: str, values: npt.NDArray[Any]) -> None:
    """Refuse NaN: no order and no mean is known of it."""
    if values.dtype != np.bool_ and (wrong := int(np.isnan(values).sum())):
        raise InputError(f"{what}: {wrong:,} of {values.size:,} are NaN; leave these samples out, or give a number for them")


def paired(a: npt.NDArray[Any], b: npt.NDArray[Any], fewest: int = 1) -> None:
    """Refuse two plans [n] that have not the same samples, or fewer than `fewest`."""
    if a.shape != b.shape or a.ndim != 1 or len(a) < fewest:
        raise InputError(
            f"two plans on the same samples: shapes {a.shape} and {b.shape}; give one figure per sample of each, at least {fewest}"
        )
