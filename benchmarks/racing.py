"""Does a race at a fifth of the evaluations find the same top quarter as all of them? Many races on truth tables.

    python -m benchmarks.racing TABLE.parquet ... [--races 200] [--budget 0.2]

Candidates: all single changes of the baseline, those to one format, and 200 plans drawn uniformly; by the mean loss and, where samples
are right or wrong, by the share wrong. The truth is the order of the means over all samples. The races have even seeds: what a race
does was last settled on odd ones. Columns:

- same: races that chose exactly the true top quarter (equal means in any order).
- same or tied: a wrong choice is forgiven where all samples of the table cannot tell the two apart either (the paired 95 % interval of
  their difference holds 0).
- decided right: races in which no candidate that was decided by evidence is on the wrong side.
- decided: candidates decided by evidence. spent: evaluations, as a share of all. held: runners whose interval holds their true mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.statistics import separable
from workbench.statistics.racing import Race, race
from workbench.sweep.racing import single_changes
from workbench.truth.table import TruthTable

F64 = npt.NDArray[np.float64]

RACES = 200
PLANS, SEED = 200, 7
TOP = 0.25


@dataclass(frozen=True, eq=False)
class Field:
    """Candidates: what every sample loses by each, [K, n]."""

    name: str
    losses: F64


@dataclass(frozen=True)
class Outcome:
    """Shares over races, as in the table's columns."""

    same: float
    same_or_tied: float
    decided_right: float
    decided: float
    spent: float
    held: float


def fields(name: str, table: TruthTable) -> Iterator[Field]:
    """Yield the races of a table."""
    space = table.space
    baseline = space.uniform(space.default)
    plans = space.draw(PLANS, np.random.default_rng(SEED))
    sets = {"all changes": single_changes(space, baseline)[2]}
    for fmt in dict.fromkeys(f for names in space.formats for f in names if f != space.default):
        sets[f"changes to {fmt}"] = single_changes(space, baseline, (fmt,))[2]
    sets[f"{PLANS} plans"] = plans
    for kind, codes in sets.items():
        rows = space.numbers(codes)
        if table.losses is not None:
            yield Field(f"{name}, {kind}, by loss", np.asarray(table.losses.values(rows, None), np.float64))
        if table.correct is not None:
            yield Field(f"{name}, {kind}, by share wrong", (~table.right(rows)).astype(np.float64))


def outcome(field: Field, races: int, budget: float) -> Outcome:
    """Return what `races` races over a field found."""
    losses, (count, samples) = field.losses, field.losses.shape
    mean = losses.mean(axis=1)
    top = np.sort(mean)[::-1][max(1, round(count * TOP)) - 1]
    found = [race(lambda r, s: losses[np.ix_(r, s)], count, samples, TOP, budget, 2 * i) for i in range(races)]
    judged = np.array([_judge(one, losses, mean, float(top)) for one in found], np.float64)
    return Outcome(*judged.mean(axis=0).tolist())


def _judge(one: Race, losses: F64, mean: F64, top: float) -> tuple[float, ...]:
    """Return the six columns of one race. top: the least mean in the true top quarter."""
    inside = np.isin(np.arange(len(mean)), one.chosen)
    # Sums of the same numbers in another order differ in their last bits.
    slack = 1e-9 * float(np.abs(mean).max())
    wrong = [int(i) for i in np.flatnonzero(inside & (mean < top - slack))]
    missed = [int(i) for i in np.flatnonzero(~inside & (mean > top - slack))] if wrong else []
    tied = all(not separable(losses[i], losses[j]).separable for i in wrong for j in missed)
    right = all(
        (mean[i] >= top - slack) if r.verdict == "in" else (mean[i] <= top + slack)
        for i, r in enumerate(one.runners)
        if r.decided
    )
    decided = float(np.mean([r.decided for r in one.runners]))
    held = float(np.mean([r.low <= m <= r.high for r, m in zip(one.runners, mean, strict=True)]))
    return float(not wrong), float(tied), float(right), decided, one.spent, held


def main(arguments: list[str] | None = None) -> None:
    """Print a line per field."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--races", type=int, default=RACES)
    parser.add_argument("--budget", type=float, default=0.2)
    given: Any = parser.parse_args(arguments)
    print(
        "| candidates | of | same | same or tied | decided right | decided | spent | held |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    for path in given.tables:
        for field in fields(path.stem, TruthTable.load(path)):
            o = outcome(field, given.races, given.budget)
            shares = (o.same, o.same_or_tied, o.decided_right, o.decided, o.spent, o.held)
            print(f"| {field.name} | {len(field.losses)} | {' | '.join(f'{s:.1%}' for s in shares)} |", flush=True)


if __name__ == "__main__":
    main()
