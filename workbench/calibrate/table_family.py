"""`table_family`: the family of one table of an accelerator or of application processors. All of them share one kind of
model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite

from workbench.calibrate import tables_model
from workbench.calibrate.family import SPLITS, Claim, Family, Sample, Samples
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.table_facts import table_facts

LATENCY, PERIOD = "latency_s", "throughput_period_s"
"""A response time, and 1 / throughput of a device that works on several inputs at a time: never mixed."""
GAIN = 0.3
"""Least relative improvement of the median error over the line in multiply-accumulates."""


def input_in_notes(row: Row) -> str:
    """Return what the notes say behind the word `input`: its shape."""
    found = re.search(r"\binput\s+([^;]*)", row.notes)
    return found[1] if found else ""


def table_family(
    name: str, title: str, table: str, size: Callable[[Row], str] = input_in_notes, most_folds: int = 10
) -> Family:
    """Return the family of a table. size: text of a row that holds the input's resolution. most_folds: fewer for large tables."""

    def samples(tables: Tables) -> Samples:
        kept, left_out = [], []
        for row in tables.rows(table):
            seconds = row.latency_s
            if not (isfinite(seconds) and seconds > 0):
                left_out.append((row, "no latency"))
            elif row.suspect:
                left_out.append((row, "marked SUSPECT by the source"))
            else:
                kept.append(_sample(row, size(row)))
        return Samples(tuple(kept), tuple(left_out))

    claims = [
        Claim(f"{title}: {words}", split, gain=GAIN if split != "network_everywhere" else None)
        for split, words in SPLITS.items()
    ]
    return Family(name, title, (table,), samples, tables_model.fit, tables_model.load, tuple(claims), most_folds=most_folds)


def _sample(row: Row, size: str) -> Sample:
    facts = table_facts(row, size)
    group = f"{facts.engine.kind}, {'known' if facts.known else 'guessed'} work"
    return Sample(
        row, PERIOD if row.from_throughput else LATENCY, row.latency_s, row.device, facts.runtime, facts.network, group, facts
    )
