"""Whole networks against stored outputs of real runtimes; a difference is traced to the first operator that differs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data import read_arrays
from workbench.errors import UnsupportedError
from workbench.execute import batches, prepare, run_reference
from workbench.graph.ir import Array
from workbench.hardware import load_profile
from workbench.validate.pairing import ModelFile, input_of, load_models, model_of, producer_of

FLOAT_TOLERANCE = 1e-4
"""Largest |difference| / largest |value| of a float network: summation order differs between runtimes."""

HYBRID_AGREEMENT = 0.99
"""Share of samples with the same class that a dynamic-range network must reach: LiteRT quantizes its activations as it runs, the
reference computes with the dequantized weights, so values are not comparable and decisions are."""


@dataclass(frozen=True)
class ModelRow:
    """One stored output array: how many of its values (integers) or samples (floats) agree. verdict: 'equal', 'within 1e-4', ..."""

    file: str
    array: str
    model: str
    profile: str
    values: int
    differ: int
    largest: float
    verdict: str

    @property
    def ok(self) -> bool:
        """True unless something differs or could not be run."""
        return self.verdict.startswith(("equal", "within"))


def validate_models(folder: Path) -> list[ModelRow]:
    """Return one row per stored output, and one per model that is refused or has no stored output."""
    models, refused = load_models(folder)
    rows = [ModelRow("", "", path.name, "", 0, 0, 0.0, f"refused: {why}") for path, why in refused]
    seen: set[Path] = set()
    for path in sorted(folder.rglob("*.npz")):
        arrays = read_arrays(path)
        for name, want in arrays.items():
            profile = producer_of(name)
            model = model_of(name, path, want, models) if profile else None
            if profile is None:
                continue
            if model is None:
                rows.append(
                    ModelRow(path.name, name, "?", profile, want.size, want.size, 0.0, "not run: no model of the folder fits")
                )
                continue
            seen.add(model.path)
            rows.append(_compare(path, name, want, model, profile, arrays, models))
    rows += [
        ModelRow("", "", m.path.name, "", 0, 0, 0.0, "within: loaded; no stored output to compare with")
        for m in models if m.path not in seen
    ]  # fmt: skip
    return rows


def _compare(
    path: Path, name: str, want: Array, model: ModelFile, profile: str, arrays: object, models: list[ModelFile]
) -> ModelRow:
    graph = model.graph
    source = input_of(model, arrays, len(want), models)  # type: ignore[arg-type]
    if source is None:
        return ModelRow(path.name, name, model.path.name, profile, want.size, want.size, 0.0, "not run: no input array fits")
    feed, out = {graph.inputs[0]: source[0]}, graph.outputs[0]
    if want.dtype.kind == "f":
        got = np.concatenate([run_reference(graph, {graph.inputs[0]: source[0][p]})[out] for p in batches(len(want), 64)])
        largest = float(np.abs(got - want).max() / max(float(np.abs(want).max()), 1e-30))
        hybrid = any(t.is_constant and t.dtype == "int8" for t in graph.tensors.values())
        return ModelRow(
            path.name, name, model.path.name, "reference", want.size, 0, largest, _float_verdict(got, want, largest, hybrid)
        )
    try:
        got = prepare(graph, load_profile(profile)).run(feed)[out]
    except UnsupportedError as problem:
        return ModelRow(path.name, name, model.path.name, profile, want.size, want.size, 0.0, f"not run: {problem}")
    difference = np.abs(got.astype(np.int64) - want.astype(np.int64))
    differ = int((difference != 0).sum())
    verdict = (
        "equal"
        if not differ
        else f"differs in {int((difference != 0).reshape(len(want), -1).any(axis=1).sum())} of {len(want)} samples"
    )
    return ModelRow(path.name, name, model.path.name, profile, want.size, differ, float(difference.max(initial=0)), verdict)


def _float_verdict(got: Array, want: Array, largest: float, hybrid: bool) -> str:
    if not hybrid:
        return f"within {FLOAT_TOLERANCE:g}" if largest <= FLOAT_TOLERANCE else "differs"
    same = int((got.reshape(len(got), -1).argmax(axis=1) == want.reshape(len(want), -1).argmax(axis=1)).sum())
    text = f"{same} of {len(want)} samples have the same class (dynamic range: the runtime quantizes activations as it runs)"
    return f"within: {text}" if same >= HYBRID_AGREEMENT * len(want) else f"differs: {text}"
