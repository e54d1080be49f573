"""Recordings: tensors that something computed elsewhere, a runtime, a board, an earlier version, stored in an NPZ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data import pick, read_arrays
from workbench.errors import InputError
from workbench.graph.ir import Array, Tensor
from workbench.tensor import RANGES, STORAGE, quantize

ARRAY_FILES = (".npz", ".npy")
NEAR = 1.0
"""Steps that a recorded real number may be beyond the output's integers: a probability of 1 is one beyond the largest."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Stored tensors by name: samples in order, raw as the network stores them. notes: what was done to them."""

    name: str
    arrays: Mapping[str, Array]
    notes: tuple[str, ...] = ()


def is_recording(side: object) -> bool:
    """True for arrays, and for the path of an NPZ or NPY file, with `#array` behind it or not."""
    if isinstance(side, Mapping):
        return True
    return isinstance(side, str | Path) and str(side).partition("#")[0].endswith(ARRAY_FILES)


def read_recording(
    side: str | Path | Mapping[str, Array], tensors: Sequence[Tensor], outputs: Mapping[str, Tensor]
) -> Recording:
    """Return the recorded tensors of a network.

    The arrays that have the name of a tensor are taken; else the only one that has the type and shape of the only output.
    `FILE#ARRAY` (or an NPY) says which array that output is, and then it may hold real numbers, such as probabilities that a board
    printed: they are put on the output's grid of integers.

    Args:
        tensors: every activation. outputs: those that the model's user reads, by the name that `emulate` gives them.
    Raises: InputError when nothing fits or a named array does not.
    """
    if isinstance(side, Mapping):
        name, wanted, arrays = "recording", "", {k: np.asarray(v) for k, v in side.items()}
    else:
        path, _, wanted = str(side).partition("#")
        name, arrays = str(side), dict(read_arrays(Path(path)))
    if wanted or name.endswith(".npy"):  # an NPY has one array and no name
        return _output(name, pick(arrays, wanted or "x", name.partition("#")[0]), outputs)
    known = {**{t.name: t for t in tensors}, **outputs}
    named = {k: a for k, a in arrays.items() if k in known}
    for key, array in named.items():
        if not _fits(array, known[key]):
            raise InputError(f"{name}: array '{key}' is {array.dtype} {array.shape}; the network's is {_wants(known[key])}.")
    if named:
        return Recording(name, {known[key].name: array for key, array in named.items()})
    fitting = [k for k, a in arrays.items() if any(_fits(a, t) for t in outputs.values())]
    if len(outputs) == 1 and len(fitting) == 1:
        return _output(name, arrays[fitting[0]], outputs)
    found = ", ".join(f"{k} {a.dtype}{list(a.shape)}" for k, a in arrays.items())
    say = f"{', '.join(fitting)} all fit the output" if fitting else "none has the type and shape of the output"
    raise InputError(
        f"{name}: no array has the name of a tensor of the network, and {say}: {', '.join(map(_wants, outputs.values()))}.\n"
        f"The file has {found}. Name one with {name}#ARRAY, or store tensors as `workbench emulate --tensors` does."
    )


def _output(name: str, array: Array, outputs: Mapping[str, Tensor]) -> Recording:
    if len(outputs) != 1:
        raise InputError(f"{name}: the model has {len(outputs)} outputs ({', '.join(outputs)}); store each under its name.")
    (tensor,) = outputs.values()
    if _fits(array, tensor):
        return Recording(name, {tensor.name: array})
    grid = tensor.quant if tensor.dtype in RANGES else None
    if grid is None or array.dtype.kind != "f" or array.shape[1:] != tensor.shape[1:] or not np.isfinite(array).all():
        raise InputError(f"{name}: the array is {array.dtype} {array.shape}; the output is {_wants(tensor)}, or real numbers.")
    scale, zero_point = grid.scalar
    exact = array.astype(np.float64) / float(scale) + zero_point
    beyond = np.abs(exact - np.clip(exact, *RANGES[tensor.dtype]))
    if beyond.max(initial=0.0) > NEAR:
        sample, *index = (int(i) for i in np.unravel_index(int(beyond.argmax()), beyond.shape))
        low, high = (float(scale) * (limit - zero_point) for limit in RANGES[tensor.dtype])
        raise InputError(
            f"{name}: sample {sample} {index} is {array[(sample, *index)]:.6g}, {beyond.max():.3g} steps beyond what the output can "
            f"be: {low:.6g} to {high:.6g} in steps of {float(scale):.6g}. Give real numbers in these units, clipped if that is meant."
        )
    stored = quantize(array, grid, tensor.dtype)
    far = float(np.abs(exact - stored.astype(np.float64)).max(initial=0.0))
    note = f"{name}: real numbers, put on the output's grid of integers; the farthest was {far:.2g} of a step away"
    return Recording(name, {tensor.name: stored}, (note,))


def _fits(array: Array, tensor: Tensor) -> bool:
    return array.dtype == STORAGE[tensor.dtype] and array.ndim == len(tensor.shape) and array.shape[1:] == tensor.shape[1:]


def _wants(tensor: Tensor) -> str:
    return f"{tensor.dtype} (N, {', '.join(map(str, tensor.shape[1:]))})"
