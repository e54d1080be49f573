"""Searches that others use, on the same oracles, budgets and records as `verified_frontier`: to compare with."""

from workbench.search.baselines.additive import additive, program_front
from workbench.search.baselines.genetic import nsga2
from workbench.search.baselines.greedy import greedy
from workbench.search.baselines.ledger import Ledger
from workbench.search.baselines.ridge import ridge
from workbench.search.baselines.simple import random, uniform

BASELINES = {
    "uniform": uniform, "random": random, "greedy": greedy, "additive": additive, "ridge": ridge, "nsga2": nsga2,
}  # fmt: skip

__all__ = ["BASELINES", "Ledger", "additive", "greedy", "nsga2", "program_front", "random", "ridge", "uniform"]
