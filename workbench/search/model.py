"""The mixed-integer model of a problem about a `Program`: rows that make its columns those of a choice, and its limits.

HiGHS solves it (scipy.optimize.milp).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from workbench.search.conflicts import clauses
from workbench.search.program import F64, Program

Choice = tuple[int, ...]
"""Position of the format per group."""

UNIT = 1e3
"""The objective is brought to this size: HiGHS takes 1e-6 of it for nothing."""
SLACK = 1e-9
"""Relative: a limit that a choice exceeds by less is kept (sums of floats)."""


@contextmanager
def silent() -> Iterator[None]:
    """Send what native code prints to nowhere: HiGHS sometimes prints although it is told not to."""
    sys.stdout.flush()
    saved, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)


@dataclass(frozen=True, eq=False)
class Model:
    """Minimize cost @ columns, low <= matrix @ columns <= high, columns >= lower. scale, constant: of the objective."""

    cost: F64
    matrix: csr_array
    low: F64
    high: F64
    lower: F64
    whole: npt.NDArray[np.int64]
    groups: int
    scale: float
    constant: float

    def relaxed(self) -> tuple[float, F64] | None:
        """Return the optimum without whole numbers, and what each column would add to it: its reduced cost."""
        with silent():
            equal = self.low == self.high
            rows = self.matrix[~equal]
            low, high = self.low[~equal], self.high[~equal]
            up, down = np.isfinite(high), np.isfinite(low)
            result = linprog(  # type: ignore[call-overload]  # the stubs know of no sparse matrices
                self.cost,
                vstack([rows[up], -rows[down]], format="csc"),
                np.concatenate([high[up], -low[down]]),
                self.matrix[equal],
                self.low[equal],
                np.stack([self.lower, np.full(len(self.cost), np.inf)], 1),
                method="highs",
            )
        if result.x is None:
            return None
        return float(result.fun), np.maximum(np.asarray(result.lower.marginals), 0.0)

    def solved(self, dropped: npt.NDArray[np.int64]) -> tuple[F64, float, float] | None:
        """Return (columns, value, bound) of an optimum without some columns."""
        upper = np.where(np.isfinite(self.lower), 1.0, np.inf)
        upper[dropped] = 0.0
        with silent():
            result = milp(
                self.cost,
                constraints=LinearConstraint(self.matrix, self.low, self.high),
                integrality=self.whole,
                bounds=Bounds(self.lower, upper),
                options={"disp": False, "mip_rel_gap": 0.0},
            )
        return None if result.x is None else (result.x, float(result.fun), float(result.mip_dual_bound))


def model_of(
    program: Program, minimize: Mapping[str, float], at_most: Mapping[str, float], exclude: Collection[Choice]
) -> Model:
    """Return the model of a problem: the program's columns, then one for each peak that is minimized."""
    peaks = [name for name in minimize if name in program.peaks]
    width = program.columns + len(peaks)
    cost, constant = np.zeros(width), 0.0
    rows = [
        _structure(program),
        *(_limit(program, name, limit) for name, limit in at_most.items()),
        *(_clauses(program, name, limit) for name, limit in at_most.items() if name in program.peaks),
        _excluded(program, exclude),
    ]
    for name, weight in minimize.items():
        if name in program.sums:
            cost[: program.columns] += weight * program.sums[name].weights[0]
            constant += weight * float(program.sums[name].constant[0])
    for i, name in enumerate(peaks):
        steps, column = program.peaks[name], program.columns + i
        unit = np.abs(steps.weights).max(initial=0.0) or 1.0
        cost[column] = minimize[name] * unit
        below = np.zeros((len(steps.constant), width))
        below[:, : program.columns], below[:, column] = steps.weights / unit, -1.0
        rows.append(_Rows(csr_array(below), np.full(len(below), -np.inf), -steps.constant / unit))
    scale = UNIT / (np.abs(cost).max(initial=0.0) or 1.0)
    return Model(
        cost * scale,
        vstack([csr_array((m.data, m.indices, m.indptr), (m.shape[0], width)) for m in (r.matrix for r in rows)], format="csr"),
        np.concatenate([r.low for r in rows]),
        np.concatenate([r.high for r in rows]),
        np.where(np.arange(width) < program.columns, 0.0, -np.inf),
        (np.arange(width) < sum(program.options)).astype(np.int64),
        len(program.options),
        scale,
        constant,
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """low <= matrix @ columns <= high."""

    matrix: csr_array
    low: F64
    high: F64


def _structure(program: Program) -> _Rows:
    """Return the rows that make columns those of one choice: one format per group, factors and onces that follow, ties."""
    entries: list[tuple[int, npt.NDArray[np.int64], float]] = []
    low: list[float] = []
    high: list[float] = []

    def row(parts: list[tuple[npt.NDArray[np.int64], float]], least: float, most: float) -> None:
        entries.extend((len(low), columns, value) for columns, value in parts)
        low.append(least)
        high.append(most)

    groups = len(program.options)
    for block in program.blocks[:groups]:
        row([(np.arange(block.start, block.stop), 1.0)], 1.0, 1.0)
    for factor, block in zip(program.factors, program.blocks[groups:], strict=True):
        cells = np.arange(block.start, block.stop).reshape(factor.shape)
        for axis, (group, own) in enumerate(zip(factor.groups, factor.classes, strict=True)):
            first = program.blocks[group].start
            for k in range(factor.shape[axis]):
                options = first + np.flatnonzero(np.array(own) == k)
                row([(cells.take(k, axis).ravel(), 1.0), (options, -1.0)], 0.0, 0.0)
    for tie in program.ties:
        first, *others = (program.blocks[g] for g in tie)
        for other in others:
            for f in range(first.stop - first.start):
                row([(np.array([first.start + f]), 1.0), (np.array([other.start + f]), -1.0)], 0.0, 0.0)
    if program.once is not None:
        made = program.once.shape[1]
        for k, mask in enumerate(program.once):
            own_column = np.array([made + k])
            for block in program.blocks:
                columns = block.start + np.flatnonzero(mask[block])
                if len(columns):
                    row([(columns, 1.0), (own_column, -1.0)], -np.inf, 0.0)
            row([(np.flatnonzero(mask), 1.0), (own_column, -1.0)], 0.0, np.inf)
    where = np.concatenate([np.full(len(columns), r) for r, columns, _ in entries])
    columns = np.concatenate([columns for _, columns, _ in entries])
    data = np.concatenate([np.full(len(columns_), value) for _, columns_, value in entries])
    return _Rows(csr_array((data, (where, columns)), shape=(len(low), program.columns)), np.array(low), np.array(high))


def _limit(program: Program, name: str, limit: float) -> _Rows:
    """Return the rows of a limit, those left out that no choice breaks. HiGHS has absolute tolerances: rows are brought to about 1."""
    linear = program.sums[name] if name in program.sums else program.peaks[name]
    room = limit - linear.constant
    most = sum((linear.weights[:, block].max(1) for block in program.blocks), np.zeros(len(room)))
    made = program.starts[-2]
    most = most + np.maximum(linear.weights[:, made:], 0.0).sum(1)
    kept = most > room
    weights, room = linear.weights[kept], room[kept]
    unit = np.maximum(np.abs(weights).max(1, initial=0.0), 1e-300)
    return _Rows(csr_array(weights / unit[:, None]), np.full(len(room), -np.inf), room / unit)


def _clauses(program: Program, name: str, limit: float) -> _Rows:
    """Return what the limit of a peak forbids: of the groups of a clause, one at least has another format."""
    found = clauses(program, name, limit + SLACK * abs(limit))
    groups = np.repeat(np.arange(len(program.options)), program.options)
    rows = np.zeros((len(found), program.columns))
    most = np.array([len(np.unique(groups[columns])) - 1.0 for columns in found])
    for row, columns in zip(rows, found, strict=True):
        row[columns] = 1.0
    return _Rows(csr_array(rows), np.full(len(found), -np.inf), most)


def _excluded(program: Program, exclude: Collection[Choice]) -> _Rows:
    groups = len(program.options)
    chosen = np.zeros((len(exclude), program.columns))
    for row, choice in zip(chosen, exclude, strict=True):
        row[program.starts[:groups] + np.array(choice)] = 1.0
    return _Rows(csr_array(chosen), np.full(len(exclude), -np.inf), np.full(len(exclude), groups - 1.0))
