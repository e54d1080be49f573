"""What the page says of a choice with proof: certificate, what cannot be told apart, views of sensitivity, one plan for all targets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from workbench.metrics import Metric
from workbench.report.page_rows import changes, cost_range
from workbench.report.text import NONE, change_unit, metric_change, number, percent, quantity, signed, tidy
from workbench.results import Certificate, StudyResult, TargetResult
from workbench.search import Candidate, axis_value
from workbench.statistics.power import rounded
from workbench.sweep.neighbours import Neighbours
from workbench.sweep.records import Fit

KINDS = {
    "exhaustive": "Certificate: every configuration was evaluated",
    "program": "Certificate: the program was solved to optimality",
    "sampling": "Certificate: configurations drawn at random bound what was missed",
}
FACTS = {
    "exhaustive": {"plans": "plans", "samples": "samples"},
    "program": {"plans": "plans"},
    "sampling": {
        "plans": "plans", "samples": "samples", "draws": "draws", "seed": "seed",
        "improved_at_start": "draws that improved the frontier as it was before the first", "share": "share wanted, below",
        "bound": "share proven, below", "confidence": "confidence",
    },
}  # fmt: skip
"""Figures of a certificate that are shown, in words; `certificate.json` has all. Floats are shares."""
COMMAND = "workbench verify ."


def certificate_box(c: Certificate | None) -> dict[str, Any] | None:
    """Return title, words, figures, and the command that checks them again."""
    if c is None:
        return None
    facts = [
        (words, f"{100 * value:.3g} %" if isinstance(value, float) else f"{value:,}")
        for key, words in FACTS[c.kind].items()
        if isinstance(value := c.data.get(key), int | float)
    ]
    css = "good" if c.data.get("reached", True) else "warn"
    return {"title": KINDS[c.kind], "text": tidy(c.text), "facts": facts, "command": COMMAND, "css": css}


TOP = "At the top, each group in the format that loses most (here only pairs that cannot be told apart):"
BELOW = "All neighbours in rank, format by format:"


def told_apart(t: TargetResult) -> dict[str, Any] | None:
    """Return which neighbours in rank the samples cannot tell apart: a sentence per format, and a row per pair."""
    if not t.neighbours and not t.ties:
        return None
    samples = 0 if t.baseline is None else t.baseline.samples
    lines = [tidy(line) for line in t.ties]
    if lines and t.neighbours:
        lines = [TOP, *lines, BELOW]
    for fmt in dict.fromkeys(n.format for n in t.neighbours):
        mine = [n for n in t.neighbours if n.format == fmt]
        lines.append(_told(fmt, mine, samples))
    rows = [_neighbour_row(t.metric, n) for n in t.neighbours if not n.apart]
    return {"lines": lines, "rows": rows, "unit": change_unit(t.metric)}


def _told(fmt: str, mine: list[Neighbours], samples: int) -> str:
    tied = [n for n in mine if not n.apart]
    of = f"{len(tied)} of the {len(mine)} neighbours" if len(mine) > 1 else "the two groups" if tied else "the one pair"
    if not tied:
        return f"{fmt}: {samples:,} samples tell all neighbours in rank apart."
    needed = [n.samples for n in tied if n.samples is not None]
    most = f"; about {rounded(max(needed)):,} samples would tell all that differ" if needed else ""
    return f"{fmt}: {samples:,} samples cannot tell {of} in rank apart{most}."


def _neighbour_row(metric: Metric, n: Neighbours) -> tuple[str, str, str, tuple[str, str], str]:
    needed = "no difference seen" if n.samples is None else f"about {rounded(n.samples):,}"
    return n.format, f"{n.rank}. {n.first}", f"{n.rank + 1}. {n.second}", metric_change(metric, n.change), needed


def views_part(t: TargetResult) -> dict[str, Any] | None:
    """Return the tables of the views: proxies, and how well predictions of mixes meet what was measured."""
    if t.views is None:
        return None
    fits = (
        ()
        if t.views.additivity is None
        else (("sum of singles", t.views.additivity.singles), ("with pairs", t.views.additivity.pairs))
    )
    return {
        "evaluations": f"{t.views.evaluations:,}",
        "proxies": [
            (p.title, _tau(p.tau), f"{p.passes:,}" if p.passes else NONE, p.gradient, p.source)
            for p in sorted(t.views.proxies, key=lambda p: -p.tau if math.isfinite(p.tau) else 2.0)
        ],
        "fits": [(name, *_fit(fit)) for name, fit in fits],
    }


def _tau(tau: float) -> str:
    return NONE if math.isnan(tau) else number(tau, 2)


def _fit(fit: Fit) -> tuple[str, ...]:
    return number(fit.bias, 2), number(fit.absolute, 2), number(fit.root_mean_square, 2), percent(fit.relative), _tau(fit.tau)


def distribution_table(t: TargetResult) -> list[tuple[str, ...]]:
    """Return a row per layer, kind and format: type, range, step, share beyond it, share that becomes 0."""
    rows: list[tuple[str, ...]] = []
    for d in t.distributions:
        for fmt, r in d.ranges.items():
            ends = f"{number(r.low)} to {number(r.high)}"
            rows.append(
                (d.layer, d.kind, fmt, r.type, ends, number(r.step), percent(r.clipped, 2), percent(r.vanished, 1))
            )  # fmt: skip
    return rows


def joint_part(result: StudyResult) -> dict[str, Any] | None:
    """Return the table of several targets: own choice and common plan side by side."""
    joint = result.joint
    if joint is None:
        return None
    targets = {t.profile.name: t for t in result.targets}
    plan = [] if joint.plan is None else changes(joint.plan, None, _layers(result))
    rows = [
        {
            "target": row.target,
            "objective": targets[row.target].objective,
            "own": _costs(targets[row.target], row.own),
            "common": _costs(targets[row.target], row.common),
            "within": row.within,
            "proven": row.common is None or not _unproven(targets[row.target], row.common),
        }
        for row in joint.rows
    ]
    return {"text": tidy(joint.text), "plan": plan, "found": joint.plan is not None, "rows": rows}


def _unproven(t: TargetResult, common: Candidate) -> bool:
    """Return whether a limit on the drop is kept on the samples that choose alone."""
    return t.limits.drop is not None and common.proven is not True and common.plan != t.baseline_plan


def _layers(result: StudyResult) -> list[str]:
    found = dict.fromkeys(layer for t in result.targets for g in t.groups for layer in g.layers)
    order = {name: i for i, name in enumerate(result.layers)}
    return sorted(found, key=lambda name: order.get(name, len(order)))


def _costs(t: TargetResult, c: Candidate | None) -> Mapping[str, Any] | None:
    """Return the objective (with its range, relative to the baseline) and the change of the metric of a plan on a target."""
    if c is None:
        return None
    value = axis_value(c.cost, t.objective)
    before = math.nan if t.baseline_cost is None else axis_value(t.baseline_cost, t.objective)
    share = f"{signed(100 * (value / before - 1), 0)} %" if before > 0 and value != before else ""
    change = c.change if c.confirm_change is None else c.confirm_change
    return {
        "value": quantity(t.objective, value),
        "share": share,
        "range": cost_range(c.cost, t.objective),
        "change": metric_change(t.metric, None if c.plan == t.baseline_plan else change),
        "where": ""
        if c.plan == t.baseline_plan
        else "other samples"
        if c.confirm_change is not None
        else "samples that chose it",
        "unit": change_unit(t.metric),
    }
