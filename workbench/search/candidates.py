"""The plans that a search looks at: the first ones, and the pool that a surrogate ranks."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from workbench.sweep import Codes, Space

POOL = 100_000
"""Plans that are ranked in each round: all of a space up to this size, else a pool made anew in each round."""

GROWN = 6_000
"""Plans of a pool that is made anew: half of them next to plans that look good, a quarter crossed, a quarter drawn
uniformly."""


def unique(codes: Codes) -> Codes:
    """Return plans [P, G] without repetitions, the first of each kept, in order."""
    _, first = np.unique(codes, axis=0, return_index=True)
    return codes[np.sort(first)]


def without(codes: Codes, known: Container[bytes]) -> Codes:
    """Return the plans [P, G] whose bytes are not known, each once, in order."""
    codes = unique(codes)
    return codes[np.array([code.tobytes() not in known for code in codes], np.bool_)]


def one_format(space: Space) -> Codes:
    """Return the default's plan, then those of one format everywhere, [P, G]."""
    formats = dict.fromkeys((space.default, *(name for names in space.formats for name in names)))
    return unique(np.array([space.uniform(name) for name in formats]))


def first_plans(space: Space) -> Codes:
    """Return the plans that every search begins with: the default's, every single change of it, and one format everywhere, [P,
    G]."""
    base = space.uniform(space.default)
    changed = [(g, f) for g, names in enumerate(space.formats) for f in range(len(names)) if f != base[g]]
    singles = np.repeat(base[None], len(changed), axis=0)
    for row, (g, f) in enumerate(changed):
        singles[row, g] = f
    return unique(np.concatenate((one_format(space), singles)))


def grown(space: Space, good: Codes, rng: np.random.Generator, count: int = GROWN) -> Codes:
    """Return a pool for a space that is too large to list: changes of one to three groups of good plans, crossings of two of
    them, and uniform draws, [at most count, G]."""
    groups = np.arange(good.shape[1])
    near = good[rng.integers(len(good), size=count // 2)].copy()
    for _ in range(3):
        group = rng.integers(len(groups), size=len(near))
        # The first change always, the second and third each half of the time: mostly single steps, some pairs and exchanges.
        change = rng.random(len(near)) < (1.0 if _ == 0 else 0.5)
        fmt = rng.integers(0, space.radices[group])
        near[np.flatnonzero(change), group[change]] = fmt[change]
    one, other = good[rng.integers(len(good), size=(2, count // 4))]
    # Two points: the formats of a stretch of neighbouring groups come from the other plan.
    cuts = np.sort(rng.integers(0, len(groups) + 1, size=(len(one), 2)), axis=1)
    inside = (groups >= cuts[:, :1]) & (groups < cuts[:, 1:])
    return unique(np.concatenate((near, np.where(inside, other, one), space.draw(count // 4, rng))))
