"""`Ledger`: what a search has evaluated so far, on its budget; becomes the record of the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.search.found import Found
from workbench.sweep import Codes
from workbench.truth import Oracle, pareto_front

F64 = npt.NDArray[np.float64]
QUALITIES = ("metric", "loss")


@dataclass(eq=False)
class Ledger:
    """Whole evaluations of an oracle, each plan once, up to `evaluations` of them.

    against: axes that are minimized beside the quality. quality: 'metric' (the badness) or 'loss' (the mean loss of the samples).
    """

    oracle: Oracle
    against: Sequence[str] = ("flash",)
    quality: str = "metric"
    evaluations: float = np.inf
    _rows: dict[bytes, int] = field(default_factory=dict, repr=False)
    _codes: list[Codes] = field(default_factory=list, repr=False)
    _badness: list[F64] = field(default_factory=list, repr=False)
    _loss: list[F64] = field(default_factory=list, repr=False)
    _values: F64 = field(default_factory=lambda: np.empty(0), repr=False)

    def __post_init__(self) -> None:
        unknown = [axis for axis in self.against if axis not in self.oracle.axes]
        if unknown or not self.against:
            raise InputError(
                f"against: {', '.join(map(repr, unknown)) or 'no axis'}. Expected some of {', '.join(self.oracle.axes)}."
            )
        if self.quality not in QUALITIES:
            raise InputError(f"quality: '{self.quality}'. Expected {' or '.join(QUALITIES)}.")

    @property
    def left(self) -> int:
        """How many more plans fit the budget."""
        return max(0, int(min(self.evaluations, self.oracle.space.size) - len(self._rows)))

    @property
    def base(self) -> Codes:
        """The plan in which every group has the default format, [G]."""
        return self.oracle.space.uniform(self.oracle.space.default)

    def new(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Return which plans [P, G] were neither evaluated nor come earlier among these, [P]."""
        seen: set[bytes] = set()
        fresh = np.zeros(len(codes), np.bool_)
        for i, row in enumerate(np.ascontiguousarray(codes)):
            key = row.tobytes()
            fresh[i] = key not in self._rows and key not in seen
            seen.add(key)
        return fresh

    def evaluate(self, codes: Codes) -> F64:
        """Return the quality of plans [P, G], [P]: NaN where the budget ended first. What is known costs nothing."""
        codes = np.ascontiguousarray(codes, np.uint8)
        wanted = codes[self.new(codes)][: self.left]
        if len(wanted):
            found = self.oracle.evaluate(wanted)
            loss = found.losses.mean(axis=1)
            for row in wanted:
                self._rows[row.tobytes()] = len(self._rows)
            self._codes.append(wanted)
            self._badness.append(found.badness)
            self._loss.append(loss)
            self._values = np.concatenate((self._values, found.badness if self.quality == "metric" else loss))
        rows = [self._rows.get(row.tobytes()) for row in codes]
        return np.array([np.nan if r is None else self._values[r] for r in rows])

    def known(self) -> tuple[Codes, F64]:
        """Return what was evaluated, in order: plans [P, G] and their quality [P]."""
        groups = len(self.oracle.space.groups)
        return np.concatenate([np.empty((0, groups), np.uint8), *self._codes]), self._values

    def costs(self, codes: Codes) -> F64:
        """Return the costs of plans on the axes of this search, [P, len(against)]."""
        return self.oracle.costs(codes)[:, [self.oracle.axes.index(axis) for axis in self.against]]

    def found(self, predict: Callable[[Codes], F64] | None = None) -> Found:
        """Return the record. predict: ranks plans by the quality, smaller is better; None for a search without a model."""
        codes, values = self.known()
        costs = self.costs(codes)
        return Found(
            codes=codes,
            badness=np.concatenate([np.empty(0), *self._badness]),
            loss=np.concatenate([np.empty(0), *self._loss]),
            costs=costs,
            spent=float(len(codes)),
            frontier=pareto_front(np.column_stack((values, costs))),
            trace=(),
            predict=predict,
        )


def single_changes(ledger: Ledger) -> tuple[float, F64]:
    """Measure the plan of defaults and every plan that differs from it in one group.

    Returns: its quality, and what each change adds to it, [G, most formats]: 0 for the default, NaN where there is no such format or
    the budget ended first.
    """
    space, base = ledger.oracle.space, ledger.base
    places = [(g, f) for g, names in enumerate(space.formats) for f in range(len(names)) if f != base[g]]
    codes = np.repeat(base[None], len(places) + 1, axis=0)
    for row, (g, f) in enumerate(places, start=1):
        codes[row, g] = f
    values = ledger.evaluate(codes)
    adds = np.full((len(space.groups), int(space.radices.max())), np.nan)
    adds[np.arange(len(base)), base] = 0.0
    for (g, f), value in zip(places, values[1:], strict=True):
        adds[g, f] = value - values[0]
    return float(values[0]), adds


def sum_of(base: float, adds: F64) -> Callable[[Codes], F64]:
    """Return the model that adds up single changes (unknown ones as the largest known of all)."""
    worst = np.nanmax(adds)
    filled = np.where(np.isnan(adds), worst, adds)
    return lambda codes: base + filled[np.arange(codes.shape[1]), codes].sum(axis=1)
