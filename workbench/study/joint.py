"""One plan for all targets of a study: within every target's limits, and the best where it does worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.precision import PrecisionPlan
from workbench.results import Joint, JointRow, TargetResult
from workbench.search import COST_AXES, Candidate, axis_value
from workbench.search.choose import ADDITIVE, bound_at, chance_to_pass
from workbench.search.program import Linear, Program
from workbench.search.solve import solve
from workbench.search.testing import fallback, steps
from workbench.study.setting import Setting
from workbench.study.sweeps import LAYERS, pareto_layers
from workbench.study.target import confirm, judged
from workbench.study.verdict import change_words, plan_words
from workbench.sweep import PLAN_LIMIT, Codes, Group, Sensitivity, Space
from workbench.truth.oracle import turned

Pair = tuple[TargetResult, Setting]

SHARES = (0.25, 0.5, 0.75, 1.0, 1.5)
"""Of the limit on the drop, for the sums of single drops that the program may reach: they are predictions."""


@dataclass(frozen=True, eq=False)
class _Common:
    """A plan with what it does on every target. score: the largest of the objectives, each relative to that target's baseline; worst:
    the largest worsening of the metric."""

    plan: PrecisionPlan
    candidates: tuple[Candidate, ...]
    score: float
    worst: float

    @property
    def within(self) -> bool:
        return all(c.within_limits for c in self.candidates)


def find_joint(found: Sequence[tuple[TargetResult, Setting | None]]) -> Joint | None:
    """Return the plan that is best for all targets; None for a study of one.

    The plans of every target's candidates, and what a program over the single changes of all targets proposes, are evaluated exactly
    on every target. Among those within the limits everywhere, the one whose worst objective (relative to the target's own baseline)
    is least is recommended, after tests as those of `choose`: on samples that did not choose it, the drop must be proven on every
    target (which needs no correction for their number: all of them have to pass). Where every target has a table of all its plans,
    the best of all common plans are among those evaluated.
    """
    if len(found) < 2:
        return None
    unable = [t.profile.name for t, setting in found if setting is None]
    if unable:
        return _none(found, f"no baseline format runs on {', '.join(unable)}")
    pairs: list[Pair] = [(t, setting) for t, setting in found if setting is not None]
    space = common_space(pairs)
    if isinstance(space, str):
        return _none(found, space)
    options = _evaluated(pairs, _proposals(pairs, space))
    within = [o for o in options if o.within]
    if not within:
        return _none(found, f"none of the {len(options)} common plans that were evaluated keeps every target's limits")
    best = _tested(pairs, within)
    if best is None:
        return _none(found, f"no common plan is proven to keep every target's limit on the {pairs[0][1].metric.worse_word}")
    return _joint(pairs, best, len(options))


def common_space(pairs: Sequence[Pair]) -> Space | str:
    """Return the plans that every target has; why there are none otherwise. Layers tied on one target are tied on all."""
    layers = pairs[0][1].lowering.layers
    root = {layer: layer for layer in layers}

    def find(layer: str) -> str:
        while root[layer] != layer:
            layer = root[layer]
        return layer

    for group in (g for _, setting in pairs for g in setting.groups):
        for other in group.layers[1:]:
            a, b = sorted((find(group.layers[0]), find(other)), key=list(layers).index)
            root[b] = a
    members: dict[str, list[str]] = {}
    for layer in layers:
        members.setdefault(find(layer), []).append(layer)
    groups = [Group(name, tuple(own)) for name, own in members.items()]
    named = dict.fromkeys(f for _, s in pairs for f in (s.baseline.default, *s.formats))
    offered = {
        g.name: [f for f in named if all(s.legal.get(f, frozenset()).issuperset(g.layers) for _, s in pairs)] for g in groups
    }
    for group in groups:
        if not offered[group.name]:
            own = "; ".join(
                f"{s.name}: {', '.join(f for f in (*s.formats, s.baseline.default) if s.legal[f].issuperset(group.layers))}"
                for _, s in pairs
            )
            return f"no format for '{group.name}' that all targets have ({own})"
    everywhere = [f for f in named if all(f in names for names in offered.values())]
    return Space.of(groups, offered, next((s.baseline.default for _, s in pairs if s.baseline.default in everywhere), None))


def _proposals(pairs: Sequence[Pair], space: Space) -> list[PrecisionPlan]:
    """Return plans worth evaluating: those of every target that all have, the best of whole tables, and what the program proposes."""
    found: dict[PrecisionPlan, None] = {}
    uniform = {f: None for names in space.formats for f in names}
    for fmt in uniform:
        found.setdefault(space.plan(space.uniform(fmt)))
    for target, _ in pairs:
        for candidate in target.candidates:
            plan = _within(space, candidate.plan)
            if plan is not None:
                found.setdefault(plan)
    for plan in _of_tables(pairs, space):
        found.setdefault(plan)
    program, limit = _program(pairs, space), pairs[0][1].limits.drop
    for share in SHARES if limit is not None else (None,):
        at_most = {} if share is None or limit is None else {f"drop {t}": share * limit for t in range(len(pairs))}
        solution = solve(program, {"worst": 1.0}, at_most)
        if solution is not None:
            found.setdefault(space.plan(solution.choice))
    return list(found)


def _of_tables(pairs: Sequence[Pair], space: Space) -> list[PrecisionPlan]:
    """Return the best of all common plans, where every target has a table of all its own: for the largest objective against the worst
    loss of accuracy, the frontier and those right behind it. Nothing is evaluated: the tables have it (in float32, to propose)."""
    size = math.prod(map(len, space.formats))
    if size > PLAN_LIMIT or any(t.certificate is None or t.certificate.kind != "exhaustive" for t, _ in pairs):
        return []
    codes = space.codes(np.arange(size))
    score, worst, kept = np.zeros(size), np.full(size, -np.inf), np.ones(size, np.bool_)
    for target, setting in pairs:
        table = target.table
        assert table is not None and table.baseline is not None
        rows = setting.space.numbers(_codes_of(space, codes, setting.space))
        axis = table.costs[setting.objective].astype(np.float64)
        base = axis[table.baseline]
        score = np.maximum(score, axis[rows] / base if base > 0 else 1.0)
        figures = turned(setting.metric, table.quality.astype(np.float64))
        worst = np.maximum(worst, figures[rows] - figures[table.baseline])
        costs = np.stack([table.costs[a].astype(np.float64)[rows] for a in COST_AXES], axis=1)
        kept &= setting.affordable(costs)
    best = np.flatnonzero(kept & np.isfinite(worst))
    return space.plans(codes[best[pareto_layers(np.stack((score[best], worst[best]), axis=1), LAYERS)]])


def _codes_of(space: Space, codes: Codes, own: Space) -> Codes:
    """Return the codes in one target's space of codes [P, G] of the common one, whose groups are unions of the target's."""
    place = {layer: g for g, group in enumerate(space.groups) for layer in group.layers}
    columns = []
    for group, names in zip(own.groups, own.formats, strict=True):
        g = place[group.layers[0]]
        columns.append(np.array([names.index(f) for f in space.formats[g]], np.uint8)[codes[:, g]])
    return np.stack(columns, axis=1)


def _within(space: Space, plan: PrecisionPlan) -> PrecisionPlan | None:
    """Return a plan of one target as one of the common space, None where it is not in it."""
    own = dict(plan.layers)
    code = []
    for group, names in zip(space.groups, space.formats, strict=True):
        wanted = {own.get(layer, plan.default) for layer in group.layers}
        if len(wanted) != 1 or not wanted <= set(names):
            return None
        code.append(names.index(wanted.pop()))
    return space.plan(code)


def _program(pairs: Sequence[Pair], space: Space) -> Program:
    """Return the program over single changes: the sum of drops on every target, and the worst of the relative objectives."""
    options = tuple(len(names) for names in space.formats)
    sums, rows = {}, []
    for t, (target, setting) in enumerate(pairs):
        singles = {(layer, s.format): s for s in target.sensitivities for layer in s.group.layers[:1]}
        axis = setting.objective if setting.objective in ADDITIVE else "flash"
        base = axis_value(setting.cost(setting.baseline), axis)
        drops, costs = [], []
        for group, names in zip(space.groups, space.formats, strict=True):
            for fmt in names:
                own = [singles[layer, fmt] for layer in group.layers if (layer, fmt) in singles]
                drops.append(sum(setting.metric.worsening(s.change.estimate) for s in own))
                costs.append(sum(_added(setting, s, axis, base) for s in own) / base if base > 0 else 0.0)
        sums[f"drop {t}"] = Linear(np.zeros(1), np.array([drops]))
        rows.append(costs)
    return Program(options, sums=sums, peaks={"worst": Linear(np.ones(len(pairs)), np.array(rows))})


def _added(setting: Setting, s: Sensitivity, axis: str, base: float) -> float:
    return axis_value(setting.cost(s.plan), axis) - base


def _evaluated(pairs: Sequence[Pair], plans: Sequence[PrecisionPlan]) -> list[_Common]:
    """Return plans with what they do on every target."""
    columns = []
    for target, setting in pairs:
        assert target.baseline is not None
        own = [setting.space.plan(setting.space.code(plan)) for plan in plans]
        columns.append(judged(setting, own, target.baseline, target.sensitivities))
    found = []
    for row, plan in enumerate(plans):
        candidates = tuple(column[row] for column in columns)
        score = max(_relative(setting, c) for (_, setting), c in zip(pairs, candidates, strict=True))
        worst = max(s.metric.worsening(c.change.estimate) for (_, s), c in zip(pairs, candidates, strict=True))
        found.append(_Common(plan, candidates, score, worst))
    return found


def _relative(setting: Setting, candidate: Candidate) -> float:
    base = axis_value(setting.cost(setting.baseline), setting.objective)
    return axis_value(candidate.cost, setting.objective) / base if base > 0 else 1.0


def _tested(pairs: Sequence[Pair], within: Sequence[_Common]) -> _Common | None:
    """Return the best plan that passes (without a limit or other samples: the best); None where none does."""
    limit = pairs[0][1].limits.drop
    best = min(within, key=lambda o: (o.score, o.worst))
    if limit is None or pairs[0][1].confirm is None:
        return best
    passing = [
        min(chance_to_pass(c, s.baseline, limit, s.metric, s.others) for (_, s), c in zip(pairs, o.candidates, strict=True))
        for o in within
    ]
    order = [within[row] for row in steps(np.array([o.score for o in within]), np.array(passing))]
    confirmed = _confirmed(pairs, order)

    def bounds(row: int, level: float) -> list[float]:
        return [
            -math.inf if c.plan == s.baseline else bound_at(c, s.metric, level)
            for (_, s), c in zip(pairs, confirmed[row], strict=True)
        ]

    outcome = fallback(range(len(order)), lambda row, level: max(bounds(row, level)) <= limit)
    passed = [row for row, tested in enumerate(outcome) if tested.passed]
    if not passed:
        return None
    row = min(reversed(passed), key=lambda row: order[row].score)
    level = outcome[row].level
    own = tuple(
        replace(c, proven=True, level=level, drop_bound=bound_at(c, s.metric, level))
        for (_, s), c in zip(pairs, confirmed[row], strict=True)
    )
    return replace(order[row], candidates=own)


def _confirmed(pairs: Sequence[Pair], options: Sequence[_Common]) -> list[tuple[Candidate, ...]]:
    """Return every option's candidates with what the other samples say of them."""
    columns = []
    for t, (_, setting) in enumerate(pairs):
        own = [option.candidates[t] for option in options]
        _, found = confirm(setting, own)
        columns.append([found[c.plan] for c in own])
    return [tuple(row) for row in zip(*columns, strict=True)]


def _joint(pairs: Sequence[Pair], best: _Common, count: int) -> Joint:
    rows = tuple(
        JointRow(target.profile.name, target.chosen, candidate, candidate.within_limits)
        for (target, _), candidate in zip(pairs, best.candidates, strict=True)
    )
    if all(best.plan == s.baseline for _, s in pairs):
        why = "none other that all have" if count == 1 else f"none of the {count:,} that all have and that were evaluated"
        text = f"All {len(pairs)} targets alike: keep everything at {best.plan.default}; {why} is better within every target's limits."
        return Joint(rows, best.plan, text)
    target, setting = pairs[0]
    changes = []
    for (one, s), c in zip(pairs, best.candidates, strict=True):
        change, samples, where = c.change, c.record.samples, "that chose it: nothing is proven"
        if c.confirm_change is not None and c.confirm_record is not None:
            change, samples, where = c.confirm_change, c.confirm_record.samples, "that did not choose it"
        share = 100 * (_relative(s, c) - 1.0)
        changes.append(
            f"{one.profile.name} {s.objective} {share:+.0f} %, {s.metric.short} {change_words(s.metric, change)} "
            f"(on {samples:,} samples {where})"
        )
    words = plan_words(target, setting.space.plan(setting.space.code(best.plan)))
    text = (
        f"All {len(pairs)} targets alike: {words}: {'; '.join(changes)}. Chosen among {count:,} plan{'' if count == 1 else 's'} that "
        f"all have, each evaluated exactly on every target: the one within every target's limits whose largest {setting.objective}, "
        "relative to the target's own baseline, is least."
    )
    return Joint(rows, best.plan, text)


def _none(found: Sequence[tuple[TargetResult, Setting | None]], why: str) -> Joint:
    rows = tuple(JointRow(target.profile.name, target.chosen, None) for target, _ in found)
    return Joint(rows, None, f"No one plan for all {len(found)} targets: {why}. Each target's own choice stands above.")
