"""Propose by a program over measured sensitivities, decide by exact evaluation.

The program adds up what single changes lose; that is a prediction. Costs in it are exact, conversions and the arena included. Every
plan that it proposes is evaluated exactly before it is shown, and the winner is the cheapest *evaluated* plan that meets the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from workbench.cost import CostEstimate
from workbench.cost.axes import COST_AXES, axis_value
from workbench.evaluate import Record
from workbench.metrics import Metric, paired_change, worsening_bound
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering
from workbench.search.network import network_program
from workbench.search.solve import solve
from workbench.search.testing import ERROR, chances, fallback, steps
from workbench.statistics import Z95, Difference
from workbench.sweep import Codes, Group, Sensitivity, Space

ADDITIVE = ("flash", "latency", "energy")
"""Costs that are sums over layers; peak RAM is a maximum over the steps of the schedule."""

FRONTIER_POINTS = 32
MOST_DROP = 1e6
"""Stands for an infinite change (of an SQNR) in a sum."""
RETRIES = 12
"""How often a proposal that needs more than the program says is excluded and solved again, the limit tightened by what it needs more (a
planner of memory that leaves gaps; a limit on something that is not in the program has no number to tighten)."""

Choice = tuple[str, ...]
"""Format per group, in the order of the groups."""


@dataclass(frozen=True)
class Item:
    """One format of one group: what it adds, relative to the baseline, to each additive quantity ('loss', 'flash', ...)."""

    group: str
    format: str
    adds: Mapping[str, float]


@dataclass(frozen=True)
class Limits:
    """Upper limits, None = none. drop: how much worse than the baseline the deciding metric may be, in its own unit (a share: 0.01 =
    one point); sqnr_db is a lower limit."""

    drop: float | None = None
    sqnr_db: float | None = None
    flash: float | None = None
    ram: float | None = None
    latency: float | None = None
    energy: float | None = None

    def costs(self) -> dict[str, float]:
        """Return the limits on costs by axis."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name in COST_AXES}
        return {k: v for k, v in values.items() if v is not None}


@dataclass(frozen=True)
class Candidate:
    """A plan that was proposed and then evaluated exactly.

    predicted_drop: sum of what the single changes cost in the deciding metric; predicted_loss: the same for the score.
    change: true change of the metric against the baseline on the selection samples; confirm_*: on samples that did not propose it.
    within_limits: costs, and the estimate of the drop on the selection samples. confirm_base: the baseline on the confirmation samples.
    drop_bound: the drop that these leave possible, one-sided, wrong with a chance of `level`: 5 %, or what the plan's test had of it.
    proven: whether that keeps the limit; None when it was not tested.
    """

    plan: PrecisionPlan
    cost: CostEstimate
    predicted_loss: float
    predicted_drop: float
    record: Record
    change: Difference
    within_limits: bool
    confirm_record: Record | None = None
    confirm_change: Difference | None = None
    confirm_base: Record | None = None
    drop_bound: float | None = None
    proven: bool | None = None
    level: float = ERROR


def make_items(
    groups: Sequence[Group],
    sensitivities: Sequence[Sensitivity],
    costs: Mapping[PrecisionPlan, CostEstimate],
    baseline: PrecisionPlan,
    metric: Metric,
) -> list[Item]:
    """Return what every group in every format adds, relative to the baseline."""
    base = costs[baseline]
    zero = dict.fromkeys(("loss", "drop", *ADDITIVE), 0.0)
    items = [Item(g.name, baseline.default, zero) for g in groups]
    for s in sensitivities:
        adds = {axis: axis_value(costs[s.plan], axis) - axis_value(base, axis) for axis in ADDITIVE}
        adds["loss"] = s.predicted_loss
        adds["drop"] = min(max(metric.worsening(s.change.estimate), -MOST_DROP), MOST_DROP)
        items.append(Item(s.group.name, s.format, adds))
    return items


def choice_plan(groups: Sequence[Group], choice: Choice, baseline: PrecisionPlan) -> PrecisionPlan:
    """Return the plan of a choice."""
    return baseline.replace({layer: fmt for g, fmt in zip(groups, choice, strict=True) for layer in g.layers})


def propose(
    lowering: Lowering,
    space: Space,
    items: Sequence[Item],
    objective: str,
    limits: Limits,
    price: Callable[[Codes], npt.NDArray[np.float64]],
) -> list[Choice]:
    """Return choices worth evaluating: a frontier of predicted loss against the objective, and the direct problem.

    space: its default is the baseline. items: of every group in every format of the space. price: exact costs of plans, [P, 4] in the
    order of `COST_AXES`; they are within the limits for every choice. Empty when nothing fits.
    """
    adds = {(i.group, i.format): i.adds for i in items}
    scores = {
        name: [np.array([adds[g.name, f][name] for f in names]) for g, names in zip(space.groups, space.formats, strict=True)]
        for name in ("loss", "drop")
    }
    program = network_program(lowering, space, scores, base=space.uniform(space.default))
    room = {axis: v for axis, v in limits.costs().items() if axis in program.sums or axis in program.peaks}
    axis = objective if objective in program.sums or objective in program.peaks else "flash"
    found: dict[Choice, None] = {}

    def add(minimize: str, **extra: float) -> float | None:
        """Note the best choice, and return its amount of the axis."""
        at_most = {**room, **{k: min(v, room.get(k, v)) for k, v in extra.items()}}
        broken: list[tuple[int, ...]] = []
        for _ in range(RETRIES):
            solution = solve(program, {minimize: 1.0}, at_most, broken)
            if solution is None:
                return None
            true = dict(zip(COST_AXES, price(np.array([solution.choice], np.uint8))[0].tolist(), strict=True))
            over = {a: true[a] - solution.values[a] for a, v in limits.costs().items() if true[a] > v and a in room}
            if all(true[a] <= v for a, v in limits.costs().items()):
                found.setdefault(tuple(names[f] for names, f in zip(space.formats, solution.choice, strict=True)))
                return solution.values[axis]
            at_most |= {a: min(at_most[a], limits.costs()[a]) - more for a, more in over.items() if more > 0.0}
            broken.append(solution.choice)
        return None

    high, least = add("loss"), add(axis)
    if high is None or least is None:
        return list(found)
    for budget in np.linspace(least, high, FRONTIER_POINTS):
        add("loss", **{axis: float(budget)})
    if limits.drop is not None:
        for share in (0.25, 0.5, 0.75, 1.0, 1.5):
            add(axis, drop=limits.drop * share)
    return list(found)


def _total(names: Sequence[str], items: Sequence[Item], choice: Choice, axis: str) -> float:
    adds = {(i.group, i.format): i.adds[axis] for i in items}
    return sum(adds[g, f] for g, f in zip(names, choice, strict=True))


def _fits(cost: CostEstimate, limits: Limits) -> bool:
    return all(axis_value(cost, a) <= v for a, v in limits.costs().items())


def judge(
    plan: PrecisionPlan,
    choice: Choice,
    groups: Sequence[Group],
    items: Sequence[Item],
    cost: CostEstimate,
    record: Record,
    base: Record,
    limits: Limits,
    metric: Metric,
) -> Candidate:
    """Return the candidate of an evaluated plan, with the prediction beside the truth."""
    names = [g.name for g in groups]
    change = paired_change(metric, base.evidence, record.evidence)
    accurate = limits.drop is None or metric.worsening(change.estimate) <= limits.drop
    accurate = accurate and (limits.sqnr_db is None or record.metrics["sqnr_db"] >= limits.sqnr_db)
    return Candidate(
        plan=plan,
        cost=cost,
        predicted_loss=_total(names, items, choice, "loss"),
        predicted_drop=_total(names, items, choice, "drop"),
        record=record,
        change=change,
        within_limits=accurate and _fits(cost, limits),
    )


def order_of_tests(
    candidates: Sequence[Candidate],
    baseline: PrecisionPlan,
    limits: Limits,
    objective: str,
    metric: Metric,
    others: float = 1.0,
) -> list[Candidate]:
    """Return the candidates that are worth a test on other samples, in its order: likely to pass first, then ever cheaper.

    Decided on the samples that choose alone (`testing.steps`). others: how many samples test, relative to those that choose; none: [].
    """
    if limits.drop is None or others <= 0.0:
        return []
    within = _one_of_each_cost([c for c in candidates if c.within_limits], objective, metric)
    passing = np.array([chance_to_pass(c, baseline, limits.drop, metric, others) for c in within])
    return [within[row] for row in steps(np.array([axis_value(c.cost, objective) for c in within]), passing)]


def chance_to_pass(candidate: Candidate, baseline: PrecisionPlan, limit: float, metric: Metric, others: float) -> float:
    """Return the chance that a test on other samples passes, as the samples that choose have it; the baseline needs none."""
    if candidate.plan == baseline:
        return 1.0
    change = candidate.change
    drop, error = metric.worsening(change.estimate), (change.high - change.low) / (2 * Z95)
    return float(chances(np.array([drop]), np.array([error]), limit, others)[0])


def choose(
    candidates: Sequence[Candidate], baseline: PrecisionPlan, limits: Limits, objective: str, metric: Metric
) -> tuple[Candidate | None, list[Candidate]]:
    """Return the recommendation (None when nothing is within the limits), and the candidates with the outcome of their tests.

    With samples that confirm and a limit on the drop: the candidates of `order_of_tests` are tested on them (is the drop at most the
    limit?), the error of 5 % divided among them (`testing.fallback`), and the cheapest that passed is recommended: the chance that it
    breaks the limit is at most 5 %. The baseline needs no test. Without such samples or such a limit: the cheapest within the limits.
    """
    within = pareto([c for c in candidates if c.within_limits], objective, metric)
    known = [c for c in candidates if c.confirm_record is not None]
    if limits.drop is None or not known:
        return (within[0] if within else None), list(candidates)
    limit = limits.drop
    first = known[0]
    others = first.confirm_record.samples / first.record.samples if first.confirm_record is not None else 1.0
    order = order_of_tests(known, baseline, limits, objective, metric, others)
    outcome = fallback(
        range(len(order)), lambda row, level: order[row].plan == baseline or bound_at(order[row], metric, level) <= limit
    )
    tested = {
        c.plan: replace(c, proven=o.passed, level=o.level, drop_bound=bound_at(c, metric, o.level))
        for c, o in zip(order, outcome, strict=True)
    }
    own = [c for c in candidates if c.plan == baseline and c.within_limits]
    passed = [*own, *(tested[c.plan] for c, o in zip(order, outcome, strict=True) if o.passed)]
    best = min(reversed(passed), key=lambda c: axis_value(c.cost, objective), default=None)
    return best, [tested.get(c.plan, c) for c in candidates]


def bound_at(candidate: Candidate, metric: Metric, error: float) -> float:
    """Return the drop that the samples that confirm leave possible, wrong with a chance of `error`."""
    assert candidate.confirm_record is not None and candidate.confirm_base is not None
    return worsening_bound(metric, candidate.confirm_base.evidence, candidate.confirm_record.evidence, error)


def pareto(candidates: Sequence[Candidate], objective: str, metric: Metric) -> list[Candidate]:
    """Return the candidates that no other one beats in both the objective and the deciding metric, cheapest first.

    Of equally cheap ones the metric on the selection samples decides only when they can be told apart (paired 95 % interval);
    otherwise the one that is cheaper in the other costs stays, so that noise never buys a slower plan.
    """
    kept: list[Candidate] = []
    for candidate in _one_of_each_cost(candidates, objective, metric):
        if not kept or metric.badness(candidate.record.figure) < metric.badness(kept[-1].record.figure):
            kept.append(candidate)
    return kept


def _one_of_each_cost(candidates: Sequence[Candidate], objective: str, metric: Metric) -> list[Candidate]:
    by_cost: dict[float, list[Candidate]] = {}
    for candidate in candidates:
        by_cost.setdefault(axis_value(candidate.cost, objective), []).append(candidate)
    return [_of_equal_cost(by_cost[cost], metric) for cost in sorted(by_cost)]


def _of_equal_cost(candidates: Sequence[Candidate], metric: Metric) -> Candidate:
    best = min(candidates, key=lambda c: metric.badness(c.record.figure))

    def not_worse(c: Candidate) -> bool:
        if len(candidates) == 1 or c is best:
            return True
        change = paired_change(metric, best.record.evidence, c.record.evidence)
        return (change.high if metric.higher_is_better else -change.low) >= 0.0

    return min(
        (c for c in candidates if not_worse(c)), key=lambda c: (*(axis_value(c.cost, a) for a in ADDITIVE), len(c.plan.layers))
    )
