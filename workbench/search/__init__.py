"""Choosing: a program proposes from measured sensitivities, exact evaluation decides."""

from workbench.search.choose import (
    COST_AXES,
    Candidate,
    Limits,
    axis_value,
    choice_plan,
    choose,
    judge,
    make_items,
    pareto,
    propose,
)
from workbench.search.knapsack import Item, solve

__all__ = [
    "COST_AXES", "Candidate", "Item", "Limits", "axis_value", "choice_plan", "choose", "judge", "make_items", "pareto",
    "propose", "solve",
]  # fmt: skip
