"""Folders of `X.tflite|onnx` with `X.npz` beside it: which array is which input or output, and of which runtime.

Arrays: `in_<what>`, `out_<what>` (the runtime as it comes: LiteRT with XNNPACK, ONNX Runtime), `out_<what>_builtin`,
`out_<what>_ref`, `out_<what>_tflm`. <what> is the name of a tensor (signs other than letters and digits may be underscores), its
number, or anything: arrays that name nothing stand for the model's inputs or outputs in their order in the file. A name that is
wholly a tensor's is that tensor, also where its last word or its digits could be read as a runtime or a number.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, eq=False)
class Stored:
    """The outputs of one runtime. profiles: whose bits they have. outputs: graph output -> array, as stored. arrays: their names.
    note: how the names were read, where they could be read in another way."""

    runtime: str
    profiles: tuple[str, ...]
    outputs: Mapping[str, Array]
    arrays: tuple[str, ...]
    note: str = ""


Assigned = dict[str, tuple[str, Array]]
"""Tensor -> (what the array was called, array)."""


def models_beside(data: Path, models: Collection[Path]) -> list[Path]:
    """Return the models that stand beside an NPZ and have its name."""
    return [m for m in models if m.parent == data.parent and m.stem == data.stem]


def has_outputs(arrays: Iterable[str]) -> bool:
    """True when an NPZ holds outputs in this layout."""
    return any(_is(name, "out") for name in arrays)


def feeds_of(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of the model's inputs by tensor name; InputError when they do not match."""
    public = {own: public for public, own in graph.input_names.items()}
    found = assign_inputs(graph.inputs, public, arrays)
    if found is None:
        given = sorted(name for name in arrays if _is(name, "in"))
        raise InputError(f"has {given} for the inputs {list(graph.inputs)}; expected one array each.")
    return {name: array for name, (_, array) in found.items()}


def assign_inputs(tensors: Iterable[str], public: Mapping[str, str], arrays: Mapping[str, Array]) -> Assigned | None:
    """Return the arrays `in_*` by input; None when they do not match."""
    given = {name[3:]: array for name, array in arrays.items() if _is(name, "in")}
    found = _assign(list(tensors), public, given)
    return found if found is not None and len(found) == len(list(tensors)) else None


def stored_outputs(graph: Graph, arrays: Mapping[str, Array], aside: Collection[str] = ()) -> list[Stored]:
    """Return what the runtimes gave, one record per runtime; outputs that the model does not have are an error.

    aside: last words of names that belong to another model of the same name.
    """
    runtimes = RUNTIMES[graph.source_format]
    by_runtime: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        if not _is(name, "out"):
            continue
        what, runtime = _runtime(name[4:], graph.outputs, {*runtimes, *aside})
        own = by_runtime.setdefault(runtime, {})
        if what in own:
            raise InputError(f"has two arrays for one output, '{name}' is the second.")
        own[what] = array
    found = []
    for runtime, own in by_runtime.items():
        if runtime not in runtimes:
            continue
        named = _assign(list(graph.outputs), {}, own)
        if named is None:
            raise InputError(
                f"has {sorted(own)} for the outputs {list(graph.outputs)}; expected arrays that name or number them."
            )
        tail = f"_{runtime}" if runtime else ""
        whole = tuple(f"out_{what}{tail}".removesuffix("_") for what, _ in named.values())
        outputs = {name: array for name, (_, array) in named.items()}
        found.append(Stored(runtime, runtimes[runtime], outputs, whole, _note(graph.outputs, named)))
    return found


def _is(name: str, kind: str) -> bool:
    return name == kind or name.startswith(f"{kind}_")


def _runtime(what: str, outputs: Sequence[str], known: Collection[str]) -> tuple[str, str]:
    """Return (what, runtime): the last word, unless the whole names an output."""
    start, _, last = what.rpartition("_")
    if last and last in known and what not in outputs and _letters(what) not in {_letters(name) for name in outputs}:
        return start, last
    return what, ""


def _note(tensors: Sequence[str], named: Assigned) -> str:
    """Return a remark when numbers were read as names of tensors, and would count other ones."""
    other = [what for tensor, (what, _) in named.items() if _is_number(what, tensors) and tensors[int(what)] != tensor]
    return f"{', '.join(f'out_{what}' for what in other)} read as names of outputs, not as their numbers" if other else ""


def _is_number(what: str, tensors: Sequence[str]) -> bool:
    return re.fullmatch("[0-9]{1,6}", what) is not None and int(what) < len(tensors)


def _assign(tensors: Sequence[str], public: Mapping[str, str], given: Mapping[str, Array]) -> Assigned | None:
    """Return tensor -> (what the array was called, array): by name, else by number, else by order; None when there are more arrays
    than tensors, or fewer without a name. Outputs may be stored in part, by name or number. InputError when a name fits two tensors,
    or two names fit one."""
    by_name = {what: _named(what, tensors, public) for what in given}
    if given and all(by_name.values()):
        return _one_each(by_name, given)
    if given and all(_is_number(what, tensors) for what in given):
        return _one_each({what: [tensors[int(what)]] for what in given}, given)
    if len(given) != len(tensors):
        return None
    return {t: (what, given[what]) for t, what in zip(tensors, _natural(given), strict=True)}


def _named(what: str, tensors: Sequence[str], public: Mapping[str, str]) -> list[str]:
    """Return the tensors that a name may mean: the one of exactly this name, else those that differ in signs alone."""
    exact = [t for t in tensors if what in (t, public.get(t, t))]
    key = _letters(what)
    return exact or [t for t in tensors if key and key in (_letters(t), _letters(public.get(t, t)))]


def _one_each(meant: Mapping[str, Sequence[str]], given: Mapping[str, Array]) -> Assigned:
    found: Assigned = {}
    for what, tensors in meant.items():
        if len(tensors) > 1:
            raise InputError(f"has an array '{what}' that may mean {' or '.join(map(repr, tensors))}; use the whole name.")
        if tensors[0] in found:
            raise InputError(f"has two arrays for '{tensors[0]}': '{found[tensors[0]][0]}' and '{what}'.")
        found[tensors[0]] = (what, given[what])
    return found


def _letters(name: str) -> str:
    """Return a name with one underscore for all signs between its letters and digits, of any script."""
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


def _natural(names: Iterable[str]) -> list[str]:
    """Return names in the order in which they were stored, numbers by value where all of them end with one."""
    listed = list(names)
    numbers = [re.search(r"(\d+)$", name) for name in listed]
    if all(numbers):
        return sorted(listed, key=lambda n: int(re.search(r"(\d+)$", n)[1]))  # type: ignore[index]
    return listed


def as_stored(array: Array, graph: Graph, name: str) -> Array:
    """Return a stored array of an input or output batch first, or [streams, frames, ...] of a network that keeps state.

    What fits a declared shape [B, ...]: one inference without its batch, samples [N, ...], inferences in a row [N, B, ...]. With state
    these are one stream; [streams, frames, ...] and [streams, inferences, B, ...] are several. Raises InputError otherwise.
    """
    shape = graph.tensors[name].shape
    rank = len(shape)
    if array.ndim == rank and array.shape[1:] == shape[1:]:
        return array
    if array.ndim == rank + 1 and array.shape[1:] == shape:
        return array.reshape(-1, *shape[1:])
    if array.ndim == rank - 1 and array.shape == shape[1:]:
        return array[None]
    if array.ndim == rank + 1 and array.shape[2:] == shape[1:]:
        if graph.states:
            return array
        if graph.fixed_batch is None:  # samples do not meet: any number at a time
            return array.reshape(-1, *shape[1:])
    if graph.states and array.ndim == rank + 2 and array.shape[2:] == shape:
        return array.reshape(len(array), -1, *shape[1:])
    own = ", ".join(map(str, shape[1:]))
    streams = f" or [streams, frames, {own}]" if graph.states else ""
    raise InputError(f"'{name}' has shape {list(array.shape)}; expected [N, {own}]{streams}.")


def in_a_row(array: Array, graph: Graph, name: str) -> Array:
    """Return entries [N, ...]: those of several streams one after the other."""
    return array.reshape(-1, *array.shape[2:]) if array.ndim > len(graph.tensors[name].shape) else array
