"""A pairwise ridge surrogate: the surrogate search that most papers stop at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from workbench.search.baselines.ledger import Ledger
from workbench.search.baselines.simple import draw_new, uniform_codes
from workbench.search.found import Found
from workbench.sweep import Codes, Space
from workbench.truth import Oracle, pareto_front

F64 = npt.NDArray[np.float64]
ROUNDS = 4
FIRST = 0.5  # share of the budget that is drawn before the model is first asked
STRENGTHS = 10.0 ** np.arange(-4, 3)
MOST_CANDIDATES = 60_000


def ridge(
    oracle: Oracle, *, against: Sequence[str] = ("flash",), quality: str = "metric", evaluations: float, seed: int = 0
) -> Found:
    """Draw half the budget, fit a ridge on one-hot and pair features, evaluate its frontier, fit again; four rounds.

    Losses are fitted as logarithms. Where the predicted frontier is shorter than a round, the frontier of the rest follows.
    """
    ledger = Ledger(oracle, against, quality, evaluations)
    rng = np.random.default_rng(seed)
    ledger.evaluate(uniform_codes(oracle.space))
    ledger.evaluate(draw_new(ledger, int(FIRST * ledger.left), rng))
    predict = fit_pairs(oracle.space, *ledger.known(), logarithm=quality == "loss")
    for left in range(ROUNDS, 0, -1):
        wanted = -(-ledger.left // left)
        if not wanted:
            break
        ledger.evaluate(best_predicted(ledger, candidates(ledger, rng), predict, wanted))
        predict = fit_pairs(oracle.space, *ledger.known(), logarithm=quality == "loss")
    return ledger.found(predict)


def candidates(ledger: Ledger, rng: np.random.Generator) -> Codes:
    """Return plans to predict: all of a small space; of a large one draws, and all single changes of the frontier so far."""
    space = ledger.oracle.space
    if space.size <= MOST_CANDIDATES:
        codes = space.codes(range(space.size))
    else:
        known, values = ledger.known()
        front = known[pareto_front(np.column_stack((values, ledger.costs(known))))]
        moved = [front]
        for g, names in enumerate(space.formats):
            for f in range(len(names)):
                near = front.copy()
                near[:, g] = f
                moved.append(near)
        codes = np.concatenate((*moved, space.draw(MOST_CANDIDATES // 4, rng)))
    return codes[ledger.new(codes)]


def best_predicted(ledger: Ledger, codes: Codes, predict: Callable[[Codes], F64], wanted: int) -> Codes:
    """Return the predicted frontier of plans, then that of the rest, and so on; of the last one, as many as are left to take,
    spread evenly along it."""
    values = np.column_stack((predict(codes), ledger.costs(codes)))
    left, picked = np.arange(len(codes)), np.empty(0, np.int64)
    while len(picked) < wanted and len(left):
        front = left[pareto_front(values[left])]
        even = np.linspace(0, len(front) - 1, min(len(front), wanted - len(picked))).round().astype(np.int64)
        picked = np.concatenate((picked, front[even]))
        left = np.setdiff1d(left, front)
    return codes[picked]


def pair_features(space: Space, codes: Codes) -> F64:
    """Return a column for every format of a group but its first, and for every product of two such columns, [P, F]."""
    ones = [np.eye(len(names), dtype=np.float32)[:, 1:][codes[:, g]] for g, names in enumerate(space.formats)]
    pairs = [
        (ones[g][:, :, None] * ones[h][:, None, :]).reshape(len(codes), -1)
        for g in range(len(ones))
        for h in range(g + 1, len(ones))
    ]
    return np.concatenate((*ones, *pairs), axis=1, dtype=np.float64)


def fit_pairs(space: Space, codes: Codes, values: F64, logarithm: bool) -> Callable[[Codes], F64]:
    """Return a ridge fitted to plans [P, G] and values [P]; its strength has the least generalized cross-validation error.

    Source: Golub, Heath and Wahba, Technometrics 21(2), 1979.
    """
    usable = np.isfinite(values) & (values > 0 if logarithm else True)
    codes, target = codes[usable], np.log(values[usable]) if logarithm else values[usable]
    if not len(codes):
        return lambda asked: np.zeros(len(asked))
    features = pair_features(space, codes)
    centre, middle = features.mean(axis=0), float(target.mean())
    directions, spread, shares = _principal(features - centre, target - middle)
    power, scale = float((target - middle) @ (target - middle)), float(spread.max(initial=0.0)) / max(len(spread), 1) or 1.0

    def error(strength: float) -> float:
        kept = spread / (spread + strength * scale)
        freedom = len(target) - kept.sum() - 1
        return float(len(target) * (power - (2 * kept - kept**2) @ shares**2) / freedom**2) if freedom > 0.5 else np.inf

    strength = min(STRENGTHS, key=error)
    weights = directions @ (np.sqrt(spread) / (spread + strength * scale) * shares)

    def predict(asked: Codes) -> F64:
        parts = [pair_features(space, asked[i : i + 8192]) @ weights for i in range(0, len(asked), 8192)]
        found = middle - centre @ weights + np.concatenate([np.empty(0), *parts])
        return np.asarray(np.exp(found) if logarithm else found)

    return predict


def _principal(x: F64, y: F64) -> tuple[F64, F64, F64]:
    """Return the principal directions of rows [P, F] as columns [F, R], their squared singular values, ascending, and y along them.

    From the smaller of the two matrices of inner products: ten times faster than a singular value decomposition, and exact enough for
    a ridge that is at least 1e-4 of the largest.
    """
    wide = x.shape[1] > len(x)
    spread, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    usable = spread > spread.max(initial=0.0) * 1e-12
    spread, vectors = spread[usable], vectors[:, usable]
    directions = x.T @ vectors / np.sqrt(spread) if wide else vectors
    return directions, spread, (x @ directions).T @ y / np.sqrt(spread)
