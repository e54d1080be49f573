"""Whole networks against stored outputs of real runtimes: run exactly, within a stated tolerance, or refused with a reason.

Two layouts of a folder: pairs (`X.tflite` or `X.onnx` beside `X.npz`, see `pairs.py`), and collections, where words in the names of
arrays say which model made them (`pairing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from workbench.data import read_arrays
from workbench.errors import InputError, UnsupportedError, WorkbenchError
from workbench.execute import Values, apart, check_inputs, prepare, run_reference
from workbench.graph.ir import Array, Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.validate.pairing import ModelFile, input_of, load_models, model_of, producer_of
from workbench.validate.pairs import Stored, as_samples, differing, feeds_of, is_pair, stored_outputs

FLOAT_TOLERANCE = 1e-4
"""Largest |difference| / largest |value| of a float output: summation order differs between runtimes."""

CHUNK = 64
"""Samples that run together; the result does not depend on it."""

Status = Literal["equal", "within", "differs", "refused", "not run", "crashed"]


@dataclass(frozen=True)
class ModelRow:
    """Stored outputs of one runtime. profile: what they were compared with. values: elements; differ: of them. largest: difference,
    in steps for integers and relative to the largest value for floats. detail: the reason, or how many samples differ."""

    file: str
    array: str
    model: str
    profile: str
    values: int
    differ: int
    largest: float
    status: Status
    detail: str = ""

    @property
    def ok(self) -> bool:
        """False when something differs, crashed or could not be compared; a refusal with its reason is no failure."""
        return self.status in ("equal", "within", "refused")

    @property
    def verdict(self) -> str:
        """Status and reason in words."""
        return f"{self.status}: {self.detail}" if self.detail else self.status


def validate_models(folder: Path, loader: Callable[[Path], Graph] = load_model) -> list[ModelRow]:
    """Return one row per runtime and model with stored outputs, and one per model that is refused or has none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder.")
    data = sorted(folder.rglob("*.npz"))
    paired = {path: model for path in data if (model := is_pair(path)) is not None}
    rows: list[ModelRow] = []
    for path, model in paired.items():
        rows += _pair_rows(path, model, loader)
    rows += _collection_rows(folder, [p for p in data if p not in paired], {*paired.values()})
    return rows


def _pair_rows(data: Path, model: Path, loader: Callable[[Path], Graph]) -> list[ModelRow]:
    def row(status: Status, detail: str) -> ModelRow:
        return ModelRow(data.name, "", model.name, "", 0, 0, 0.0, status, detail)

    try:
        graph = loader(model)
    except WorkbenchError as problem:
        return [row("refused", _first_line(problem, model))]
    except Exception as problem:  # what this command is for: to find files that are neither run nor refused
        return [row("crashed", f"while loading: {type(problem).__name__}: {problem}")]
    try:
        arrays = read_arrays(data)
        feeds = feeds_of(graph, arrays)
        feeds = {name: as_samples(x, graph.tensors[name].shape, f"input '{name}'") for name, x in feeds.items()}
        feed = check_inputs(graph, feeds)
        stored = stored_outputs(graph, arrays)
    except WorkbenchError as problem:
        return [row("not run", f"{data.name} {_first_line(problem, data)}")]
    if not stored:
        return [row("not run", "no array out_* to compare with")]
    spread = _spread(stored)
    return [_compare_runtime(data, model, graph, feed, one, spread) for one in stored]


def _spread(stored: list[Stored]) -> dict[str, float]:
    """Return how far the runtimes are from each other: float output -> largest difference relative to the largest value."""
    found: dict[str, float] = {}
    for one, other in combinations(stored, 2):
        for name, x in one.outputs.items():
            y = other.outputs.get(name, x)
            if x.dtype.kind == "f" and x.shape == y.shape:
                found[name] = max(found.get(name, 0.0), differing(x, y)[1])
    return {name: gap for name, gap in found.items() if np.isfinite(gap)}


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
        return ModelRow(data.name, arrays, model.name, label, values, differ, largest, status, detail)

    try:
        got = run_as(graph, feed, profile)
        pairs = [
            (got[name], as_samples(want, graph.tensors[name].shape, f"output '{name}'"), spread.get(name, 0.0))
            for name, want in stored.outputs.items()
        ]
    except UnsupportedError as problem:
        return row(0, 0, 0.0, "refused", _first_line(problem, model))
    except (WorkbenchError, ValueError) as problem:
        return row(0, 0, 0.0, "not run", str(problem))
    except Exception as problem:
        return row(0, 0, 0.0, "crashed", f"{type(problem).__name__}: {problem}")
    return verdict_of(pairs, row)


def verdict_of(pairs: list[tuple[Array, Array, float]], row: Callable[..., ModelRow]) -> ModelRow:
    """Return the row for (got, wanted, how far the runtimes are apart) of all outputs.

    Integers must be equal. Floats must be within FLOAT_TOLERANCE, or nearer than the runtimes are to each other: a network that
    magnifies the order of its sums has no more exact outputs than that.
    """
    values, differ, largest, wrong = 0, 0, 0.0, np.zeros(len(pairs[0][0]), np.bool_)
    short, apart_by = False, 0.0
    for got, want, spread in pairs:
        if got.shape != want.shape:
            return row(
                want.size, want.size, 0.0, "differs", f"an output is {list(got.shape)}, the stored one {list(want.shape)}"
            )
        if got.dtype != want.dtype:
            return row(want.size, want.size, 0.0, "differs", f"an output is {got.dtype}, the stored one {want.dtype}")
        count, gap = differing(got, want)
        values, differ, largest = values + want.size, differ + count, max(largest, gap)
        if want.dtype.kind == "f" and FLOAT_TOLERANCE < gap <= spread:
            apart_by = max(apart_by, spread)
        else:
            short |= gap > (FLOAT_TOLERANCE if want.dtype.kind == "f" else 0)
        if len(wrong) == len(got):
            wrong |= (got != want).reshape(len(got), -1).any(axis=1)
    if not differ:
        return row(values, 0, largest, "equal")
    if short:
        return row(values, differ, largest, "differs", f"in {int(wrong.sum())} of {len(wrong)} samples")
    if apart_by:
        return row(values, differ, largest, "within", f"what the runtimes differ by, {apart_by:.1e} of the largest value")
    return row(values, differ, largest, "within", f"{FLOAT_TOLERANCE:g} of the largest value")


def has_integers(graph: Graph) -> bool:
    """True when a target's arithmetic decides the outputs: quantized activations, or integer weights under float ones."""
    return graph.is_quantized or any(t.quant is not None for t in graph.tensors.values())


def run_as(graph: Graph, feed: Values, profile: str) -> Mapping[str, Array]:
    """Return the outputs as a target computes them, or by the float reference when the file holds floats alone."""
    program = prepare(graph, load_profile(profile)) if has_integers(graph) else None
    parts = []
    for part in apart(graph, feed, CHUNK):
        own = {name: x[part] for name, x in feed.items()}
        parts.append(program.run(own) if program is not None else run_reference(graph, own))
    return {name: np.concatenate([p[name] for p in parts]) for name in graph.outputs}


def _collection_rows(folder: Path, data: list[Path], taken: set[Path]) -> list[ModelRow]:
    models, refused = load_models(folder, taken)
    rows = [ModelRow("", "", path.name, "", 0, 0, 0.0, "refused", why) for path, why in refused]
    seen: set[Path] = set()
    for path in data:
        arrays = read_arrays(path)
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
    rows += [
        ModelRow("", "", m.path.name, "", 0, 0, 0.0, "within", "loaded; no stored output to compare with")
        for m in models if m.path not in seen
    ]  # fmt: skip
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
