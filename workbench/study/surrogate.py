"""The certificate of a one-at-a-time sweep: the program that proposed its plans, stated so that it can be solved again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.cost.axes import COST_AXES
from workbench.search import Item
from workbench.search.certificates import Certificate
from workbench.search.network import network_program
from workbench.search.program import Program
from workbench.search.solve import Solution, solve
from workbench.study.setting import Setting
from workbench.study.verdict import drop_words, quantity

GAP = 1e-6
"""Relative difference of objective and bound that is none: the tolerance to which HiGHS keeps its rows."""
DROP, LOSS = "drop", "loss"


def program_data(setting: Setting, items: Sequence[Item]) -> dict[str, Any]:
    """Return the program of the direct problem, one of those that `propose` solves: what every format of every group adds to the drop
    or the loss, what is minimized, and under which limits.

    With a limit on the drop: the objective, the sum of the single drops at most the limit. Without: the sum of the single losses. Costs
    are not stated: they follow from the model and the target (`network_program`). costs: 'exact', or 'single changes' where a
    network's cost is no sum over its nodes; then RAM is not in the program. unstated: limits that it does not know.
    """
    drop = setting.limits.drop
    score = LOSS if drop is None else DROP
    adds = {(i.group, i.format): i.adds for i in items}
    pairs = zip(setting.space.groups, setting.space.formats, strict=True)
    rows = [[adds[g.name, f][score] for f in names] for g, names in pairs]
    program = _program(setting, score, rows)
    known = {**program.sums, **program.peaks}
    limits = {axis: limit for axis, limit in setting.limits.costs().items() if axis in known}
    return {
        "minimize": LOSS if drop is None else setting.objective,
        "at_most": limits if drop is None else {**limits, DROP: drop},
        "costs": "exact" if program.peaks else "single changes",
        "unstated": [axis for axis in setting.limits.costs() if axis not in known],
        "score": score,
        "adds": rows,
    }


def solve_again(setting: Setting, data: Mapping[str, Any]) -> Solution | None:
    """Return the solution of a program as data with the costs of the target; None where no choice keeps the limits, or where what is
    minimized is not in it."""
    program = _program(setting, data["score"], data["adds"])
    if data["minimize"] not in {**program.sums, **program.peaks}:
        return None
    return solve(program, {data["minimize"]: 1.0}, {k: float(v) for k, v in data["at_most"].items()})


def _program(setting: Setting, score: str, rows: Sequence[Sequence[float]]) -> Program:
    """Return the program that `propose` solves, of one score."""
    scores = {score: [np.array(row, np.float64) for row in rows]}
    return network_program(setting.lowering, setting.space, scores, base=setting.space.uniform(setting.space.default))


def program_certificate(setting: Setting, items: Sequence[Item]) -> Certificate | None:
    """Return what the program proves; None where it has no solution, or none that is proven optimal."""
    program = program_data(setting, items)
    found = solve_again(setting, program)
    if found is None or not closed(found.objective, found.bound):
        return None
    data = {
        "kind": "program",
        "plans": setting.space.size,
        "program": program,
        "choice": list(found.choice),
        "objective": found.objective,
        "bound": found.bound,
        "gap": found.gap,
    }
    return Certificate("program", program_text(setting, data), data)


def closed(objective: float, bound: float) -> bool:
    """Return whether the bound proves the objective."""
    return abs(objective - bound) <= GAP * max(abs(objective), abs(bound), 1e-12)


def program_text(setting: Setting, data: Mapping[str, Any]) -> str:
    """Return what a program certificate proves."""
    program = data["program"]
    axis, limits = program["minimize"], program["at_most"]
    value = quantity(axis, data["objective"]) if axis in COST_AXES else f"{data['objective']:.4g}"
    with_runtime = " (the runtime's included)" if axis in ("flash", "ram") else ""
    what = f"less {axis} than {value}{with_runtime}" if axis in COST_AXES else f"a smaller sum of single losses than {value}"
    under = []
    if DROP in limits:
        under.append(f"a sum of single {setting.metric.worse_word}s of at most {drop_words(setting.metric, limits[DROP])}")
    costs = [a for a in limits if a != DROP]
    under += [f"the limit{'s' if len(costs) > 1 else ''} on {', '.join(costs)}"] if costs else []
    where = f" under {' and '.join(under)}" if under else ""
    return (
        f"Optimal on the stated surrogate: none of the {data['plans']:,} configurations has {what}{where}; gap 0. The surrogate adds "
        f"up what single changes lose, which is a prediction: exact evaluation decided among what it proposed. {_costs_words(program)}"
    )


def _costs_words(program: Mapping[str, Any]) -> str:
    """Return what the costs in a program are."""
    if program["costs"] == "exact":
        ram = (
            "; RAM is what is alive at once, which no arena is below"
            if "ram" in (*program["at_most"], program["minimize"])
            else ""
        )
        return f"Costs in it are those of the cost model, conversions included{ram}."
    unstated = f", without the limit on {', '.join(program['unstated'])}" if program["unstated"] else ""
    return (
        "Costs in it are sums of what single changes, and neighbours of two types, cost: this target prices a network as a whole"
        f"{unstated}. What was proposed was priced exactly."
    )
