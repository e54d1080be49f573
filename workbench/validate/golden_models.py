"""`model_*.npz`: every operator output of whole networks, tensor by tensor, against the producer's own tensors.

The files name tensors by their index in the model file (`i0/t22__litert_ref`). Which model that is is found by shapes: the one
whose tensors of these indices have these types and shapes. Models lie beside the vectors' folder (`../models`), or where
the environment variable WORKBENCH_MODELS says.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from workbench.data import read_arrays
from workbench.execute import prepare
from workbench.graph.ir import Array, Graph
from workbench.hardware import load_profile
from workbench.tensor import STORAGE
from workbench.validate.cases import Problems
from workbench.validate.golden_base import PRODUCERS, Row, count, make_row
from workbench.validate.pairing import ModelFile, load_models

_KEY = re.compile(r"(?P<input>i\d+)/t(?P<index>\d+)__(?P<producer>\w+)")
PER_TENSOR_PRODUCERS = ("litert_ref", "tflm")
"""Producers whose every tensor is stored: `tflm` only where it differs from `litert_ref` (README of the vectors)."""


def models_folder(vectors: Path) -> Path:
    """Return the folder of models that belongs to a folder of vectors."""
    return Path(os.environ.get("WORKBENCH_MODELS") or vectors.resolve().parent / "models")


@lru_cache(maxsize=4)
def _models(folder: Path) -> tuple[ModelFile, ...]:
    return tuple(load_models(folder)[0]) if folder.is_dir() else ()


def check_model_file(path: Path) -> list[Row]:
    """Return one row per producer: tensors (as cases), elements, mismatches, and the first operator that differs."""
    arrays, problems = read_arrays(path), Problems(path.stem)
    expected: dict[str, dict[int, dict[str, Array]]] = {}
    for key, array in arrays.items():
        match = _KEY.fullmatch(key)
        if match:
            expected.setdefault(match["input"], {}).setdefault(int(match["index"]), {})[match["producer"]] = array
    problems.add("no tensors named i<k>/t<index>__<producer>", *([] if expected else [path.name]))
    problems.add("missing arrays", *(f"{key}/x" for key in expected if f"{key}/x" not in arrays))
    inputs = {f"{key}/x" for key in expected}
    problems.add("arrays of no tensor", *(key for key in arrays if key not in inputs and not _KEY.fullmatch(key)))
    runs = {key: tensors for key, tensors in expected.items() if f"{key}/x" in arrays}
    if not runs:
        return problems.rows()
    models = _models(models_folder(path.parent))
    if not models:
        note = f"not compared: no networks in {models_folder(path.parent)}; set WORKBENCH_MODELS"
        return [Row(path.stem, "-", "-", 0, 0, 0, 0, note), *problems.rows()]
    model = _find(models, next(iter(runs.values())))
    if model is None:
        problems.add(f"no model below {models_folder(path.parent).name}/ has these tensors; set WORKBENCH_MODELS", path.stem)
        return problems.rows()
    return [_compare(path, model, producer, arrays, runs) for producer in PER_TENSOR_PRODUCERS] + problems.rows()


def _find(models: tuple[ModelFile, ...], tensors: Mapping[int, Mapping[str, Array]]) -> ModelFile | None:
    for model in models:
        by_index = {t.index: t for t in model.graph.tensors.values()}
        if all(
            i in by_index and by_index[i].shape[1:] == a.shape[1:] and STORAGE[by_index[i].dtype] == a.dtype
            for i, stored in tensors.items()
            for a in stored.values()
        ):
            return model
    return None


def _compare(
    path: Path,
    model: ModelFile,
    producer: str,
    arrays: Mapping[str, Array],
    expected: Mapping[str, Mapping[int, Mapping[str, Array]]],
) -> Row:
    graph = model.graph
    program = prepare(graph, load_profile(PRODUCERS[producer]))
    names = {t.index: t.name for t in graph.tensors.values() if t.index is not None}
    total, first = [0, 0, 0, 0], ""
    for key, tensors in expected.items():
        values = program.run({graph.inputs[0]: arrays[f"{key}/x"]}, keep_all=True)
        for index in _execution_order(graph, tensors):
            stored = tensors[index]
            want = stored.get(producer, stored.get("litert_ref"))
            if want is None:
                continue
            before = total[2]
            count(total, values[names[index]], want)
            if total[2] > before and not first:
                node = graph.producer[names[index]]
                first = f"first difference: {node.name} ({node.op}), input {key}, {total[2] - before} elements"
    return make_row(path.stem, producer, PRODUCERS[producer], total, first or f"every tensor of {model.path.name}")


def _execution_order(graph: Graph, tensors: Mapping[int, Mapping[str, Array]]) -> list[int]:
    order = [graph.tensors[out].index for node in graph.nodes for out in node.outputs]
    return [i for i in order if i is not None and i in tensors]


__all__ = ["check_model_file", "models_folder"]
