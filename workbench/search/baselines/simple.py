"""Plans that need no thought: uniform formats, and draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.search.baselines.ledger import Ledger
from workbench.search.found import Found
from workbench.sweep import Codes, Space
from workbench.truth import Oracle


def uniform_codes(space: Space) -> Codes:
    """Return one plan for every format on offer: that format wherever it is on offer, the default elsewhere. [P, G]."""
    names = dict.fromkeys(name for offered in space.formats for name in offered)
    return np.unique(np.array([space.uniform(name) for name in names]), axis=0)


def uniform(
    oracle: Oracle, *, against: Sequence[str] = ("flash",), quality: str = "metric", evaluations: float, seed: int = 0
) -> Found:
    """Evaluate one format for all groups, every format in turn: what most deployments do."""
    ledger = Ledger(oracle, against, quality, evaluations)
    ledger.evaluate(uniform_codes(oracle.space))
    return ledger.found()


def draw_new(ledger: Ledger, count: int, rng: np.random.Generator) -> Codes:
    """Return up to `count` plans that were not evaluated yet, drawn uniformly without replacement, [P, G]."""
    space = ledger.oracle.space
    count = min(count, ledger.left)
    if space.size <= 1 << 20:  # few enough to shuffle
        codes = space.codes(rng.permutation(space.size))
        return codes[ledger.new(codes)][:count]
    found = np.empty((0, len(space.groups)), np.uint8)
    while len(found) < count:
        found = np.concatenate((found, space.draw(count, rng)))
        found = found[ledger.new(found)]
    return found[:count]


def random(
    oracle: Oracle, *, against: Sequence[str] = ("flash",), quality: str = "metric", evaluations: float, seed: int = 0
) -> Found:
    """Evaluate plans drawn uniformly without replacement until the budget ends."""
    ledger = Ledger(oracle, against, quality, evaluations)
    ledger.evaluate(draw_new(ledger, ledger.left, np.random.default_rng(seed)))
    return ledger.found()
