"""Parts of docs/cost-accuracy.md, as Markdown: claims, weak points, worst rows, how rows are treated, one part per family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import isfinite, log

from workbench.calibrate.rows import Tables
from workbench.report.text import shorten
from workbench.validate.cost import NEW, Checked, FamilyCheck, Figures, claim_lines, coverage_lines, figures
from workbench.validate.cost_vela import LIMIT, VelaLine

WORST = 10
ENOUGH = 8
"""Fewer rows say little of a group."""
FAR_OFF, BIASED, HALF = 0.30, 0.15, 0.65
"""Median error, median of predicted / measured off 1, and share inside, from which a group is named as a weak point."""
NAMED = 3
"""At most so many weak groups of a family are named."""


def claims(checks: Sequence[FamilyCheck]) -> str:
    """Return the table of claims."""
    lines = [*(line for check in checks for line in claim_lines(check)), *coverage_lines(checks)]
    rows = []
    for line in lines:
        f = line.figures
        cells = _figure_cells(f) if f is not None else ("", f"{line.value:.3g}" if isfinite(line.value) else "", "", "", "")
        rows.append((line.family, line.name, NEW[line.split], *cells, line.limit, line.verdict))
    judged = [line for line in lines if line.limit or line.short]
    reached = sum(line.verdict == "reached" for line in judged)
    head = ("family", "claim", "what is new", "rows", "median", "p90", "inside", "gain", "limit", "verdict")
    text = "Gain: how much smaller the median error is than that of a line in MACs alone, fitted on the same rows."
    return f"## What was wanted, and what was found\n\n{reached} of {len(judged)} reached. {text}\n\n{_table(head, rows)}"


def vela_part(lines: Sequence[VelaLine]) -> str:
    """Return the summary of Ethos-U against Vela, '' where there was nothing to compare with."""
    judged = [x for x in lines if not x.why]
    if not judged:
        return ""
    rows = []
    for quantity in dict.fromkeys(x.quantity for x in judged):
        found = [x for x in judged if x.quantity == quantity]
        ratios = [x.ours / x.theirs for x in found]
        near = sum(abs(r - 1) <= LIMIT for r in ratios)
        rows.append((quantity, f"{len(found)}", f"{min(ratios):.3f} to {max(ratios):.3f}", f"{near} of {len(found)}"))
    apart = Counter(x.why for x in lines if x.why)
    note = "".join(f"\nNot compared: {count} rows, {why}." for why, count in sorted(apart.items()))
    far = [f"* {x.network} on {x.accelerator}: {x.quantity} {x.ours / x.theirs:.2f} times Vela's." for x in judged if x.short]
    text = "Vela's figures are estimates themselves: **nobody measured these**, the comparison says how well Vela is met."
    head = ("quantity", "networks x accelerators", "ours / Vela", f"within {100 * LIMIT:.0f} %")
    return f"## Ethos-U beside the Vela compiler\n\n{text}\n\n{_table(head, rows)}{note}\n" + "".join(
        f"{line}\n" for line in far
    )


def weak_points(checks: Sequence[FamilyCheck]) -> str:
    """Return what the model is bad at, in words made from the figures."""
    lines = [*(line for check in checks for line in claim_lines(check)), *coverage_lines(checks)]
    short = [
        f"* Not reached: {line.name} ({line.family}; {NEW[line.split]}): {', '.join(line.short)}."
        for line in lines
        if line.short
    ]
    found = [text for check in checks for text in (*_weak_groups(check), *_weak_networks(check))]
    none = [
        f"* No claim is missed, and no group of at least {ENOUGH} rows is off by more than {_percent(FAR_OFF)} in the median."
    ]
    return "\n".join(["## What it is bad at\n", *(short + found or none), ""])


def _weak_groups(check: FamilyCheck) -> Iterable[str]:
    """Return sentences about the groups with the largest median errors, and about intervals that hold far too little."""
    weak = []
    for split in check.family.splits:
        for name, rows in _by(check.of(split), lambda c: c.sample.group).items():
            f = figures(rows)
            if f is not None and f.rows >= ENOUGH and (f.median > FAR_OFF or abs(f.bias - 1) > BIASED or f.share < HALF):
                weak.append((f, f"{check.family.name}, {_cell(name)}, {NEW[split]}"))
    for f, where in sorted(weak, key=lambda item: (-item[0].median, item[1]))[:NAMED]:
        side = "low" if f.bias < 1 else "high"
        bias = (
            f"; predictions are too {side}, in the median {f.bias:.2f} times what was measured"
            if abs(f.bias - 1) > BIASED
            else ""
        )
        inside = f"; only {100 * f.share:.0f} % lie inside their interval" if f.share < HALF else ""
        yield f"* {where}: median error {_percent(f.median)}, p90 {_percent(f.p90)} ({f.rows} rows){bias}{inside}."
    if len(weak) > NAMED:
        yield f"* {check.family.name}: {len(weak) - NAMED} more groups like these, in its table below."


def _weak_networks(check: FamilyCheck) -> Iterable[str]:
    split = check.family.splits[-1]
    off = []
    for name, rows in _by(check.of(split), lambda c: c.sample.network).items():
        f = figures(rows)
        if f is not None and f.rows >= ENOUGH and abs(log(f.bias)) > FAR_OFF:
            off.append((abs(log(f.bias)), name, f))
    for _, name, f in sorted(off, reverse=True)[:2]:
        yield (
            f"* {check.family.name}: {shorten(name, 40)} is predicted at {f.bias:.2f} times what was measured in the median of its "
            f"{f.rows} rows ({NEW[split]})."
        )


def worst_rows(checks: Sequence[FamilyCheck]) -> str:
    """Return the rows that are furthest off, each once, with its worst prediction."""
    worst: dict[tuple[str, str], tuple[Checked, str]] = {}
    for check in checks:
        for c in check.checked:
            key = (check.family.name, c.sample.key)
            if key not in worst or abs(log(c.ratio)) > abs(log(worst[key][0].ratio)):
                worst[key] = (c, check.family.name)
    ordered = sorted(worst.values(), key=lambda item: _far(item[0]))[:WORST]
    rows = [
        (name, _cell(c.sample.row.device), _cell(c.sample.row.runtime), _cell(c.sample.network), c.sample.quantity,
         NEW[c.prediction.split], f"{c.ratio:.2g}", "yes" if c.inside else "no")
        for c, name in ordered
    ]  # fmt: skip
    splits = Counter(NEW[c.prediction.split] for c, _ in ordered)
    what = ", ".join(f"{count} of a {split}" for split, count in splits.most_common())
    head = ("family", "device", "runtime", "network or layer", "quantity", "what is new", "predicted / measured", "inside")
    return f"## The rows that are furthest off\n\nEach row once, by its worst prediction: {what}.\n\n{_table(head, rows)}"


def _far(c: Checked) -> tuple[float, str]:
    """Return a sort key that puts what is furthest off first."""
    return -abs(log(c.ratio)), c.sample.key


def _furthest(check: FamilyCheck) -> str:
    """Return the three networks on devices that a family is furthest off of, with the factor."""
    found: dict[tuple[str, str], str] = {}
    for c in sorted(check.checked, key=_far):
        name = f"{_cell(c.sample.network)} on {_cell(c.sample.device)} ({NEW[c.prediction.split]}) {c.ratio:.2g}"
        found.setdefault((c.sample.device, c.sample.network), name)
        if len(found) == 3:
            break
    return f"Furthest off, predicted / measured: {'; '.join(found.values())}."


def treatment(checks: Sequence[FamilyCheck], tables: Tables) -> str:
    """Return how rows that the source warns of are treated, and how many rows have no prediction, by reason."""
    sources = list(dict.fromkeys(t for check in checks for t in check.family.tables))
    every = [row for source in sources for row in tables.rows(source)]
    kept = {c.sample.row.where for check in checks for c in check.checked}
    fps = [row for row in every if row.from_throughput]
    lines = [
        f"## How rows are treated\n\n{len(every):,} rows in {len(sources)} tables, {len(kept):,} of them with a prediction."
    ]
    lines += [
        f"* Marked SUSPECT by the source: {row.where} ({_cell(row.device)}, {_cell(row.network)}): "
        f"{'; '.join(_fates(checks, row.where)) or 'in no family'}."
        for row in every
        if row.suspect
    ]
    if fps:
        where = ", ".join(sorted({row.table for row in fps}))
        lines.append(
            f"* From a throughput (FPS) of a pipelined device: {len(fps):,} rows of {where}. What is predicted there is "
            "1 / throughput, not a response time; these tables are families of their own and never meet response times in a fit."
        )
    rows = [
        (check.family.name, source, why, f"{count:,}")
        for check in checks
        for (source, why), count in sorted(check.reasons.items())
    ]
    missing = [f"* Not here: {t} ({check.family.name})." for check in checks for t in check.missing]
    table = ["\nRows without a prediction:\n", _table(("family", "table", "reason", "rows"), rows)] if rows else [""]
    return "\n".join([*lines, *missing, *table])


def _fates(checks: Sequence[FamilyCheck], key: str) -> list[str]:
    """Return what each family does with a row."""
    found = []
    for check in checks:
        quantities = sorted({c.sample.quantity for c in check.checked if c.sample.row.where == key})
        found += [f"{check.family.name} keeps its {', '.join(quantities)}"] if quantities else []
        found += [f"{check.family.name} leaves it out ({why})" for row, why in check.left_out if row.where == key]
    return found


def family_part(check: FamilyCheck) -> str:
    """Return the part of a family: its picture and its figures by group and by runtime."""
    if not check.checked:
        return ""
    by_quantity = _by(check.checked, lambda c: c.sample.quantity)
    tables = []
    for quantity, rows in by_quantity.items():
        tables.append(_figures_by(check, rows, f"{quantity}: group", lambda c: c.sample.group))
        if len({c.sample.runtime for c in rows}) > 1:
            tables.append(_figures_by(check, rows, f"{quantity}: runtime", lambda c: c.sample.runtime))
    image = f"![{check.family.title}: predicted against measured](images/cost-{check.family.name}.png)"
    intro = "Cells: median / p90 error (share inside its 80 % interval, rows)."
    source = f"Tables: {', '.join(check.family.tables)}. {_furthest(check)}"
    return "\n".join([f"## {check.family.title}\n\n{source}\n\n{image}\n\n{intro}\n", *tables])


def _figures_by(check: FamilyCheck, rows: Sequence[Checked], title: str, key: Callable[[Checked], str]) -> str:
    splits = [s for s in check.family.splits if any(c.prediction.split == s for c in rows)]
    lines = []
    for name, own in sorted(_by(rows, key).items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append((_cell(name), *(_summary(figures([c for c in own if c.prediction.split == s])) for s in splits)))
    return _table((title, *(NEW[s] for s in splits)), lines)


def _summary(f: Figures | None) -> str:
    return "" if f is None else f"{_percent(f.median)} / {_percent(f.p90)} ({100 * f.share:.0f} % of {f.rows:,})"


def _figure_cells(f: Figures) -> tuple[str, ...]:
    return (f"{f.rows:,}", _percent(f.median), _percent(f.p90), f"{100 * f.share:.0f} %", _percent(f.gain))


def _by(rows: Iterable[Checked], key: Callable[[Checked], str]) -> dict[str, list[Checked]]:
    found: dict[str, list[Checked]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return dict(sorted(found.items()))


def _percent(share: float) -> str:
    if not isfinite(share):
        return ""
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def _cell(text: str) -> str:
    """Return a text as a cell: one line, no bars, not too long."""
    return shorten(" ".join(text.split()).replace("|", "/"), 48)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"
