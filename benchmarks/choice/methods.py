"""The searches that are compared, and what each one's results depend on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import workbench.search
from workbench.metrics import Metric
from workbench.progress import Tick
from workbench.search.baselines import BASELINES
from workbench.search.found import Found
from workbench.search.ranking import rank_plans
from workbench.search.verified import verified_frontier
from workbench.sweep import Codes, Space
from workbench.truth import Evaluated, Oracle, pareto_front
from workbench.truth.oracle import F64, Indices

SOURCES = Path(workbench.search.__file__).parent
RANKING = "ranking"
"""The method whose ranking of all plans is judged: a run of its own."""


@dataclass(frozen=True)
class Method:
    """A search. seeds: how many runs at 5 % are reported, 1 where chance plays no part. sources: its code, below workbench/search."""

    name: str
    run: Callable[..., Found]
    seeds: int
    sources: tuple[str, ...]
    words: str

    @property
    def digest(self) -> str:
        """The digest of its code: a result of other code is not taken again."""
        return _digest(self.sources)


@cache
def _digest(sources: tuple[str, ...]) -> str:
    files = sorted({file for pattern in sources for file in SOURCES.glob(pattern)})
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _baseline(name: str, seeds: int, file: str, words: str) -> Method:
    return Method(name, BASELINES[name], seeds, ("found.py", "baselines/ledger.py", "baselines/simple.py", file), words)


def _ranked(oracle: Oracle, *, against: Sequence[str], quality: str, evaluations: float, seed: int) -> Found:
    """Rank all plans; what was evaluated for it is the frontier that comes with it."""
    ranking = rank_plans(oracle, evaluations, seed, quality)
    costs = oracle.costs(ranking.codes)[:, [oracle.axes.index(axis) for axis in against]]
    values = np.column_stack((ranking.loss if quality == "loss" else ranking.badness, costs))
    return Found(ranking.codes, ranking.badness, ranking.loss, costs, ranking.spent, pareto_front(values), (), ranking.predict)


METHODS = {
    method.name: method
    for method in (
        Method("verified", verified_frontier, 2, ("found.py", "verified.py", "surrogate.py", "candidates.py", "chances.py",
               "margins.py", "memory.py", "expectation.py"),
               "`verified_frontier`: a surrogate proposes, exact evaluation decides"),
        Method(RANKING, _ranked, 1, ("found.py", "ranking.py", "surrogate.py", "candidates.py", "margins.py", "memory.py",
               "expectation.py"),
               "`rank_plans`: the same surrogate on plans drawn to rank all of them, not to find the frontier"),
        _baseline("ridge", 3, "baselines/ridge.py", "pairwise ridge surrogate: half the budget drawn, then four rounds"),
        _baseline("nsga2", 3, "baselines/genetic.py", "NSGA-II (pymoo), formats as integers"),
        _baseline("additive", 1, "baselines/additive.py", "HAWQ-style additive program on measured single changes, at every limit"),
        _baseline("greedy", 1, "baselines/greedy.py", "AIMET-style greedy: single changes sorted, then made one after the other"),
        _baseline("random", 3, "baselines/simple.py", "plans drawn uniformly"),
        _baseline("uniform", 1, "baselines/simple.py", "one format for all layers, every format"),
    )
}  # fmt: skip


class Timed:
    """An oracle that knows how long it took to answer, so that what is left is the search's own time."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle, self.seconds = oracle, 0.0
        self.space: Space = oracle.space
        self.metric: Metric = oracle.metric
        self.samples, self.axes = oracle.samples, oracle.axes

    @property
    def spent(self) -> float:
        """Evaluations so far."""
        return self.oracle.spent

    def evaluate(self, codes: Codes, samples: Indices | None = None, progress: Tick | None = None) -> Evaluated:
        """Return what the oracle returns."""
        return self._timed(lambda: self.oracle.evaluate(codes, samples, progress))

    def costs(self, codes: Codes) -> F64:
        """Return what the oracle returns."""
        return self._timed(lambda: self.oracle.costs(codes))

    def _timed(self, ask: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        try:
            return ask()
        finally:
            self.seconds += time.perf_counter() - began


def chosen(names: Sequence[str] | None) -> list[Method]:
    """Return methods by name; all of them unless named."""
    return [METHODS[name] for name in names] if names else list(METHODS.values())
