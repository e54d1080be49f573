"""Whole networks against stored outputs of real runtimes: run exactly, within a stated tolerance, or refused with a reason.

Two layouts of a folder: pairs (`X.tflite` or `X.onnx` beside `X.npz`, see `pairs.py`), and collections, where words in the names of
arrays say which model made them (`pairing.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from workbench.data import read_arrays
from workbench.errors import InputError, UnsupportedError, WorkbenchError
from workbench.execute import Values, apart, check_inputs, prepare, run_reference
from workbench.graph.ir import Array, Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.loaders.load import SUFFIXES
from workbench.validate.open_dims import Loader, Stated, feeds_for, known_dims, load_for, stated_by
from workbench.validate.pairing import ModelFile, files_of, input_of, model_of, producer_of
from workbench.validate.pairs import RUNTIMES, Stored, as_stored, has_outputs, in_a_row, models_beside, stored_outputs
from workbench.validate.verdict import ModelRow, Status, compared, has_integers, spread_of, verdict_of

CHUNK = 64
"""Samples that run together; the result does not depend on it."""


def _load(path: Path, dims: Mapping[str, int]) -> Graph:
    return load_model(path, dims=dims)


def validate_models(folder: Path, dims: Mapping[str, int] | None = None, loader: Loader = _load) -> list[ModelRow]:
    """Return one row per runtime and model with stored outputs, and one per model, or file of outputs, that could not be compared.

    dims: sizes of symbolic dimensions of ONNX files by name; where they do not say, the stored inputs do.
    """
    dims = dims or {}
    models, files = files_of(folder, *SUFFIXES), files_of(folder, ".npz")
    unknown = [name for name in dims if not any(known_dims(path, {name: dims[name]}) for path in models)]
    if unknown:
        raise InputError(f"{folder}: no ONNX file here has a dimension '{unknown[0]}' to fix.")
    rows: list[ModelRow] = []
    alone: dict[Path, Mapping[str, Array]] = {}
    for data in files:
        beside = models_beside(data, models)
        arrays: Mapping[str, Array] | str
        try:
            arrays = read_arrays(data)
        except WorkbenchError as problem:
            arrays = _first_line(problem, data)
        for model in beside:
            rows += _pair_rows(data, arrays, model, [m for m in beside if m != model], dims, loader)
        if beside:
            continue
        if isinstance(arrays, str):
            rows.append(_row(data.name, "", "not run", arrays))
        elif has_outputs(arrays):
            rows.append(_row(data.name, "", "not run", f"no model {data.stem}.tflite or {data.stem}.onnx beside it"))
        else:
            alone[data] = arrays
    taken = {model for data in files for model in models_beside(data, models)}
    return rows + _collection_rows([m for m in models if m not in taken], alone, dims, loader)


def _row(data: str, model: str, status: Status, detail: str) -> ModelRow:
    return ModelRow(data, "", model, "", 0, 0, 0.0, status, detail)


def _loaded(data: str, model: Path, stated: Stated, loader: Loader) -> Graph | ModelRow:
    """Return the graph of a file, or the row that says why there is none."""
    try:
        return load_for(model, stated, loader)
    except WorkbenchError as problem:
        return _row(data, model.name, "refused", _first_line(problem, model))
    except Exception as problem:  # what this command is for: to find files that are neither run nor refused
        return _row(data, model.name, "crashed", f"while loading: {type(problem).__name__}: {problem}")


def _pair_rows(
    data: Path, arrays: Mapping[str, Array] | str, model: Path, others: Sequence[Path], dims: Mapping[str, int], loader: Loader
) -> list[ModelRow]:
    """Return the rows of one model and its arrays, or the reason why they cannot be read. others: models of the same name."""
    try:
        stated = stated_by(model, {} if isinstance(arrays, str) else arrays, dims)
        graph = _loaded(data.name, model, stated, loader)
        if isinstance(graph, ModelRow):
            return [graph]
        if isinstance(arrays, str):
            return [_row(data.name, model.name, "not run", f"{data.name} {arrays}")]
        feeds = {name: as_stored(x, graph, name) for name, x in feeds_for(graph, arrays, stated).items()}
        feed = check_inputs(graph, feeds)
        stored = stored_outputs(graph, arrays, _words_of(others))
    except WorkbenchError as problem:
        return [_row(data.name, model.name, "not run", f"{data.name} {_first_line(problem, data)}")]
    if not stored:
        return [_row(data.name, model.name, "not run", "no array out_* to compare with")]
    spread = spread_of(stored)
    return [_compare_runtime(data, model, graph, feed, one, spread) for one in stored]


def _words_of(models: Sequence[Path]) -> Collection[str]:
    """Return the words that name runtimes of these models."""
    return {word for model in models for word in RUNTIMES[model.suffix.lower()[1:]]}


def _compare_runtime(
    data: Path, model: Path, graph: Graph, feed: Values, stored: Stored, spread: Mapping[str, float]
) -> ModelRow:
    """Compare with each profile that the runtime may stand for; the best row counts."""
    rows = []
    for profile in stored.profiles:
        rows.append(_compare_profile(data, model, graph, feed, stored, profile, spread))
        if rows[-1].status == "equal" or not has_integers(graph):
            break
    order: tuple[Status, ...] = ("equal", "within", "differs", "refused", "not run", "crashed")
    return min(rows, key=lambda r: (order.index(r.status), r.differ))


def _compare_profile(
    data: Path, model: Path, graph: Graph, feed: Values, stored: Stored, profile: str, spread: Mapping[str, float]
) -> ModelRow:
    arrays = ", ".join(stored.arrays) if len(stored.arrays) < 4 else f"{len(stored.arrays)} outputs"
    label = profile if has_integers(graph) else "reference"

    def row(values: int, differ: int, largest: float, status: Status, detail: str = "") -> ModelRow:
        detail += f" ({stored.note})" if stored.note and status == "differs" else ""
        return ModelRow(data.name, arrays, model.name, label, values, differ, largest, status, detail)

    try:
        got = run_as(graph, feed, profile)
        outputs = [
            compared(graph, n, in_a_row(got[n], graph, n), in_a_row(as_stored(want, graph, n), graph, n), spread)
            for n, want in stored.outputs.items()
        ]
    except UnsupportedError as problem:
        return row(0, 0, 0.0, "refused", _first_line(problem, model))
    except (WorkbenchError, ValueError) as problem:
        return row(0, 0, 0.0, "not run", str(problem))
    except Exception as problem:
        return row(0, 0, 0.0, "crashed", f"{type(problem).__name__}: {problem}")
    return verdict_of(outputs, row)


def run_as(graph: Graph, feed: Values, profile: str) -> Mapping[str, Array]:
    """Return the outputs as a target computes them, or by the float reference when the file holds floats alone."""
    program = prepare(graph, load_profile(profile)) if has_integers(graph) else None
    parts = []
    for part in apart(graph, feed, CHUNK):
        own = {name: x[part] for name, x in feed.items()}
        parts.append(program.run(own) if program is not None else run_reference(graph, own))
    return {name: np.concatenate([p[name] for p in parts]) for name in graph.outputs}


def _collection_rows(
    paths: Sequence[Path], data: Mapping[Path, Mapping[str, Array]], dims: Mapping[str, int], loader: Loader
) -> list[ModelRow]:
    rows: list[ModelRow] = []
    models: list[ModelFile] = []
    for path in paths:
        graph = _loaded("", path, stated_by(path, {}, dims), loader)
        if isinstance(graph, ModelRow):
            rows.append(graph)
        else:
            models.append(ModelFile(path, graph))
    seen: set[Path] = set()
    for path, arrays in data.items():
        for name, want in arrays.items():
            profile = producer_of(name)
            if profile is None:
                continue
            model = model_of(name, path, want, models)
            if model is None:
                why = "no model of the folder fits"
                rows.append(ModelRow(path.name, name, "?", profile, want.size, want.size, 0.0, "not run", why))
                continue
            seen.add(model.path)
            rows.append(_compare_array(path, name, want, model, profile, arrays, models))
    rows += [_row("", m.path.name, "loaded", "no stored output to compare with") for m in models if m.path not in seen]
    return rows


def _compare_array(
    path: Path, name: str, want: Array, model: ModelFile, profile: str, arrays: Mapping[str, Array], models: list[ModelFile]
) -> ModelRow:
    source = input_of(model, arrays, len(want), models)
    if source is None:
        return ModelRow(path.name, name, model.path.name, profile, want.size, want.size, 0.0, "not run", "no input array fits")
    graph = model.graph
    stored = Stored("", (profile,), {graph.outputs[0]: want}, (name,))
    return _compare_profile(path, model.path, graph, {graph.inputs[0]: source[0]}, stored, profile, {})


def _first_line(problem: Exception, path: Path) -> str:
    return str(problem).split("\n")[0].replace(f"{path}: ", "")
