"""`exhaustive_table`: the exact result of every plan there is. `exhaustive`: the same as a data frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data import make_dataset
from workbench.errors import InputError, UnsupportedError
from workbench.evaluate import Evaluator
from workbench.execute import check_inputs
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders import load_model
from workbench.placement import host_of
from workbench.progress import Plain, Silent
from workbench.quantize import Lowering, QuantizeOptions, calibrate
from workbench.sweep import PLAN_LIMIT, decision_groups, legal_formats, whole_space
from workbench.truth import TruthTable, build_table
from workbench.truth.prices import plan_costs


def exhaustive(
    model: Graph | str | Path,
    inputs: Array | Mapping[str, Array],
    labels: Array | None,
    profile: HardwareProfile | str | Path,
    formats: Sequence[str],
    *,
    calibration: Array | Mapping[str, Array] | None = None,
    folder: str | Path | None = None,
    limit: int = PLAN_LIMIT,
    threads: int | None = None,
    memory_bytes: int = 512 * 2**20,
    progress: bool = False,
) -> pd.DataFrame:
    """Evaluate every combination of formats over the layers of a model, bit for bit as the target computes them.

    The frame of `exhaustive_table`, which takes the same arguments and keeps more: results per sample, frontiers, Parquet.

    Returns: one row per plan, first its metrics, then what it costs (flash and RAM in bytes with the runtime's own, latency in seconds,
        energy in joules; not for a target without costs), then one column per group of layers, named after the first layer (`layer:`
        before it where another column has that name), with its format. The last group changes first.
    """
    return exhaustive_table(
        model, inputs, labels, profile, formats, calibration=calibration, folder=folder, limit=limit, threads=threads,
        memory_bytes=memory_bytes, losses=False, progress=progress,
    ).frame()  # fmt: skip


def exhaustive_table(
    model: Graph | str | Path,
    inputs: Array | Mapping[str, Array],
    labels: Array | None,
    profile: HardwareProfile | str | Path,
    formats: Sequence[str],
    *,
    calibration: Array | Mapping[str, Array] | None = None,
    folder: str | Path | None = None,
    limit: int = PLAN_LIMIT,
    threads: int | None = None,
    memory_bytes: int = 512 * 2**20,
    losses: bool = True,
    progress: bool = False,
) -> TruthTable:
    """Evaluate every combination of formats over the layers of a model and keep all of it.

    Layers that share weights (or an addition, when the formats differ in activation type) are decided together. A layer for which
    the target lacks some of the formats takes the others.

    Args:
        model: a loaded model or the path of a `.tflite` or `.onnx` file. inputs: [N, ...] (or a dict by the name of
            the one input), raw integers or real numbers. labels: classes [N], or None.
        profile: a profile, its name, or the path of its YAML. formats: such as `["w8a8", "w4a8"]`.
        calibration: samples that set the scales of a float model. folder: keeps finished parts, and the table when it is done
            (`table.parquet`); an interrupted call goes on from it. limit: most plans. threads: default all CPUs. memory_bytes: most for
            activations. losses: keep the loss of every sample. progress: tell it, with the time left, on standard error.
    Raises: WorkbenchError subclasses: more plans than `limit`, formats that the target does not have, inputs that do not fit.
    """
    graph = load_model(model) if not isinstance(model, Graph) else model
    target = load_profile(profile)
    if isinstance(formats, str) or not formats or not all(isinstance(f, str) for f in formats):
        raise InputError(f"exhaustive: formats is {formats!r}; expected a list of names such as ['w8a8', 'w4a8'].")
    if len(graph.inputs) != 1:
        raise InputError(f"exhaustive: model '{graph.name}' has {len(graph.inputs)} inputs; one is needed.")
    (samples,) = check_inputs(graph, inputs).values()
    seen = None if calibration is None else calibrate(graph, calibration, QuantizeOptions().activations != "min_max")
    lowering = Lowering(graph, target, seen)
    legal, left_out = legal_formats(lowering, formats)
    if not legal:
        reasons = "\n".join(f"{fmt}: {why}" for fmt, why in left_out)
        raise UnsupportedError(f"profile '{target.name}' has none of the formats for this model:\n{reasons}")
    groups = decision_groups(graph, lowering.layers, list(legal))
    offered = {g.name: [f for f, layers in legal.items() if layers.issuperset(g.layers)] for g in groups}
    space = whole_space(groups, offered, limit)
    data = make_dataset("samples", samples, None if labels is None else np.asarray(labels))
    evaluator = Evaluator(lowering, data, None, threads, memory_bytes)
    price = plan_costs(lowering, space) if is_priced(target) else None
    reporter = Plain() if progress else Silent()
    with reporter.phase(f"{target.name}: {space.size:,} plans") as tick:
        return build_table(evaluator, space, price, None if folder is None else Path(folder), losses=losses, progress=tick)


def is_priced(profile: HardwareProfile) -> bool:
    """Return whether a target, and its host, have costs."""
    return all(part is None or part.costs is not None for part in (profile, host_of(profile)))
