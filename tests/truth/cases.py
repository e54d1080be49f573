"""A small network's evaluator, space and table, which the tests of truth tables share."""

from __future__ import annotations

from functools import cache

from tests.evaluate.cases import dataset, lowering
from workbench.evaluate import Evaluator, Judge
from workbench.metrics import named_metric
from workbench.sweep import Space, decision_groups
from workbench.truth import TruthTable, build_table
from workbench.truth.prices import plan_costs

FORMATS = ("w8a8", "w4a8", "w2a8")


def evaluator(metric: str | None = None, threads: int = 1, samples: int = 90, labelled: bool = True) -> Evaluator:
    """Return the evaluator of the small network on random samples."""
    low, data = lowering(), dataset(samples)
    data = data if labelled else type(data)(data.name, data.inputs, None)
    judge = Judge.of(low.graph, labelled, None if metric is None else named_metric(metric))
    return Evaluator(low, data, threads=threads, judge=judge)


def space(formats: tuple[str, ...] = FORMATS) -> Space:
    """Return the space of four layers."""
    low = lowering()
    return Space.of(decision_groups(low.graph, low.layers, formats), formats)


@cache
def table(metric: str | None = None, labelled: bool = True) -> TruthTable:
    """Return the table of 81 plans."""
    own = evaluator(metric, labelled=labelled)
    return build_table(own, space(), plan_costs(own.lowering, space()))
