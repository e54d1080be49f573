"""Solving a `Program` to proven optimality with HiGHS (scipy.optimize.milp), and the frontier of two of its quantities."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from workbench.search.model import SLACK, UNIT, Choice, Model, model_of
from workbench.search.program import F64, Program

TOLERANCE = 1e-9
"""Relative: a bound so near is the optimum itself (sums of floats)."""
CORE = 1.6
"""How many formats of a group take part at first, on average."""
SMALL = 128
"""Options up to which all take part at once."""


@dataclass(frozen=True)
class Solution:
    """choice: position of the format per group. objective: its value. bound: no choice is below it. gap: relative, 0 = proven optimal.

    values: every quantity of the choice.
    """

    choice: Choice
    objective: float
    bound: float
    gap: float
    values: Mapping[str, float]


def solve(
    program: Program, minimize: Mapping[str, float], at_most: Mapping[str, float], exclude: Collection[Choice] = ()
) -> Solution | None:
    """Return the choice that minimizes a weighted sum of quantities under upper limits, None when there is none.

    minimize: quantity -> weight, at least 0 for a peak. at_most: quantity -> limit. exclude: choices that may not come back.
    """
    excluded = list(exclude)
    while True:
        found = _solve(program, minimize, at_most, excluded)
        if found is None or _keeps(found, at_most):
            return found
        excluded.append(found.choice)  # within the tolerance of the solver, and above the limit all the same


def frontier(
    program: Program, score: str, axis: str, points: int, at_most: Mapping[str, float] | None = None
) -> list[Solution]:
    """Return the best choices by score under evenly spaced limits on an axis, cheapest first; empty when nothing is within the limits.

    The ends are the cheapest choice (the best by score of equally cheap ones) and the best by score whatever it costs within at_most.
    """
    limits = dict(at_most or {})
    best, least = solve(program, {score: 1.0}, limits), solve(program, {axis: 1.0}, limits)
    if best is None or least is None:
        return []
    low, high = least.values[axis], best.values[axis]
    found = {best.choice: best}
    for budget in np.linspace(low, high, points)[:-1]:
        solution = solve(program, {score: 1.0}, limits | {axis: float(budget)})
        if solution is not None:
            found.setdefault(solution.choice, solution)
    return sorted(found.values(), key=lambda solution: solution.values[axis])


def _keeps(found: Solution, at_most: Mapping[str, float]) -> bool:
    return all(found.values[name] <= limit + SLACK * abs(limit) for name, limit in at_most.items())


def _solve(
    program: Program, minimize: Mapping[str, float], at_most: Mapping[str, float], exclude: list[Choice]
) -> Solution | None:
    model = model_of(program, minimize, at_most, exclude)
    found = _optimum(model, sum(program.options))
    if found is None:
        return None
    x, bound = found
    choice = tuple(int(np.argmax(x[block])) for block in program.blocks[: len(program.options)])
    values = {name: float(v[0]) for name, v in program.values(np.array([choice])).items()}
    objective = sum(weight * values[name] for name, weight in minimize.items())
    bound = min(bound / model.scale + model.constant, objective)
    gap = (objective - bound) / max(abs(objective), 1e-300)
    return Solution(choice, objective, bound, gap if gap > TOLERANCE else 0.0, values)


def _optimum(model: Model, options: int) -> tuple[F64, float] | None:
    """Return the columns of an optimum and the bound that proves it.

    Columns whose reduced cost in the relaxation is above the distance from the relaxation to some choice are in no better choice
    (reduced-cost fixing, as in the core of a knapsack: E. Balas, E. Zemel, "An Algorithm for Large Zero-One Knapsack Problems",
    1980). So the program is solved over few columns first; its distance proves it, or says which columns to let in again.
    """
    if options <= SMALL:
        found = model.solved(np.zeros(0, np.int64))
        return None if found is None else (found[0], found[2])
    relaxed = model.relaxed()
    if relaxed is None:
        return None
    least, reduced = relaxed
    kept = min(options, round(CORE * model.groups)) - 1
    width = float(np.partition(reduced[:options], kept)[kept])
    while True:
        dropped = np.flatnonzero(reduced > width)
        found = model.solved(dropped)
        if found is None and not len(dropped):
            return None
        if found is not None:
            x, value, bound = found
            outside = least + float(reduced[dropped].min()) if len(dropped) else np.inf
            if value <= outside:
                return x, min(bound, outside)
            width = value - least + TOLERANCE * UNIT
        else:
            width = width * 4 if width > 0 else np.inf
