"""The programs of all coalitions of switches, with those switches made one that no kernel can follow apart: as few as can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from workbench.comparison.hybrid import Hybrids
from workbench.comparison.switches import Switch, chosen, merge
from workbench.errors import UnsupportedError
from workbench.execute import Program
from workbench.graph.ir import Array

Parts = tuple[int, ...]
"""Switches that are thrown together, as masks: disjoint, ordered by their lowest bit, all of them together every switch."""


class Conflict(NamedTuple):
    """Switches of which no coalition is supported that has all of `thrown` and none of `left`; with one fewer in them, some is."""

    thrown: tuple[int, ...]
    left: tuple[int, ...]


class Union(NamedTuple):
    """Two switches whose parts were made one, and the conflict that this ends."""

    one: int
    other: int
    conflict: Conflict


def separate(hybrids: Hybrids, switches: Sequence[Switch]) -> tuple[list[Switch], list[Program], list[str]]:
    """Return switches, the program of every coalition (by mask), and which switches had to be thrown together, in words.

    Raises: UnsupportedError when a target itself cannot run the model.
    """
    programs = [_program(hybrids, chosen(switches, mask)) for mask in range(1 << len(switches))]
    for end in (programs[0], programs[-1]):
        if isinstance(end, UnsupportedError):
            raise end
    refused = np.array([isinstance(p, UnsupportedError) for p in programs])
    parts, unions = finest_parts(refused, len(switches))
    found = [_merged(switches, part) for part in parts]
    notes = [_why(switches, u, programs[example(refused, u.conflict)]) for u in unions]
    return found, [programs[mask] for mask in _coalitions(parts)], notes  # type: ignore[misc]  # none of them is refused


def _program(hybrids: Hybrids, places: frozenset[Any]) -> Program | UnsupportedError:
    try:
        return hybrids.program(places)
    except UnsupportedError as problem:
        return problem


def finest_parts(refused: Array, count: int) -> tuple[Parts, tuple[Union, ...]]:
    """Return the largest number of parts of which every coalition is supported, and how single switches became these.

    Every conflict ends only when the part of a switch that it has thrown and that of one that it has left are made one: otherwise the
    parts of all that are thrown are a refused coalition. All such unions are tried, breadth first, so that the fewest are found.

    Args:
        refused: bool [2**count], by mask of switches; False for none and for all of them.
    """
    table = refused.reshape((2,) * count).transpose()  # axis i: whether switch i is thrown
    pairs = [Conflict((i,), (j,)) for i, j in permutations(range(count), 2) if _needs(table, i, j)]
    level: dict[Parts, tuple[Union, ...]] = {tuple(1 << i for i in range(count)): ()}
    while True:
        following: dict[Parts, tuple[Union, ...]] = {}
        for parts, unions in level.items():
            found = next((mask for mask in _coalitions(parts) if refused[mask]), None)
            if found is None:
                return parts, unions
            conflict = next((c for c in pairs if not _ended(c, parts)), None) or _conflict(table, found)
            for one, other in product(*conflict):
                apart = [p for p in parts if not (p >> one | p >> other) & 1]
                joined = sum(p for p in parts if p not in apart)
                following.setdefault(tuple(sorted((*apart, joined), key=_lowest)), (*unions, Union(one, other, conflict)))
        level = following


def _needs(table: Array, one: int, other: int) -> bool:
    """True when no coalition is supported that has one switch without the other."""
    state: dict[int, int] = {one: 1, other: 0}
    return bool(table[tuple(state.get(i, slice(None)) for i in range(table.ndim))].all())


def _ended(conflict: Conflict, parts: Parts) -> bool:
    return any(p >> i & p >> j & 1 for p in parts for i, j in product(*conflict))


def _lowest(mask: int) -> int:
    return mask & -mask


def _conflict(table: Array, mask: int) -> Conflict:
    """Return what a refused coalition is refused for. table: bool [2] * switches."""
    fixed: list[Any] = [mask >> i & 1 for i in range(table.ndim)]
    for i, thrown in enumerate(fixed):
        fixed[i] = slice(None)  # whether this switch is thrown does not matter ...
        if not table[tuple(fixed)].all():
            fixed[i] = thrown  # ... but it does
    return Conflict(*(tuple(i for i, v in enumerate(fixed) if v == state) for state in (1, 0)))


def example(refused: Array, conflict: Conflict) -> int:
    """Return a refused coalition that shows a conflict: the first that is mended either way, else that of `thrown` alone."""
    thrown, left = (sum(1 << i for i in switches) for switches in conflict)
    masks = [mask for mask in range(len(refused)) if mask & thrown == thrown and not mask & left]
    return next((mask for mask in masks if not refused[mask | left] and not refused[mask & ~thrown]), thrown)


def _coalitions(parts: Parts) -> Iterator[int]:
    """Yield the switches of every coalition of parts, by its mask of parts."""
    for mask in range(1 << len(parts)):
        yield sum(part for i, part in enumerate(parts) if mask >> i & 1)


def _merged(switches: Sequence[Switch], part: int) -> Switch:
    own = [s for i, s in enumerate(switches) if part >> i & 1]
    return own[0] if len(own) == 1 else merge(own, " + ".join(s.name for s in own))


def _why(switches: Sequence[Switch], union: Union, problem: object) -> str:
    one, other = switches[union.one].name, switches[union.other].name
    thrown, left = (" and ".join(f"'{switches[i].name}'" for i in part) for part in union.conflict)
    return f"'{one}' and '{other}' are switched together. {thrown} without {left}: {problem}"
