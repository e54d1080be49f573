"""`fit_many_effects`: a sum of very many effects for thousands of rows, robust against single rows that are far off.

The model of `effects.py` (normal priors of one spread per kind) in its primal form: a system of as many equations as effects.
The spreads are found by expectation maximization while the rows are weighted as Student-t noise wants (K. L. Lange, R. J. A.
Little, J. M. G. Taylor, Robust statistical modeling using the t distribution, 1989), so that a row off by a factor of ten
moves little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from workbench.calibrate.effects import Effects, Prior, Terms
from workbench.calibrate.family import Json

STEPS = 4
PROBES = 24
"""Random vectors that estimate the traces of the posterior's blocks (M. F. Hutchinson, 1989): the inverse itself is not
needed.
"""
FREEDOM = 4.0
"""Degrees of freedom of the noise."""
GRID = 0.004
"""Step of stored effects in logs: a twentieth and less of what they are known to."""
START_NOISE = 0.15
PRIOR_COUNT = 4.0
"""A spread is estimated as if four more effects of the guessed size had been seen: kinds of one or two effects stay
sensible.
"""
Vector = npt.NDArray[np.float64]


def fit_many_effects(
    rows: Sequence[Terms], values: Sequence[float], priors: Mapping[str, Prior], guesses: Mapping[str, float]
) -> Effects:
    """Return the effects that explain values (all rows have the same kind of noise, named 'all' in `errors`).

    guesses: kind -> its spread before any row was seen, for kinds whose spread is to be found.
    """
    repeated = _repeated(rows)
    rows = [{effect: c for effect, c in row.items() if effect[0] not in repeated} for row in rows]
    names = sorted({effect for row in rows for effect in row})
    place = {effect: i for i, effect in enumerate(names)}
    kinds = sorted({kind for kind, _ in names})
    kind_of = np.array([kinds.index(kind) for kind, _ in names])
    design = _design(rows, place)
    mean = np.array([priors[kind].mean for kind, _ in names])
    target = np.asarray(values, dtype=np.float64) - design @ mean
    fixed = np.array([priors[kind].spread is not None for kind in kinds])
    guess = np.array([priors[kind].spread or guesses[kind] for kind in kinds]) ** 2
    variance = guess
    counts = np.bincount(kind_of, minlength=len(kinds))
    noise, weights = START_NOISE**2, np.ones(len(rows))
    found: Vector = np.zeros(len(names))
    probes = np.where(np.random.default_rng(0).random((len(names), PROBES)) < 0.5, -1.0, 1.0)
    for _ in range(STEPS):
        weighted = design.T @ sparse.diags_array(weights)
        normal = (weighted @ design).toarray() / noise
        precision = 1.0 / variance[kind_of]
        normal[np.diag_indices_from(normal)] += precision
        factor = cho_factor(normal, lower=True, overwrite_a=True, check_finite=False)
        found = cho_solve(factor, (weighted @ target) / noise)
        own = np.clip((probes * cho_solve(factor, probes)).mean(axis=1), 0.0, variance[kind_of])
        residual = target - design @ found
        squares = np.bincount(kind_of, weights=found**2 + own, minlength=len(kinds))
        explained = noise * (len(names) - float(np.sum(own * precision)))
        noise = (float(np.sum(weights * residual**2)) + explained) / len(rows)
        weights = (FREEDOM + 1) / (FREEDOM + residual**2 / noise)
        estimated = (PRIOR_COUNT * guess + squares) / (PRIOR_COUNT + counts)
        variance = np.where(fixed, variance, estimated)
    return Effects(
        {effect: float(v) for effect, v in zip(names, mean + found, strict=True)},
        {kind: priors[kind].mean for kind in kinds},
        {kind: float(np.sqrt(v)) for kind, v in zip(kinds, variance, strict=True)},
        {"all": float(np.sqrt(noise))},
    )


def packed(effects: Effects) -> Json:
    """Return a short form: words of the names once, effects as flat lists of places of words and steps of GRID. Effects that
    round to 0 are left away.
    """
    words: dict[str, int] = {}
    lists: dict[str, list[list[int]]] = {}
    for (kind, name), value in effects.values.items():
        if steps := round(value / GRID):
            lists.setdefault(kind, []).append([*(words.setdefault(w, len(words)) for w in name.split("|")), steps])
    return {
        "words": list(words),
        "values": {kind: [len(items[0]), *(n for item in items for n in item)] for kind, items in lists.items()},
        "means": {kind: m for kind, m in effects.means.items() if m},
        "spreads": {kind: round(s, 3) for kind, s in effects.spreads.items()},
        "errors": {kind: round(e, 4) for kind, e in effects.errors.items()},
    }


def unpacked(value: Json) -> Effects:
    """Return what `packed` wrote."""
    words, values = value["words"], {}
    for kind, (size, *numbers) in value["values"].items():
        for at in range(0, len(numbers), size):
            *places, steps = numbers[at : at + size]
            values[kind, "|".join(words[i] for i in places)] = steps * GRID
    return Effects(values, value["means"], value["spreads"], value["errors"])


def _repeated(rows: Sequence[Terms]) -> set[str]:
    """Return the kinds that tell no more rows apart than an earlier kind (in a table of one runtime, `runtime x network` is
    `network`): two names for one effect would share it.
    """
    columns: dict[str, list[tuple[tuple[str, float], ...]]] = {}
    for i, row in enumerate(rows):
        for (kind, name), c in row.items():
            columns.setdefault(kind, [()] * len(rows))[i] += ((name, c),)
    seen: dict[tuple[object, ...], str] = {}
    repeated = set()
    for kind, cells in columns.items():
        numbers: dict[str, int] = {}
        shape = tuple(tuple((numbers.setdefault(name, len(numbers)), c) for name, c in cell) for cell in cells)
        if seen.setdefault(shape, kind) != kind:
            repeated.add(kind)
    return repeated


def _design(rows: Sequence[Terms], place: Mapping[tuple[str, str], int]) -> sparse.csr_array:
    data = [c for row in rows for c in row.values()]
    columns = [place[effect] for row in rows for effect in row]
    starts = np.cumsum([0, *(len(row) for row in rows)])
    return sparse.csr_array((data, columns, starts), shape=(len(rows), len(place)))
