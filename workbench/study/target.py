"""One target of a study: sweep, propose, evaluate exactly, choose, confirm."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from workbench.cost import CostEstimate, arena_of, estimate, on_host
from workbench.data import Dataset
from workbench.errors import ProfileError
from workbench.evaluate import Evaluator, Journal, Judge, Record
from workbench.graph.ir import Array, Graph
from workbench.hardware.profile import HardwareProfile
from workbench.metrics import paired_change, worsening_bound
from workbench.placement import host_of
from workbench.precision import PrecisionPlan
from workbench.progress import Reporter, Tick
from workbench.quantize import Calibration, Lowering
from workbench.results import Status, TargetResult
from workbench.search import COST_AXES, Candidate, Limits, choice_plan, choose, judge, make_items, pareto, propose
from workbench.study.spec import StudySpec
from workbench.study.verdict import gap_text, proof_text, verdict_text
from workbench.sweep import Group, LayerError, Sensitivity, decision_groups, layer_errors, legal_formats, one_at_a_time


@dataclass(frozen=True, eq=False)
class Context:
    """What all targets of a study share."""

    spec: StudySpec
    graph: Graph
    calibration: Calibration | None
    select: Dataset
    confirm: Dataset | None
    journal: Journal
    judge: Judge
    threads: int | None
    reporter: Reporter
    references: dict[str, tuple[Array, ...]] = field(default_factory=dict)
    """Outputs of the float reference by data digest: they are the same for every target."""


def check_costs(profile: HardwareProfile) -> None:
    """Raise ProfileError unless a target, and its host, can be priced: a study chooses by costs."""
    for part in (profile, host_of(profile)):
        if part is not None and part.costs is None:
            raise ProfileError(
                f"profile '{part.name}' has no section 'costs': its bits can be emulated, but a study chooses by costs.\n"
                "Add the section (docs/cost.md says how constants are found), or leave the target out of the study."
            )


def run_target(context: Context, profile: HardwareProfile) -> TargetResult:
    """Return what the study finds on one target; an unsupported or too small target is a result, not an error."""
    spec = context.spec
    lowering = Lowering(context.graph, profile, context.calibration, spec.quantization)
    limits = spec.limits(context.judge.metric, profile.size_bytes("flash"), profile.size_bytes("ram"))
    empty = TargetResult(profile, "not_supported", "", "", spec.choose.minimize, limits, context.judge.metric)
    legal, left_out = legal_formats(lowering, (*spec.formats.baseline, *spec.formats.search))
    baseline_name = next((f for f in spec.formats.baseline if legal.get(f) == frozenset(lowering.layers)), None)
    if baseline_name is None:
        reasons = "\n".join(f"{fmt}: {why}" for fmt, why in left_out)
        verdict = f"{profile.name}: none of the baseline formats ({', '.join(spec.formats.baseline)}) runs on this target."
        return replace(empty, verdict=verdict, message=reasons, left_out=tuple(left_out))
    return _Target(context, lowering, limits, legal, left_out, PrecisionPlan.of(baseline_name)).run(empty)


class _Target:
    def __init__(
        self,
        context: Context,
        lowering: Lowering,
        limits: Limits,
        legal: dict[str, frozenset[str]],
        left_out: list[tuple[str, str]],
        baseline: PrecisionPlan,
    ) -> None:
        self.context, self.spec, self.lowering, self.limits = context, context.spec, lowering, limits
        self.legal, self.left_out, self.baseline = legal, left_out, baseline
        self.formats = tuple(f for f in self.spec.formats.search if f in legal)
        self.objective = self.spec.choose.minimize
        self.groups = decision_groups(context.graph, lowering.layers, [*self.formats, baseline.default])
        self.metric = context.judge.metric
        self.select = self._evaluator(context.select)
        self.costs: dict[PrecisionPlan, CostEstimate] = {}

    def _evaluator(self, data: Dataset) -> Evaluator:
        known = self.context.references
        evaluator = Evaluator(
            self.lowering, data, self.context.journal, self.context.threads, reference=known.get(data.digest), judge=self.context.judge
        )  # fmt: skip
        if data.digest not in known:
            with self.context.reporter.phase(f"float reference on {len(data):,} samples"):
                known[data.digest] = evaluator.references
        return evaluator

    def cost(self, plan: PrecisionPlan) -> CostEstimate:
        """Return the cost estimate of a plan, computed once."""
        if plan not in self.costs:
            self.costs[plan] = estimate(self.lowering.quantized(plan), self.lowering.profile)
        return self.costs[plan]

    def run(self, empty: TargetResult) -> TargetResult:
        name = self.lowering.profile.name
        with self.context.reporter.phase(f"{name}: sensitivity") as tick:
            base, sensitivities = self._sensitivities(tick)
        found = self._candidates(base, sensitivities)
        within = [c for c in found if c.within_limits]
        own = [c for c in found if c.plan == self.baseline]
        frontier = pareto(found, self.objective, self.metric) + pareto(within, self.objective, self.metric) + own
        confirm_base, confirmed = self._confirm(list({c.plan: c for c in frontier}.values()))
        found = [confirmed.get(c.plan, c) for c in found]
        chosen, found = choose(found, self.baseline, self.limits, self.objective, self.metric)
        frontier = pareto(found, self.objective, self.metric)
        status: Status = "nothing_fits" if chosen is None else "chosen" if sensitivities else "nothing_to_choose"
        result = replace(
            empty,
            status=status,
            groups=tuple(self.groups),
            formats=self.formats,
            left_out=tuple(self.left_out),
            baseline_plan=self.baseline,
            baseline=base,
            baseline_confirm=confirm_base,
            baseline_cost=self.cost(self.baseline),
            reference_figure=self.select.reference_figure,
            sensitivities=tuple(sensitivities),
            layer_errors=self._layer_errors(),
            candidates=tuple(found),
            frontier=tuple(frontier),
            chosen=chosen,
            arena=arena_of(self.lowering.quantized(self.baseline if chosen is None else chosen.plan), self.lowering.profile),
            plan_yaml=self._plan_yaml(chosen),
            notes=tuple(self._notes()),
        )
        message = gap_text(result, self.cheapest()) if chosen is None else proof_text(result)
        return replace(result, verdict=verdict_text(replace(result, message=message)), message=message)

    def _sensitivities(self, tick: Tick) -> tuple[Record, list[Sensitivity]]:
        formats = [f for f in self.formats if f != self.baseline.default]
        changes = [(g, f) for g in self.groups for f in formats if self.legal[f].issuperset(g.layers)]
        return one_at_a_time(self.select, changes, self.baseline, tick)

    def _candidates(self, base: Record, sensitivities: list[Sensitivity]) -> list[Candidate]:
        names = [g.name for g in self.groups]
        costs = {plan: self.cost(plan) for plan in [self.baseline, *(s.plan for s in sensitivities)]}
        items = make_items(self.groups, sensitivities, costs, self.baseline, self.metric)
        same = tuple(self.baseline.default for _ in names)
        proposed = propose(self.groups, items, self.baseline, self.objective, self.limits, self.cost)
        choices = {c: choice_plan(self.groups, c, self.baseline) for c in [same, *proposed]}
        with self.context.reporter.phase(f"{self.lowering.profile.name}: {len(choices)} proposals") as tick:
            records = self.select.evaluate(choices.values(), tick)
        return [
            judge(plan, choice, self.groups, items, self.cost(plan), records[plan], base, self.limits, self.metric)
            for choice, plan in choices.items()
        ]

    def cheapest(self) -> dict[str, tuple[float, str]]:
        """Return the smallest reachable value of every cost, each with the format that reaches it everywhere."""
        found: dict[str, tuple[float, str]] = {}
        for fmt, layers in self.legal.items():
            if fmt not in (*self.formats, self.baseline.default):
                continue
            plan = self.baseline.replace(dict.fromkeys(layers, fmt))
            cost = self.cost(plan)
            for axis, value_of in COST_AXES.items():
                if axis not in found or value_of(cost) < found[axis][0]:
                    found[axis] = (value_of(cost), fmt)
        return found

    def _confirm(self, candidates: list[Candidate]) -> tuple[Record | None, dict[PrecisionPlan, Candidate]]:
        if self.context.confirm is None or not candidates:
            return None, {}
        evaluator = self._evaluator(self.context.confirm)
        plans = [self.baseline, *(c.plan for c in candidates)]
        with self.context.reporter.phase(f"{self.lowering.profile.name}: confirmation") as tick:
            records = evaluator.evaluate(plans, tick)
        base = records[self.baseline]
        confirmed = {}
        for candidate in candidates:
            record = records[candidate.plan]
            change = paired_change(self.metric, base.evidence, record.evidence)
            bound = worsening_bound(self.metric, base.evidence, record.evidence)
            confirmed[candidate.plan] = replace(candidate, confirm_record=record, confirm_change=change, drop_bound=bound)
        return base, confirmed

    def _layer_errors(self) -> dict[str, tuple[LayerError, ...]] | None:
        count = min(self.spec.sweep.layer_error_samples, len(self.context.select))
        count -= count % (self.context.graph.fixed_batch or 1)
        if not count:
            return None
        data = self.context.select.take(slice(0, count), f"first {count} of {self.context.select.name}")
        found = {}
        for fmt in dict.fromkeys((self.baseline.default, *self.formats)):
            plan = self.baseline.replace(dict.fromkeys(self.legal[fmt], fmt))
            found[fmt] = tuple(layer_errors(self.lowering, data, plan))
        return found

    def _plan_yaml(self, chosen: Candidate | None) -> str:
        if chosen is None:
            return ""
        name = self.lowering.profile.name
        use = f"workbench emulate MODEL --profile {name} --plan THIS_FILE --data SAMPLES.npz"
        return self.lowering.plan_file(chosen.plan).to_yaml(
            f"study {self.spec.study}, target {name}, model {self.context.graph.name}", use
        )

    def _notes(self) -> list[str]:
        notes = [f"Bits: {self.lowering.profile.exactness}"]
        cost = self.cost(self.baseline)
        if cost.host_share:
            notes.append(
                f"Host: {100 * cost.host_share:.0f} % of the latency of {self.baseline.default} is that of layers that run there."
            )
        notes += [str(layer) for layer in on_host(self.lowering.quantized(self.baseline), self.lowering.profile)]
        ties = [g for g in self.groups if len(g.layers) > 1]
        notes += [f"Decided together: {', '.join(g.layers)}." for g in ties]
        return notes


__all__ = ["Context", "Group", "check_costs", "run_target"]
