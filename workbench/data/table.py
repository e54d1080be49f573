"""CSV files: columns by header name, every cell a number or a label."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.data.arrays import MAX_BYTES
from workbench.errors import InputError, nearest

Array = npt.NDArray[Any]


class Table:
    """The header and the cells of a CSV file, as text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > MAX_BYTES // 8:
                raise InputError(f"{path}: {path.stat().st_size:,} bytes; a CSV of at most {MAX_BYTES // 8:,} can be read.")
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = [row for row in csv.reader(file, strict=True) if row]
        except OSError as problem:
            raise InputError(f"{path}: cannot be read: {problem.strerror}.") from None
        except (UnicodeDecodeError, csv.Error) as problem:
            raise InputError(f"{path}: not a readable CSV: {problem}.") from None
        if len(rows) < 2:
            raise InputError(f"{path}: expected a line of names and at least one of values.")
        self.names = [name.strip() for name in rows[0]]
        twice = [n for n in self.names if self.names.count(n) > 1]
        if twice:
            raise InputError(f"{path}: column '{twice[0]}' is there twice.")
        self.rows = rows[1:]
        for i, row in enumerate(self.rows):
            if len(row) != len(self.names):
                raise InputError(f"{path}: row {i + 1} has {len(row)} cells; the header has {len(self.names)}.")

    def column(self, name: str) -> list[str]:
        """Return the cells of a column; InputError with the known names otherwise."""
        if name not in self.names:
            raise InputError(
                f"{self.path}: has no column '{name}'.{nearest(name, self.names)}\nColumns: {', '.join(self.names)}."
            )
        k = self.names.index(name)
        return [row[k].strip() for row in self.rows]

    def numbers(self, names: Sequence[str]) -> Array:
        """Return columns as [N, columns]: int64 where all are integers, else float64."""
        if not names:
            raise InputError(f"{self.path}: no column is left for the inputs.")
        columns = [self.column(name) for name in names]
        found = np.empty((len(self.rows), len(names)))
        whole = True
        for k, (name, cells) in enumerate(zip(names, columns, strict=True)):
            for i, cell in enumerate(cells):
                found[i, k] = value = self._number(cell, name, i)
                whole = whole and value.is_integer() and "." not in cell and abs(value) < 2**53
        return found.astype(np.int64) if whole else found

    def _number(self, cell: str, name: str, row: int) -> float:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{self.path}: row {row + 1}, column '{name}': '{cell}' is not a finite number.")
        return value
