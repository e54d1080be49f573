"""Verified frontier search: a surrogate proposes, exact evaluation on all samples decides.

Round by round: fit a Gaussian process to all results (`surrogate`, with what is expected of every sample as a feature, `margins`),
take the plans that may be on the exact frontier (`chances`), evaluate those with the largest chance, go on
until the budget ends. docs/search.md has the method and what it was compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.progress import Tick
from workbench.search.candidates import POOL, first_plans, grown, unique, without
from workbench.search.chances import best_known, frontier_chances
from workbench.search.expectation import LEARNED, QUALITIES, Expectation, Learner, need_figure, qualities
from workbench.search.found import Found
from workbench.search.memory import Memory, Row
from workbench.search.surrogate import Encoding
from workbench.sweep import Codes
from workbench.truth import Oracle, pareto_front

F64 = npt.NDArray[np.float64]

ROUNDS = 25
"""Rounds that a budget is spent in, about: a surrogate learns between them."""

LEAST = 2
"""Plans of a round, at least."""

FIRST_SHARE = 0.25
"""Of the budget for the first plans: those that every search begins with, then plans drawn uniformly (up to SPREAD_MOST)."""

SPREAD_MOST = 200

RIVALS = 1000
"""Plans that are drawn together, at most: those expected nearest to the frontier."""

SHORTLIST = 12_000
"""Plans that are ranked until the kernel is fitted again: those expected nearest to the frontier when all were ranked."""

DRAWS = 128

FLOOR = 0.02
"""Chance of being on the frontier below which a plan is not proposed: a uniform draw teaches more there."""

BLOCK = 64
"""Plans between two looks at the clock, and two writes, at most."""

LOOK = 1.0
"""Seconds between two looks at the clock, about, where plans are slow."""


@dataclass(frozen=True)
class Step:
    """One round. spent: evaluations so far; frontier: plans on the frontier then; likely: the sum of the chances of the plans
    that were proposed, of being on the exact frontier; regret: by how much the best known then is worse than at the end, relatively,
    mean over the points of the last frontier (the search's own: the exact one is not known)."""

    spent: float
    frontier: int
    likely: float
    regret: float = 0.0


def verified_frontier(
    oracle: Oracle,
    *,
    against: Sequence[str] = ("flash",),
    quality: str = "metric",
    evaluations: float,
    seconds: float | None = None,
    seed: int = 0,
    store: Path | None = None,
    progress: Tick | None = None,
) -> Found:
    """Return the frontier of quality against costs, as far as a budget of exact evaluations shows it.

    Only plans evaluated on all samples are on it. The same arguments give the same result, with the same linear algebra library.

    Args:
        against: axes of the oracle that are minimized beside the quality.
        quality: 'metric' (the badness) or 'loss' (the mean loss of the samples).
        evaluations: whole evaluations, at most.
        seconds: stop after this time, with what was found. At least the default plan is evaluated.
        store: a file that keeps every result; the same call with the same file goes on where it was stopped.
        progress: called with (evaluations done, evaluations).
    """
    axes, memory = (against,) if isinstance(against, str) else tuple(against), Memory(oracle, store)
    search = _Search(oracle, axes, quality, evaluations, seed, memory, progress, seconds)
    return search.run()


@dataclass(eq=False)
class _Search:
    """A search under way. codes, rows: plans evaluated so far and their results, in order."""

    oracle: Oracle
    against: tuple[str, ...]
    quality: str
    evaluations: float
    seed: int
    memory: Memory
    progress: Tick | None
    seconds: float | None
    codes: Codes = field(init=False)
    rows: list[Row] = field(default_factory=list)
    trace: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        unknown = [axis for axis in self.against if axis not in self.oracle.axes]
        if unknown or not self.against:
            named = ", ".join(map(repr, unknown)) or "no axis"
            raise InputError(f"against: {named}. Expected some of {', '.join(self.oracle.axes)}.")
        if self.quality not in QUALITIES:
            raise InputError(f"quality: '{self.quality}'. Expected {' or '.join(QUALITIES)}.")
        if not self.evaluations >= 1:
            raise InputError(f"evaluations: {self.evaluations}. Expected at least 1.")
        if self.seconds is not None and not self.seconds >= 0.0:
            raise InputError(f"seconds: {self.seconds}. Expected 0 or more, or None for no limit.")
        if self.seed < 0:
            raise InputError(f"seed: {self.seed}. Expected 0 or more.")
        space = self.oracle.space
        self.block = BLOCK if self.seconds is None else 1
        self.budget = int(min(self.evaluations, space.size))
        self.rng = np.random.default_rng(self.seed)
        self.codes = np.empty((0, len(space.groups)), np.uint8)
        self.encoding = Encoding.of(space.radices)
        self.learner = Learner(self.encoding, self.quality, self.rng)
        self.shortlist = np.empty(0, np.int64)
        self.last: Expectation | None = None
        self.costs = np.empty((0, len(self.against)))
        self.began = time.monotonic()
        self.end = None if self.seconds is None else self.began + self.seconds
        self.listed = space.codes(range(space.size)) if space.size <= POOL else None
        self.listed_costs = None if self.listed is None else self.price(self.listed)

    def price(self, codes: Codes) -> F64:
        """Return the costs of plans on the axes of this search, [P, A]."""
        return self.oracle.costs(codes)[:, [self.oracle.axes.index(axis) for axis in self.against]]

    def late_in(self, seconds: float) -> bool:
        """Whether the time is over in so many seconds."""
        return self.end is not None and time.monotonic() + seconds >= self.end

    def affordable(self) -> int:
        """Return how many plans the budget is for, or the time at the pace so far."""
        if self.end is None:
            return self.budget
        now = time.monotonic()
        pace = len(self.rows) / max(now - self.began, 1e-9)
        return int(min(self.budget, len(self.rows) + pace * max(self.end - now, 0.0)))

    @property
    def left(self) -> int:
        """How many more plans may be evaluated."""
        return 0 if self.rows and self.late_in(0.0) else self.budget - len(self.rows)

    @property
    def values(self) -> F64:
        """The quality of the plans evaluated, [N]; a plan without a figure counts as the worst of the others."""
        return qualities(self.rows, self.quality)

    def run(self) -> Found:
        """Spend the budget."""
        first = first_plans(self.oracle.space)
        self.evaluate(first[: self.left])
        self.evaluate(self.fresh(self.oracle.space.draw(4 * SPREAD_MOST, self.rng))[: self._spread()])
        thought = 0.0
        while self.left > 0 and not self.late_in(thought):
            began = time.monotonic()
            need_figure(self.rows, self.quality)
            pool, costs = self.pool()
            if not len(pool):
                break
            chosen, chances = self.propose(pool, costs) if len(self.frontier()) else (pool[:LEAST], np.empty(0))
            thought = time.monotonic() - began
            self.evaluate(chosen)
            self.trace.append(Step(float(len(self.rows)), len(self.frontier()), float(chances.sum())))
        return self.found()

    def _spread(self) -> int:
        return max(0, min(int(FIRST_SHARE * self.budget) - len(self.rows), SPREAD_MOST, self.left))

    def evaluate(self, codes: Codes) -> None:
        """Evaluate plans, a block at a time, while there is time."""
        while len(codes) and self.left > 0:
            block, codes = codes[: self.block], codes[self.block :]
            began = time.monotonic()
            self.rows += self.memory.evaluate(block)
            if self.seconds is not None:
                each = (time.monotonic() - began) / len(block)
                self.block = int(np.clip(LOOK / max(each, LOOK / BLOCK), 1, BLOCK))
            self.codes = np.concatenate((self.codes, block))
            self.costs = np.concatenate((self.costs, self.price(block)))
            if self.progress is not None:
                self.progress(len(self.rows), self.budget)

    def fresh(self, codes: Codes) -> Codes:
        """Return the plans that were not evaluated, each once."""
        return without(codes, {code.tobytes() for code in self.codes})

    def pool(self) -> tuple[Codes, F64]:
        """Return the plans to rank, none of them evaluated, and their costs."""
        if self.listed is None or self.listed_costs is None:
            good = self.promising()
            codes = self.fresh(grown(self.oracle.space, self.codes[good if len(good) else slice(0, 1)], self.rng))
            return priced(codes, self.price(codes))
        new = np.ones(len(self.listed), np.bool_)
        new[self.oracle.space.numbers(self.codes)] = False
        short = self.shortlist[new[self.shortlist]]
        if self.due or not len(short):
            short = np.flatnonzero(new)
        return priced(self.listed[short], self.listed_costs[short])

    @property
    def due(self) -> bool:
        """Whether the kernel is to be fitted again, and all plans ranked."""
        return self.learner.due(len(self.rows))

    def results(self) -> F64:
        """Return quality and costs of the plans evaluated, [N, 1 + A]; a quality without a figure as it is: never on a frontier."""
        quality = [row.badness if self.quality == "metric" else row.loss for row in self.rows]
        return np.column_stack((np.array(quality), self.costs))

    def frontier(self) -> npt.NDArray[np.int64]:
        """Return the rows of the plans that none evaluated beats."""
        return pareto_front(self.results())

    def promising(self) -> npt.NDArray[np.int64]:
        """Return the rows on the frontier, and those that would be on it without them."""
        first = self.frontier()
        rest = np.setdiff1d(np.arange(len(self.rows)), first)
        second = pareto_front(self.results()[rest])
        return np.concatenate((first, rest[second]))

    def propose(self, pool: Codes, costs: F64) -> tuple[Codes, F64]:
        """Return the plans to evaluate next (likely ones of the pool and uniform draws), and the chances of the likely ones."""
        again = self.due
        model = self.last = self.model()
        at = self.encoding.indicators(pool)
        feature = model.feature(at)
        front = self.frontier()
        known, known_costs = model.scale(self.values[front]), self.costs[front]
        reach = model.surrogate.mean(at, feature) - np.minimum(
            best_known(costs, known_costs, known), known.max() + model.surrogate.spread
        )
        order = np.argsort(reach, kind="stable")
        if again and self.listed is not None:
            self.shortlist = self.oracle.space.numbers(pool[order[:SHORTLIST]])
        near = order[:RIVALS]
        mean, root = model.surrogate.joint(at[near], None if feature is None else feature[near])
        draws = mean[:, None] + root @ self.rng.standard_normal((len(near), DRAWS))
        chances = frontier_chances(draws, costs[near], known, known_costs)
        count = min(max(LEAST, self.affordable() // ROUNDS), self.left)
        best = np.argsort(-chances, kind="stable")[:count]
        likely = best[chances[best] >= FLOOR]
        drawn = self.fresh(self.oracle.space.draw(2 * count, self.rng)) if len(likely) < count else pool[:0]
        chosen = unique(np.concatenate((pool[near[likely]], drawn)))[:count]
        return (chosen if len(chosen) else pool[near[best]]), chances[likely]

    def model(self) -> Expectation:
        """Return what is expected by what is known."""
        taken = self.telling()
        return self.learner.learn(self.encoding.indicators(self.codes[taken]), [self.rows[i] for i in taken], len(self.rows))

    def telling(self) -> npt.NDArray[np.int64]:
        """Return the rows to learn from: all; of more than LEARNED those nearest to the frontier, a quarter drawn from the others."""
        if len(self.rows) <= LEARNED:
            return np.arange(len(self.rows))
        front = self.frontier()
        behind = self.values - best_known(self.costs, self.costs[front], self.values[front])
        order = np.argsort(behind, kind="stable")
        near = LEARNED - LEARNED // 4
        return np.sort(np.concatenate((order[:near], self.rng.choice(order[near:], LEARNED // 4, replace=False))))

    def found(self) -> Found:
        """Return the record of the search."""
        need_figure(self.rows, self.quality)
        if not len(self.frontier()):
            raise InputError(
                f"against: no plan of the {len(self.rows):,} evaluated has finite costs. Check the target's figures."
            )
        predict: Callable[[Codes], F64] | None = None
        if len(self.rows) >= 3:
            if self.end is None or self.last is None:
                self.learner.fitted, self.last = 0, self.model()
            model, encoding = self.last, self.encoding

            def predict(codes: Codes) -> F64:
                return model.predict(encoding.indicators(codes))

        badness, loss = np.array([r.badness for r in self.rows]), np.array([r.loss for r in self.rows])
        front = self.frontier()
        floor = 0.5 / self.oracle.samples if self.quality == "metric" else float(np.finfo(np.float64).tiny)
        regrets = shortfalls(self.values, self.costs, front, [int(step.spent) for step in self.trace], floor)
        trace = tuple(replace(step, regret=regret) for step, regret in zip(self.trace, regrets, strict=True))
        return Found(self.codes, badness, loss, self.costs, float(len(self.rows)), front, trace, predict)


def priced(codes: Codes, costs: F64) -> tuple[Codes, F64]:
    """Return the plans whose costs are finite, and these: no other can be on a frontier."""
    usable = np.isfinite(costs).all(axis=1)
    return codes[usable], costs[usable]


def shortfalls(values: F64, costs: F64, front: npt.NDArray[np.int64], spent: Sequence[int], floor: float) -> list[float]:
    """Return after how many results the frontier known was how much worse than the last one, relatively, mean over its points.

    values [N], costs [N, A]: of plans in the order of evaluation; front: rows of the last frontier; spent: counts of results. At a
    point that nothing known then was cheap enough for, the worst of all results stands for it. floor: what is at least relative to.
    """
    if not spent:
        return []
    total = np.zeros(len(spent))
    for row in front:
        cheap = (costs <= costs[row]).all(axis=1)
        best = np.minimum.accumulate(np.where(cheap, values, values.max()))[np.array(spent) - 1]
        total += (best - values[row]) / max(abs(float(values[row])), floor)
    return [float(t) for t in total / len(front)]
