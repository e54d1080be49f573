"""The verdict in words, and the gap and levers when nothing fits."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.cost import CostEstimate
from workbench.metrics import Metric
from workbench.precision import PrecisionPlan, parse_format
from workbench.results import TargetResult
from workbench.search import COST_AXES, Candidate, axis_value
from workbench.statistics import Difference
from workbench.study.relative import relative_change

_UNITS = {"flash": (1024.0, "KiB"), "ram": (1024.0, "KiB"), "latency": (1e-3, "ms"), "energy": (1e-6, "uJ")}


def quantity(axis: str, value: float) -> str:
    """Return a cost in its usual unit."""
    factor, unit = _UNITS[axis]
    return f"{value / factor:,.4g} {unit}" if value / factor < 1e4 else f"{value / factor:,.0f} {unit}"


def change_words(metric: Metric, change: Difference) -> str:
    """Return a change of the deciding metric with its 95 % interval, a share's in points."""
    if metric.is_share:
        return f"{100 * change.estimate:+.1f} points [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{change.estimate:+.3g}{unit} [{change.low:+.3g}, {change.high:+.3g}]"


def drop_words(metric: Metric, drop: float, digits: int = 1) -> str:
    """Return a worsening of the metric: '1.2 points', '0.03 nat'."""
    return f"{100 * drop:.{digits}f} points" if metric.is_share else f"{drop:.3g} {metric.unit}".rstrip()


def verdict_text(result: TargetResult) -> str:
    """Return one sentence: what to do on this target and what it costs and gains."""
    name, chosen = result.profile.name, result.chosen
    if chosen is None or result.baseline_cost is None or result.baseline_plan is None:
        return f"{name}: nothing fits: {result.message.splitlines()[0]}" if result.message else f"{name}: nothing fits."
    return f"{name}: {plan_words(result, chosen.plan)}: {_costs(result, chosen)}{_accuracy(result, chosen)}{_host(chosen)}."


def plan_words(result: TargetResult, plan: PrecisionPlan) -> str:
    """Return what a plan does, layers in network order: 'keep `dw` at 8 bit and put `c6`, `fc` at 2 bit'."""
    words = format_words(result)
    order = [layer for g in result.groups for layer in g.layers]
    of = dict(plan.layers)
    members: dict[str, list[str]] = {}
    for layer in order:
        members.setdefault(of.get(layer, plan.default), []).append(layer)
    kept = members.pop(plan.default, [])
    if not members:
        return f"keep everything at {words[plan.default]}"
    if not kept and len(members) == 1:
        return f"put all layers at {words[next(iter(members))]}"
    few = 0 < len(kept) <= FEW
    changed = [
        f"{'the rest' if few and len(members) == 1 and len(layers) > FEW else _names(layers)} at {words[f]}"
        for f, layers in members.items()
    ]
    put = f"put {' and '.join(changed)}"
    if not kept:
        return put
    start = f"keep {_names(kept)} at {words[plan.default]}"
    return f"{start} and {put}" if few else f"{put}, keep the rest at {words[plan.default]}"


FEW = 4
"""Layers that are kept as they are and still named."""


def format_words(result: TargetResult) -> dict[str, str]:
    """Return format -> its words: '4 bit' where the formats on offer differ in nothing but the bits of weights, else its name."""
    base = [] if result.baseline_plan is None else [result.baseline_plan.default]
    names = list(dict.fromkeys((*base, *result.formats)))
    formats = [parse_format(name) for name in names]
    rest = {(f.activation, f.granularity, f.bias, f.output, f.coding) for f in formats}
    bits = {f.weight_bits for f in formats}
    if len(rest) > 1 or len(bits) < len(names) or any(f.is_float for f in formats):
        return {name: name for name in names}
    return {f.name: f"{f.weight_bits:g} bit" for f in formats}


def _names(layers: list[str]) -> str:
    return ", ".join(f"`{layer}`" for layer in layers)


def _costs(result: TargetResult, chosen: Candidate) -> str:
    assert result.baseline_cost is not None
    parts = []
    for axis in dict.fromkeys(("flash", "latency", result.objective)):
        now, before = axis_value(chosen.cost, axis), axis_value(result.baseline_cost, axis)
        own = _own_flash(result.baseline_cost, chosen.cost) if axis == "flash" else ""
        change = (
            f" ({_change(axis, result.baseline_cost, chosen.cost, now, before)}{own})" if before > 0 and now != before else ""
        )
        parts.append(f"{axis} {quantity(axis, now)}{change}")
    return ", ".join(parts)


def _own_flash(base: CostEstimate, cost: CostEstimate) -> str:
    """Return how much of its own flash a model saves, where the runtime's, which stays, is in the cost: '; the model's own -28 %'."""
    if not cost.runtime_flash_bytes or not base.flash_bytes > 0:
        return ""
    return f"; the model's own {100 * (cost.flash_bytes / base.flash_bytes - 1):+.0f} %"


def _change(axis: str, base: CostEstimate, cost: CostEstimate, now: float, before: float) -> str:
    """Return a relative change in percent; of an estimate that is measured in time or energy with its interval."""
    share = f"{100 * (now / before - 1):+.0f} %"
    if axis not in ("latency", "energy"):
        return share
    found = relative_change(base, cost, "latency" if axis == "latency" else "energy")
    return share if found is None else f"{share} [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"


def _accuracy(result: TargetResult, chosen: Candidate) -> str:
    metric, record, change = result.metric, chosen.record, result.chosen_change or chosen.change
    if chosen.plan == result.baseline_plan:
        record = chosen.confirm_record or record
        return f", {metric.title} {_plain(metric, record.figure)} on {record.samples:,} samples (the baseline itself)"
    where = f"on the {record.samples:,} samples that chose it (not confirmed: nothing is proven)"
    if chosen.confirm_change is not None and chosen.confirm_record is not None:
        record, change = chosen.confirm_record, chosen.confirm_change
        where = f"(confirmed on {record.samples:,} samples that did not choose it)"
    words = change_words(metric, change)
    if metric.name == "top1":
        return f", top-1 {words} {where}"
    return f", {metric.title} {_plain(metric, record.figure)} ({words}) {where}"


def _plain(metric: Metric, value: float) -> str:
    return f"{100 * value:.1f} %" if metric.is_share else f"{value:.3g} {metric.unit}".rstrip()


def _host(chosen: Candidate) -> str:
    share = chosen.cost.host_share
    return f"; {100 * share:.0f} % of the latency is its host processor's" if share >= 0.005 else ""


def proof_text(result: TargetResult) -> str:
    """Return what the confirmation samples prove about the recommendation, and what they refused ('' without such a limit)."""
    chosen, limit, metric = result.chosen, result.limits.drop, result.metric
    if chosen is None or limit is None:
        return ""
    most = f"{100 * limit:g} points" if metric.is_share else drop_words(metric, limit)
    plain = chosen.plan == result.baseline_plan
    if chosen.confirm_record is None:
        text = (
            "Not confirmed: the samples that chose this plan are the only ones (data.confirm is 0, or there are too few); expect a "
            f"larger {metric.worse_word} on others."
        )
        worst = beyond(metric, _worst(metric, chosen.change), limit)
        more = f" Nothing is proven: the limit is {most}; by these samples alone a {metric.worse_word} of {worst} is possible."
        return text if plain else text + more
    cost = axis_value(chosen.cost, result.objective)
    cheaper = [c for c in result.candidates if c.proven is False and axis_value(c.cost, result.objective) < cost]
    refused = sorted(cheaper, key=lambda c: -axis_value(c.cost, result.objective))[:1]
    how = HOW[metric.interval]
    text = (
        ""
        if plain
        else f"95 % sure that the {metric.worse_word} is at most {most} (tests in fixed order on samples that did not propose it{how})."
    )
    for c in refused:
        assert c.confirm_change is not None and c.drop_bound is not None
        text += (
            f" Not proven for the next cheaper plan ({plan_words(result, c.plan)}): {change_words(metric, c.confirm_change)}, a "
            f"{metric.worse_word} of up to {beyond(metric, c.drop_bound, limit)} is possible; more evaluation samples would tell."
        )
    return text.strip()


HOW = {
    "binary": "", "mean": "; paired t interval", "bootstrap": "; paired bootstrap",
    "jackknife": "; paired t interval, or jackknife of groups for one number of all samples",
}  # fmt: skip
"""How the interval of a change was found, where that is not a paired share."""


def beyond(metric: Metric, drop: float, limit: float, least: int = 1) -> str:
    """Return a worsening with the decimals that tell it from the limit (at most five): 2.04 points where 2 are allowed."""
    for digits in range(least, 5):
        if not metric.is_share or drop == limit or round(100 * drop, digits) != round(100 * limit, digits):
            return drop_words(metric, drop, digits)
    return drop_words(metric, drop, 5)


def _worst(metric: Metric, change: Difference) -> float:
    """Return the largest worsening in the interval of a change."""
    return max(metric.worsening(change.low), metric.worsening(change.high))


def _limit(result: TargetResult) -> str:
    drop = result.limits.drop or 0.0
    return f"the limit is {100 * drop:.2f}" if result.metric.is_share else f"the limit is {drop:.3g}"


def gap_text(result: TargetResult, cheapest: Mapping[str, tuple[float, str]]) -> str:
    """Return why nothing fits: the gap of every limit that no plan meets, and what could be done."""
    lines: list[str] = []
    for axis, limit in result.limits.costs().items():
        value, fmt = cheapest[axis]
        if value > limit:
            least, most, gap = (quantity(axis, v) for v in (value, limit, value - limit))
            lines.append(f"{axis}: at least {least} ({fmt} everywhere), limit {most}: {gap} too much.")
    if lines:
        return "\n".join([*lines, _levers([line.split(":")[0] for line in lines])])
    affordable = [c for c in result.candidates if all(axis_value(c.cost, a) <= v for a, v in result.limits.costs().items())]
    metric = result.metric
    if affordable and result.limits.drop is not None:
        best = min((c.drop_bound for c in affordable if c.drop_bound is not None), default=None)
        if best is None:
            best = min((metric.worsening(c.change.estimate) for c in affordable), default=0.0)
            loses = f"the best plan within the cost limits loses {beyond(metric, best, result.limits.drop, 2)}"
        else:
            loses = f"within the cost limits, no {metric.worse_word} below {beyond(metric, best, result.limits.drop, 2)} can be proven"
        lines.append(f"{metric.title}: {loses}, {_limit(result)}.")
    elif affordable and result.limits.sqnr_db is not None:
        best_db = max(c.record.metrics["sqnr_db"] for c in affordable)
        lines.append(
            f"SQNR: the best plan within the cost limits reaches {best_db:.1f} dB, the limit is {result.limits.sqnr_db:.1f} dB."
        )
    else:
        lines.append("each limit can be met alone, but no evaluated plan meets all of them together.")
    return "\n".join([*lines, _levers(["accuracy"])])


def _levers(axes: list[str]) -> str:
    advice = {
        "flash": "offer formats with fewer weight bits, prune or cluster the weights, or take a device with more flash",
        "ram": "use 8-bit activations, a smaller input or narrower early layers, or a device with more RAM",
        "latency": "take a faster clock, runtime or device, or a smaller network",
        "energy": "take a device or runtime with less energy per inference, or a smaller network",
        "accuracy": "loosen the limit on the accuracy, offer formats with more bits or per-channel scales, "
        "or try quantization: {weights: mse}",
    }
    return "Levers: " + "; ".join(advice[a] for a in axes) + "."


__all__ = ["COST_AXES", "change_words", "gap_text", "proof_text", "quantity", "verdict_text"]
