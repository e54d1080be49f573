"""Tables for the terminal of what was validated."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from workbench.validate.golden_base import Row, by_maker
from workbench.validate.silicon import SiliconRow
from workbench.validate.verdict import ModelRow


def golden_table(rows: Sequence[Row]) -> Table:
    """Return the comparison with golden vectors."""
    table = Table(title="Golden vectors")
    for name in ("file", "producer", "profile", "cases", "elements", "mismatches", "max", "note"):
        table.add_column(
            name, justify="right" if name in ("cases", "elements", "mismatches", "max") else "left", overflow="fold"
        )
    for r in rows:
        table.add_row(
            r.file, r.producer, r.profile, str(r.cases), f"{r.elements:,}", f"{r.mismatches:,}", str(r.max_abs),
            f"FAILED: {r.note}" if r.failed else r.note,
        )  # fmt: skip
    table.add_section()
    for r in by_maker(rows):
        table.add_row(r.file, r.producer, r.profile, f"{r.cases:,}", f"{r.elements:,}", f"{r.mismatches:,}", str(r.max_abs), "")
    table.add_section()
    once = [r for r in rows if r.elements and not r.again]
    total = (sum(r.cases for r in once), sum(r.elements for r in once), sum(r.mismatches for r in rows))
    table.add_row("total", "", "", f"{total[0]:,}", f"{total[1]:,}", f"{total[2]:,}", "", _summary(rows))
    return table


def _summary(rows: Sequence[Row]) -> str:
    missing = sum(r.failed for r in rows)
    aside = sum(not r.elements and not r.failed for r in rows)
    twice = sum(r.elements for r in rows if r.again)
    parts = [f"{missing} rows MISSING, REFUSED OR UNKNOWN" if missing else "", f"{aside} rows left out, with the reason"]
    parts.append(f"{twice:,} of the elements compared a second way" if twice else "")
    return "; ".join(part for part in parts if part)


def models_table(rows: Sequence[ModelRow]) -> Table:
    """Return the comparison of whole networks."""
    table = Table(title="Whole networks against stored outputs")
    for name in ("model", "stored output", "run as", "values", "differ", "largest difference", "verdict"):
        table.add_column(
            name, justify="right" if name in ("values", "differ", "largest difference") else "left", overflow="fold"
        )
    for r in rows:
        table.add_row(
            r.model, f"{r.file} {r.array}".strip(), r.profile, f"{r.values:,}", f"{r.differ:,}", f"{r.largest:.3g}", r.verdict
        )
    return table


def silicon_table(rows: Sequence[SiliconRow]) -> Table:
    """Return the matrix: every board log x every rule and profile, rows equal."""
    logs = list(dict.fromkeys((r.file, r.log, r.model) for r in rows))
    table = Table(title="Rows in which every printed value agrees")
    table.add_column("rule (every operator) or profile", overflow="fold")
    for file, log, model in logs:
        table.add_column(f"{log}\n{file}\n{model}", justify="right", overflow="fold")
    for rule in dict.fromkeys(r.rule for r in rows):
        cells = []
        for file, log, model in logs:
            r = next(r for r in rows if (r.file, r.log, r.model, r.rule) == (file, log, model, rule))
            mark = " this board: " + ("equal" if r.ok else "DIFFERS") if r.claimed else ""
            cells.append(f"{r.equal} of {r.rows}{mark}")
        table.add_row(rule, *cells)
    return table
