"""Running the benchmark: every method on every case, budget and seed; what has its result is passed over."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.choice.cases import Case, View
from benchmarks.choice.methods import Method, Timed
from benchmarks.choice.results import Result, Results
from benchmarks.choice.score import Truth

BUDGETS = (0.05, 0.01, 0.02, 0.10)
"""Shares of the exhaustive evaluations. The one that the claims are about comes first."""


def run_all(
    cases: Sequence[Case],
    view: Callable[[Case], View],
    methods: Sequence[Method],
    results: Results,
    budgets: Sequence[float] = BUDGETS,
    seeds: int | None = None,
    until: float = np.inf,
    say: Callable[[str], None] = print,
) -> bool:
    """Run what is missing and return whether all is there. until: no search begins after this time (of `time.monotonic`).

    All cases at the first budget come first, the one that the claims are about; only there is there more than one seed (`seeds`: at
    most so many).
    """
    counts = [[min(m.seeds, seeds or m.seeds) if budget == BUDGETS[0] else 1 for m in methods] for budget in budgets]
    total, done = sum(map(sum, counts)) * len(cases), 0
    for budget, case in itertools.product(budgets, cases):
        seen = view(case)
        truth = seen.truth()
        for method, count in zip(methods, counts[budgets.index(budget)], strict=True):
            state = hashlib.sha256((seen.digest + method.digest).encode()).hexdigest()[:16]
            for seed in range(count):
                done += 1
                if (case.name, method.name, budget, seed, state) in results:
                    continue
                if time.monotonic() > until:
                    return False
                found = run_one(case, seen, truth, method, budget, seed, state)
                results.add(found)
                say(
                    f"{done}/{total} {case.name} {method.name} {budget:.0%} seed {seed}: recall {found.recall:.1%}, "
                    f"regret {found.regret:.2%}, tau {found.tau:.3f}, {found.plans} plans, {found.seconds:.1f} s"
                )
    return True


def run_one(case: Case, view: View, truth: Truth, method: Method, budget: float, seed: int, state: str) -> Result:
    """Run one search and judge it."""
    oracle = Timed(view.oracle())
    began = time.perf_counter()
    found = method.run(oracle, against=case.against, quality=case.quality, evaluations=budget * truth.space.size, seed=seed)
    seconds = time.perf_counter() - began - oracle.seconds
    if oracle.spent > budget * truth.space.size + 1e-6:
        raise RuntimeError(
            f"{method.name} spent {oracle.spent:.1f} of {budget * truth.space.size:.1f} evaluations on {case.name}."
        )
    rows = np.unique(truth.space.numbers(found.codes))
    tau, near = truth.ranking(found.predict)
    return Result(
        case=case.name, method=method.name, budget=budget, seed=seed, state=state, size=truth.space.size, front=len(truth.front),
        recall=truth.recall(rows), regret=truth.regret(rows), volume=truth.relative_volume(rows), tau=tau, tau_near=near,
        spent=float(oracle.spent), plans=len(rows), seconds=seconds,
    )  # fmt: skip
