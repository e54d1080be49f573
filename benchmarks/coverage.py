"""Do the stated 95 % intervals hold the truth in 95 % of studies? Simulated studies, drawn from truth tables.

    python -m benchmarks.coverage TABLE.parquet ... [--studies 500] [--sizes 200 1000]

A truth table knows every plan on every sample. A study is N samples drawn from its samples with replacement; the truth is the figure on
all samples of the table. Every study states, from its N samples alone:

- difference: of a given plan to the baseline (every single change of a layer, and plans drawn from the pools, in turn);
- rank, ranks: which rank a layer has among all single changes by the mean loss: of each, and of all together;
- split: the plan that the first half chooses, from the second half;
- corrected: the plan that all samples choose, from the same samples (`winner_interval`);
- naive: the same plan, as if nobody had chosen it.

Choices (fixed before any was run): the most accurate of the 1,000 plans of least mean loss, the smallest of these that loses at most a
point, the most accurate of 200 plans drawn uniformly. A rank is held when the interval holds a rank that the layer has: equal layers
share theirs. The error of a coverage takes every interval for itself; the
three choices of a study share their samples, so theirs may be up to 1.7 times as large.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.statistics import Difference, paired_difference, rank_intervals, winner_interval
from workbench.truth.table import TruthTable

F64 = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]
Choose = Callable[[F64], int]

SIZES = (200, 1000)
STUDIES = 500
POOL, DRAWN = 1000, 200
MOST_DROP = 0.01
SEED = 7


@dataclass(frozen=True, eq=False)
class Choice:
    """A way to choose among plans: right or wrong of each [P, n], and the rule."""

    name: str
    correct: Bits
    choose: Choose


@dataclass(frozen=True, eq=False)
class World:
    """What studies are drawn from: the baseline's bits [n], the choices, the losses of single changes [K, n]."""

    name: str
    base: Bits
    choices: tuple[Choice, ...]
    losses: F64
    given: Bits


@dataclass(frozen=True)
class Stated:
    """One interval of one study. row: its kind. held: whether it holds the truth, or the share of the ranks that do."""

    row: str
    case: str
    held: float
    width: float


def most_accurate(figures: F64) -> int:
    """Return the plan of the largest change of the share correct; the first of equals."""
    return int(figures.argmax())


def cheapest(flash: F64) -> Choose:
    """Return the rule that takes the smallest plan that loses at most `MOST_DROP`, else the most accurate."""
    order = np.argsort(flash, kind="stable")

    def choose(figures: F64) -> int:
        fits = figures[order] >= -MOST_DROP
        return int(order[fits.argmax()]) if fits.any() else most_accurate(figures)

    return choose


def world(name: str, table: TruthTable) -> World:
    """Return what studies are drawn from, of a table with bits, losses per sample and flash."""
    if table.losses is None or table.correct is None:
        raise InputError(f"{name}: coverage needs right or wrong and losses of every sample; this table has not both.")
    space, rng = table.space, np.random.default_rng(SEED)
    baseline = space.uniform(space.default)
    singles = np.array([_changed(baseline, g, f) for g, names in enumerate(space.formats) for f in range(len(names))])
    singles = singles[(singles != baseline).any(axis=1)]
    near = np.argsort(table.mean_loss, kind="stable")[: POOL + 1]
    base_row = space.numbers(baseline[None])
    near = near[near != base_row[0]][:POOL]
    drawn = np.setdiff1d(space.numbers(space.draw(DRAWN, rng)), base_row)
    rows = space.numbers(singles)
    near_bits, drawn_bits = table.right(near), table.right(drawn)
    choices = (
        Choice("most accurate of 1,000 good plans", near_bits, most_accurate),
        Choice("smallest of 1,000 good plans", near_bits, cheapest(table.axis("flash")[near])),
        Choice("most accurate of 200 random plans", drawn_bits, most_accurate),
    )
    given = np.concatenate((table.right(rows), near_bits[rng.permutation(len(near_bits))[:40]], drawn_bits[:20]))
    return World(name, table.right(base_row)[0], choices, np.asarray(table.losses.values(rows, None), np.float64), given)


def _changed(code: npt.NDArray[np.uint8], group: int, fmt: int) -> npt.NDArray[np.uint8]:
    other = code.copy()
    other[group] = fmt
    return other


def study(place: World, size: int, number: int) -> Iterator[Stated]:
    """Yield every interval that one simulated study states."""
    rng = np.random.default_rng((SEED, size, number))
    drawn = rng.integers(0, len(place.base), size)
    base, half = place.base[drawn], size // 2
    given = place.given[number % len(place.given)]
    yield _stated("difference", place.name, paired_difference(base, given[drawn]), given, place.base)
    yield from _ranks(place, drawn)
    for choice in place.choices:
        case = f"{place.name}: {choice.name}"
        bits = choice.correct[:, drawn]
        plan = choice.choose(bits[:, :half].mean(axis=1) - base[:half].mean())
        yield _stated("split", case, paired_difference(base[half:], bits[plan, half:]), choice.correct[plan], place.base)
        winner = winner_interval(base, bits, choice.choose)
        truth = choice.correct[winner.index]
        yield _stated("corrected", case, winner.change, truth, place.base)
        yield _stated("naive", case, paired_difference(base, bits[winner.index]), truth, place.base)


def _stated(row: str, case: str, found: Difference, plan: Bits, base: Bits) -> Stated:
    truth = float(plan.mean() - base.mean())
    return Stated(row, case, float(found.low <= truth <= found.high), found.high - found.low)


def _ranks(place: World, drawn: npt.NDArray[np.int64]) -> Iterator[Stated]:
    mean = place.losses.mean(axis=1)
    first = 1 + (mean[None] > mean[:, None]).sum(axis=1)
    last = len(mean) - (mean[None] < mean[:, None]).sum(axis=1)
    for row, promise in (("rank", "each"), ("ranks", "all"), ("ranks, sure", "sure")):
        found = rank_intervals(place.losses[:, drawn], promise)  # type: ignore[arg-type]
        held = (found.low <= last) & (found.high >= first)
        yield Stated(
            row, place.name, float(held.mean() if row == "rank" else held.all()), float((found.high - found.low).mean())
        )


def summary(stated: dict[int, list[Stated]], by_case: bool = False) -> list[tuple[int, str, str, float, float, float, int]]:
    """Return (N, row, case, coverage, its standard error, mean width, intervals), over all cases or by case."""
    lines = []
    for size, found in stated.items():
        for key in dict.fromkeys((s.row, s.case if by_case else "") for s in found):
            part = [s for s in found if s.row == key[0] and (not by_case or s.case == key[1])]
            held = np.array([s.held for s in part])
            error = float(held.std(ddof=1)) / math.sqrt(len(part)) if len(part) > 1 else math.nan
            lines.append((size, *key, float(held.mean()), error, float(np.mean([s.width for s in part])), len(part)))
    return lines


def simulate(worlds: list[World], size: int, studies: int) -> list[Stated]:
    """Return what `studies` studies of each world state."""
    return [s for place in worlds for number in range(studies) for s in study(place, size, number)]


def main(arguments: list[str] | None = None) -> None:
    """Print the coverage by kind of interval, then by case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    given: Any = parser.parse_args(arguments)
    worlds = [world(path.stem, TruthTable.load(path)) for path in given.tables]
    stated = {size: simulate(worlds, size, given.studies) for size in given.sizes}
    for by_case in (False, True):
        print("| N | interval | case | covers | error | mean width | stated |\n|---:|---|---|---:|---:|---:|---:|")
        for size, row, case, covers, error, width, count in summary(stated, by_case):
            print(f"| {size} | {row} | {case or 'all'} | {covers:.1%} | {error:.1%} | {width:.4g} | {count} |")
        print()


if __name__ == "__main__":
    main()
