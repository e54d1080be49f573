"""The change from one target to another, divided among switches: Shapley values over all hybrids, evaluated exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from workbench.comparison.hybrid import Hybrids
from workbench.comparison.results import Attribution, Contribution, Effects, Flips
from workbench.comparison.separate import separate
from workbench.comparison.shapley import shapley
from workbench.comparison.switches import By, Switch, grouped
from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate import Evaluator
from workbench.graph.ir import Array
from workbench.metrics import Scores, predictions
from workbench.progress import Reporter
from workbench.quantize import Lowering

SWITCH_LIMIT = 12
"""Most switches unless told otherwise: 4,096 hybrids."""
MAX_LIMIT = 16


def attribute(
    hybrids: Hybrids,
    switches: Sequence[Switch],
    data: Dataset,
    flips: Flips,
    outputs: Array,
    by: By,
    limit: int,
    threads: int | None,
    reporter: Reporter,
) -> Attribution:
    """Return what every switch contributes to the change of outputs, classes and correct ones.

    Args:
        data: raw inputs. flips: counted on B itself. outputs: A's real outputs [N, C]; every hybrid is judged by them.
        limit: most switches; neighbours beyond it are switched together.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InputError(f"attribution: the limit of switches is {limit}; 1 to {MAX_LIMIT} fit (2**{MAX_LIMIT} hybrids).")
    notes = []
    if len(switches) > limit:
        notes.append(f"{len(switches)} switches differ; neighbours are switched together, to make {limit} (2**{limit} hybrids)")
    switches, programs, inseparable = separate(hybrids, grouped(switches, limit))
    evaluator = Evaluator(
        Lowering(hybrids.graph, hybrids.a.profile), data, threads=threads, reference=outputs.astype(np.float64)
    )
    with reporter.phase(f"attribution: {len(programs):,} hybrids of {len(switches)} switches") as tick:
        a = predictions(evaluator.reference, evaluator.threshold)
        values = _effects(evaluator.scores(programs, tick), a, evaluator.judged.labels)
    count = len(switches)
    other, flipped = (shapley([int(getattr(v, name)) for v in values], count) for name in ("outputs", "flips"))
    right = None if data.labels is None else shapley([v.correct or 0 for v in values], count)
    shares = [Effects(other[i], flipped[i], None if right is None else right[i]) for i in range(count)]
    contributions = tuple(
        Contribution(s.name, s.texts, share, values[1 << i]) for i, (s, share) in enumerate(zip(switches, shares, strict=True))
    )
    change = None if flips.correct_a is None or flips.correct_b is None else flips.correct_b - flips.correct_a
    total = Effects(flips.output_samples, len(flips.flipped), change)
    summed = Effects(sum(other), sum(flipped), None if right is None else sum(right))
    return Attribution(by, len(programs), contributions, total, summed, (*notes, *inseparable))


def _effects(blocks: Iterable[tuple[list[int], Scores]], a: Array, labels: Array | None) -> list[Effects]:
    """Return what every hybrid changes against the classes of A."""
    found: dict[int, Effects] = {}
    right = None if labels is None else int(np.count_nonzero(a == labels))
    for indices, scores in blocks:
        other = np.count_nonzero(~(scores.error == 0.0), axis=1)
        flipped = np.count_nonzero(scores.classes != a, axis=1)
        correct = other if labels is None else np.count_nonzero(scores.classes == labels, axis=1)
        for k, i in enumerate(indices):
            found[i] = Effects(int(other[k]), int(flipped[k]), None if right is None else int(correct[k]) - right)
    return [found[i] for i in range(len(found))]
