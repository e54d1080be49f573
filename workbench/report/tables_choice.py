"""Tables of a choice with proof as data frames: views of sensitivity, neighbours in rank, distributions, certificates, common plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from workbench.results import StudyResult, TargetResult
from workbench.search import Candidate, axis_value
from workbench.sweep.records import Carried, Effect, Signal

Row = dict[str, Any]


def choice_tables(result: StudyResult) -> dict[str, pd.DataFrame]:
    """Return file name (without suffix) -> table, of those that have rows: studies that asked for none of it have no such files."""
    makers: dict[str, Callable[[TargetResult], Iterator[Row]]] = {
        "sensitivity_context": context_rows, "sensitivity_parts": part_rows, "sensitivity_pairs": pair_rows,
        "sensitivity_mixes": mix_rows, "sensitivity_proxies": proxy_rows, "sensitivity_layers": layer_rows,
        "neighbours": neighbour_rows, "distributions": distribution_rows, "search": search_rows, "certificates": certificate_rows,
    }  # fmt: skip
    found = {
        name: [{"target": t.profile.name} | row for t in result.targets for row in make(t)] for name, make in makers.items()
    }
    found["joint"] = list(joint_rows(result))
    return {name: pd.DataFrame(rows) for name, rows in found.items() if rows}


def _effect(t: TargetResult, e: Effect) -> Row:
    """Return the columns of an effect; changes of a share in points."""
    factor, name = (100.0, "points") if t.metric.is_share else (1.0, t.metric.unit.lower() or "value")
    return {
        f"{t.metric.name}_change_{name}": factor * e.change.estimate,
        f"{t.metric.name}_change_low_{name}": factor * e.change.low,
        f"{t.metric.name}_change_high_{name}": factor * e.change.high,
        "loss_delta": e.loss_delta,
        "flips": e.flips,
        "sqnr_db": e.sqnr_db,
    }


def context_rows(t: TargetResult) -> Iterator[Row]:
    """Yield one layer off, and one layer after the other."""
    if t.views is not None:
        for view, found in (("off", t.views.off), ("cumulative", t.views.cumulative)):
            for s in found:
                yield {"view": view, "group": s.group.name, "format": s.format, **_effect(t, s.effect)}


def part_rows(t: TargetResult) -> Iterator[Row]:
    """Yield weights only, activations only and both, per group and format."""
    for p in () if t.views is None else t.views.parts:
        yield {
            "group": p.group.name, "format": p.format, "part": p.part, "basis": p.basis, "through": p.through, **_effect(t, p.effect),
        }  # fmt: skip


def pair_rows(t: TargetResult) -> Iterator[Row]:
    """Yield the interaction of every pair of changes that was evaluated."""
    pairs = None if t.views is None else t.views.pairs
    for one in () if pairs is None else pairs.interactions:
        (a, f), (b, g) = pairs.changes[one.first], pairs.changes[one.second]  # type: ignore[union-attr]
        yield {
            "first": a.name, "first_format": f, "second": b.name, "second_format": g, "first_loss": pairs.singles[one.first],  # type: ignore[union-attr]
            "second_loss": pairs.singles[one.second], "joint_loss": one.joint, "interaction": one.loss,  # type: ignore[union-attr]
            "metric_interaction": one.change.estimate, "metric_low": one.change.low, "metric_high": one.change.high,
        }  # fmt: skip


def mix_rows(t: TargetResult) -> Iterator[Row]:
    """Yield predicted and measured losses of mixes."""
    found = None if t.views is None else t.views.additivity
    for m in () if found is None else found.mixes:
        yield {
            "kind": m.kind, "plan": m.label, "predicted_by_singles": m.by_singles, "predicted_by_pairs": m.by_pairs,
            "measured": m.measured, "known_pairs_share": m.known,
        }  # fmt: skip


def proxy_rows(t: TargetResult) -> Iterator[Row]:
    """Yield the score of every change by every proxy, beside the exact loss."""
    if t.views is None:
        return
    for p in t.views.proxies:
        for (group, fmt), score, loss in zip(t.views.changes, p.scores, t.views.losses, strict=True):
            yield {
                "proxy": p.name, "gradient": p.gradient, "group": group.name, "format": fmt, "score": score, "exact_loss": loss,
                "kendall_tau": p.tau,
            }  # fmt: skip


def layer_rows(t: TargetResult) -> Iterator[Row]:
    """Yield the errors of every layer's own output, and what they do to the network's outputs."""
    for e in () if t.views is None else t.views.layers:
        row: Row = {"layer": e.layer, "format": e.format}
        for name, signal in (("local", e.local), ("cumulative", e.cumulative)):
            row |= _signal(name, signal)
        for name, carried in (("local", e.carried_local), ("cumulative", e.carried_cumulative)):
            row |= _carried(name, carried)
        yield row


def _signal(name: str, s: Signal) -> Row:
    return {f"{name}_sqnr_db": s.sqnr_db, f"{name}_mse": s.mse, f"{name}_cosine": s.cosine}


def _carried(name: str, c: Carried | None) -> Row:
    values = (None,) * 4 if c is None else (c.kl, c.cross_entropy, c.figure, c.flips)
    return dict(zip((f"{name}_kl_nat", f"{name}_cross_entropy_nat", f"{name}_figure", f"{name}_flips"), values, strict=True))


def neighbour_rows(t: TargetResult) -> Iterator[Row]:
    """Yield neighbours in rank, and whether the samples tell them apart."""
    for n in t.neighbours:
        yield {
            "format": n.format, "rank": n.rank, "first": n.first, "second": n.second, "difference": n.change.estimate,
            "low": n.change.low, "high": n.change.high, "apart": n.apart, "samples_needed": n.samples,
        }  # fmt: skip


def distribution_rows(t: TargetResult) -> Iterator[Row]:
    """Yield what every format represents of every tensor."""
    for d in t.distributions:
        for fmt, r in d.ranges.items():
            yield {
                "layer": d.layer, "kind": d.kind, "lowest": d.edges[0], "highest": d.edges[-1], "format": fmt, "type": r.type,
                "range_low": r.low, "range_high": r.high, "narrowest_low": r.narrow_low, "narrowest_high": r.narrow_high,
                "step": r.step, "levels": r.levels, "clipped_share": r.clipped, "vanished_share": r.vanished,
            }  # fmt: skip


def search_rows(t: TargetResult) -> Iterator[Row]:
    """Yield the quality of the frontier after so many evaluations."""
    if t.search is not None:
        for spent, quality in zip(t.search.evaluations, t.search.quality, strict=True):
            yield {"evaluations": spent, t.search.measure: quality}


def certificate_rows(t: TargetResult) -> Iterator[Row]:
    """Yield what is proven."""
    if t.certificate is not None:
        yield {"kind": t.certificate.kind, "text": t.certificate.text}


def joint_rows(result: StudyResult) -> Iterator[Row]:
    """Yield, per target, its own choice and the plan for all."""
    if result.joint is None:
        return
    targets = {t.profile.name: t for t in result.targets}
    for row in result.joint.rows:
        t = targets[row.target]
        yield {
            "target": row.target, "objective": t.objective, "common_within_limits": row.within,
            **_candidate("own", t, row.own), **_candidate("common", t, row.common),
        }  # fmt: skip


def _candidate(name: str, t: TargetResult, c: Candidate | None) -> Row:
    values: tuple[Any, ...] = (None,) * 5
    if c is not None:
        change = c.change if c.confirm_change is None else c.confirm_change
        values = (c.plan.label(), axis_value(c.cost, t.objective), change.estimate, change.low, change.high)
    return {f"{name}_{key}": v for key, v in zip(("plan", "cost", "change", "change_low", "change_high"), values, strict=True)}
