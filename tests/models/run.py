"""Runs one of the catalogue's networks on its own runtime, stores inputs and outputs as pairs, and validates them as a user would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.catalogue import RealModel
from workbench.validate.models import validate_models
from workbench.validate.verdict import ModelRow

Array = np.ndarray[Any, Any]
NUMBERS = {
    "float32": np.float32,
    "float16": np.float16,
    "int64": np.int64,
    "int32": np.int32,
    "int8": np.int8,
    "uint8": np.uint8,
    "bool": np.bool_,
}


def numbers(model: RealModel, shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    """Return random inputs."""
    rng = np.random.default_rng([seed, *shape])
    kind = np.dtype(NUMBERS[dtype])
    if kind.kind == "f":
        made = (
            rng.normal(0, 1, shape)
            if model.inputs == "normal"
            else rng.uniform(0, 255 if model.inputs == "image" else 1, shape)
        )
        return made.astype(kind)
    low, high = (0, 256) if model.inputs == "bytes" else (np.iinfo(kind).min, np.iinfo(kind).max + 1)
    return rng.integers(low, high, shape).astype(kind)


def store_pair(model: RealModel, source: Path, folder: Path) -> list[ModelRow]:
    """Write X and X.npz with the runtime's outputs into a folder; return what `validate models` says of it."""
    (folder / source.name).write_bytes(source.read_bytes())
    runtime = _onnx if source.suffix == ".onnx" else _tflite
    arrays = runtime(model, source) if model.claim != "refused" else {"in_0": np.zeros(1), "out_0": np.zeros(1)}
    np.savez(folder / f"{source.stem}.npz", **arrays)
    return validate_models(folder)


def _tflite(model: RealModel, path: Path) -> Mapping[str, Array]:
    """Return one stream of inferences: LiteRT as it comes, its builtin kernels, and tflite-micro where it has the operators."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra 'verify' (ai-edge-litert)")
    found: dict[str, list[Array]] = {}
    kinds = {"": "AUTO", "_builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
    for tail, resolver in kinds.items():
        interpreter = litert.Interpreter(
            str(path), experimental_op_resolver_type=getattr(litert.OpResolverType, resolver), num_threads=1
        )
        interpreter.allocate_tensors()
        for step in range(model.samples):
            for i, detail in enumerate(interpreter.get_input_details()):
                x = numbers(model, tuple(detail["shape"]), detail["dtype"].__name__, step)
                interpreter.set_tensor(detail["index"], x)
                found.setdefault(f"in_{i}", []).append(x) if not tail else None
            interpreter.invoke()
            for i, detail in enumerate(interpreter.get_output_details()):
                found.setdefault(f"out_{i}{tail}", []).append(interpreter.get_tensor(detail["index"]))
    return {name: np.stack(parts) for name, parts in found.items()}


def _onnx(model: RealModel, path: Path) -> Mapping[str, Array]:
    ort = pytest.importorskip("onnxruntime", reason="needs the extra 'verify' (onnxruntime)")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found: dict[str, list[Array]] = {}
    for step in range(model.samples):
        feed = {}
        for info in session.get_inputs():
            fixed = model.dims.get(info.name)
            kind = {"float": "float32", "double": "float64"}.get(info.type[7:-1], info.type[7:-1])
            shape = tuple(model.dims.get(d, 1) if isinstance(d, str) else d or 1 for d in info.shape)
            feed[info.name] = np.array(fixed, kind) if fixed is not None else numbers(model, shape, kind, step)
            found.setdefault(f"in_{info.name}", []).append(feed[info.name])
        for info, y in zip(session.get_outputs(), session.run(None, feed), strict=True):
            found.setdefault(f"out_{info.name}", []).append(np.asarray(y))
    return {name: np.stack(parts) for name, parts in found.items()}
