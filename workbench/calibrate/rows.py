"""`Row`: one line of a table of measurements, and `Tables`: a folder of them (the layout of ../shared/ground_truth/README.md)."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import isfinite, nan
from pathlib import Path

from workbench.errors import InputError

NUMBERS = {"macs": 1.0, "latency_ms": 1e-3, "energy_uj": 1e-6, "flash_kib": 1024.0, "ram_kib": 1024.0}
"""Columns that hold a number or nothing, and their unit in SI units and bytes."""
MOST_ROWS = 200_000
_NUMBER = re.compile(r"(?<![-\d.])[0-9]+(?:\.[0-9]+)?(?![\d.]*[eE]-)")


@dataclass(frozen=True)
class Row:
    """One line of a table. Numbers that the source does not give are NaN; seconds, joules, bytes, hertz.

    network: the column `model`, or `benchmark` where the table has one. clock_hz: the first number of its column. cells: all
    columns as text.
    """

    table: str
    line: int
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """Return a cell, stripped ('' when the table has no such column or the cell is empty)."""
        return self.cells.get(column, "").strip()

    def number(self, column: str) -> float:
        """Return a cell as a number in the column's own unit (NaN when empty); InputError when it is none."""
        text = self.text(column)
        if not text:
            return nan
        try:
            value = float(text)
        except ValueError:
            value = nan
        if not isfinite(value):
            raise InputError(f"{self.where}: column '{column}' is '{text}', not a number. Leave it empty when it is not known.")
        return value

    @property
    def where(self) -> str:
        """Table and line, as a person counts (the header is line 1)."""
        return f"{self.table} line {self.line}"

    @property
    def device(self) -> str:
        """The device, as the source writes it."""
        return self.text("device")

    @property
    def core(self) -> str:
        """The core, as the source writes it."""
        return self.text("core")

    @property
    def runtime(self) -> str:
        """Runtime and version, as the source writes them."""
        return self.text("runtime")

    @property
    def network(self) -> str:
        """The benchmark of MLPerf Tiny, else the model."""
        return self.text("benchmark") or self.text("model")

    @property
    def precision(self) -> str:
        """The precision, as the source writes it."""
        return self.text("precision")

    @property
    def notes(self) -> str:
        """Remarks of the source."""
        return self.text("notes")

    @property
    def suspect(self) -> bool:
        """True for rows that the data's README calls suspect."""
        return "SUSPECT" in self.notes

    @property
    def from_throughput(self) -> bool:
        """True where the latency is 1 / throughput of a pipelined device, not a response time."""
        return "FPS" in self.notes

    @property
    def clock_hz(self) -> float:
        """The clock (NaN when not given, or 0)."""
        found = _NUMBER.search(self.text("clock_mhz"))
        return _positive(float(found.group()) * 1e6) if found else nan

    @property
    def macs(self) -> float:
        """Multiply-accumulates of one inference (NaN when not given, or less than one)."""
        found = self.number("macs")
        return found if found >= 1 else nan

    @property
    def latency_s(self) -> float:
        """Time of one inference (NaN when not given)."""
        return self.number("latency_ms") * NUMBERS["latency_ms"]

    @property
    def energy_j(self) -> float:
        """Energy of one inference (NaN when not given)."""
        return self.number("energy_uj") * NUMBERS["energy_uj"]


def _positive(value: float) -> float:
    """Return a number that can only be positive, NaN for what a table writes in place of nothing."""
    return value if value > 0 else nan


class Tables:
    """The tables of one folder, each read when it is asked for."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder. Give a folder of tables of measurements (docs/cost-accuracy.md).")
        self.rows = cache(self._rows)

    def __contains__(self, table: str) -> bool:
        return (self.folder / table).is_file()

    def _rows(self, table: str) -> tuple[Row, ...]:
        """Return the rows of a table, () when the folder has no such file; InputError when it cannot be read."""
        path = self.folder / table
        if not path.is_file():
            return ()
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file)
                if not reader.fieldnames:
                    raise InputError(f"{path}: the table is empty; its first line must name the columns.")
                rows = []
                for cells in reader:
                    if None in cells or None in cells.values():
                        raise InputError(
                            f"{path}: line {reader.line_num} has not the {len(reader.fieldnames)} fields of the first line."
                        )
                    rows.append(Row(table, reader.line_num, {str(k): v for k, v in cells.items()}))
                    if len(rows) > MOST_ROWS:
                        raise InputError(f"{path}: more than {MOST_ROWS:,} rows.")
                return tuple(rows)
        except (OSError, UnicodeDecodeError, csv.Error) as problem:
            raise InputError(f"{path}: cannot be read as a table ({problem}).") from problem
