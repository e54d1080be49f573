"""Outputs that real boards printed, against every requantization rule and every profile that claims the board."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data import read_arrays
from workbench.errors import UnsupportedError
from workbench.execute import prepare
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.numerics.arithmetic import REQUANTIZE_CODES
from workbench.tensor import dequantize
from workbench.validate.pairing import ModelFile, input_of, load_models

PRINTED_TOLERANCE = 0.0011
"""Probabilities were printed with 3 decimals (README of the models folder); the steps of the output are 1/256 = 0.0039."""

BASE_PROFILE = "stm32l4r5-cortex-m4-tflm"


@dataclass(frozen=True)
class SiliconRow:
    """One printed log under one rule or profile: rows whose every value agrees, of all rows. claimed: the profile is this board."""

    file: str
    log: str
    model: str
    rule: str
    rows: int
    equal: int
    claimed: bool

    @property
    def ok(self) -> bool:
        """False when a profile that claims this board differs from what it printed."""
        return not self.claimed or self.equal == self.rows


def validate_silicon(folder: Path) -> list[SiliconRow]:
    """Return the matrix for every `hw_*` array of every NPZ below a folder (probabilities, one row per sample)."""
    models, _ = load_models(folder)
    found: list[SiliconRow] = []
    for path in sorted(folder.rglob("*.npz")):
        arrays = read_arrays(path)
        logs = {k: v for k, v in arrays.items() if k.startswith("hw_") and v.ndim == 2}
        for model in models if logs else []:
            found += _check_model(path, model, arrays, logs, models)
    return found


def _check_model(
    path: Path, model: ModelFile, arrays: dict[str, Array] | object, logs: dict[str, Array], models: list[ModelFile]
) -> list[SiliconRow]:
    graph = model.graph
    first = next(iter(logs.values()))
    out = graph.tensors[graph.outputs[0]]
    if out.quant is None or out.shape[1:] != first.shape[1:]:
        return []
    source = input_of(model, arrays, len(first), models)  # type: ignore[arg-type]
    if source is None:
        return []
    rows = []
    base = load_profile(BASE_PROFILE)
    runs: dict[str, HardwareProfile] = {rule: with_rule(base, rule) for rule in REQUANTIZE_CODES}
    runs |= {name: load_profile(name) for name in list_profiles() if load_profile(name).kind == "mcu"}
    results: dict[str, Array] = {}
    for name, profile in runs.items():
        with suppress(UnsupportedError):  # a target that has no rule for this model's scales did not print its log
            results[name] = _run(graph, profile, source[0])
    for log, printed in logs.items():
        claimant = _claimant(log)
        for name, real in results.items():
            equal = int((np.abs(real - printed) <= PRINTED_TOLERANCE).all(axis=1).sum())
            rows.append(SiliconRow(path.name, log, model.path.name, name, len(printed), equal, name == claimant))
    return rows


def with_rule(profile: HardwareProfile, rule: str) -> HardwareProfile:
    """Return a profile in which every operator requantizes by one rule."""
    operators = {
        name: entry.model_copy(update={"arithmetic": {**entry.arithmetic, "requantize": rule}})
        for name, entry in profile.operators.items()
    }
    return profile.model_copy(update={"name": f"{profile.name}+{rule}", "operators": operators})


def _run(graph: Graph, profile: HardwareProfile, x: Array) -> Array:
    out = graph.outputs[0]
    raw = prepare(graph, profile).run({graph.inputs[0]: x})[out]
    quant = graph.tensors[out].quant
    assert quant is not None
    return dequantize(raw, quant)


def _claimant(log: str) -> str | None:
    """Return the MCU profile with the most words of its name in the log's name: board and runtime must both be there."""
    text = log.lower()

    def score(name: str) -> int:
        parts = name.split("-")
        board, runtime = parts[0].removeprefix("stm32"), parts[-1]
        return (board in text) + (runtime in text)

    best = max(list_profiles(), key=score, default=None)
    return best if best is not None and score(best) == 2 else None
