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
from workbench.evaluate import threshold_of
from workbench.evaluate.streams import judged_rows
from workbench.execute import Program, Values, check_inputs
from workbench.files import find_calibration, find_data
from workbench.graph.ir import Array, Graph
from workbench.loaders import load_model
from workbench.metrics import classes_of, predictions
from workbench.progress import Reporter, Silent
from workbench.streams import streams_of


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
    data = _dataset(chosen, labels, sides, bool(graph.states))
    with tell.phase("both sides, tensor by tensor") as tick:
        found = differences(graph, sides.a, sides.b, sides.pairs, sides.output, chosen.feed, workers, tick)
    notes = [note for side in (sides.a, sides.b) if isinstance(side, Recording) for note in side.notes]
    hybrids = sides.hybrids(graph)
    changes = [] if hybrids is None else hybrids.changes(_first_sample(graph, chosen.feed))
    flips, attribution = None, None
    if data is None or sides.output is None or found.outputs is None:
        notes.append("classes and attribution: they need one input, and one output that both sides have")
    else:
        outputs, judged = _judged(graph, data, chosen.feed, found.outputs)
        threshold = threshold_of(graph, graph.outputs[0])
        flips = _flips(outputs, found.found[sides.output.name].cumulative.samples, judged, threshold)
        attribution = _attribution(hybrids, changes, data, flips, outputs[0], by, limit, workers, tell)
    if hybrids is None:
        notes.append("attribution: a recording has no rules to switch; compare two profiles")
    texts = _texts(changes)
    total = _frames(graph, chosen)
    rows = tuple(_layer(sides, pair, found, texts, total) for pair in sides.pairs)
    return Comparison(
        graph.name, sides.names[0], sides.names[1], total, rows, _first(sides, found, texts, chosen, graph), flips,
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
    """Compare with samples from files (see `compare`). inputs, labels: names of arrays of `data`; a YAML or folder brings its own."""
    graph = load_model(model)
    found = find_data(graph, data, inputs)
    seen = None if calibration is None else find_calibration(graph, calibration, inputs)
    own = found.labels if found.labels is not None and found.labels.ndim == 1 and found.labels.dtype.kind in "iu" else None
    classes = own if labels is None else pick(read_arrays(data), labels, str(data))
    return compare(
        a, b, graph, found.inputs, classes, plan=plan, plan_b=plan_b, calibration=seen, samples=samples, by=by, limit=limit,  # type: ignore[arg-type]
        threads=threads, reporter=reporter,
    )  # fmt: skip


def _dataset(chosen: Samples, labels: Array | None, sides: Sides, states: bool) -> Dataset | None:
    """Return the samples with their labels; None for a model with several inputs. states: the model keeps state."""
    if labels is not None and len(labels) not in (chosen.count, chosen.given):
        raise InputError(f"compare: {len(labels)} labels for {chosen.given} samples.")
    if len(chosen.feed) != 1:
        return None
    (x,) = chosen.feed.values()
    classes = None if sides.output is None else classes_of(sides.output.a.shape[1:])
    own = None if labels is None else np.asarray(labels)[: chosen.count]
    per_frame = states and own is not None and own.ndim > 1 and own.dtype.kind in "iu"
    if per_frame and own is not None:  # checked where they are judged
        return Dataset("samples", x, own.astype(np.int64))
    return make_dataset("samples", x, own, classes)


def _first_sample(graph: Graph, feed: Values) -> Values:
    """Return the inputs of one sample, of one fixed batch, or of the first two frames of a stream."""
    streams, size = streams_of(graph), graph.fixed_batch or 1
    if streams is None:
        return {name: x[:size] for name, x in feed.items()}
    return {name: x[0, : 2 * size] for name, x in streams.apart(feed).items()}


def _frames(graph: Graph, chosen: Samples) -> int:
    """Return how many samples are compared: frames of all streams together."""
    streams = streams_of(graph)
    if streams is None:
        return chosen.count
    return int(np.prod(next(iter(streams.apart(chosen.feed).values())).shape[:2]))


def _judged(graph: Graph, data: Dataset, feed: Values, outputs: tuple[Array, Array]) -> tuple[tuple[Array, Array], Dataset]:
    """Return both sides' outputs that are judged, and their labels: of a network with state labels may be those of last frames."""
    several, rows, judged = judged_rows(graph, data, feed)
    if not rows.streams:
        return outputs, judged
    count = len(next(iter(several.values())))
    a, b = (rows.of(y.reshape(count, -1, y.shape[1])) for y in outputs)
    return (a, b), judged


def _flips(outputs: tuple[Array, Array], differing: int, data: Dataset, threshold: float) -> Flips:
    a, b = (predictions(rows.astype(np.float64), threshold) for rows in outputs)
    return find_flips(a, b, data.labels, differing)


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
    total = _frames(graph, chosen)
    for i, pair in enumerate(sides.pairs):
        own = found.found[pair.name]
        if own.example is None:
            continue
        node, e = sides.nodes[pair.name], own.example
        program = next((s for s in (sides.a, sides.b) if isinstance(s, Program)), None)
        context = () if program is None else _context(program, pair.name, e.sample, e.index, chosen, graph.fixed_batch or 1)
        return FirstDifference(
            node.name, node.op, pair.name, i + 1, len(sides.pairs), own.cumulative, pair.elements(total), total,
            pair.unit, e.sample, e.index, e.a, e.b, texts.get(node.name, ()), context,
        )  # fmt: skip
    return None


def _context(
    program: Program, tensor: str, sample: int, index: tuple[int, ...], chosen: Samples, batch: int
) -> tuple[str, ...]:
    """Return what an element was made from, in words. batch: samples that run together."""
    start = sample // batch * batch
    part = {name: x[start : start + batch] for name, x in chosen.feed.items()}
    if program.streams is not None:  # all frames of its stream up to this one
        several = program.streams.apart(chosen.feed)
        stream, entry = divmod(sample, next(iter(several.values())).shape[1])
        part, start = {name: x[stream, : (entry // batch + 1) * batch] for name, x in several.items()}, sample - entry
    values = program.run(part, keep_all=True)
    step = next(s for s in program.steps if tensor in s.node.outputs)
    row = slice(sample - start, sample - start + 1)
    return explain(step, [values[name][row] if name else constant for name, constant in step.sources], index)
