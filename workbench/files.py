"""Reading inputs for a model from a file, and writing results so that nothing is left half-written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from workbench.data import Dataset, DataSource, Wanted, read_arrays, read_source
from workbench.data.table import Table
from workbench.errors import InputError
from workbench.execute import check_inputs
from workbench.graph.ir import Array, Graph
from workbench.strict_yaml import load_yaml, validate
from workbench.tensor import STORAGE


def wanted_inputs(graph: Graph) -> list[Wanted]:
    """Return what a model wants of its inputs."""
    tensors = [graph.tensors[name] for name in graph.inputs]
    keeps = bool(graph.states)
    return [
        Wanted(t.name, t.shape[1:], np.dtype(STORAGE[t.dtype]).name, t.quant is not None, t.is_plain, keeps) for t in tensors
    ]


def read_data(source: DataSource, folder: Path, graph: Graph) -> Dataset:
    """Return the samples of a source for a model. folder: what its relative paths refer to, before the current one."""
    path = next((p for p in (folder / source.file, Path(source.file)) if p.exists()), None)
    if path is None:
        raise InputError(f"{source.file}: no such file or folder in {folder.resolve()} or the current folder.")
    if source.labels is not None and (folder / source.labels).is_file() and path.is_dir():
        source = source.model_copy(update={"labels": str((folder / source.labels).resolve())})
    return read_source(source, path, wanted_inputs(graph))


def find_data(graph: Graph, path: Path, name: str | None = None) -> Dataset:
    """Return the samples of `--data`: an NPZ, NPY or CSV, a folder of arrays or pictures, or a YAML that says more (a `DataSource`).

    name: of the array of an NPZ, or columns of a CSV with commas between them; without it the one that fits is found.
    """
    file, mark, split = str(path).partition("#")
    if path.suffix.lower() in (".yaml", ".yml"):
        source = validate(DataSource, load_yaml(path), str(path))
        return read_data(source, path.parent, graph)
    if path.is_dir() or path.suffix.lower() == ".csv":
        inputs = None if name is None else tuple(part.strip() for part in name.split(","))
        return read_data(DataSource(file=str(path), inputs=inputs), Path(), graph)
    if mark and not path.exists():
        path, name = Path(file), name or f"{split}_x"
    feed = _from_arrays(graph, path, name)
    return Dataset(path.name, feed if len(feed) > 1 else next(iter(feed.values())), None)


def find_inputs(graph: Graph, path: Path, name: str | None = None) -> dict[str, Array]:
    """Return the model's inputs from `--data` (see `find_data`), checked."""
    if path.suffix.lower() in (".npz", ".npy"):
        return _from_arrays(graph, path, name)
    return check_inputs(graph, find_data(graph, path, name).inputs)


def find_calibration(graph: Graph, path: Path, name: str | None = None) -> dict[str, Array]:
    """Return the samples that set the scales, as `find_inputs`. name: what `--inputs` says of the data; where this file has no such
    array or columns, the one that fits is found."""
    return find_inputs(graph, path, name if name is not None and _has(path, name) else None)


def _has(path: Path, name: str) -> bool:
    if path.suffix.lower() in (".npz", ".npy"):
        return name in read_arrays(path)
    return path.suffix.lower() == ".csv" and {part.strip() for part in name.split(",")} <= set(Table(path).names)


def _from_arrays(graph: Graph, path: Path, name: str | None) -> dict[str, Array]:
    """Return the inputs from an NPZ or NPY: by array name, by input name, or the only array that fits."""
    arrays = read_arrays(path)
    if name is not None:
        if name not in arrays:
            raise InputError(f"{path}: has no array '{name}'. Arrays: {', '.join(arrays)}.")
        return check_inputs(graph, arrays[name])
    if all(i in arrays for i in graph.inputs):
        return check_inputs(graph, {i: arrays[i] for i in graph.inputs})
    fitting, refused = {}, []
    for key, array in arrays.items():
        try:
            fitting[key] = check_inputs(graph, array)
        except InputError as problem:
            if len(graph.inputs) == 1 and array.shape[1:] == graph.tensors[graph.inputs[0]].shape[1:]:
                refused.append(f"{path}, array '{key}': {problem}")
    exact = [k for k in fitting if all(arrays[k].dtype == v.dtype for v in fitting[k].values())]
    chosen = exact if len(exact) == 1 else list(fitting)
    if len(chosen) == 1:
        return fitting[chosen[0]]
    if not chosen and len(refused) == 1:
        raise InputError(refused[0])
    found = ", ".join(f"{k} {v.dtype}{list(v.shape)}" for k, v in arrays.items())
    wants = ", ".join(f"{i} {graph.tensors[i].dtype}{['N', *graph.tensors[i].shape[1:]]}" for i in graph.inputs)
    why = "no array fits" if not chosen else f"{', '.join(chosen)} all fit; say which with --inputs"
    raise InputError(f"{path}: {why}.\nThe model wants {wants}; the file has {found}.")


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays to an NPZ, all or nothing."""

    def fill(file: IO[bytes]) -> None:
        np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]

    _write(path, fill)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, all or nothing."""
    _write(path, lambda file: file.write(text.encode()))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, all or nothing."""
    _write(path, lambda file: file.write(content))


def _write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as file:
                fill(file)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise InputError(f"{path}: cannot be written: {problem.strerror}.") from None
