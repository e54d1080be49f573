"""Inputs and outputs of an `.onnx` file: types, shapes, which dimension counts samples, and dimensions that the user fixes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx

from workbench.errors import InputError, ModelError, nearest
from workbench.graph.ir import Array
from workbench.loaders.onnx.tensor import printable, type_name

INPUT_TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.BFLOAT16: "bfloat16",
    onnx.TensorProto.INT64: "int64", onnx.TensorProto.INT32: "int32", onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.UINT8: "uint8", onnx.TensorProto.INT8: "int8",
}  # fmt: skip
"""Types of inputs: numbers, plain integers (token ids, masks, bytes of pictures), and bytes whose scale their readers state."""

MAX_ELEMENTS = 2**28
"""Largest tensor, for one declared batch (1 GiB of float32)."""
LARGEST_DIMENSION = 2**31

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Inputs:
    """What a file is fed with.

    shapes, types: by name. batch: declared number of samples (1 when symbolic). whole: the inputs have no first dimension in common,
    so that one run of the file is one sample: each input and output gets a dimension in front. values: inputs that the user fixed.
    """

    shapes: Mapping[str, Shape]
    types: Mapping[str, str]
    batch: int
    whole: bool = False
    values: Mapping[str, Array] = field(default_factory=dict)
    open: Mapping[str, str] = field(default_factory=dict)
    """Where every input has an open first dimension: the name of it, by which `dims` fixes it, per input."""

    def of(self, batch: int) -> Inputs:
        """Return the same inputs, whose first dimension is open, with another number of samples."""
        shapes = {name: (batch, *shape[1:]) for name, shape in self.shapes.items()}
        return replace(self, shapes=shapes, batch=batch)


def check_dims(dims: Mapping[str, int] | None) -> dict[str, int]:
    """Return the dimensions that the user gives, checked."""
    found = dict(dims or {})
    for name, size in found.items():
        if (
            not isinstance(name, str)
            or isinstance(size, bool)
            or not isinstance(size, int)
            or not 0 <= size <= LARGEST_DIMENSION
        ):
            raise InputError(f"dims: '{name}' is {size!r}; expected the name of a dimension and a whole number.")
    return found


def read_inputs(graph: onnx.GraphProto, constants: Mapping[str, Array], where: str, dims: Mapping[str, int]) -> Inputs:
    """Return the checked inputs; an initializer that is listed as an input is a constant.

    dims: sizes of open dimensions by name, or by input and number ('x:2'); or the value of an input that is one whole number.
    """
    shapes: dict[str, list[int | None]] = {}
    types: dict[str, str] = {}
    values: dict[str, Array] = {}
    given = [info for info in graph.input if info.name not in constants]
    _check_known(given, dims, where)
    for info in given:
        here = f"{where}: input '{printable(info.name)}'"
        kind = _type(info, here)
        shape = _shape(info, here, dims)
        if info.name in dims and kind in ("int64", "int32", "bool") and all(d == 1 for d in shape):
            values[info.name] = np.full([1] * len(shape), dims[info.name], kind)
            continue
        shapes[info.name], types[info.name] = shape, kind
    if not shapes:
        raise ModelError(f"{where}: has no input.")
    keys = {info.name: _key(info, 0) for info in given if shapes.get(info.name, [1])[:1] == [None]}
    made = _batched(shapes, types, values, keys, where)
    return replace(made, open=keys) if len(keys) == len(shapes) else made


def _check_known(inputs: Sequence[onnx.ValueInfoProto], dims: Mapping[str, int], where: str) -> None:
    """Refuse names that are neither a symbolic dimension nor an input of one whole number."""
    symbols = {d.dim_param for info in inputs for d in info.type.tensor_type.shape.dim if d.dim_param}
    places = {f"{info.name}:{i}": _key(info, i) for info in inputs for i in range(_rank(info)) if _size(info, i) is None}
    numbers = {info.name for info in inputs if all(d.dim_value == 1 for d in info.type.tensor_type.shape.dim)}
    for name in dims:
        if name not in symbols | numbers | set(places):
            known = sorted(set(places.values()))
            fits = f"Open dimensions of this file: {', '.join(map(printable, known)) or 'none'}."
            raise InputError(f"{where}: has no dimension '{printable(name)}' to fix.{nearest(name, known)} {fits}")


def _type(info: onnx.ValueInfoProto, here: str) -> str:
    if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
        raise ModelError(f"{here}: is not a tensor with a known shape. Export the model with fixed shapes.")
    kind = info.type.tensor_type.elem_type
    if kind not in INPUT_TYPES:
        fits = ", ".join(INPUT_TYPES.values())
        raise ModelError(f"{here}: is {type_name(kind)}; expected {fits}. Export it in float32: formats are chosen here.")
    return INPUT_TYPES[kind]


def _shape(info: onnx.ValueInfoProto, here: str, dims: Mapping[str, int]) -> list[int | None]:
    """Return the shape, None for an open first dimension."""
    found: list[int | None] = []
    for axis, dim in enumerate(info.type.tensor_type.shape.dim):
        size = _size(info, axis)
        if size is None:
            size = dims.get(f"{info.name}:{axis}", dims.get(dim.dim_param) if dim.dim_param else None)
        if size is not None and size < 1:
            raise ModelError(f"{here}: dimension {axis} is {size}; its shape would be empty or negative.")
        if size is None and axis:
            name, place = printable(dim.dim_param), printable(f"{info.name}:{axis}")
            alone = f" Of this input alone: --dim {place}=16." if _key(info, axis) != f"{info.name}:{axis}" else ""
            raise ModelError(
                f"{here}: dimension {axis} is symbolic ('{name}'); only the batch (dimension 0) may be open. "
                f"{way_to_fix([_key(info, axis)])}{alone}"
            )
        found.append(size)
    return found


def way_to_fix(keys: Sequence[str]) -> str:
    """Return how a user gives the sizes of open dimensions: one sample where the name says batch, or nothing, else some size."""
    sizes = {printable(key): 1 if "batch" in key.lower() or key.endswith(":0") else 16 for key in keys}
    return f"Fix it: dims={sizes}, or {' '.join(f'--dim {key}={size}' for key, size in sizes.items())}."


def _rank(info: onnx.ValueInfoProto) -> int:
    return len(info.type.tensor_type.shape.dim)


def _size(info: onnx.ValueInfoProto, axis: int) -> int | None:
    """Return the size that the file gives a dimension, None when it is open."""
    dim = info.type.tensor_type.shape.dim[axis]
    return int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value != -1 else None


def _key(info: onnx.ValueInfoProto, axis: int) -> str:
    """Return what names an open dimension: the file's own name for it, or 'input:axis' where that names nothing ('', '?')."""
    name: str = info.type.tensor_type.shape.dim[axis].dim_param
    return name if any(c.isalnum() for c in name) and "=" not in name else f"{info.name}:{axis}"


def _batched(
    shapes: Mapping[str, list[int | None]], types: dict[str, str], values: dict[str, Array], keys: Mapping[str, str], where: str
) -> Inputs:
    """Return the inputs with their first dimensions. keys: what the open ones are called."""
    fixed = {s[0] for s in shapes.values() if s and s[0] is not None}
    whole = len(fixed) > 1 or any(not s for s in shapes.values())
    batch = 1 if whole else max((d for d in fixed if d is not None), default=1)
    made: dict[str, Shape] = {}
    for name, shape in shapes.items():
        if whole and None in shape:
            raise ModelError(
                f"{where}: input '{printable(name)}': dimension 0 is open, and other inputs have first dimensions of their own "
                f"({', '.join(f'{printable(n)} {s}' for n, s in shapes.items())[:200]}). "
                f"{way_to_fix(list(dict.fromkeys(keys.values())))}"
            )
        full = tuple(batch if d is None else d for d in shape)
        if math.prod(full) > MAX_ELEMENTS:
            raise ModelError(f"{where}: input '{printable(name)}': shape {list(full)[:8]} is too large.")
        made[name] = (1, *full) if whole else full
    return Inputs(made, types, batch, whole, values)
