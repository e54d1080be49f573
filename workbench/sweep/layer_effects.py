"""Every layer's own output against the reference's, and what its error alone, or that of all up to it, does to the network's outputs.

`layer_errors` says the first in dB; here are SQNR, MSE and cosine, and the error *carried* on: the rest of the network runs in float.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from workbench.evaluate import Evaluator
from workbench.execute import Program, Values, check_inputs, real_values, reference_passes
from workbench.graph.ir import Array, Graph
from workbench.metrics import METRICS, Raw, Scores, Truth, predictions, sqnr_db
from workbench.ops import OPS
from workbench.precision import PrecisionPlan
from workbench.sweep.layer_errors import CHUNK, run_alone
from workbench.sweep.records import Carried, LayerEffect, Signal


def layer_effects(evaluator: Evaluator, plan: PrecisionPlan) -> list[LayerEffect]:
    """Return the effects of every layer under a plan, in network order, on all samples of the evaluator."""
    lowering, graph = evaluator.lowering, evaluator.lowering.graph
    program = lowering.program(plan)
    local, cumulative = ({name: _Sums() for name in lowering.layers} for _ in range(2))
    outputs = None if graph.states else _Outputs(evaluator, len(lowering.layers))
    constants = {name: real_values(t, t.data) for name, t in graph.tensors.items() if t.data is not None}
    for part, reference, emulated in _passes(evaluator, program):
        real = _real(program, emulated)
        alone = {step.node.name: y for step, y in run_alone(program, reference, lowering.layer_set)}
        for k, layer in enumerate(lowering.layers):
            name = graph.node(layer).outputs[0]
            local[layer].add(reference[name], alone[layer])
            cumulative[layer].add(reference[name], real[name])
            if outputs is not None:
                position = graph.nodes.index(graph.node(layer))
                so_far = {n: real[n] for node in graph.nodes[: position + 1] for n in node.outputs if n in real}
                outputs.put(2 * k, part, carry(graph, constants, reference, {name: alone[layer]}, position))
                outputs.put(2 * k + 1, part, carry(graph, constants, reference, so_far, position))
    return [
        LayerEffect(
            layer, plan.format_of(layer).name, local[layer].signal(), cumulative[layer].signal(),
            None if outputs is None else outputs.carried(2 * k), None if outputs is None else outputs.carried(2 * k + 1),
        )
        for k, layer in enumerate(lowering.layers)
    ]  # fmt: skip


def _passes(evaluator: Evaluator, program: Program) -> Iterator[tuple[slice, Values, Values]]:
    graph = evaluator.lowering.graph
    feed, size = check_inputs(graph, evaluator.data.inputs), graph.fixed_batch or CHUNK
    real = {name: real_values(graph.tensors[name], x) for name, x in feed.items()}
    for (part, reference), (_, emulated) in zip(reference_passes(graph, real, size), program.passes(feed, size), strict=True):
        yield part, reference, emulated


def _real(program: Program, emulated: Values) -> Values:
    """Return every value that a program made, as real numbers."""
    return {t.name: real_values(t, emulated[t.name]) for step in program.steps for t in step.site.outputs}


def carry(graph: Graph, constants: Mapping[str, Array], reference: Values, changed: Values, position: int) -> Sequence[Array]:
    """Return the outputs of the float reference when some values are others, from the node after `position` on.

    Args:
        reference: every activation, [n, ...]. changed: those that take the place of theirs, made by nodes up to `position`.
    """
    live = {**reference, **changed}
    touched = set(changed)
    for node in graph.nodes[position + 1 :]:
        if touched.isdisjoint(node.inputs):
            continue
        args = [None if not name else constants[name] if name in constants else live[name] for name in node.inputs]
        live.update(zip(node.outputs, OPS[node.op].reference(node.attrs, args), strict=True))  # type: ignore[arg-type]
        touched.update(node.outputs)
    return [live[name] for name in graph.outputs]


class _Sums:
    """Powers and cosines of one layer's output, added up."""

    def __init__(self) -> None:
        self.power, self.noise, self.cosine, self.elements, self.samples = 0.0, 0.0, 0.0, 0, 0

    def add(self, want: Array, have: Array) -> None:
        a, b = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (want, have))
        self.power += float((a**2).sum())
        self.noise += float(((b - a) ** 2).sum())
        norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        same = (np.abs(a).sum(axis=1) == 0) & (np.abs(b).sum(axis=1) == 0)
        dot = np.divide((a * b).sum(axis=1), norm, out=same.astype(np.float64), where=norm > 0)
        self.cosine += float(dot.sum())
        self.elements += a.size
        self.samples += len(a)

    def signal(self) -> Signal:
        return Signal(sqnr_db(self.power, self.noise), self.noise / self.elements, self.cosine / self.samples)


class _Outputs:
    """Scores of the carried outputs: two rows per layer."""

    def __init__(self, evaluator: Evaluator, layers: int) -> None:
        truth, self.metric = evaluator.truth, evaluator.metric
        extras = {m.name: m for m in (*truth.extras, *((METRICS["kl"],) if _has_classes(evaluator) else ()))}
        self.truth: Truth = replace(truth, extras=tuple(extras.values()))
        self.scores = Scores.empty(2 * layers, self.truth)
        self.own = predictions(truth.reference, truth.threshold)

    def put(self, row: int, part: slice, outputs: Sequence[Array]) -> None:
        raw = [Raw(outputs[k].reshape(len(outputs[k]), -1).astype(np.float32)) for k in self.truth.order]
        self.scores.put(row, part.start, raw, self.truth)

    def carried(self, row: int) -> Carried:
        one = slice(row, row + 1)
        extra = {name: values[one] for name, values in self.scores.extra.items()}
        scores = Scores(self.scores.classes[one], self.scores.error[one], self.scores.entropy[one], extra)
        return Carried(
            float(METRICS["kl"].figures(scores, self.truth)[0]) if "kl" in extra else None,
            None if self.truth.labels is None else float(METRICS["cross_entropy"].figures(scores, self.truth)[0]),
            float(self.metric.figures(scores, self.truth)[0]),
            int(np.count_nonzero(scores.classes[0] != self.own)),
        )


def _has_classes(evaluator: Evaluator) -> bool:
    """True where the judged output is a distribution over classes: a softmax or a probability, or what is judged by class."""
    truth = evaluator.truth
    judged = evaluator.metric.needs == "classes" or evaluator.metric.name in ("agreement", "kl") or truth.labels is not None
    return truth.probabilities or truth.threshold > 0.0 or (judged and not truth.plain)
