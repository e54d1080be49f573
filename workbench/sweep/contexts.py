"""Sensitivity in other networks than the baseline: one layer off, and all layers up to one on."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.evaluate import Evaluator
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.sweep.effects import effect
from workbench.sweep.groups import Group
from workbench.sweep.records import ContextEffect

Changes = Sequence[tuple[Group, str]]


def low_plan(changes: Changes, fmt: str, baseline: PrecisionPlan) -> PrecisionPlan:
    """Return the plan with every group in a format that has it among the changes, the others at the baseline."""
    return baseline.replace({layer: fmt for group, f in changes if f == fmt for layer in group.layers})


def one_off(
    evaluator: Evaluator, changes: Changes, baseline: PrecisionPlan, progress: Tick | None = None
) -> list[ContextEffect]:
    """Return, per change, what the network in its format gains when this group alone goes back to the baseline.

    Evaluates a plan per change and one per format. A group whose low format costs much although it looks harmless alone, or the
    other way round, differs here from `one_at_a_time`: the difference of the two is all its interactions.
    """
    low = {fmt: low_plan(changes, fmt, baseline) for fmt in dict.fromkeys(f for _, f in changes)}
    plans = [group.plan(low[fmt], baseline.default) for group, fmt in changes]
    records = evaluator.evaluate([*low.values(), *plans], progress)
    return [
        ContextEffect(group, fmt, effect(evaluator, records[plan], records[low[fmt]]))
        for (group, fmt), plan in zip(changes, plans, strict=True)
    ]


def cumulative(
    evaluator: Evaluator, changes: Changes, baseline: PrecisionPlan, progress: Tick | None = None
) -> list[ContextEffect]:
    """Return, per change, what the network loses when this group and all before it (in the order given) have the format."""
    plans: list[PrecisionPlan] = []
    so_far: dict[str, PrecisionPlan] = {}
    for group, fmt in changes:
        so_far[fmt] = group.plan(so_far.get(fmt, baseline), fmt)
        plans.append(so_far[fmt])
    records = evaluator.evaluate([baseline, *plans], progress)
    return [
        ContextEffect(group, fmt, effect(evaluator, records[plan], records[baseline]))
        for (group, fmt), plan in zip(changes, plans, strict=True)
    ]
