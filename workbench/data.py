"""Samples: arrays from NPZ files, with labels or without, checked once and hashed."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError, nearest

Array = npt.NDArray[Any]
MAX_BYTES = 8 * 2**30


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples (batch first) and integer labels [N] or None. name: where they came from."""

    name: str
    inputs: Array
    labels: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def digest(self) -> str:
        """Content hash of samples and labels."""
        h = hashlib.sha256(f"{self.inputs.dtype}{self.inputs.shape}".encode() + np.ascontiguousarray(self.inputs).tobytes())
        if self.labels is not None:
            h.update(self.labels.tobytes())
        return h.hexdigest()

    def take(self, index: slice | npt.NDArray[np.int64], name: str) -> Dataset:
        """Return some of the samples under another name."""
        return replace(self, name=name, inputs=self.inputs[index], labels=None if self.labels is None else self.labels[index])


def read_arrays(path: Path) -> Mapping[str, Array]:
    """Return the arrays of an NPZ file (or {'x': array} of an NPY); InputError when it is not one. Never unpickles."""
    try:
        with path.open("rb") as file:  # opened here: NumPy leaves the file open when it turns out not to be an archive
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"x": loaded}
            if sum(info.file_size for info in loaded.zip.infolist()) > MAX_BYTES:
                raise InputError(f"{path}: holds more than {MAX_BYTES >> 30} GiB of arrays.")
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem).split("\n")[0].removesuffix(".")
        if "pickle" in reason:  # NumPy's advice to allow pickles is not for data of unknown origin
            reason = "it holds Python objects, or is no NumPy file at all"
        raise InputError(f"{path}: not a readable NPZ or NPY file of plain arrays: {reason}.") from None


def pick(arrays: Mapping[str, Array], key: str, where: str) -> Array:
    """Return one array; InputError with the known names otherwise."""
    if key not in arrays:
        raise InputError(f"{where}: has no array '{key}'.{nearest(key, arrays)}\nArrays: {', '.join(arrays)}.")
    return arrays[key]


def make_dataset(name: str, x: Array, y: Array | None, classes: int | None = None) -> Dataset:
    """Return a checked dataset; InputError when counts, types or labels do not fit."""
    if x.ndim < 1 or not len(x) or x.dtype.kind not in "fiub":
        raise InputError(f"{name}: samples of shape {x.shape}, type {x.dtype}; expected at least one sample of numbers.")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise InputError(f"{name}: the samples contain NaN or infinite values.")
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
