"""How samples that confirm are spent: the tests of `search.testing` against a fixed sequence, on populations drawn from truth tables.

    python -m benchmarks.choice.confirming TABLE.parquet [--formats w8a8,w4a8,w2a8] [--samples 1000] [--draws 100] [--limit 0.02]

A table's own samples are the population: those that choose and those that confirm are drawn from it with replacement, and a plan's drop
on the whole table is the truth. Prints the mean flash of the recommended plan, relative to w8a8, and how often it breaks the limit.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from workbench.search.choose import FRONTIER_POINTS
from workbench.search.testing import ERROR, chances, fallback, steps
from workbench.truth.frontier import pareto_front
from workbench.truth.table import TruthTable

F64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
SHARES = (0.25, 0.5, 0.75, 1.0, 1.5)
"""Of the limit, as `search.choose.propose` has them."""


@dataclass(frozen=True, eq=False)
class Sides:
    """Estimates of one draw. drops, errors, losses: on the samples that choose, [P]; p: of the tests on the others, [P]."""

    drops: F64
    errors: F64
    losses: F64
    p: F64


class Draws:
    """Populations drawn from a table, and what each way of choosing recommends."""

    def __init__(self, table: TruthTable, limit: float, samples: int) -> None:
        assert table.correct is not None and table.losses is not None
        self.table, self.limit, self.samples = table, limit, samples
        self.base = int(table.space.numbers(table.space.uniform("w8a8")[None])[0])
        right = np.unpackbits(table.correct, axis=1, count=table.samples).astype(np.int8)
        self.change = (right - right[self.base]).astype(np.float32)
        self.loss = table.losses.values(slice(0, len(table))).astype(np.float32)
        self.cost, self.true = table.axis("flash"), -self.change.mean(axis=1)
        self.codes = table.space.codes(np.arange(len(table)))

    def draw(self, rng: np.random.Generator) -> Sides:
        """Return the estimates of one draw of both halves."""
        n, weights = self.samples, []
        for _ in range(2):
            drawn = rng.integers(self.table.samples, size=self.samples)
            weights.append(np.bincount(drawn, minlength=self.table.samples).astype(np.float32))
        (drops, errors, _), (_, deviations, centres) = (self._seen(own) for own in weights)
        losses = (self.loss @ weights[0]).astype(np.float64) / n
        return Sides(drops, errors, losses - losses[self.base], ndtr(-(self.limit + centres) / deviations))

    def _seen(self, weights: npt.NDArray[np.float32]) -> tuple[F64, F64, F64]:
        """Return the drop, and adjusted Wald's standard error and centre (`statistics.drop_bound`)."""
        n = self.samples
        change, differ = (np.asarray(v @ weights, np.float64) for v in (self.change, np.abs(self.change)))
        centre = change / (n + 2)
        return -change / n, np.sqrt(np.maximum((differ + 2) / (n + 2) - centre**2, 0.0) / (n + 2)), centre

    def singles(self, values: F64) -> F64:
        """Return the sums of single changes of the baseline, [P]."""
        space, total = self.table.space, np.zeros(len(self.codes))
        for g, count in enumerate(space.radices):
            changed = np.tile(self.codes[self.base], (int(count), 1))
            changed[:, g] = np.arange(count)
            total += (values[space.numbers(changed)] - values[self.base])[self.codes[:, g]]
        return total

    def proposed(self, seen: Sides) -> Rows:
        """Return what sums of single changes propose, within the limit."""
        drops, losses = self.singles(seen.drops), self.singles(seen.losses)
        found = {self.base}
        for budget in np.linspace(self.cost.min(), self.cost[np.argmin(losses)], FRONTIER_POINTS):
            kept = np.flatnonzero(self.cost <= budget)
            found.add(int(kept[np.argmin(losses[kept])]))
        for share in SHARES:
            kept = np.flatnonzero(drops <= share * self.limit)
            found.add(int(kept[np.argmin(self.cost[kept])]))
        rows = np.array(sorted(found))
        return np.asarray(rows[seen.drops[rows] <= self.limit])

    def in_sequence(self, seen: Sides, rows: Rows) -> int:
        """Return the last plan of a frontier that passes, from the most accurate on, until the first failure."""
        front, best = rows[pareto_front(np.stack((self.cost[rows], seen.drops[rows]), axis=1))], self.base
        for row in front[np.argsort(-self.cost[front], kind="stable")]:
            if row != self.base and seen.p[row] > ERROR:
                break
            best = int(row)
        return best

    def divided(self, seen: Sides, rows: Rows) -> int:
        """Return the cheapest plan that passes the tests of `search.testing`."""
        passing = chances(seen.drops[rows], seen.errors[rows], self.limit, 1.0)
        passing[rows == self.base] = 1.0
        order = rows[steps(self.cost[rows], passing)]
        outcome = fallback(order.tolist(), lambda row, level: bool(row == self.base or seen.p[row] <= level))
        passed = [int(row) for row, tested in zip(order, outcome, strict=True) if tested.passed]
        return min(passed, key=lambda row: self.cost[row], default=self.base)


def compare(table: TruthTable, limit: float, samples: int, draws: int, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Return way of choosing -> mean relative flash, and the share of draws that break the limit."""
    own, rng = Draws(table, limit, samples), np.random.default_rng(seed)
    found: dict[str, list[int]] = {}
    for _ in range(draws):
        seen = own.draw(rng)
        every, few = np.flatnonzero(seen.drops <= limit), own.proposed(seen)
        found.setdefault("all plans, fixed sequence", []).append(own.in_sequence(seen, every))
        found.setdefault("all plans, divided error", []).append(own.divided(seen, every))
        found.setdefault("one at a time, fixed sequence", []).append(own.in_sequence(seen, few))
        found.setdefault("one at a time, divided error", []).append(own.divided(seen, few))
    return {
        name: (float((own.cost[rows] / own.cost[own.base]).mean()), float((own.true[rows] > limit).mean()))
        for name, rows in found.items()
    }


def main() -> None:
    """Print the comparison of one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--formats")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--limit", type=float, default=0.02)
    given = parser.parse_args()
    table = TruthTable.load(given.table)
    if given.formats:
        table = table.sub(given.formats.split(","))
    for name, (flash, broken) in compare(table, given.limit, given.samples, given.draws).items():
        print(f"{len(table):,} plans, {name}: flash {flash:.4f}, limit broken {100 * broken:.1f} %")


if __name__ == "__main__":
    main()
