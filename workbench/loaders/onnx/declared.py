"""The inputs that an `.onnx` file asks for, before anything is fixed: what stored arrays are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.loaders.onnx.file import parse
from workbench.loaders.onnx.inputs import INPUT_TYPES


@dataclass(frozen=True)
class Declared:
    """One input. shape: a size, the name of a symbolic dimension, or '' for an open one without a name. dtype: '' when none of ours."""

    shape: tuple[int | str, ...]
    dtype: str

    @property
    def is_number(self) -> bool:
        """True for one whole number: a sampling rate, a length."""
        return self.dtype in ("int64", "int32", "bool") and all(d == 1 for d in self.shape)


def declared_inputs(path: Path) -> Mapping[str, Declared]:
    """Return the inputs of a file by name; ModelError when it is no ONNX model."""
    graph = parse(path, str(path)).graph
    constants = {c.name for c in graph.initializer} | {c.values.name for c in graph.sparse_initializer}
    found = {}
    for info in graph.input:
        if info.name not in constants:
            kind = info.type.tensor_type
            shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value != -1 else d.dim_param for d in kind.shape.dim)
            found[info.name] = Declared(shape, INPUT_TYPES.get(kind.elem_type, ""))
    return found
