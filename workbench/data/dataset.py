"""Samples with labels or without, checked once and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError

Array = npt.NDArray[Any]


class Names(NamedTuple):
    """Names of classes that became their places: in the order given by a study, or sorted because none was."""

    names: tuple[str, ...]
    given: bool


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples (batch first; of several inputs by name), labels with the samples first or None. name: where they came from.

    labels: classes int64 [N], or what another metric wants. files: which file a sample (window) is of, int64 [N], or None.
    names: of the classes, where labels were names; they are no part of the digest, which their places are.
    """

    name: str
    inputs: Array | Mapping[str, Array]
    labels: Array | None
    files: npt.NDArray[np.int64] | None = None
    names: Names | None = None

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def arrays(self) -> Mapping[str, Array]:
        """The inputs by name; '' for the only one."""
        return self.inputs if isinstance(self.inputs, Mapping) else {"": self.inputs}

    @property
    def one_input(self) -> Array:
        """The only input."""
        (found,) = self.arrays.values()
        return found

    @cached_property
    def digest(self) -> str:
        """Content hash of samples, labels and files."""
        h = hashlib.sha256()
        parts = {f"input {name}": x for name, x in self.arrays.items()} | {"labels": self.labels, "files": self.files}
        for name, x in parts.items():
            if x is not None:
                h.update(f"{name}{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
        return h.hexdigest()

    def rows(self) -> list[bytes]:
        """Return the bytes of every sample: equal for equal samples."""
        parts = [[row.tobytes() for row in np.ascontiguousarray(x)] for x in self.arrays.values()]
        return [b"".join(row) for row in zip(*parts, strict=True)]

    def take(self, index: slice | npt.NDArray[np.int64], name: str) -> Dataset:
        """Return some of the samples under another name."""
        inputs = {k: x[index] for k, x in self.inputs.items()} if isinstance(self.inputs, Mapping) else self.inputs[index]
        labels, files = (None if x is None else x[index] for x in (self.labels, self.files))
        return replace(self, name=name, inputs=inputs, labels=labels, files=files)


def check_samples(name: str, x: Array) -> None:
    """Raise InputError unless an array holds samples of finite numbers."""
    if x.ndim < 1 or not len(x) or x.dtype.kind not in "fiub":
        raise InputError(f"{name}: samples of shape {x.shape}, type {x.dtype}; expected at least one sample of numbers.")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))
        raise InputError(
            f"{name}: the samples contain NaN or infinite values ({len(bad)} of them, the first is number {bad[0]})."
        )


def make_dataset(name: str, x: Array, y: Array | None, classes: int | None = None) -> Dataset:
    """Return a checked dataset; InputError when counts, types or labels do not fit."""
    check_samples(name, x)
    if y is None:
        return Dataset(name, x, None)
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise InputError(
            f"{name}: labels of shape {y.shape}, type {y.dtype} for {len(x)} samples; expected integers ({len(x)},)."
        )
    labels = y.astype(np.int64)
    if labels.min() < 0 or (classes is not None and labels.max() >= classes):
        raise InputError(
            f"{name}: labels from {labels.min()} to {labels.max()}; "
            + ("they count from 0." if classes is None else f"the model has classes 0 to {classes - 1}.")
        )
    return Dataset(name, x, labels)
