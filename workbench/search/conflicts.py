"""What a limit on a peak forbids: formats of few groups that are too much together, as clauses.

Of memory, one step of the schedule sees few groups, in few kinds of format (types of activations). Their combinations can all be
tried. Each largest set of combinations that are all above the limit gives a clause: of its k groups at most k - 1 have a format of the
set. A relaxation with these rows is much nearer to the optimum than with the row of the step (minimal covers of a knapsack:
E. Balas, "Facets of the Knapsack Polytope", 1975; here of sums with conversions, which are no knapsack).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from workbench.search.program import F64, Factor, Program

MOST = 20_000
"""Sets of combinations of one step. A step with more gives no clauses."""

Bools = npt.NDArray[np.bool_]


def clauses(program: Program, name: str, limit: float) -> list[npt.NDArray[np.int64]]:
    """Return the clauses of a peak that may not be above a limit: options (columns) of which one group's are in no choice all.

    A clause names the options of k groups; k - 1 of the groups at most may have one of theirs.
    """
    linear = program.peaks[name]
    groups, made = len(program.options), int(program.starts[-2])
    found: dict[bytes, npt.NDArray[np.int64]] = {}
    varying = np.stack([np.ptp(linear.weights[:, block], axis=1) > 0 for block in program.blocks], axis=1)
    most = sum((linear.weights[:, block].max(1) for block in program.blocks), linear.constant.copy())
    for row in np.flatnonzero(most > limit):
        if linear.weights[row, made:].any():  # what is there once depends on more groups
            continue
        factors = [k for k in range(len(program.factors)) if varying[row, groups + k]]
        for clause in _of_step(program, linear.weights[row], float(linear.constant[row]), factors, varying[row], limit):
            found.setdefault(clause.tobytes(), clause)
    return list(found.values())


def _of_step(
    program: Program, weights: F64, constant: float, factors: list[int], varying: Bools, limit: float
) -> Iterator[npt.NDArray[np.int64]]:
    """Return the clauses of one step. varying: whether a block's columns differ here."""
    count = len(program.options)
    there = {g for k in factors for g in program.factors[k].groups}
    groups = sorted(there.union(np.flatnonzero(varying[:count]).tolist()))
    fixed = constant + sum(
        float(weights[block.start])
        for i, block in enumerate(program.blocks)
        if (i < count and i not in there and not varying[i]) or (i >= count and not varying[i])
    )
    kinds = [_kinds(weights[program.blocks[g]], [program.factors[k] for k in factors], g) for g in groups]
    if np.prod([len(first) * (len(first) + 1) / 2 for first, _ in kinds]) > MOST:
        return
    total = np.full([len(first) for first, _ in kinds], fixed)
    for axis, (g, (first, _)) in enumerate(zip(groups, kinds, strict=True)):
        own = weights[program.blocks[g]][first]
        total = total + own.reshape([-1 if a == axis else 1 for a in range(len(groups))])
    for k in factors:
        factor = program.factors[k]
        axes = [groups.index(g) for g in factor.groups]
        seen = [np.array(own)[kinds[axis][0]] for own, axis in zip(factor.classes, axes, strict=True)]
        table = weights[program.blocks[count + k]].reshape(factor.shape)[np.ix_(*seen)]
        order = np.argsort(axes)
        total = total + table.transpose(order).reshape([total.shape[a] if a in axes else 1 for a in range(len(groups))])
    spans = [_spans(len(first)) for first, _ in kinds]
    for cube in np.argwhere(_largest(total > limit, spans)):
        columns = [
            program.blocks[g].start + np.flatnonzero((kind >= low) & (kind <= high))
            for g, (first, kind), (low, high) in zip(
                groups, kinds, (own[i] for own, i in zip(spans, cube, strict=True)), strict=True
            )
            if high - low + 1 < len(first)
        ]
        yield np.concatenate([*columns, np.zeros(0, np.int64)])


def _kinds(weights: F64, factors: list[Factor], group: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return a format of every kind, lightest first, and the kind of each format: alike in this step."""
    classes = [own for factor in factors for g, own in zip(factor.groups, factor.classes, strict=True) if g == group]
    _, first, kind = np.unique(np.array([weights, *classes]), axis=1, return_index=True, return_inverse=True)
    return first, kind.ravel()


def _spans(count: int) -> list[tuple[int, int]]:
    """Return the first and last of every run of kinds."""
    return [(low, high) for low in range(count) for high in range(low, count)]


def _largest(bad: Bools, spans: list[list[tuple[int, int]]]) -> Bools:
    """Return which sets of runs hold bad combinations alone and are in no larger such set. bad: by kinds."""
    for axis, own in enumerate(spans):
        bad = np.stack([bad.take(range(low, high + 1), axis).all(axis) for low, high in own], axis)
    largest = bad.copy()
    for axis, own in enumerate(spans):
        for i, (low, high) in enumerate(own):
            here = (slice(None),) * axis + (i,)
            for wider in ((low - 1, high), (low, high + 1)):
                if wider in own:
                    largest[here] &= ~bad.take(own.index(wider), axis)
    return largest
