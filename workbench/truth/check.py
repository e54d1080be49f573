"""Deriving rows of a truth table again, and comparing every bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate import Evaluator
from workbench.execute import Program, check_inputs
from workbench.graph.ir import Graph
from workbench.metrics.base import sums
from workbench.progress import Tick
from workbench.sweep import Codes
from workbench.truth.build import bits_metric
from workbench.truth.losses import encode
from workbench.truth.table import TruthTable, program_key

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

FIGURE_TOLERANCE = 1e-12
"""Of logarithms and their sums, relative: mathematical libraries differ in the last place. Bits have none."""


@dataclass(frozen=True)
class Compared:
    """One kind of content: how many values were derived again, and how many differ. decides: a difference is a failure."""

    what: str
    compared: int
    differ: int
    decides: bool = True

    @property
    def ok(self) -> bool:
        """True unless something differs that must not."""
        return not (self.decides and self.differ)


def find_samples(table: TruthTable, data: Dataset, graph: Graph) -> Dataset:
    """Return the samples of a table out of those given: as they are, or as raw inputs of the model; the first ones of more.

    Raises: InputError when they are others.
    """
    first = data if len(data) == table.samples else data.take(slice(0, table.samples), data.name)
    if first.digest == table.origin.samples:
        return first
    raw = check_inputs(graph, first.inputs)
    as_raw = replace(first, inputs=raw if len(raw) > 1 else next(iter(raw.values())))
    if as_raw.digest == table.origin.samples:
        return as_raw
    raise InputError(
        f"{data.name}: these are other samples or labels than those of the table ({table.samples:,} of '{table.origin.data}', "
        f"digest {table.origin.samples[:12]}; here {as_raw.digest[:12]}). Name the inputs and labels that it was made of; "
        "the table of a study is of the samples that choose: `workbench verify RUN` checks it."
    )


def check_table(
    table: TruthTable,
    evaluator: Evaluator,
    numbers: Indices,
    price: Callable[[Codes], F64] | None = None,
    progress: Tick | None = None,
) -> list[Compared]:
    """Derive the plans of these numbers again and compare all that the table says of them.

    price: costs of plans, when they are to be compared too. Raises: InputError for another model, samples or metric than the table's.
    """
    _check_origin(table, evaluator)
    codes = table.space.codes(numbers)
    programs = [evaluator.lowering.program(plan) for plan in table.space.plans(codes)]
    keys = np.array([np.frombuffer(program_key(p), np.uint8) for p in programs])
    same_code = evaluator.key(Program((), ())) == table.origin.data_key
    found = [
        Compared("programs (kernels, weights, scales, arithmetic)", len(numbers), _rows(keys != table.keys[numbers]), False),
        Compared("operators and metrics (their sources)", 1, int(not same_code), False),
    ]
    bits = bits_metric(evaluator)
    if (bits.name if bits else "") != table.bits:
        raise InputError(f"the table keeps which samples are right under '{table.bits}'; here that is '{bits and bits.name}'.")
    differ = dict.fromkeys([*table.figures, "mean loss", "right or wrong", "losses"], 0)
    for rows, scores in evaluator.scores(programs, progress):
        own, truth = numbers[rows], evaluator.truth
        for metric in evaluator.metrics:
            differ[metric.name] += _unequal(metric.figures(scores, truth), table.figures[metric.name][own])
        losses = scores.error if truth.labels is None else scores.entropy
        differ["mean loss"] += _unequal(sums(losses) / table.samples, table.mean_loss[own])
        if table.losses is not None:
            stored = table.losses.values(own)
            again = table.losses.levels[encode(losses, table.losses.levels, False)] if not table.losses.exact else losses
            differ["losses"] += _unequal(again, stored)
        if bits is not None:
            differ["right or wrong"] += int(np.count_nonzero(bits.evidence(scores, truth) != table.right(own)))
    per_sample = {"losses": table.losses is not None, "right or wrong": bits is not None}
    found += [
        Compared(name, len(numbers) * (table.samples if name in per_sample else 1), count)
        for name, count in differ.items()
        if per_sample.get(name, True)
    ]
    if price is not None and table.costs is not None:
        found.append(Compared("costs", 4 * len(numbers), int(np.count_nonzero(price(codes) != table.costs[numbers]))))
    return found


def _check_origin(table: TruthTable, evaluator: Evaluator) -> None:
    origin, graph = table.origin, evaluator.lowering.graph
    if graph.digest != origin.graph:
        raise InputError(
            f"model '{graph.name}' (digest {graph.digest[:12]}) is not the one of the table: '{origin.model}' ({origin.graph[:12]})."
        )
    if evaluator.data.digest != origin.samples:
        raise InputError(f"'{evaluator.data.name}' are other samples than those of the table ('{origin.data}').")
    if evaluator.metric.name != table.metric.name or {m.name for m in evaluator.metrics} != set(table.figures):
        raise InputError(
            f"the table has figures of {', '.join(table.figures)}, decided by {table.metric.name}; here they are "
            f"{', '.join(m.name for m in evaluator.metrics)}, decided by {evaluator.metric.name}."
        )


def _rows(unequal: npt.NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(unequal.any(axis=1)))


def _unequal(a: F64, b: F64) -> int:
    return int(np.count_nonzero(~np.isclose(a, b, rtol=FIGURE_TOLERANCE, atol=0.0, equal_nan=True)))
