"""Two targets of a study on the same samples: flips, accuracy, and which layers or rules they are due to."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from workbench.comparison import Comparison, compare
from workbench.comparison.results import Attribution, Effects, Flips
from workbench.comparison.tables import changes_text, comparison_json, fraction_text
from workbench.data import Dataset
from workbench.graph.ir import Array
from workbench.quantize import PlanFile
from workbench.report.text import percent, signed
from workbench.results import ComparisonResult, TargetResult, TextTable
from workbench.study.prepare import Context

SINGULAR = {"rules": "rule", "operators": "rule of an operator", "layers": "layer"}


def compare_targets(
    context: Context,
    evaluation: Dataset,
    classes: Array | None,
    seen: Array | Mapping[str, Array] | None,
    a: TargetResult,
    b: TargetResult,
) -> ComparisonResult:
    """Return how target B differs from target A, each at its baseline plan. classes: labels that are classes, or None. seen: samples
    that set the scales."""
    names, spec = (a.profile.name, b.profile.name), context.spec
    left_out = [t.profile.name for t in (a, b) if t.baseline_plan is None]
    if a.baseline_plan is None or b.baseline_plan is None:
        return ComparisonResult(
            *names, f"{names[1]} against {names[0]}: not compared, no baseline plan on {', '.join(left_out)}."
        )
    plans = [PlanFile(plan, spec.quantization) for plan in dict.fromkeys((a.baseline_plan, b.baseline_plan))]
    found = compare(
        a.profile, b.profile, context.graph, evaluation.inputs, classes, plan=plans[0], plan_b=plans[-1],
        calibration=seen, samples=spec.compare.samples and min(spec.compare.samples, len(evaluation)), by=spec.compare.by,
        threads=context.threads, reporter=context.reporter,
    )  # fmt: skip
    tables = [_layers(found)]
    if found.attribution is not None:
        tables.insert(0, _contributions(found.attribution, SINGULAR[spec.compare.by]))
    notes = (*found.notes, *(found.attribution.notes if found.attribution is not None else ()))
    return ComparisonResult(*names, _verdict(names, found), tuple(t for t in tables if t.rows), notes, comparison_json(found))


def _verdict(names: tuple[str, str], c: Comparison) -> str:
    start = f"{names[1]} against {names[0]}"
    if c.first is None:
        return f"{start}: every tensor has the same bits in {c.samples:,} samples."
    if c.flips is None:
        return f"{start}: '{c.first.layer}' is the first layer that differs."
    return f"{start}: the class of {len(c.flips.flipped):,} of {c.samples:,} samples flips{_accuracy(c.flips)}{_causes(c)}."


def _accuracy(f: Flips) -> str:
    if f.correct_a is None or f.correct_b is None or f.change is None:
        return ""
    low, high = signed(100 * f.change.low), signed(100 * f.change.high)
    return (
        f" ({f.gained} gained, {f.lost} lost, {f.both_wrong} wrong on both), top-1 {percent(f.correct_a / f.samples)} -> "
        f"{percent(f.correct_b / f.samples)} ({signed(100 * f.change.estimate)} points [{low}, {high}])"
    )


def _causes(c: Comparison) -> str:
    if c.attribution is None or c.flips is None or not c.flips.flipped:
        return ""
    shares = [(Fraction(x.share.flips), x.switch) for x in c.attribution.contributions]
    largest, name = max(shares, key=lambda s: abs(s[0]))
    return f"; {name} accounts for {fraction_text(largest)} of the flips"


def _contributions(a: Attribution, noun: str) -> TextTable:
    """Return what every switch contributes; those without any effect are counted in the hint."""
    labels = a.total.correct is not None
    columns = ("flips", *(("correct",) if labels else ()), "outputs")

    def cells(effects: Effects) -> list[str]:
        return [fraction_text(Fraction(getattr(effects, name))) for name in columns]

    effective = [c for c in a.contributions if any(getattr(e, n) for e in (c.share, c.alone) for n in columns)]
    rows = [(c.switch, *cells(c.share), *cells(c.alone), changes_text(c.changes)) for c in effective]
    if rows:
        rows.append(("sum", *cells(a.sum), *[""] * len(columns), f"counted on B: {', '.join(cells(a.total))}"))
    idle = len(a.contributions) - len(effective)
    return TextTable(
        f"What it is due to, by {noun}",
        (noun, *columns, *(f"{n} alone" for n in columns), "what changes"),
        tuple(rows),
        2 * len(columns),
        f"Exact Shapley values over {a.coalitions:,} hybrids; alone: this one changed and no other."
        + (f" {idle} others differ in their rules and change nothing." if idle else ""),
    )


def _layers(c: Comparison) -> TextTable:
    rows = []
    for x in c.layers:
        if x.cumulative.differing:
            own = "" if x.local is None else percent(x.local.differing / x.elements, 3)
            rows.append((x.layer, f"{x.elements:,}", percent(x.cumulative.differing / x.elements, 2), own))
    return TextTable(
        "Layers whose integers differ",
        ("layer", "elements", "as deployed", "by itself"),
        tuple(rows),
        3,
        "As deployed: each target with its own inputs; by itself: on the same inputs.",
    )
