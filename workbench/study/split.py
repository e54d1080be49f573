"""Which evaluation samples choose, and which confirm the choice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.data import Dataset
from workbench.errors import StudyError

CHANCE = 3.0
"""Standard deviations by which a class may be off its share among the samples that confirm: what chance gives."""

Indices = npt.NDArray[np.int64]


def split(data: Dataset, confirm: float) -> tuple[Dataset, Dataset | None]:
    """Return the samples that choose and those that confirm; the windows of a file stay together.

    Every second one (for a share of a half) confirms: files are often sorted by class or time. Where labels are classes and that leaves
    one of them out, or off its share by more than chance gives (they may alternate), every second one of each class does.
    """
    units = np.arange(len(data)) if data.files is None else data.files
    count = int(units.max()) + 1
    wanted = round(count * confirm)
    if not wanted:
        return data.take(slice(None), data.name), None
    if wanted >= count:
        raise StudyError(f"study: $.data.confirm is {confirm} of {count} samples: none are left to choose with.")
    held = np.floor((np.arange(wanted) + 0.5) * count / wanted).astype(np.int64)
    classes, how = _classes(data, units, count), ""
    if classes is not None and not _is_fair(classes, held):
        held, how = np.argsort(classes, kind="stable")[held], ", divided class by class"
    is_held = np.isin(units, held)
    parts = (np.flatnonzero(~is_held), "choose"), (np.flatnonzero(is_held), "confirm")
    select, kept = (data.take(rows, f"{data.name}, {len(rows)} to {what}{how}") for rows, what in parts)
    return select, kept


def _classes(data: Dataset, units: Indices, count: int) -> Indices | None:
    """Return the class of every sample or file (that of its first window), or None where labels are no classes."""
    if data.labels is None or data.labels.ndim != 1 or data.labels.dtype.kind not in "iub":
        return None
    found, first = np.unique(units, return_index=True)
    return data.labels[first].astype(np.int64) if len(found) == count else None


def _is_fair(classes: Indices, held: Indices) -> bool:
    """Return whether every class of several units is in both parts, about as often as a random draw has it (hypergeometric)."""
    _, own = np.unique(classes, return_inverse=True)
    size, found, share = np.bincount(own), np.bincount(own[held], minlength=own.max() + 1), len(held) / len(own)
    spread = np.sqrt(size * share * (1.0 - share) * (len(own) - size) / max(len(own) - 1, 1))
    missing = (found == 0) | (found == size)
    several = np.minimum(size * share, size * (1.0 - share)) >= 1.0
    return not ((missing & several) | (np.abs(found - size * share) > np.maximum(CHANCE * spread, 1.0))).any()
