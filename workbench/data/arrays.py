"""Arrays of NPZ and NPY files, read without trust."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError, nearest

Array = npt.NDArray[Any]
MAX_BYTES = 8 * 2**30


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
