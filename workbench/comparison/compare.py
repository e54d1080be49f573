"""`compare`: why two targets, two plans, or a target and a recording differ on a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from workbench.api import PlanLike
from workbench.comparison.attribution import SWITCH_LIMIT, attribute
from workbench.comparison.context import explain
from workbench.comparison.flips import find_flips
from workbench.comparison.hybrid import Hybrids
from workbench.comparison.recording import Recording
from workbench.comparison.results import Attribution, Comparison, FirstDifference, Flips, LayerDifference
from workbench.comparison.sides import Given, Samples, Sides, make_sides
from workbench.comparison.switches import By, Change, describe
from workbench.comparison.tensors import Difference, Pair, differences
from workbench.data import Dataset, make_dataset, pick, read_arrays
from workbench.errors import InputError, nearest
from workbench.execute import Program, check_inputs
from workbench.files import find_inputs
from workbench.graph.ir import Array, Graph
from workbench.loaders import load_model
from workbench.metrics import predictions
from workbench.progress import Reporter, Silent


def compare(
    a: Given,
    b: Given,
    model: Graph | str | Path,
    inputs: Array | Mapping[str, Array],
    labels: Array | None = None,
    *,
    plan: PlanLike = None,
    plan_b: PlanLike = None,
    calibration: Array | Mapping[str, Array] | None = None,
    samples: int | None = None,
    by: By = "rules",
    limit: int = SWITCH_LIMIT,
    threads: int | None = None,
    reporter: Reporter | None = None,
) -> Comparison:
    """Compare two targets, two plans or a target and a recording on one model and the same samples, bit for bit.

    Args:
        a, b: a profile, its name or its path; or recorded tensors: the path of an NPZ (`FILE.npz`, `FILE.npz#ARRAY`) or a mapping.
        model: a loaded model or the path of a `.tflite` or `.onnx` file. inputs: raw integers or real numbers, batch first.
        labels: classes [N], or None. plan, plan_b: as for `emulate`; plan_b: of B where it is another one.
        calibration: samples that set the scales of a float model. samples: only the first so many.
        by: what is switched from A to B: "rules" (each everywhere), "operators" (a rule in one kind of operator), "layers".
        limit: most switches (2**limit hybrids are evaluated); neighbours beyond it are switched together.
        threads: default all CPUs; the result does not depend on it. reporter: where progress is told.
    Raises: WorkbenchError subclasses; a message says where, what came and what fits.
    """
    if by not in get_args(By):
        raise InputError(f"compare: by is '{by}'.{nearest(by, get_args(By))} One of {', '.join(get_args(By))} fits.")
    graph = load_model(model) if not isinstance(model, Graph) else model
    feed = check_inputs(graph, inputs)
    given = len(next(iter(feed.values())))
    if samples is not None and not 1 <= samples <= given:
        raise InputError(f"compare: samples is {samples}; 1 to {given} fit these data.")
    chosen = Samples(check_inputs(graph, {name: x[:samples] for name, x in feed.items()}), samples or given, given)
    sides = make_sides(graph, chosen, (a, b), (plan, plan if plan_b is None else plan_b), calibration)
    workers, tell = threads or os.cpu_count() or 1, reporter or Silent()
    data = _dataset(chosen, labels, sides)
    with tell.phase("both sides, tensor by tensor") as tick:
        found = differences(graph, sides.a, sides.b, sides.pairs, sides.output, chosen.feed, workers, tick)
    notes = [note for side in (sides.a, sides.b) if isinstance(side, Recording) for note in side.notes]
    hybrids = sides.hybrids(graph)
    changes = [] if hybrids is None else hybrids.changes({k: x[: graph.fixed_batch or 1] for k, x in chosen.feed.items()})
    flips, attribution = None, None
    if data is None or sides.output is None or found.outputs is None:
        notes.append("classes and attribution: they need one input, and one output that both sides have")
    else:
        flips = _flips(found, sides.output, data)
        attribution = _attribution(hybrids, changes, data, flips, found.outputs[0], by, limit, workers, tell)
    if hybrids is None:
        notes.append("attribution: a recording has no rules to switch; compare two profiles")
    texts = _texts(changes)
    rows = tuple(_layer(sides, pair, found, texts, chosen.count) for pair in sides.pairs)
    return Comparison(
        graph.name, sides.names[0], sides.names[1], chosen.count, rows, _first(sides, found, texts, chosen, graph), flips,
        attribution, tuple(notes),
    )  # fmt: skip


def compare_files(
    a: str,
    b: str,
    model: Path,
    data: Path,
    inputs: str | None = None,
    labels: str | None = None,
    *,
    plan: str | None = None,
    plan_b: str | None = None,
    calibration: Path | None = None,
    samples: int | None = None,
    by: str = "rules",
    limit: int = SWITCH_LIMIT,
    threads: int | None = None,
    reporter: Reporter | None = None,
) -> Comparison:
    """Compare with samples from files (see `compare`). inputs, labels: names of arrays of `data`."""
    graph = load_model(model)
    feed = find_inputs(graph, data, inputs)
    seen = None if calibration is None else find_inputs(graph, calibration, inputs)
    classes = None if labels is None else pick(read_arrays(data), labels, str(data))
    return compare(
        a, b, graph, feed, classes, plan=plan, plan_b=plan_b, calibration=seen, samples=samples, by=by, limit=limit,  # type: ignore[arg-type]
        threads=threads, reporter=reporter,
    )  # fmt: skip


def _dataset(chosen: Samples, labels: Array | None, sides: Sides) -> Dataset | None:
    """Return the samples with their labels; None for a model with several inputs."""
    if labels is not None and len(labels) not in (chosen.count, chosen.given):
        raise InputError(f"compare: {len(labels)} labels for {chosen.given} samples.")
    if len(chosen.feed) != 1:
        return None
    (x,) = chosen.feed.values()
    classes = None if sides.output is None else int(np.prod(sides.output.a.shape[1:], dtype=np.int64))
    return make_dataset("samples", x, None if labels is None else np.asarray(labels)[: chosen.count], classes)


def _flips(found: Difference, output: Pair, data: Dataset) -> Flips:
    assert found.outputs is not None
    a, b = (predictions(rows.astype(np.float64)) for rows in found.outputs)
    return find_flips(a, b, data.labels, found.found[output.name].cumulative.samples)


def _attribution(
    hybrids: Hybrids | None, changes: Sequence[Change], data: Dataset, flips: Flips, outputs: Array, by: By, limit: int,
    threads: int, reporter: Reporter,
) -> Attribution | None:  # fmt: skip
    if hybrids is None:
        return None
    return attribute(hybrids, hybrids.switches(by, changes), data, flips, outputs, by, limit, threads, reporter)


def _texts(changes: Sequence[Change]) -> dict[str, tuple[str, ...]]:
    """Return, by node, the rules that it reads and in which the targets differ, in words."""
    found: dict[str, tuple[str, ...]] = {}
    for change in changes:
        found[change.node] = (*found.get(change.node, ()), describe(change))
    return found


def _layer(sides: Sides, pair: Pair, found: Difference, texts: Mapping[str, tuple[str, ...]], count: int) -> LayerDifference:
    node, own = sides.nodes[pair.name], found.found[pair.name]
    return LayerDifference(
        node.name, node.op, pair.name, pair.elements(count), pair.unit, own.cumulative, own.local, texts.get(node.name, ())
    )


def _first(
    sides: Sides, found: Difference, texts: Mapping[str, tuple[str, ...]], chosen: Samples, graph: Graph
) -> FirstDifference | None:
    for i, pair in enumerate(sides.pairs):
        own = found.found[pair.name]
        if own.example is None:
            continue
        node, e = sides.nodes[pair.name], own.example
        program = next((s for s in (sides.a, sides.b) if isinstance(s, Program)), None)
        context = () if program is None else _context(program, pair.name, e.sample, e.index, chosen, graph.fixed_batch or 1)
        return FirstDifference(
            node.name, node.op, pair.name, i + 1, len(sides.pairs), own.cumulative, pair.elements(chosen.count), chosen.count,
            pair.unit, e.sample, e.index, e.a, e.b, texts.get(node.name, ()), context,
        )  # fmt: skip
    return None


def _context(
    program: Program, tensor: str, sample: int, index: tuple[int, ...], chosen: Samples, batch: int
) -> tuple[str, ...]:
    """Return what an element was made from, in words. batch: samples that run together."""
    start = sample // batch * batch
    values = program.run({name: x[start : start + batch] for name, x in chosen.feed.items()}, keep_all=True)
    step = next(s for s in program.steps if tensor in s.node.outputs)
    row = slice(sample - start, sample - start + 1)
    return explain(step, [values[name][row] if name else constant for name, constant in step.sources], index)
