"""Which stored array is whose output of which model on which input: by types, shapes and the words in the names.

Nothing here knows a particular file. An NPZ of a models folder holds inputs (`x`, `x_int8`, ...) and outputs whose names say who
made them (`tflm_int8`, `litert_int8_builtin`, `hw_B_..._tflm_...`); the models lie anywhere below the same folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import InputError
from workbench.graph.ir import Array, Graph
from workbench.loaders import load_model
from workbench.loaders.load import SUFFIXES
from workbench.tensor import STORAGE, dequantize

PRODUCER_WORDS = {"litert", "tflm", "xnnpack", "builtin", "ref", "ort"}
_FLOAT_WORDS = {"float32", "fp32", "float"}


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model of the folder, loaded."""

    path: Path
    graph: Graph

    @property
    def words(self) -> set[str]:
        """The words of the file name."""
        return set(re.split(r"[^a-z0-9]+", self.path.stem.lower()))

    def reads(self, x: Array) -> bool:
        """True when the array has the type and shape of the model's only input."""
        if len(self.graph.inputs) != 1:
            return False
        tensor = self.graph.tensors[self.graph.inputs[0]]
        return x.dtype == STORAGE[tensor.dtype] and x.shape[1:] == tensor.shape[1:]

    def makes(self, y: Array) -> bool:
        """True when the array has the type and shape of the model's only output."""
        if len(self.graph.outputs) != 1:
            return False
        tensor = self.graph.tensors[self.graph.outputs[0]]
        return y.dtype == STORAGE[tensor.dtype] and y.shape[1:] == tensor.shape[1:]


def files_of(folder: Path, *suffixes: str) -> list[Path]:
    """Return the files below a folder with one of these suffixes, in capitals or not."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder.")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())


def load_models(folder: Path) -> tuple[list[ModelFile], list[tuple[Path, str]]]:
    """Return every model below a folder, and (path, reason) of those that are refused."""
    loaded, refused = [], []
    for path in files_of(folder, *SUFFIXES):
        try:
            loaded.append(ModelFile(path, load_model(path)))
        except InputError as problem:
            refused.append((path, str(problem).splitlines()[0]))
    return loaded, refused


def producer_of(array: str) -> str | None:
    """Return the profile whose bits an output array should have, from the words in its name; None when it is no output."""
    words = array.lower().split("_")
    if words[0] == "tflm":
        return "stm32l4r5-cortex-m4-tflm"
    if words[0] != "litert":
        return None
    if "ref" in words[1:] and words[-1] == "ref":
        return "x86-litert-reference"
    return "x86-litert-builtin" if "builtin" in words else "x86-litert-xnnpack"


def model_of(array: str, data_file: Path, y: Array, models: list[ModelFile]) -> ModelFile | None:
    """Return the model that made an output array: same output type and shape, most words in common, None when unclear."""
    words = set(array.lower().split("_")) - PRODUCER_WORDS
    if words & _FLOAT_WORDS:
        words = (words - _FLOAT_WORDS) | {"float"}
    file_words = re.findall(r"[a-z]+\d*", data_file.stem.lower())

    def score(model: ModelFile) -> tuple[int, int, int]:
        own = {"float" if w in _FLOAT_WORDS else w for w in model.words}
        stem = model.path.stem.lower()
        family = max(
            (len(w) for w in (*file_words, *(re.sub(r"\d+$", "", w) for w in file_words)) if w and stem.startswith(w)),
            default=0,
        )
        return (len(words & own) - len(words - own), family, -len(own - words))

    fitting = [m for m in models if m.makes(y)]
    ranked = sorted(fitting, key=score, reverse=True)
    if not ranked or (len(ranked) > 1 and score(ranked[0]) == score(ranked[1])):
        return None
    return ranked[0]


def input_of(model: ModelFile, arrays: Mapping[str, Array], count: int, siblings: list[ModelFile]) -> tuple[Array, str] | None:
    """Return (input array, how it was made) for a model: stored as it is, uint8 images minus 128, or an int8 sibling's real values."""
    tensor = model.graph.tensors[model.graph.inputs[0]]
    stored = {k: v for k, v in arrays.items() if len(v) == count and producer_of(k) is None and not k.startswith("hw_")}
    for name, x in stored.items():
        if model.reads(x):
            return x, name
    if tensor.dtype == "int8":
        for name, x in stored.items():
            if x.dtype == np.uint8 and x.shape[1:] == tensor.shape[1:]:
                return (x.astype(np.int16) - 128).astype(np.int8), f"{name} - 128"
    if tensor.dtype == "float32":
        family = model.path.stem.rsplit("_", 1)[0]
        for other in sorted(siblings, key=lambda m: not m.path.stem.startswith(family)):
            quant = other.graph.tensors[other.graph.inputs[0]].quant
            if quant is None or other.graph.tensors[other.graph.inputs[0]].shape[1:] != tensor.shape[1:]:
                continue
            raw = input_of(other, arrays, count, [])
            if raw is not None:
                return dequantize(raw[0], quant), f"{raw[1]}, real values by {other.path.name}"
    return None
