"""What `validate cost` prints and writes: claims, rows left out, figures per group, every row as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import isfinite

from rich.table import Table

from workbench.calibrate.family import Split
from workbench.validate.cost import NEW, Checked, FamilyCheck, Figures, Line, figures

COLUMNS = (
    "family", "table", "line", "quantity", "device", "core", "runtime", "network", "precision", "group", "split", "seen_in_fit",
    "measured", "predicted", "low", "high", "predicted_over_measured", "inside_80", "mac_only", "basis", "remark",
)  # fmt: skip


def claims_table(lines: Sequence[Line]) -> Table:
    """Return one row per claim."""
    table = Table(title="Predicted against measured, by fits that had not seen the rows")
    for name in ("family", "claim", "what is new"):
        table.add_column(name, overflow="fold")
    for name in ("rows", "median", "p90", "inside 80 %", "gain"):
        table.add_column(name, justify="right")
    table.add_column("limit", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for line in lines:
        table.add_row(line.family, line.name, NEW[line.split], *_cells(line.figures, line.value), line.limit, line.verdict)
    return table


def _cells(found: Figures | None, value: float) -> tuple[str, ...]:
    if found is None:
        return ("", f"{value:.3g}" if isfinite(value) else "", "", "", "")
    shares = ((found.median, 1), (found.p90, 1), (found.share, 0), (found.gain, 0))
    return (f"{found.rows:,}", *(f"{100 * value:.{digits}f} %" if isfinite(value) else "" for value, digits in shares))


def left_out_table(checks: Sequence[FamilyCheck]) -> Table | None:
    """Return how many rows have no prediction, by reason; None when all have one."""
    table = Table(title="Rows without a prediction")
    for name in ("family", "table", "reason"):
        table.add_column(name, overflow="fold")
    table.add_column("rows", justify="right")
    for check in checks:
        for (source, why), count in sorted(check.reasons.items()):
            table.add_row(check.family.name, source, why, f"{count:,}")
    return table if table.row_count else None


def details_table(checks: Sequence[FamilyCheck]) -> Table:
    """Return the figures per table, quantity, group and split."""
    table = Table(title="By table and group")
    for name in ("table", "quantity", "group", "what is new"):
        table.add_column(name, overflow="fold")
    for name in ("rows", "median", "p90", "inside 80 %", "gain", "predicted / measured"):
        table.add_column(name, justify="right")
    for check in checks:
        for (source, quantity, group, split), found in detail_rows(check):
            cells = _cells(found, 0.0)
            table.add_row(source, quantity, group, NEW[split], *cells, f"{found.bias:.2f}")
        table.add_section()
    return table


def detail_rows(check: FamilyCheck) -> list[tuple[tuple[str, str, str, Split], Figures]]:
    """Return (table, quantity, group, split) with its figures, sorted."""
    groups: dict[tuple[str, str, str, Split], list[Checked]] = {}
    for c in check.checked:
        groups.setdefault((c.sample.row.table, c.sample.quantity, c.sample.group, c.prediction.split), []).append(c)
    return [(key, found) for key in sorted(groups) if (found := figures(groups[key])) is not None]


def rows_csv(checks: Sequence[FamilyCheck]) -> str:
    """Return every row of every family as CSV; a row without a prediction has the reason as its remark."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for check in checks:
        name = check.family.name
        for c in check.checked:
            s, p = c.sample, c.prediction
            writer.writerow(
                [
                    name, s.row.table, s.row.line, s.quantity, s.row.device, s.row.core, s.row.runtime, s.network, s.row.precision,
                    s.group, p.split, int(p.seen), s.measured, p.value, p.low, p.high, round(c.ratio, 5), int(c.inside),
                    "" if p.baseline is None else p.baseline, p.basis, remark(s.row.suspect, s.row.from_throughput),
                ]
            )  # fmt: skip
        for row, why in check.left_out:
            known = [name, row.table, row.line, "", row.device, row.core, row.runtime, row.network, row.precision]
            writer.writerow([*known, *[""] * (len(COLUMNS) - len(known) - 1), f"no prediction: {why}"])
    return text.getvalue()


def remark(suspect: bool, from_throughput: bool) -> str:
    """Return what the source warns of."""
    return "; ".join(
        [*(["marked SUSPECT"] if suspect else []), *(["1 / throughput, not a response time"] if from_throughput else [])]
    )
