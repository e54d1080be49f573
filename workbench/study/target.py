"""One target of a study: sweep, evaluate exactly, choose, confirm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.cost import arena_of, on_host
from workbench.data import Dataset
from workbench.evaluate import Record
from workbench.hardware.profile import HardwareProfile
from workbench.metrics import paired_change, worsening_bound
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.results import Status, TableSummary, TargetResult
from workbench.search import COST_AXES, Candidate, choose, judge, make_items, pareto
from workbench.search.certificates import Certificate, recommended_text
from workbench.search.choose import order_of_tests
from workbench.study.prepare import Context
from workbench.study.selection import after_choice, cannot_tell
from workbench.study.setting import Setting, make_setting
from workbench.study.sweeps import Swept, sweep
from workbench.study.verdict import gap_text, proof_text, verdict_text
from workbench.sweep import LayerError, Sensitivity, layer_errors, one_at_a_time
from workbench.sweep.distributions import Distribution, distributions
from workbench.sweep.neighbours import rank_neighbours
from workbench.sweep.records import Views
from workbench.sweep.views import find_views, with_chosen

ONLY = "No certificate: no other format on offer runs here, so that this target has one configuration."


def run_target(context: Context, profile: HardwareProfile) -> tuple[TargetResult, Setting | None]:
    """Return what the study finds on one target; an unsupported or too small target is a result, not an error."""
    setting, empty = prepared(context, profile)
    return (empty if setting is None else _run(setting, empty)), setting


def prepared(context: Context, profile: HardwareProfile) -> tuple[Setting | None, TargetResult]:
    """Return a target's setting and its result before anything ran; without a setting, the result says why."""
    spec = context.spec
    setting, limits, left_out = make_setting(context, profile)
    empty = TargetResult(
        profile, "not_supported", "", "", spec.choose.minimize, limits, context.judge.metric, left_out=tuple(left_out)
    )
    if setting is None:
        reasons = "\n".join(f"{fmt}: {why}" for fmt, why in left_out)
        verdict = f"{profile.name}: none of the baseline formats ({', '.join(spec.formats.baseline)}) runs on this target."
        return None, replace(empty, verdict=verdict, message=reasons)
    return setting, empty


def _run(setting: Setting, empty: TargetResult) -> TargetResult:
    with setting.context.reporter.phase(f"{setting.name}: sensitivity") as tick:
        base, sensitivities = sensitivities_of(setting, tick)
    result = decided(setting, empty, base, sensitivities, sweep(setting, sensitivities))
    shown = setting.baseline if result.chosen is None else result.chosen.plan
    return replace(
        result,
        layer_errors=_layer_errors(setting),
        views=_views(setting, sensitivities, shown),
        distributions=_distributions(setting),
    )


def decided(
    setting: Setting, empty: TargetResult, base: Record, sensitivities: Sequence[Sensitivity], swept: Swept
) -> TargetResult:
    """Return what is chosen among the plans of a sweep, and why: candidates evaluated exactly, tests, verdict."""
    metric = setting.metric
    found = judged(setting, swept.plans, base, sensitivities)
    within = [c for c in found if c.within_limits]
    own = [c for c in found if c.plan == setting.baseline]
    frontier = pareto(found, setting.objective, metric) + pareto(within, setting.objective, metric) + own
    order = order_of_tests(found, setting.baseline, setting.limits, setting.objective, metric, setting.others)
    confirm_base, confirmed = confirm(setting, list({c.plan: c for c in [*frontier, *order]}.values()))
    found = [confirmed.get(c.plan, c) for c in found]
    chosen, found = choose(found, setting.baseline, setting.limits, setting.objective, metric)
    status: Status = "nothing_fits" if chosen is None else "chosen" if sensitivities else "nothing_to_choose"
    shown = setting.baseline if chosen is None else chosen.plan
    change, how = after_choice(setting, base, found, chosen)
    result = replace(
        empty,
        status=status,
        groups=tuple(setting.groups),
        formats=setting.formats,
        baseline_plan=setting.baseline,
        baseline=base,
        baseline_confirm=confirm_base,
        baseline_cost=setting.cost(setting.baseline),
        reference_figure=setting.select.reference_figure,
        sensitivities=tuple(sensitivities),
        candidates=tuple(found),
        frontier=tuple(pareto(found, setting.objective, metric)),
        chosen=chosen,
        arena=arena_of(setting.lowering.quantized(shown), setting.lowering.profile),
        plan_yaml="" if chosen is None else plan_yaml(setting, chosen.plan),
        notes=(*_notes(setting), *swept.notes),
        neighbours=tuple(rank_neighbours(sensitivities, metric)) if setting.spec.sweep.views else (),
        certificate=_recommended(setting, swept.certificate, chosen),
        table=_with_chosen(setting, swept.table, chosen),
        search=swept.search,
        chosen_change=change,
        chosen_how=how,
        ties=cannot_tell(metric, sensitivities),
    )
    message = gap_text(result, cheapest(setting)) if chosen is None else proof_text(result)
    if not sensitivities:
        message = f"{message} {ONLY}".strip()
    return replace(result, verdict=verdict_text(replace(result, message=message)), message=message)


def sensitivities_of(setting: Setting, tick: Tick) -> tuple[Record, list[Sensitivity]]:
    """Return the baseline's record, and what every group loses in every other format."""
    base = setting.baseline.default
    pairs = zip(setting.space.groups, setting.space.formats, strict=True)
    changes = [(group, f) for group, names in pairs for f in names if f != base]
    return one_at_a_time(setting.select, changes, setting.baseline, tick)


def judged(
    setting: Setting, plans: Sequence[PrecisionPlan], base: Record, sensitivities: Sequence[Sensitivity]
) -> list[Candidate]:
    """Return candidates of plans, each evaluated exactly on the samples that choose, the sum of single changes beside it."""
    costs = {plan: setting.cost(plan) for plan in [setting.baseline, *(s.plan for s in sensitivities)]}
    items = make_items(setting.groups, sensitivities, costs, setting.baseline, setting.metric)
    with setting.context.reporter.phase(f"{setting.name}: {len(plans)} proposals") as tick:
        records = setting.select.evaluate(plans, tick)
    names, found = setting.space.formats, []
    for plan in plans:
        choice = tuple(names[g][f] for g, f in enumerate(setting.space.code(plan)))
        found.append(
            judge(
                plan, choice, setting.groups, items, setting.cost(plan), records[plan], base, setting.limits, setting.metric
            )
        )  # fmt: skip
    return found


def confirm(setting: Setting, candidates: Sequence[Candidate]) -> tuple[Record | None, dict[PrecisionPlan, Candidate]]:
    """Return the baseline's record on the samples that did not choose, and candidates with what these say."""
    if setting.confirm is None or not candidates:
        return None, {}
    with setting.context.reporter.phase(f"{setting.name}: confirmation") as tick:
        records = setting.confirm.evaluate([setting.baseline, *(c.plan for c in candidates)], tick)
    base, metric = records[setting.baseline], setting.metric
    confirmed = {}
    for candidate in candidates:
        record = records[candidate.plan]
        change = paired_change(metric, base.evidence, record.evidence)
        bound = worsening_bound(metric, base.evidence, record.evidence)
        confirmed[candidate.plan] = replace(
            candidate, confirm_record=record, confirm_change=change, confirm_base=base, drop_bound=bound
        )
    return base, confirmed


def cheapest(setting: Setting) -> dict[str, tuple[float, str]]:
    """Return the smallest reachable value of every cost, each with the format that reaches it everywhere."""
    found: dict[str, tuple[float, str]] = {}
    for fmt, layers in setting.legal.items():
        if fmt not in (*setting.formats, setting.baseline.default):
            continue
        cost = setting.cost(setting.baseline.replace(dict.fromkeys(layers, fmt)))
        for axis, value_of in COST_AXES.items():
            if axis not in found or value_of(cost) < found[axis][0]:
                found[axis] = (value_of(cost), fmt)
    return found


def plan_yaml(setting: Setting, plan: PrecisionPlan) -> str:
    """Return a plan as a file that `workbench emulate --plan` runs."""
    use = f"workbench emulate MODEL --profile {setting.name} --plan THIS_FILE --data SAMPLES.npz"
    return setting.lowering.plan_file(plan).to_yaml(
        f"study {setting.spec.study}, target {setting.name}, model {setting.context.graph.name}", use
    )


def _layer_errors(setting: Setting) -> dict[str, tuple[LayerError, ...]] | None:
    data = _some(setting)
    if data is None:
        return None
    return {fmt: tuple(layer_errors(setting.lowering, data, plan)) for fmt, plan in _everywhere(setting).items()}


def _distributions(setting: Setting) -> tuple[Distribution, ...]:
    """Return the distributions of weights and activations where the study asks for views."""
    data = _some(setting)
    if data is None or not setting.spec.sweep.views:
        return ()
    return tuple(distributions(setting.lowering, data, _everywhere(setting)))


def _some(setting: Setting) -> Dataset | None:
    """Return the samples on which every layer's own output is looked at."""
    select = setting.context.select
    count = min(setting.spec.sweep.layer_error_samples, len(select))
    count -= count % (setting.context.graph.fixed_batch or 1)
    return select.take(slice(0, count), f"first {count} of {select.name}") if count else None


def _everywhere(setting: Setting) -> dict[str, PrecisionPlan]:
    """Return format -> the plan with it in every layer that may have it."""
    formats = dict.fromkeys((setting.baseline.default, *setting.formats))
    return {fmt: setting.baseline.replace(dict.fromkeys(setting.legal[fmt], fmt)) for fmt in formats}


def _views(setting: Setting, sensitivities: Sequence[Sensitivity], chosen: PrecisionPlan) -> Views | None:
    """Return the further sensitivities that the study asks for."""
    asked = setting.spec.sweep.views
    if not asked or not sensitivities:
        return None
    changes = [(s.group, s.format) for s in sensitivities]
    found = find_views(setting.select, asked, changes, setting.baseline, reporter=setting.context.reporter, where=setting.name)
    return with_chosen(found, setting.select, setting.baseline, {"chosen": chosen})


def _with_chosen(setting: Setting, table: TableSummary | None, chosen: Candidate | None) -> TableSummary | None:
    """Return the columns of all plans with the row of the chosen one."""
    if table is None or chosen is None or len(table.quality) != setting.space.size:
        return table
    row = int(setting.space.numbers(setting.space.code(chosen.plan)[None])[0])
    return replace(table, chosen=row)


def _recommended(setting: Setting, certificate: Certificate | None, chosen: Candidate | None) -> Certificate | None:
    """Return a certificate of all plans with a sentence on where the chosen one stands."""
    if certificate is None or certificate.kind != "exhaustive" or chosen is None:
        return certificate
    values = setting.measure(setting.space.code(chosen.plan)[None])[0]
    words = recommended_text(certificate.data, values.tolist(), setting.objective, setting.confirm is not None)
    return replace(certificate, text=f"{certificate.text} {words}")


def _notes(setting: Setting) -> list[str]:
    notes = [f"Bits: {setting.lowering.profile.exactness}"]
    cost = setting.cost(setting.baseline)
    if cost.host_share:
        notes.append(
            f"Host: {100 * cost.host_share:.0f} % of the latency of {setting.baseline.default} is that of layers that run there."
        )
    notes += [str(layer) for layer in on_host(setting.lowering.quantized(setting.baseline), setting.lowering.profile)]
    notes += [f"Decided together: {', '.join(g.layers)}." for g in setting.groups if len(g.layers) > 1]
    return notes
