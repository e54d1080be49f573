"""Ranking all plans by their quality: exact results of a few, a surrogate for the others.

A frontier search spends its results near the frontier and ranks the rest roughly. Here most plans are drawn uniformly, so that the
surrogate is as good everywhere; the rest are drawn from those expected within NEAR of the default plan, which are a small part of
many spaces and the part that a choice is made from. docs/search.md has what this ranks how well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.progress import Tick
from workbench.search.candidates import POOL, grown, one_format, without
from workbench.search.expectation import LEARNED, QUALITIES, Expectation, Learner, qualities
from workbench.search.memory import Memory, Row
from workbench.search.surrogate import Encoding
from workbench.sweep import Codes
from workbench.truth import Oracle

F64 = npt.NDArray[np.float64]

NEAR = 0.05
"""Of a share (5 points): plans at most so much worse than the default are ranked with special care."""

NEAR_SHARE = 0.3
"""Of the budget, for plans expected near the default; of a metric that is no share, nothing."""

NEAR_MOST = 300
"""Plans near the default, at most: a large budget knows them well, and the others less."""

ROUNDS = 6
"""Rounds that the plans near the default are evaluated in: each learns from those before."""

LAST_ROWS, LAST_ANCHORS = 1500, 4000
"""Results that the last kernels are fitted to, and that the samples are conditioned on, at most: it is fitted once, and order asks for
more than a search for likely plans does (tau of DS-CNN's top-1 0.96 instead of 0.89)."""

BLOCK = 64
"""Plans between two writes."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Plans evaluated on all samples, and what orders all plans.

    codes: uint8 [P, G]; badness, loss: float64 [P]. spent: evaluations. predict: the quality of any plans, smaller is better: exact
    for those evaluated (one without a figure as the worst of these), expected for the others.
    """

    codes: Codes
    badness: F64
    loss: F64
    spent: float
    predict: Callable[[Codes], F64]


def rank_plans(
    oracle: Oracle,
    evaluations: float,
    seed: int = 0,
    quality: str = "metric",
    *,
    store: Path | None = None,
    progress: Tick | None = None,
) -> Ranking:
    """Return what orders the plans of a space by quality, learned from a budget of exact evaluations.

    Args:
        evaluations: whole evaluations, at most; 3 at least.
        quality: 'metric' (the badness) or 'loss' (the mean loss of the samples).
        store: a file that keeps every result; the same call with the same file goes on where it was stopped.
        progress: called with (evaluations done, evaluations).
    """
    if quality not in QUALITIES:
        raise InputError(f"quality: '{quality}'. Expected {' or '.join(QUALITIES)}.")
    if not evaluations >= 3:
        raise InputError(f"evaluations: {evaluations}. Expected at least 3 to rank plans by.")
    if seed < 0:
        raise InputError(f"seed: {seed}. Expected 0 or more.")
    space, rng = oracle.space, np.random.default_rng(seed)
    budget = int(min(evaluations, space.size))
    memory, encoding = Memory(oracle, store), Encoding.of(space.radices)
    learner = Learner(encoding, quality, rng)
    listed = space.codes(range(space.size)) if space.size <= POOL else None
    rows: dict[bytes, Row] = {}

    def evaluate(codes: Codes) -> None:
        for start in range(0, len(codes), BLOCK):
            block = codes[start : start + BLOCK]
            rows.update((code.tobytes(), row) for code, row in zip(block, memory.evaluate(block), strict=True))
            if progress is not None:
                progress(len(rows), budget)

    def known() -> Codes:
        return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)

    def learned() -> Expectation:
        learner.fitted = 0
        taken = np.sort(rng.permutation(len(rows))[:LEARNED])
        found = list(rows.values())
        return learner.learn(encoding.indicators(known()[taken]), [found[i] for i in taken])

    def uniform(count: int) -> None:
        """Evaluate so many plans drawn from those that were not; fewer where there are no more."""
        if listed is not None:
            left = without(listed, rows)
            evaluate(left[rng.permutation(len(left))[:count]])
            return
        wanted = len(rows) + count
        while len(rows) < wanted:  # of more than POOL plans hardly one is drawn twice
            evaluate(without(space.draw(2 * (wanted - len(rows)), rng), rows)[: wanted - len(rows)])

    evaluate(one_format(space)[: max(1, budget // 2)])
    near = min(int(NEAR_SHARE * budget), NEAR_MOST) if oracle.metric.is_share and budget < space.size else 0
    uniform(max(0, budget - near - len(rows)))
    for left in range(ROUNDS, 0, -1):
        count = -(-(budget - len(rows)) // left)
        pool = without(grown(space, known()[_near(list(rows.values()))], rng) if listed is None else listed, rows)
        if not (count and len(pool)):
            break
        model = learned()
        found = list(rows.values())
        limit = qualities(found, quality)[_near(found)].max()
        close = pool[model.predict(encoding.indicators(pool)) <= limit]
        evaluate(close[rng.permutation(len(close))[:count]])
    uniform(budget - len(rows))
    learner.most, learner.anchors = LAST_ROWS, LAST_ANCHORS
    results = list(rows.values())
    model, exact = learned(), dict(zip(rows, qualities(results, quality).tolist(), strict=True))
    evidence = results[0].correct if quality == "metric" and oracle.metric.is_share else None

    def predict(codes: Codes) -> F64:
        expected = model.predict(encoding.indicators(codes))
        if evidence is not None:  # a share of so many has so many values, and plans that tie are no pairs in a wrong order
            expected = np.round(expected * len(evidence)) / len(evidence)
        return np.array([exact.get(code.tobytes(), value) for code, value in zip(codes, expected.tolist(), strict=True)])

    return Ranking(
        known(), np.array([r.badness for r in results]), np.array([r.loss for r in results]), float(len(rows)), predict
    )


def _near(rows: list[Row]) -> npt.NDArray[np.int64]:
    """Return which plans are at most NEAR worse than the first, the default (without a figure of it: than the best; all, when no
    plan has one)."""
    badness = np.array([row.badness for row in rows])
    usable = badness[np.isfinite(badness)]
    if not len(usable):
        return np.arange(len(rows))
    return np.flatnonzero(badness <= (badness[0] if np.isfinite(badness[0]) else usable.min()) + NEAR)
