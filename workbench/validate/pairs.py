"""Folders of `X.tflite|onnx` with `X.npz` beside it: which array is which input or output, and of which runtime.

Arrays: `in_<what>`, `out_<what>` (the runtime as it comes: LiteRT with XNNPACK, ONNX Runtime), `out_<what>_builtin`,
`out_<what>_ref`, `out_<what>_tflm`. <what> is the name of a tensor (signs other than letters and digits may be underscores), its
number, or anything: arrays that name nothing stand for the model's inputs or outputs in their order in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import InputError
from workbench.graph.ir import Array, Graph

RUNTIMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "tflite": {
        "": ("x86-litert-xnnpack",), "xnnpack": ("x86-litert-xnnpack",), "builtin": ("x86-litert-builtin",),
        "ref": ("x86-litert-reference",), "reference": ("x86-litert-reference",),
        "tflm": ("stm32l4r5-cortex-m4-tflm",), "micro": ("stm32l4r5-cortex-m4-tflm",),
    },
    "onnx": {
        "": ("x86-vnni-onnxruntime", "x86-avx2-onnxruntime"), "ort": ("x86-vnni-onnxruntime", "x86-avx2-onnxruntime"),
        "vnni": ("x86-vnni-onnxruntime",), "avx2": ("x86-avx2-onnxruntime",),
    },
}  # fmt: skip
"""Kind of file -> last word of an output's name -> profiles whose bits it has: the first that is equal (a file does not say which
instructions ONNX Runtime found)."""


SMALLEST = 1e-3
"""Largest value that float outputs are taken to have at least: a detector that sees nothing gives 1e-8 everywhere, where runtimes' own
approximations of the logistic differ by as much as they are."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The outputs of one runtime. profiles: whose bits they have. outputs: graph output -> array, as stored. arrays: their names."""

    runtime: str
    profiles: tuple[str, ...]
    outputs: Mapping[str, Array]
    arrays: tuple[str, ...]


def is_pair(data: Path) -> Path | None:
    """Return the model beside an NPZ of this layout, or None."""
    found = [data.with_suffix(s) for s in (".tflite", ".onnx") if data.with_suffix(s).is_file()]
    return found[0] if found else None


def feeds_of(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of the model's inputs by tensor name; InputError when they do not match."""
    given = {name: array for name, array in arrays.items() if name.startswith("in_") or name == "in"}
    found = _assign(list(graph.inputs), _public(graph), {name[3:]: array for name, array in given.items()})
    if found is None:
        raise InputError(f"has {sorted(given)} for the inputs {list(graph.inputs)}; expected one array each.")
    return {name: array for name, (_, array) in found.items()}


def stored_outputs(graph: Graph, arrays: Mapping[str, Array]) -> list[Stored]:
    """Return what the runtimes gave, one record per runtime; outputs that the model does not have are an error."""
    runtimes = RUNTIMES[graph.source_format]
    by_runtime: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        if not (name.startswith("out_") or name == "out"):
            continue
        words = name[4:].split("_")
        known = words[-1] in runtimes and (len(words) > 1 or words[-1] != "") and words[-1] not in graph.outputs
        what, runtime = ("_".join(words[:-1]), words[-1]) if known else (name[4:], "")
        by_runtime.setdefault(runtime, {})[what] = array
    found = []
    for runtime, own in by_runtime.items():
        named = _assign(list(graph.outputs), {}, own)
        if named is None:
            raise InputError(
                f"has {sorted(own)} for the outputs {list(graph.outputs)}; expected arrays that name or number them."
            )
        tail = f"_{runtime}" if runtime else ""
        whole = tuple(f"out_{what}{tail}".removesuffix("_") for what, _ in named.values())
        found.append(Stored(runtime, runtimes[runtime], {name: array for name, (_, array) in named.items()}, whole))
    return found


def _public(graph: Graph) -> dict[str, str]:
    return {own: public for public, own in graph.input_names.items()}


def _assign(
    tensors: Sequence[str], public: Mapping[str, str], given: Mapping[str, Array]
) -> dict[str, tuple[str, Array]] | None:
    """Return tensor -> (what the array was called, array): by name, else by number, else by order; None when there are more arrays
    than tensors, or fewer without a name. Outputs may be stored in part, by name or number."""
    plain = {_letters(public.get(t, t)): t for t in tensors} | {_letters(t): t for t in tensors}
    if given and all(_letters(what) in plain for what in given):
        return {plain[_letters(what)]: (what, array) for what, array in given.items()}
    if given and all(re.fullmatch(r"\d+", what) and int(what) < len(tensors) for what in given):
        return {tensors[int(what)]: (what, array) for what, array in given.items()}
    if len(given) != len(tensors):
        return None
    return {t: (what, given[what]) for t, what in zip(tensors, _natural(given), strict=True)}


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _natural(names: Iterable[str]) -> list[str]:
    """Return names in the order in which they were stored, numbers by value where all of them end with one."""
    listed = list(names)
    numbers = [re.search(r"(\d+)$", name) for name in listed]
    if all(numbers):
        return sorted(listed, key=lambda n: int(re.search(r"(\d+)$", n)[1]))  # type: ignore[index]
    return listed


def as_samples(array: Array, shape: tuple[int, ...], where: str) -> Array:
    """Return a stored array batch first: as one inference, many samples, or many inferences of a whole declared batch each.

    shape: declared, batch first. Raises InputError when nothing of this fits.
    """
    if array.shape[1:] == shape[1:] and array.ndim == len(shape):
        return array
    if array.shape[1:] == shape:
        return array.reshape(-1, *shape[1:])
    if array.ndim + 1 == len(shape) and array.shape == shape[1:]:
        return array[None]
    raise InputError(f"{where} has shape {list(array.shape)}; expected [N, {', '.join(map(str, shape[1:]))}].")


def differing(got: Array, want: Array) -> tuple[int, float]:
    """Return (elements that differ, largest difference): in steps for integers; for floats relative to the largest |value|, at least
    SMALLEST, and infinite where only one side is NaN or infinite."""
    if want.dtype.kind != "f":
        gap = np.abs(got.astype(np.int64) - want.astype(np.int64))
        return int(np.count_nonzero(gap)), float(gap.max(initial=0))
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    finite = np.isfinite(got) & np.isfinite(want)
    if not (same | finite).all():
        return int(np.count_nonzero(~same)), float("inf")
    scale = max(float(np.abs(want[finite]).max(initial=0.0)), SMALLEST)
    gap64 = np.abs(got[finite].astype(np.float64) - want[finite].astype(np.float64))
    return int(np.count_nonzero(~same)), float(gap64.max(initial=0.0)) / scale
