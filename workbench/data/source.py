"""From a source to samples: read, preprocessed, held against the model's inputs, labels as integers or numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.data.arrays import pick, read_arrays
from workbench.data.dataset import Dataset, Names, check_samples
from workbench.data.folders import FOLDERS, read_folder
from workbench.data.numbers import Wanted, check_fit, preprocess, without_ones
from workbench.data.spec import DataSource, InputSource, Preprocess
from workbench.data.table import Table
from workbench.errors import InputError

Array = npt.NDArray[Any]


def read_source(source: DataSource, path: Path, wanted: Sequence[Wanted]) -> Dataset:
    """Return the samples of a source for a model with these inputs; InputError with one message when something does not fit.

    path: of `source.file`, found already.
    """
    if path.is_dir():
        return _folder(source, path, wanted)
    if path.suffix.lower() == ".csv":
        return _table(source, path, wanted)
    return _archive(source, path, wanted)


def _archive(source: DataSource, path: Path, wanted: Sequence[Wanted]) -> Dataset:
    arrays = read_arrays(path)
    if isinstance(source.inputs, tuple):
        raise InputError(
            f"{path.name}: inputs is a list of columns; an NPZ has arrays: name one, or map the model's inputs to them."
        )
    inputs = _sources(source, wanted, lambda: _only(arrays, path), arrays)
    raw = {name: pick(arrays, str(own.array), path.name) for name, own in inputs.items()}
    x = next(iter(raw.values()))
    if x.ndim < 1 or any(v.ndim < 1 or len(v) != len(x) for v in raw.values()):
        raise InputError(
            f"{path.name}: {', '.join(f'{k} {v.shape}' for k, v in raw.items())}: expected as many samples in each."
        )
    chosen = _rows(source, len(x), f"{path.name}: '{next(iter(inputs.values())).array}'")
    made = {name: _made(source, own, raw[name][chosen], _want(wanted, name), path.name) for name, own in inputs.items()}
    labels = None if source.labels is None else pick(arrays, source.labels, path.name)
    files = None if source.files is None else pick(arrays, source.files, path.name)
    for key, array in (("labels", labels), ("files", files)):
        if array is not None and (array.ndim < 1 or len(array) != len(x)):
            raise InputError(f"{path.name}: {key} of shape {array.shape} for {len(x)} samples.")
    kept = None if labels is None else _numbered(labels[chosen], source, path.name)
    found = "+".join(str(own.array) for own in inputs.values())
    return _dataset(f"{path.name}#{found}", made, kept, None if files is None else _ids(files[chosen]))


def _only(arrays: Mapping[str, Array], path: Path) -> str:
    """Return the name of the array that is taken when none is named: the only one, or 'x'."""
    if len(arrays) == 1 or "x" in arrays:
        return "x" if "x" in arrays else next(iter(arrays))
    raise InputError(f"{path.name}: which array? Say inputs: NAME. Arrays: {', '.join(arrays) or 'none'}.")


def _table(source: DataSource, path: Path, wanted: Sequence[Wanted]) -> Dataset:
    table = Table(path)
    labels = None if source.labels is None else _cells(table, source.labels)
    files = None if source.files is None else np.array(table.column(source.files))
    taken = {source.labels, source.files}
    every = tuple(name for name in table.names if name not in taken)
    inputs = _sources(source, wanted, lambda: every, table.names)
    chosen = _rows(source, len(table.rows), path.name)
    made = {}
    for name, own in inputs.items():
        want = _want(wanted, name)
        x = table.numbers((own.array,) if isinstance(own.array, str) else own.array)[chosen]
        if x.size == len(x) * int(np.prod(want.shape, dtype=np.int64)):
            x = x.reshape(len(x), *want.shape)
        if not want.plain:
            x = x.astype(np.float32)  # a text says numbers, not a type of storage
        made[name] = _made(source, own, x, want, path.name)
    kept = None if labels is None else _numbered(labels[chosen], source, path.name)
    return _dataset(path.name, made, kept, None if files is None else _ids(files[chosen]))


def _cells(table: Table, name: str) -> Array:
    """Return a column as numbers where all cells are, else as text."""
    cells = table.column(name)
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError:
        return np.array(cells)
    whole = np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all() and not any("." in cell for cell in cells)
    return numbers.astype(np.int64) if whole else numbers


def _folder(source: DataSource, path: Path, wanted: Sequence[Wanted]) -> Dataset:
    if source.inputs is not None or len(wanted) != 1:
        raise InputError(f"{path}: a folder gives one input, and the whole file is it; the model has {len(wanted)} inputs.")
    p = _preprocess(source, None)
    found = read_folder(path, source.labels, wanted[0], p, source.first, source.count)
    own = InputSource(array="")
    made = {wanted[0].name: _made(source, own, found.x, wanted[0], path.name, found.pictures)}
    kept = None if found.names is None else _numbered(_numbers_of(found.names, source), source, path.name)
    return _dataset(path.name, made, kept, found.files)


def _numbers_of(names: list[str], source: DataSource) -> Array:
    """Return labels of files as numbers where all are; InputError when such names of folders might mean two things."""
    if source.classes is not None or not all(name.isascii() and name.isdigit() and len(name) < 19 for name in names):
        return np.array(names)
    place = {name: i for i, name in enumerate(sorted(set(names)))}
    other = next((name for name, i in place.items() if int(name) != i), None)
    if source.labels == FOLDERS and other is not None:
        raise InputError(
            f"{source.file}: folders are numbers, and '{other}' is number {place[other]} of the sorted names: which class is meant is "
            f"not known. Say classes: [...], their names in the model's order."
        )
    return np.array([int(name) for name in names], np.int64)


def _sources(
    source: DataSource, wanted: Sequence[Wanted], usual: Callable[[], str | tuple[str, ...]], known: Collection[str]
) -> dict[str, InputSource]:
    """Return where every input of the model comes from. usual: of the only input; known: arrays or columns."""
    names = [want.name for want in wanted]
    if isinstance(source.inputs, dict):
        if set(source.inputs) != set(names):
            raise InputError(f"inputs are given for {', '.join(source.inputs)}; the model has {', '.join(names)}.")
        return {name: source.inputs[name] for name in names}
    if len(names) == 1:
        return {names[0]: InputSource(array=source.inputs if source.inputs is not None else usual())}
    if source.inputs is None and all(name in known for name in names):
        return {name: InputSource(array=name) for name in names}
    example = ", ".join(f"{name}: ARRAY" for name in names)
    raise InputError(f"the model has {len(names)} inputs; say where each comes from: inputs: {{{example}}}.")


def _want(wanted: Sequence[Wanted], name: str) -> Wanted:
    return next(want for want in wanted if want.name == name)


def _rows(source: DataSource, count: int, where: str) -> slice:
    stop = None if source.count is None else source.first + source.count
    if stop is not None and stop > count:
        raise InputError(f"{where} has {count} samples; {source.first} to {stop - 1} are wanted.")
    if source.first >= count:
        raise InputError(f"{where} has {count} samples; the first wanted is number {source.first}.")
    return slice(source.first, stop)


def _preprocess(source: DataSource, own: InputSource | None) -> Preprocess:
    return (own.preprocess if own is not None and own.preprocess is not None else source.preprocess) or Preprocess()


def _made(source: DataSource, own: InputSource, x: Array, want: Wanted, where: str, pictures: bool = False) -> Array:
    """Return samples as the model takes them; InputError when they contradict its input."""
    check_samples(where, x)
    p = _preprocess(source, own)
    stated = p.says_numbers or source.scale is not None or bool(source.shift)
    y = preprocess(x, p, pictures)
    if source.scale is not None or source.shift:
        y = y.astype(np.float32) * np.float32(1.0 if source.scale is None else source.scale) + np.float32(source.shift)
    y = y if want.is_streams(y) else without_ones(y, want.shape)
    check_fit(y, want, stated, where)
    return y


def _numbered(labels: Array, source: DataSource, where: str) -> tuple[Array, Names | None]:
    """Return labels as numbers, and the names of classes: names become their place among them."""
    if source.classes is None and labels.dtype.kind in "fiub":
        return (labels.astype(np.int64) if labels.dtype.kind in "iub" else labels), None
    if labels.dtype.kind not in "USiub":
        raise InputError(f"{where}: labels of type {labels.dtype} are no names of classes.")
    names = labels.astype(str)
    if source.classes is not None and labels.dtype.kind in "iub" and not np.isin(names, source.classes).all():
        return labels.astype(np.int64), Names(source.classes, True)  # numbers already: the names are for the reader
    classes = list(source.classes) if source.classes is not None else sorted(set(names.reshape(-1).tolist()))
    unknown = sorted(set(names.reshape(-1).tolist()) - set(classes))
    if unknown:
        raise InputError(f"{where}: label '{unknown[0]}' is none of the classes {', '.join(classes)}.")
    place = {name: i for i, name in enumerate(classes)}
    numbers = np.array([place[name] for name in names.reshape(-1).tolist()], np.int64).reshape(names.shape)
    return numbers, Names(tuple(classes), source.classes is not None)


def _ids(files: Array) -> npt.NDArray[np.int64]:
    """Return files by number, in the order of their first sample."""
    _, first, index = np.unique(files, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[index.reshape(-1)], np.int64)


def _dataset(
    name: str, made: Mapping[str, Array], labelled: tuple[Array, Names | None] | None, files: npt.NDArray[np.int64] | None
) -> Dataset:
    labels, names = labelled or (None, None)
    if labels is not None and labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise InputError(f"{name}: the labels contain NaN or infinite values.")
    inputs = next(iter(made.values())) if len(made) == 1 else dict(made)
    return Dataset(name, inputs, labels, files, names)
