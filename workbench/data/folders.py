"""Folders: NPY files sorted by name, or pictures; labels from a CSV or from the names of the folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.data.arrays import MAX_BYTES, read_arrays
from workbench.data.numbers import Wanted
from workbench.data.pixels import SUFFIXES, read_picture
from workbench.data.spec import Colour, Preprocess
from workbench.data.table import Table
from workbench.errors import InputError

Array = npt.NDArray[Any]
MAX_FILES = 1_000_000
FOLDERS = "folders"
"""`labels: folders`: each class has a folder of its own."""


class Found(NamedTuple):
    """Samples of a folder. names: the label of each, or None. files: which file each is of, where files hold several, or None."""

    x: Array
    names: list[str] | None
    files: npt.NDArray[np.int64] | None
    pictures: bool


def read_folder(folder: Path, labels: str | None, want: Wanted, p: Preprocess, first: int, count: int | None) -> Found:
    """Return the samples of a folder. first, count: which files."""
    paths = _files(folder)
    named = _labels(folder, paths, labels)
    if count is not None and first + count > len(paths):
        raise InputError(f"{folder}: files {first} to {first + count - 1} are wanted; there are {len(paths)}.")
    chosen = slice(first, None if count is None else first + count)
    paths, named = paths[chosen], None if named is None else named[chosen]
    if not paths:
        raise InputError(f"{folder}: no files are left after the first {first}.")
    if paths[0].suffix.lower() == ".npy":
        return _arrays(paths, named, want)
    return Found(_pictures(paths, _colour(want, p), p), named, None, True)


def _files(folder: Path) -> list[Path]:
    """Return all NPY files, or all pictures, sorted by name (folders first by their own)."""
    paths: list[Path] = []
    for path in folder.rglob("*"):
        if path.suffix.lower() in (".npy", *SUFFIXES) and not path.name.startswith(".") and path.is_file():
            paths.append(path)
            if len(paths) > MAX_FILES:
                raise InputError(f"{folder}: more than {MAX_FILES:,} files.")
    kinds = {path.suffix.lower() == ".npy" for path in paths}
    if not paths:
        raise InputError(f"{folder}: neither NPY files nor pictures ({', '.join(SUFFIXES)}) in this folder.")
    if len(kinds) > 1:
        raise InputError(f"{folder}: NPY files and pictures; give a folder of one kind.")
    return sorted(paths, key=lambda path: path.relative_to(folder).parts)


def _labels(folder: Path, paths: list[Path], labels: str | None) -> list[str] | None:
    """Return the label of every file, as it is written; `paths` without those that the CSV does not name."""
    if labels is None:
        return None
    if labels == FOLDERS:
        loose = [path for path in paths if path.parent == folder]
        if loose:
            raise InputError(f"{folder}: labels are the folders' names, but {loose[0].name} lies in none.")
        return [path.relative_to(folder).parts[0] for path in paths]
    place = folder / labels if (folder / labels).is_file() else Path(labels)
    if not place.is_file():
        raise InputError(f"{folder}: labels are '{labels}': no such CSV there; '{FOLDERS}' takes the names of the folders.")
    table = Table(place)
    by_file: dict[str, str] = {}
    for name, label in zip(table.column("file"), table.column("label"), strict=True):
        if by_file.setdefault(Path(name).as_posix(), label) != label:
            raise InputError(f"{place}: '{name}' has two labels.")
    known = {path.relative_to(folder).as_posix(): path for path in paths}
    missing = [name for name in by_file if name not in known]
    if missing:
        raise InputError(
            f"{place}: names '{missing[0]}'" + (f" and {len(missing) - 1} more" if missing[1:] else "") + f", not in {folder}."
        )
    paths[:] = [path for name, path in known.items() if name in by_file]
    return [by_file[path.relative_to(folder).as_posix()] for path in paths]


def _arrays(paths: list[Path], names: list[str] | None, want: Wanted) -> Found:
    """Return NPY files as samples: each is one, or holds several [n, ...] (windows of a recording)."""
    found: list[Array] = []
    size = 0
    for path in paths:
        arrays = read_arrays(path)
        if list(arrays) != ["x"]:
            raise InputError(f"{path}: an archive of arrays, not one array.")
        x = arrays["x"]
        if x.shape != want.shape and x.shape[1:] == want.shape and len(x):
            found.append(x)
        elif not found or x.shape == found[0].shape[1:]:
            found.append(x[None])
        else:
            raise InputError(f"{path}: shape {x.shape}; the files before it have {found[0].shape[1:]}.")
        if found[-1].dtype != found[0].dtype or found[-1].shape[1:] != found[0].shape[1:]:
            raise InputError(f"{path}: {x.dtype} {x.shape}; the files before it have {found[0].dtype} {found[0].shape[1:]}.")
        size += x.nbytes
        _check_size(paths[0].parent, size)
    counts = [len(x) for x in found]
    files = np.repeat(np.arange(len(found)), counts) if max(counts) > 1 else None
    labels = None if names is None else [n for n, c in zip(names, counts, strict=True) for _ in range(c)]
    return Found(np.concatenate(found), labels, files, False)


def _check_size(folder: Path, size: int) -> None:
    if size > MAX_BYTES:
        raise InputError(f"{folder}: more than {MAX_BYTES >> 30} GiB of samples; take fewer with first and count.")


def _colour(want: Wanted, p: Preprocess) -> Colour:
    """Return the colours of pictures: as said, else grey for a model with one channel."""
    if p.colour is not None:
        return p.colour
    channels = want.shape[0 if p.layout == "NCHW" else -1] if len(want.shape) == 3 else 3
    return "grey" if channels == 1 else "rgb"


def _pictures(paths: list[Path], colour: Colour, p: Preprocess) -> Array:
    found: list[Array] = []
    for path in paths:
        x = read_picture(path, colour, p)
        if found and x.shape != found[0].shape:
            raise InputError(
                f"{path}: {x.shape[0]} x {x.shape[1]} pixels; {paths[0]} has {found[0].shape[0]} x {found[0].shape[1]}.\n"
                "Say preprocess: {resize: [H, W]}."
            )
        found.append(x)
        _check_size(path.parent, x.nbytes * len(found))
    return np.stack(found)
