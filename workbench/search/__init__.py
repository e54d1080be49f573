"""Choosing: a program proposes from measured sensitivities, exact evaluation decides."""

from workbench.cost.axes import COST_AXES, axis_value
from workbench.search.choose import (
    Candidate,
    Item,
    Limits,
    choice_plan,
    choose,
    judge,
    make_items,
    pareto,
    propose,
)

__all__ = [
    "COST_AXES", "Candidate", "Item", "Limits", "axis_value", "choice_plan", "choose", "judge", "make_items", "pareto",
    "propose",
]  # fmt: skip
