"""By what the outputs of a model are judged: the deciding metric, the columns beside it, and the outputs that they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.data import Dataset
from workbench.errors import InputError, nearest
from workbench.execute import Values, real_values
from workbench.graph.ir import Array, Graph
from workbench.metrics import Metric, MetricSettings, Truth, check_labels, classes_of, named_metric, usual
from workbench.metrics.labels import Labels, check_least

SIGMOIDS = ("logistic", "hard_sigmoid")
"""Operators whose single output is the probability of class 1."""


@dataclass(frozen=True, eq=False)
class Judge:
    """metric decides; order: positions of the outputs that are read, the judged one first. extras: metrics that need scores of their
    own. key: what a journal must know of all this ('' for what every evaluation keeps)."""

    metric: Metric
    settings: MetricSettings
    order: tuple[int, ...]
    extras: tuple[Metric, ...]
    key: str

    @staticmethod
    def of(
        graph: Graph,
        labelled: bool,
        metric: Metric | None = None,
        settings: MetricSettings | None = None,
        columns: Sequence[str] = (),
        code: str = "",
    ) -> Judge:
        """Return the judge of a model. columns: further metrics by name. code: hash of a function of the study."""
        settings = settings or MetricSettings()
        metric = metric or named_metric(usual(labelled, output_shapes(graph)))
        others = [named_metric(name) for name in columns if name != metric.name]
        extras = tuple(m for m in (metric, *others) if m.score is not None)
        own = settings.model_dump_json(exclude_defaults=True, exclude={"name"})
        plain = metric.name == usual(labelled, output_shapes(graph)) and not extras and own == "{}"
        key = "" if plain else f"{metric.name} {own} {' '.join(m.name for m in extras)} {code}"
        return Judge(metric, settings, _order(graph, settings), extras, key)

    def labels(self, graph: Graph, data: Dataset) -> Labels:
        """Return the labels as the metric wants them; InputError when they do not fit the judged output."""
        shape = output_shapes(graph)[self.order[0]]
        if (
            data.labels is not None
            and data.names is None  # named classes are counted first
            and data.labels.ndim == 1
            and data.labels.dtype.kind in "iu"
            and self.metric.needs in ("", "classes")
        ):
            count = classes_of(shape)
            if len(data.labels) and data.labels.max() >= count:
                raise InputError(f"{data.name}: label {data.labels.max()} but the model has {count} outputs.")
        found = check_labels(self.metric, self.settings, data.labels, shape, len(data), data.name, data.names)
        for column in self.extras:
            check_least(column, shape, data.name)
        return found

    def truth(self, graph: Graph, references: Sequence[Array], labels: Labels, data: Dataset, feed: Values) -> Truth:
        """Return what outputs are judged by. references: of all outputs, [N, C] each."""
        names = [graph.outputs[k] for k in self.order]
        producer = graph.producer.get(names[0])
        op = "" if producer is None else producer.op
        shapes = output_shapes(graph)
        return Truth(
            references[self.order[0]],
            labels.classes,
            op == "softmax",
            threshold_of(graph, names[0]),
            graph.tensors[names[0]].is_plain,
            self.order,
            tuple(references[k] for k in self.order[1:]),
            tuple(shapes[k] for k in self.order),
            tuple(names),
            labels.targets,
            self._samples(graph, labels, shapes[self.order[0]], data, feed),
            data.files,
            labels.settings,
            self.extras,
        )

    def _samples(self, graph: Graph, labels: Labels, shape: tuple[int, ...], data: Dataset, feed: Values) -> Array | None:
        """Return the inputs where the metric compares outputs with them: real numbers [N, D], tokens as they are."""
        reads = self.metric.name == "auc" and (self.settings.score or _usual_score(graph, shape)) == "reconstruction"
        tokens = self.metric.needs == "tokens" and labels.targets is None
        if not (reads or tokens):
            return None
        name = graph.inputs[0]
        want = graph.tensors[name]
        size = int(np.prod(want.shape[1:], dtype=np.int64))
        if len(graph.inputs) != 1 or (reads and size != int(np.prod(shape, dtype=np.int64))):
            raise InputError(
                f"model '{graph.name}': a reconstruction error needs one input of the output's size; the inputs are "
                f"{', '.join(f'{n} {graph.tensors[n].shape[1:]}' for n in graph.inputs)}, the output is {shape}.\n"
                "For a model that puts out the score itself say metric: {name: auc, score: output}."
            )
        if tokens and (not want.is_plain or size != shape[0] or len(shape) != 2):
            raise InputError(
                f"model '{graph.name}': perplexity without labels needs token ids [N, T] as the one input and outputs [N, T, V]; "
                f"the input is {want.dtype} {want.shape[1:]}, the output {shape}. Give the next tokens as labels."
            )
        given = data.one_input
        raw = given if given.dtype.kind == "f" else real_values(want, feed[name])
        return raw.reshape(len(raw), -1)


def _usual_score(graph: Graph, shape: tuple[int, ...]) -> str:
    """Return what makes an anomaly: the output itself where it is one number, or two classes."""
    return "output" if int(np.prod(shape, dtype=np.int64)) <= 2 else "reconstruction"


def threshold_of(graph: Graph, output: str) -> float:
    """Return above what a single output says class 1: half for a probability, else 0."""
    producer = graph.producer.get(output)
    return 0.5 if producer is not None and producer.op in SIGMOIDS else 0.0


def output_shapes(graph: Graph) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the outputs without the batch."""
    return tuple(graph.tensors[name].shape[1:] for name in graph.outputs)


def _order(graph: Graph, settings: MetricSettings) -> tuple[int, ...]:
    if settings.output is None:
        return tuple(range(len(graph.outputs)))
    if settings.output not in graph.outputs:
        raise InputError(
            f"metric.output is '{settings.output}'.{nearest(settings.output, graph.outputs)} The model's outputs: "
            f"{', '.join(graph.outputs)}."
        )
    return (graph.outputs.index(settings.output),)
