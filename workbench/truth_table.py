"""`exhaustive`: the exact result of every plan there is, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.data import make_dataset
from workbench.errors import InputError, UnsupportedError
from workbench.evaluate import Evaluator, Journal
from workbench.execute import check_inputs
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders import load_model
from workbench.progress import Plain, Silent
from workbench.quantize import Lowering, QuantizeOptions, calibrate
from workbench.sweep import PLAN_LIMIT, decision_groups, legal_formats
from workbench.sweep import exhaustive as plans_of


def exhaustive(
    model: Graph | str | Path,
    inputs: Array | Mapping[str, Array],
    labels: Array | None,
    profile: HardwareProfile | str | Path,
    formats: Sequence[str],
    *,
    calibration: Array | Mapping[str, Array] | None = None,
    journal: str | Path | None = None,
    limit: int = PLAN_LIMIT,
    threads: int | None = None,
    memory_bytes: int = 512 * 2**20,
    progress: bool = False,
) -> pd.DataFrame:
    """Evaluate every combination of formats over the layers of a model, bit for bit as the target computes them.

    Layers that share weights (or an addition, when the formats differ in activation type) are decided together. A layer for which
    the target lacks some of the formats takes the others.

    Args:
        model: a loaded model or the path of a `.tflite` or `.onnx` file. inputs: [N, ...] (or a dict by the name of
            the one input), raw integers or real numbers. labels: classes [N], or None.
        profile: a profile, its name, or the path of its YAML. formats: such as `["w8a8", "w4a8"]`.
        calibration: samples that set the scales of a float model. journal: file that keeps finished plans; an interrupted call goes
            on from it. limit: most plans. threads: default all CPUs. memory_bytes: most for activations. progress: tell it, with the
            time left, on standard error.
    Returns: one row per plan, first its metrics, then one column per group of layers, named after the first layer (`layer:` before it
        where a metric has that name), with its format. The last group changes first.
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
    plans = plans_of(groups, offered, limit)
    data = make_dataset("samples", samples, None if labels is None else np.asarray(labels))
    evaluator = Evaluator(lowering, data, Journal(None if journal is None else Path(journal)), threads, memory_bytes)
    reporter = Plain() if progress else Silent()
    with reporter.phase(f"{target.name}: {len(plans):,} plans") as tick:
        records = evaluator.evaluate(plans, tick)
    rows: list[dict[str, Any]] = []
    for plan in plans:
        formats_of = dict(plan.layers)
        chosen = {group.name: formats_of.get(group.name, plan.default) for group in groups}
        metrics = records[plan].metrics
        rows.append({**metrics, **{f"layer:{name}" if name in metrics else name: fmt for name, fmt in chosen.items()}})
    return pd.DataFrame(rows)
