"""`Program`: what every choice of a format for every group adds, as numbers: scores, costs, the arena at every step of the schedule.

A choice is a code (for every group the position of its format). Its quantities are linear in *columns*, each 1 or 0:

1. one for every (group, format);
2. one for every combination of classes in a `Factor`: groups whose formats meet, so that a conversion appears, or errors interact;
3. one for every `once`: something that is there as soon as one of some columns is chosen (the code of a kernel that converts).

A quantity is a constant and a sum over the columns (`sums`), or the largest of several such (`peaks`: of memory, one per step).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import prod

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Factor:
    """Groups that act together. classes: for every group, the class of each of its formats, 0 to the number of classes - 1.

    Formats of a class are alike here. The entries are all combinations of classes, the last group's changing first.
    """

    groups: tuple[int, ...]
    classes: tuple[tuple[int, ...], ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """How many classes every group has."""
        return tuple(max(own) + 1 for own in self.classes)

    @cached_property
    def size(self) -> int:
        """How many entries there are."""
        return prod(self.shape)

    def entries(self, codes: Codes) -> npt.NDArray[np.int64]:
        """Return the entry that each code [P, G] chooses, [P]."""
        found = np.zeros(len(codes), np.int64)
        for group, own, count in zip(self.groups, self.classes, self.shape, strict=True):
            found = found * count + np.array(own)[codes[:, group]]
        return found


@dataclass(frozen=True, eq=False)
class Linear:
    """Functions of the columns: constant [R] and weights [R, C], R = 1 for a sum."""

    constant: F64
    weights: F64

    def times(self, factor: float) -> Linear:
        """Return the same in another unit."""
        return Linear(self.constant * factor, self.weights * factor)


@dataclass(frozen=True, eq=False)
class Program:
    """options: how many formats every group has. ties: groups that have equal positions (they share a tensor).

    sums, peaks: quantities by name; a peak is the largest of its rows. once: for each, which of the columns of options and factors
    bring it about, bool [K, V + W].
    """

    options: tuple[int, ...]
    factors: tuple[Factor, ...] = ()
    once: npt.NDArray[np.bool_] | None = None
    sums: Mapping[str, Linear] = field(default_factory=dict)
    peaks: Mapping[str, Linear] = field(default_factory=dict)
    ties: tuple[tuple[int, ...], ...] = ()

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where the columns of each group, then of each factor, then of `once` begin, and where they end."""
        sizes = [*self.options, *(factor.size for factor in self.factors), 0 if self.once is None else len(self.once)]
        return np.concatenate([[0], np.cumsum(sizes)])

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return int(self.starts[-1])

    @cached_property
    def blocks(self) -> list[slice]:
        """The columns of each group, then of each factor: exactly one of a block is 1."""
        ends = self.starts[:-1]
        return [slice(int(a), int(b)) for a, b in pairwise(ends)]

    def with_sums(self, sums: Mapping[str, Linear]) -> Program:
        """Return the program with other or further sums."""
        return replace(self, sums={**self.sums, **sums})

    def chosen(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Return the columns of codes [P, G], [P, C]."""
        found = np.zeros((len(codes), self.columns), np.bool_)
        rows, groups = np.arange(len(codes)), len(self.options)
        for g in range(groups):
            found[rows, self.starts[g] + codes[:, g]] = True
        for start, factor in zip(self.starts[groups:], self.factors, strict=False):
            found[rows, start + factor.entries(codes)] = True
        if self.once is not None:
            made = self.once.shape[1]
            found[:, made:] = found[:, :made].astype(np.float32) @ self.once.T.astype(np.float32) > 0.5
        return found

    def values(self, codes: Codes) -> dict[str, F64]:
        """Return every quantity of codes [P, G]: name -> [P]."""
        chosen = self.chosen(codes).astype(np.float64)
        made = {name: chosen @ rows.weights[0] + rows.constant[0] for name, rows in self.sums.items()}
        return made | {name: (chosen @ rows.weights.T + rows.constant).max(1) for name, rows in self.peaks.items()}


def additive(scores: Mapping[str, list[F64]], ties: tuple[tuple[int, ...], ...] = ()) -> Program:
    """Return a program of sums alone. scores: quantity -> for every group, what each of its formats adds."""
    options = tuple(len(own) for own in next(iter(scores.values())))
    sums = {name: Linear(np.zeros(1), np.concatenate(adds)[None, :].astype(np.float64)) for name, adds in scores.items()}
    return Program(options, sums=sums, ties=ties)
