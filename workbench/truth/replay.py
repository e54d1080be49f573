"""`Replay`: an oracle that answers from a truth table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.metrics import Metric, sqnr_db
from workbench.metrics.base import sums
from workbench.progress import Tick
from workbench.sweep import Codes, Space
from workbench.truth.oracle import Evaluated, turned

if TYPE_CHECKING:
    from workbench.truth.table import TruthTable

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(eq=False)
class Replay:
    """Exact results of plans, recorded; `spent` counts as if they were computed. metric: one of the table's."""

    table: TruthTable
    metric: Metric
    spent: float = 0.0

    @property
    def space(self) -> Space:
        """The space of the table."""
        return self.table.space

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.table.samples

    @property
    def axes(self) -> tuple[str, ...]:
        """The costs that the table has."""
        return self.table.axes

    def costs(self, codes: Codes) -> F64:
        """Return the recorded costs of plans, [P, A]."""
        if self.table.costs is None:
            return np.empty((len(codes), 0))
        return np.asarray(self.table.costs[self.space.numbers(codes)])

    def evaluate(self, codes: Codes, samples: Indices | None = None, progress: Tick | None = None) -> Evaluated:
        """Return the recorded results of plans, on all samples or on some."""
        table, rows = self.table, self.space.numbers(codes)
        if table.losses is None:
            raise InputError("this table was stored without losses per sample; make it again with them to replay it.")
        losses = table.losses.values(rows, samples)
        binary = self.metric.name == table.bits
        correct = table.right(rows, samples) if binary else None
        figures = table.figures[self.metric.name][rows] if samples is None else self._part(losses, correct, samples)
        self.spent += len(codes) * (1.0 if samples is None else len(samples) / self.samples)
        if progress is not None:
            progress(len(codes), len(codes))
        return Evaluated(turned(self.metric, figures), losses, correct)

    def _part(self, losses: F64, correct: npt.NDArray[np.bool_] | None, samples: Indices) -> F64:
        """Return the figures on a part of the samples, of metrics that what is recorded per sample is enough for."""
        origin, name, n = self.table.origin, self.metric.name, len(samples)
        if correct is not None:
            return np.asarray(np.count_nonzero(correct, axis=1) / n, np.float64)
        if name == "cross_entropy" and origin.loss == "cross_entropy":
            return np.asarray(sums(losses) / n)
        if name == "mse" and origin.loss == "squared_error":
            return np.asarray(sums(losses) / (n * origin.elements))
        if name == "sqnr_db" and origin.loss == "squared_error":
            power = float(self.table.power[samples].sum())
            return np.array([sqnr_db(power, noise) for noise in sums(losses).tolist()])
        raise InputError(
            f"metric '{name}' on a part of the samples is not in a table: it keeps per sample what is right and lost."
        )
