"""Solving a `Program` to proven optimality with HiGHS (scipy.optimize.milp), and the frontier of two of its quantities."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np

from workbench.errors import InputError
from workbench.search.model import SLACK, UNIT, Choice, Model, model_of
from workbench.search.program import F64, Program

TOLERANCE = 1e-9
"""Relative: options whose reduced cost is above the distance by less take part (sums of floats)."""
CLOSED = 1e-8
"""Relative to the objective, or to the largest weight in it where that is more (an objective may be 0): a bound so near is the optimum
itself. HiGHS keeps whole numbers and rows to 1e-6, with the largest weight at `model.UNIT`."""
CORE = 1.6
"""How many formats of a group take part at first, on average."""
SMALL = 128
"""Options up to which all take part at once."""


@dataclass(frozen=True)
class Solution:
    """choice: position of the format per group. objective: its value. bound: no choice is below it.
    gap: relative (see `CLOSED`), 0 = proven optimal; the bound is the objective then.

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
    _check(program, minimize, "minimize")
    _check(program, at_most, "at_most")
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

    Of choices equally good by score the cheapest is returned: no choice within at_most is better in one and as good in the other. The
    ends are the cheapest choice (the best by score of equally cheap ones) and the best by score whatever it costs within at_most.
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
    return _undominated((_cheapest(program, score, axis, limits, solution) for solution in found.values()), score, axis)


def _cheapest(program: Program, score: str, axis: str, limits: Mapping[str, float], best: Solution) -> Solution:
    """Return the cheapest choice as good as the best by score under some budget, as a solution for the score."""
    most = {**limits, score: min(best.objective, limits.get(score, best.objective))}
    cheapest = solve(program, {axis: 1.0}, most)
    if cheapest is None or cheapest.values[axis] >= best.values[axis]:
        return best
    objective = cheapest.values[score]
    return Solution(cheapest.choice, objective, min(best.bound, objective), best.gap, cheapest.values)


def _undominated(found: Iterable[Solution], score: str, axis: str) -> list[Solution]:
    """Return solutions, cheapest first, each better by score than all cheaper ones."""
    kept: list[Solution] = []
    for solution in sorted(found, key=lambda s: (s.values[axis], s.values[score])):
        if not kept or solution.values[score] < kept[-1].values[score]:
            kept.append(solution)
    return kept


def _check(program: Program, named: Mapping[str, float], what: str) -> None:
    """Raise InputError for a quantity that is not in a program, or one with a weight or limit that is no number."""
    known = [*program.sums, *program.peaks]
    for name, value in named.items():
        if name not in known:
            raise InputError(f"{what}: '{name}' is no quantity of this program. Quantities: {', '.join(known)}.")
        if isnan(value):
            raise InputError(f"{what}: {name} is NaN. Expected a number.")


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
    gap = (objective - bound) / max(abs(objective), UNIT / model.scale)
    if gap <= CLOSED:
        bound, gap = objective, 0.0
    return Solution(choice, objective, bound, gap, values)


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
