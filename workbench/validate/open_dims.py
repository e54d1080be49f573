"""Open dimensions of an ONNX file, as stored inputs state them: sizes of symbols, and values of inputs that are one whole number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.graph.ir import Array, Graph
from workbench.loaders.onnx.declared import Declared, declared_inputs
from workbench.validate.pairs import assign_inputs, feeds_of

Loader = Callable[[Path, Mapping[str, int]], Graph]


def known_dims(path: Path, dims: Mapping[str, int]) -> dict[str, int]:
    """Return those of the dimensions that a file has; none of a TFLite file, nor of one that cannot be read."""
    if not dims or path.suffix.lower() != ".onnx":
        return {}
    try:
        inputs = declared_inputs(path)
    except WorkbenchError:  # the loader says what is wrong
        return {}
    names = {name for name, one in inputs.items() if one.is_number}
    for name, one in inputs.items():
        names |= {key for axis, d in enumerate(one.shape) if isinstance(d, str) for key in (d, f"{name}:{axis}")}
    return {name: size for name, size in dims.items() if name in names}


@dataclass(frozen=True, eq=False)
class Stated:
    """What stored inputs say of a file. stored: its inputs' arrays by name, None when they do not match or the file has no open
    dimensions. sizes: of open dimensions, as `dims`. values: of inputs that are the same whole number in every sample."""

    stored: Mapping[str, Array] | None
    sizes: Mapping[str, int]
    values: Mapping[str, int]


def stated_by(path: Path, arrays: Mapping[str, Array], dims: Mapping[str, int]) -> Stated:
    """Return what stored arrays say of an ONNX file, nothing of another; `dims` win. InputError when a name of an array may
    mean two inputs."""
    given = known_dims(path, dims)
    if path.suffix.lower() != ".onnx":
        return Stated(None, {}, {})
    try:
        inputs = declared_inputs(path)
    except WorkbenchError:  # the loader says what is wrong
        return Stated(None, given, {})
    fed = [name for name, one in inputs.items() if not (one.is_number and name in given)]
    assigned = assign_inputs(inputs, {}, arrays) or assign_inputs(fed, {}, arrays)
    if assigned is None:
        return Stated(None, given, {})
    stored = {name: array for name, (_, array) in assigned.items()}
    values = {
        name: int(x.flat[0]) for name, x in stored.items()
        if inputs[name].is_number and name not in given and x.dtype.kind in "iub" and x.size and x.flat[0] >= 0
        and (x == x.flat[0]).all()
    }  # fmt: skip
    return Stated(stored, _sizes(inputs, stored, given) | given, values)


def load_for(path: Path, stated: Stated, loader: Loader) -> Graph:
    """Return the graph of a file. Whole numbers stay inputs where it can be read so, and are constants where its graph depends on
    them (sampling rates, lengths)."""
    try:
        return loader(path, stated.sizes)
    except WorkbenchError:
        if not stated.values:
            raise
        return loader(path, {**stated.values, **stated.sizes})


def feeds_for(graph: Graph, arrays: Mapping[str, Array], stated: Stated) -> dict[str, Array]:
    """Return the arrays of the graph's inputs by tensor name; InputError when they do not match."""
    if stated.stored is None:
        return feeds_of(graph, arrays)
    own = {graph.input_names.get(name, name): array for name, array in stated.stored.items()}
    return {name: array for name, array in own.items() if name in graph.inputs}


def _sizes(inputs: Mapping[str, Declared], stored: Mapping[str, Array], given: Collection[str]) -> dict[str, int]:
    """Return 'input:axis' -> size of open dimensions but the `given` ones; the first one stays open where it counts samples.

    Arrays are one inference or samples in a row, or whole inferences with a dimension in front.
    """
    found: dict[str, int] = {}
    for name, array in stored.items():
        shape = inputs[name].shape
        several = array.ndim - len(shape)
        if several not in (0, 1):
            continue
        for axis, d in enumerate(shape):
            counts = axis == 0 and not several and _first_is_batch(inputs, stored)
            if isinstance(d, str) and not counts and d not in given:
                found[f"{name}:{axis}"] = array.shape[axis + several]
    return found


def _first_is_batch(inputs: Mapping[str, Declared], stored: Mapping[str, Array]) -> bool:
    """True when the first dimension of every input is open, is no other dimension's by name, and as large as in the others."""
    shapes = [inputs[name].shape for name in stored]
    if not all(shape and isinstance(shape[0], str) for shape in shapes):
        return False
    names = {d for shape in shapes for d in shape[:1] if isinstance(d, str) and any(c.isalnum() for c in d)}
    return names.isdisjoint(d for shape in shapes for d in shape[1:]) and len({len(x) for x in stored.values() if x.ndim}) == 1
