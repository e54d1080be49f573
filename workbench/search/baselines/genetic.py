"""NSGA-II, by pymoo (extra `dev`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.errors import InputError
from workbench.search.baselines.ledger import Ledger
from workbench.search.candidates import first_plans, unique
from workbench.search.found import Found
from workbench.sweep import Codes, Space
from workbench.truth import Oracle

LARGEST_POPULATION = 100  # pymoo's default
SMALLEST_POPULATION = 8
GENERATIONS = 10  # at least, where the budget allows it
STALE = 20


def first_population(space: Space, size: int, seed: int) -> Codes:
    """Return the plans that a run begins with, [size, G]: the default, one format everywhere and single changes of the default, in
    this order and up to half of them; the rest drawn uniformly (fewer than size where the space has no more)."""
    known = first_plans(space)[: size // 2]
    drawn = space.draw(8 * size, np.random.default_rng(seed))
    return unique(np.concatenate((known, drawn)))[:size]


def nsga2(
    oracle: Oracle, *, against: Sequence[str] = ("flash",), quality: str = "metric", evaluations: float, seed: int = 0
) -> Found:
    """Run NSGA-II on the formats as integers until the budget ends, or until 20 generations in a row had no new plan.

    A plan that comes again costs nothing. Source: Deb et al., IEEE Trans. Evol. Comput. 6(2), 2002; operators for integers (simulated
    binary crossover and polynomial mutation, rounded) as pymoo advises.
    """
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
    except ImportError as error:
        raise InputError(f"NSGA-II needs pymoo, which cannot be imported ({error}). pip install 'workbench[dev]'.") from None
    ledger = Ledger(oracle, against, quality, evaluations)
    space = oracle.space
    problem = Problem(n_var=len(space.groups), n_obj=1 + len(against), xl=0, xu=space.radices - 1, vtype=int)
    size = int(np.clip(ledger.left // GENERATIONS, SMALLEST_POPULATION, LARGEST_POPULATION))
    algorithm = NSGA2(
        pop_size=size,
        sampling=first_population(space, size, seed),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    algorithm.setup(problem, seed=seed, verbose=False)
    stale = 0
    while ledger.left and stale < STALE:
        population = algorithm.ask()
        codes = np.asarray(population.get("X")).astype(np.uint8).reshape(-1, len(space.groups))
        before = ledger.left
        values = ledger.evaluate(codes)
        stale = 0 if ledger.left < before else stale + 1
        if np.isnan(values).any():  # the budget ended within this generation
            break
        population.set("F", np.column_stack((np.where(np.isfinite(values), values, np.finfo(float).max), ledger.costs(codes))))
        algorithm.tell(infills=population)
    return ledger.found()
