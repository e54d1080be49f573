"""The tables of `workbench inspect --overflow`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from workbench.graph.ir import Array
from workbench.kernels.gemm import FINAL, TILES
from workbench.overflow.analyse import LayerReport
from workbench.overflow.layer import describe
from workbench.overflow.observe import Observation, Seen
from workbench.overflow.witness import Witness
from workbench.precision import format_name

SHOWN = 12
"""Runs of equal integers of a tile that are printed."""


def overflow_tables(title: str, reports: Sequence[LayerReport], seen: Observation | None) -> list[Table | str]:
    """Return the table of a program and what there is to say below it."""
    table = Table(title=f"{title}: accumulators{'' if seen is None else f', {seen.samples:,} samples'}")
    for name in ("layer", "operator", "accumulator", "input"):
        table.add_column(name)
    for name in ("needs bits", "headroom", *(() if seen is None else ("sums beyond", "headroom seen", "flips alone"))):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for report in reports:
        table.add_row(*_row(report, None if seen is None else seen.layers.get(report.name), seen is not None))
    return [table, *_lines(reports, seen)]


def _row(report: LayerReport, seen: Seen | None, observed: bool) -> list[str]:
    if report.layer is None:
        empty = [""] * (5 if observed else 2)
        why = "no integer accumulator" if report.is_float else "not analysed"
        return [report.name, report.op, "", format_name(None, report.dtype), *empty, why]
    bound = report.bound
    x = f"{report.layer.x[0]} .. {report.layer.x[1]}"
    data = [] if not observed else ["", "", ""] if seen is None else _seen_cells(seen)
    verdict = "cannot overflow" if report.proven else _what(report.witness)
    return [
        report.name, report.op, describe(report.layer), x, f"{bound.needs_bits} of {bound.sums.bits}", str(bound.headroom_bits), *data,
        verdict,
    ]  # fmt: skip


def _seen_cells(seen: Seen) -> list[str]:
    share = f" ({seen.overflowed / seen.outputs:.2%})" if seen.overflowed else ""
    return [f"{seen.overflowed:,}{share}", str(seen.headroom_bits), str(seen.flips)]


def _what(witness: Witness | None) -> str:
    if witness is None:
        return "not known: overflows if the states get there; no tile is run for a gate"
    if witness.sums.kind == TILES:
        return f"overflows: channel {witness.channel}, a pair reaches {witness.trace.beyond:,}"
    if witness.sums.kind == FINAL:
        return f"overflows: channel {witness.channel} ends at {witness.trace.beyond:,}"
    return f"overflows: channel {witness.channel}, {witness.trace.beyond:,} after {witness.trace.products} of {witness.depth} products"


def _lines(reports: Sequence[LayerReport], seen: Observation | None) -> list[str]:
    lines = [witness_text(r.name, r.witness) for r in reports if r.witness is not None]
    integer = [r for r in reports if r.layer is not None]
    proven = sum(r.proven for r in integer)
    if lines:
        lines.append("  Each tile was run in the kernel. Whether the layers before can make it, only data show.")
    if proven:
        lines.append(f"  No input overflows the accumulators of {proven} of {len(integer)} layers: a proof, not a sample.")
    elif integer:
        lines.append(f"  No layer of {len(integer)} is proven.")
    else:
        lines.append("  No layer has an integer accumulator.")
    if seen is not None:
        lines.append(
            f"  With these accumulators {seen.flips} of {seen.samples:,} samples have another class than with wide ones, "
            f"{seen.changed} another output."
        )
    return lines


def witness_text(name: str, w: Witness) -> str:
    """Return what happens with a tile, and the tile."""
    low, high = w.sums.limits
    t = w.trace
    if w.sums.kind == TILES:
        event = f"the pair that ends with product {t.products} of {w.depth} is {t.beyond:,}, beyond {low:,} .. {high:,}"
    elif w.sums.kind == FINAL:
        event = f"the sum of {w.depth} products is {t.beyond:,}, beyond {low:,} .. {high:,}"
    else:
        event = f"after {t.products} of {w.depth} products the sum is {t.beyond:,}, beyond {low:,} .. {high:,}"
    padded = f"; {w.padded} products are padding" if w.padded else ""
    if w.exact_output is None:
        result = f"output {w.output}; no register of the target holds the exact sum"
    elif w.output == w.exact_output:
        result = f"output {w.output} all the same: both clip"
    else:
        result = f"output {w.output} instead of {w.exact_output}"
    return (
        f"  {name}, channel {w.channel}: {event}{padded}. The accumulator ends at {t.acc:,} instead of {t.exact:,}; in the kernel: "
        f"{result}.\n    input integers of its products: {' by '.join(runs(row) for row in w.factors)}"
    )


def runs(flat: Array) -> str:
    """Return integers in order, equal neighbours together: 127 x3, -128, ..."""
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff([*starts, flat.size]).tolist()
    parts = [f"{flat[s]}{f' x{n}' if n > 1 else ''}" for s, n in zip(starts.tolist(), lengths, strict=True)]
    return ", ".join(parts[:SHOWN]) + (f", ... ({flat.size} integers)" if len(parts) > SHOWN else "")
