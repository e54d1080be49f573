"""The cases of the frozen benchmark: views of a few truth tables. What they are stands in cases.yaml."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from benchmarks.choice.score import Truth
from workbench.cost.axes import COST_AXES
from workbench.errors import InputError
from workbench.quantize import Lowering
from workbench.strict_yaml import load_yaml, validate
from workbench.truth import Oracle
from workbench.truth.prices import plan_costs
from workbench.truth.table import TruthTable, pricing_key

F64 = npt.NDArray[np.float64]
CASES = Path(__file__).parent / "cases.yaml"
SMALL = 5_000
"""Spaces of fewer plans are shown apart: 5 % of them is little more than one look at every format of every layer."""


class Case(BaseModel):
    """One frontier to find. formats: those of the table that are on offer (all unless said). target: the profile that prices the plans
    (the table's own unless said), of equal arithmetic. against: costs that are minimized. quality: what is, beside them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    table: str
    formats: tuple[str, ...] | None = None
    target: str | None = None
    against: tuple[Literal["flash", "ram", "latency", "energy"], ...] = ("flash",)
    quality: Literal["metric", "loss"] = "metric"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    cases: tuple[Case, ...]


def load_cases(names: Sequence[str] | None = None, path: Path = CASES) -> list[Case]:
    """Return the cases, or those named."""
    cases = {case.name: case for case in validate(_File, load_yaml(path), str(path)).cases}
    for name in names or ():
        if name not in cases:
            raise InputError(f"no case '{name}'. There are {', '.join(cases)}.")
    return [case for case in cases.values() if not names or case.name in names]


@dataclass(frozen=True, eq=False)
class View:
    """A case with its table. oracle: makes a new one that has spent nothing."""

    case: Case
    table: TruthTable

    def oracle(self) -> Oracle:
        """Return an oracle that has spent nothing."""
        return self.table.oracle()

    def truth(self) -> Truth:
        """Return the exact values."""
        table = self.table
        values = np.column_stack([table.axis(name) for name in (self.case.quality, *self.case.against)])
        share = table.metric.is_share
        # No sample wrong: the regret is then relative to half a sample. A loss is never 0.
        floor = 0.5 / table.samples if share and self.case.quality == "metric" else float(np.finfo(np.float64).tiny)
        return Truth(table.space, values, table.badness(), share, floor)

    @cached_property
    def digest(self) -> str:
        """The digest of all that a search can see."""
        table = self.table
        parts = [*table.digests().values(), repr((self.case.against, self.case.quality, table.metric.name))]
        costs = b"" if table.costs is None else table.costs.tobytes()
        return hashlib.sha256("".join(parts).encode() + costs).hexdigest()


class Views:
    """The tables in a folder as cases want them. The one read last is kept, prices are kept in files.

    lower: the lowering of a table's model for a profile (both by name).
    """

    def __init__(self, folder: Path, lower: Callable[[str, str], Lowering]) -> None:
        self.folder, self.lower = folder, lower
        self._last: tuple[str, TruthTable] | None = None

    def __call__(self, case: Case) -> View:
        """Return the view that a case is of."""
        table = self._table(case.table)
        if case.target and case.target != table.origin.profile:
            table = self._priced(case.table, table, case.target)
        return View(case, table.sub(case.formats) if case.formats else table)

    def _table(self, name: str) -> TruthTable:
        if self._last is None or self._last[0] != name:
            path = self.folder / f"{name}.parquet"
            if not path.is_file():
                raise InputError(
                    f"no table '{path}'. Make the tables first: python -m benchmarks.choice.tables --out {self.folder}."
                )
            self._last = name, TruthTable.load(path)
        return self._last[1]

    def _priced(self, name: str, table: TruthTable, target: str) -> TruthTable:
        """Return a table with the costs of another target; 59,049 plans take a while, so prices are kept."""
        lowering = self.lower(name, target)
        path = self.folder / "prices" / f"{name}@{target}-{pricing_key(lowering.profile)[:12]}.npy"
        if path.is_file():
            kept: F64 = np.load(path)
            if kept.shape == (table.space.size, len(COST_AXES)):
                return table.with_costs(lowering, lambda codes: kept)
        found = table.with_costs(lowering, plan_costs(lowering, table.space))
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part.npy")
        np.save(part, found.costs)  # type: ignore[arg-type]  # priced just now
        part.replace(path)
        return found
