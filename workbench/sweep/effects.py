"""What one result is worse by than another on the same samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workbench.evaluate import Evaluator, Record
from workbench.execute import Program
from workbench.metrics import METRICS, Scores, paired_change
from workbench.progress import Tick
from workbench.sweep.records import Effect

F64 = npt.NDArray[np.float64]


def loss_of(record: Record) -> float:
    """Return the loss of a record: mean cross-entropy with class labels, else mean squared error against the float reference."""
    entropy = record.metrics.get("cross_entropy")
    return record.metrics["mse"] if entropy is None else entropy


def loss_title(evaluator: Evaluator) -> str:
    """Return what `loss_of` is, with its unit."""
    return "mean squared error" if evaluator.labels.classes is None else "cross-entropy (nat)"


def effect(evaluator: Evaluator, record: Record, base: Record) -> Effect:
    """Return what a plan's record is worse by than another's."""
    return Effect(
        paired_change(evaluator.metric, base.evidence, record.evidence),
        loss_of(record) - loss_of(base),
        int(np.count_nonzero(record.predictions != base.predictions)),
        record.metrics["sqnr_db"],
    )


def program_effects(
    evaluator: Evaluator, base: Program, programs: Sequence[Program], progress: Tick | None = None
) -> list[Effect]:
    """Return what programs that no plan makes are worse by than another one, in their order."""
    wanted = [base, *programs]
    found: dict[int, tuple[Scores, int]] = {}
    for indices, scores in evaluator.scores(wanted, progress):
        found.update((i, (scores, row)) for row, i in enumerate(indices))
    return [_between(evaluator, found[i], found[0]) for i in range(1, len(wanted))]


def _between(evaluator: Evaluator, other: tuple[Scores, int], base: tuple[Scores, int]) -> Effect:
    truth, metric = evaluator.truth, evaluator.metric
    a, b = (_row(*base), _row(*other))
    loss = METRICS["mse" if truth.labels is None else "cross_entropy"]
    return Effect(
        paired_change(metric, metric.evidence(a, truth)[0], metric.evidence(b, truth)[0]),
        float(loss.figures(b, truth)[0] - loss.figures(a, truth)[0]),
        int(np.count_nonzero(a.classes != b.classes)),
        float(METRICS["sqnr_db"].figures(b, truth)[0]),
    )


def _row(scores: Scores, row: int) -> Scores:
    """Return the scores of one plan."""
    one = slice(row, row + 1)
    extra = {name: values[one] for name, values in scores.extra.items()}
    return Scores(scores.classes[one], scores.error[one], scores.entropy[one], extra)


def program_losses(evaluator: Evaluator, programs: Sequence[Program], progress: Tick | None = None) -> F64:
    """Return what every sample loses in every program, float64 [P, N]: cross-entropy with class labels, else squared error."""
    found = np.empty((len(programs), len(evaluator.judged)))
    for indices, scores in evaluator.scores(programs, progress):
        found[indices] = scores.error if evaluator.truth.labels is None else scores.entropy
    return found


def part_of(evaluator: Evaluator, samples: int) -> Evaluator:
    """Return an evaluator of about so many samples, spread evenly over those of another; nothing is kept of what it finds.

    Samples that a graph wants together stay together. Of a network with state a sample is a stream; a single one is not cut.
    """
    graph, data = evaluator.lowering.graph, evaluator.data
    if graph.states and len(next(iter(evaluator.feed.values()))) == 1:
        return evaluator
    size = 1 if graph.states else graph.fixed_batch or 1
    blocks = len(data) // size
    wanted = max(1, samples // size)
    if wanted >= blocks:
        return evaluator
    starts = np.arange(wanted) * blocks // wanted * size
    index = (starts[:, None] + np.arange(size)).reshape(-1)
    taken = data.take(index, f"{len(index)} of {data.name}")
    return Evaluator(evaluator.lowering, taken, None, evaluator.threads, evaluator.memory_bytes, judge=evaluator.judge)
