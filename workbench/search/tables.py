"""`Assembly`: tables over the formats of a few groups, added up to the columns of a `Program`.

A table is taken apart: what one group's format adds by itself, and what depends on several, for classes of formats that are alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from workbench.search.program import F64, Factor, Linear, Program

EQUAL = 1e-12
"""Relative to the largest number of a table: differences below it are those of sums of floats."""


class Assembly:
    """Collects tables. options: formats per group. rows: how many linear functions there are."""

    def __init__(self, options: Sequence[int], rows: int) -> None:
        self.options = tuple(options)
        self.constant = np.zeros(rows)
        self.alone = [np.zeros((rows, count)) for count in options]
        self.together: dict[Factor, F64] = {}
        self.once: dict[str, list[tuple[int | Factor, npt.NDArray[np.bool_]]] | None] = {}

    def add(self, groups: Sequence[int], table: F64, rows: Sequence[int]) -> None:
        """Add a table [F_1, ..., F_k, R] over the formats of k groups to R rows."""
        where = np.array(rows)
        first = table[(0,) * len(groups)]
        self.constant[where] += first
        rest = table - first
        for axis, group in enumerate(groups):
            line = rest[tuple(slice(None) if a == axis else 0 for a in range(len(groups)))]
            self.alone[group][where] += line.T
            rest = rest - line.reshape([-1 if a == axis else 1 for a in range(len(groups))] + [len(where)])
        unit = np.abs(table).max(axis=tuple(range(len(groups))), initial=0.0) + 1e-300
        rest = np.where(np.abs(rest) > EQUAL * unit, rest, 0.0)
        factor, values = _compressed(groups, rest, np.round(rest / unit / EQUAL).astype(np.int64))
        if factor is not None:
            own = self.together.setdefault(factor, np.zeros((len(self.constant), factor.size)))
            own[where] += values.reshape(factor.size, -1).T

    def needs(self, name: str, groups: Sequence[int], where: npt.NDArray[np.bool_]) -> None:
        """Say that something is there as soon as one of some combinations [F_1, ..., F_k] is chosen."""
        found = self.once.setdefault(name, [])
        if found is None or not where.any():
            return
        if where.all():
            self.once[name] = None
            return
        table = where[..., None].astype(np.float64)
        factor, values = _compressed(groups, table, table.astype(np.int64))
        assert factor is not None
        if len(factor.groups) == 1:
            found.append((factor.groups[0], values.ravel()[np.array(factor.classes[0])] > 0))
        else:
            self.together.setdefault(factor, np.zeros((len(self.constant), factor.size)))
            found.append((factor, values.ravel() > 0))

    def program(
        self, sums: Mapping[str, int], peaks: Mapping[str, Sequence[int]], once: Mapping[str, tuple[int, float]]
    ) -> Program:
        """Return the program. sums, peaks: rows of a quantity. once: what each thing adds, to a row."""
        factors = tuple(self.together)
        made = Program(self.options, factors)
        places: dict[int | Factor, slice] = dict(enumerate(made.blocks[: len(self.options)]))
        places |= dict(zip(factors, made.blocks[len(self.options) :], strict=True))
        masks, adds = [], []
        constant = self.constant.copy()
        for name, found in self.once.items():
            row, amount = once[name]
            if found is None:
                constant[row] += amount
            elif found and amount:
                mask = np.zeros(made.columns, np.bool_)
                for place, own in found:
                    mask[places[place]] |= own
                masks.append(mask)
                adds.append((row, amount))
        weights = np.concatenate([*self.alone, *self.together.values(), np.zeros((len(constant), len(masks)))], axis=1)
        for k, (row, amount) in enumerate(adds):
            weights[row, made.columns + k] = amount
        return Program(
            self.options,
            factors,
            np.array(masks) if masks else None,
            {name: Linear(constant[[row]], weights[[row]]) for name, row in sums.items()},
            {name: Linear(constant[list(rows)], weights[list(rows)]) for name, rows in peaks.items()},
        )


def _compressed(groups: Sequence[int], table: F64, key: npt.NDArray[np.int64]) -> tuple[Factor | None, F64]:
    """Return a table over classes of formats that are alike, without groups whose formats all are; (None, ...) when none is left."""
    kept, classes = [], []
    for axis, group in enumerate(groups):
        lines = np.moveaxis(key, axis, 0).reshape(key.shape[axis], -1)
        _, first, own = np.unique(lines, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(np.argsort(first))  # classes in the order of their first formats
        if len(first) > 1:
            kept.append(group)
            classes.append(tuple(order[own.ravel()].tolist()))
        table = table.take(np.sort(first), axis)
    shape = [max(own) + 1 for own in classes]
    return (Factor(tuple(kept), tuple(classes)) if kept else None), table.reshape(*shape, -1)
