"""Reading inputs for a model from a file, and writing results so that nothing is left half-written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workbench.data import read_arrays
from workbench.errors import InputError
from workbench.execute import check_inputs
from workbench.graph.ir import Array, Graph


def find_inputs(graph: Graph, path: Path, name: str | None = None) -> dict[str, Array]:
    """Return the model's inputs from an NPZ or NPY: by array name, by input name, or the only array that fits."""
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
    try:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise InputError(f"{path}: cannot be written: {problem.strerror}.") from None
