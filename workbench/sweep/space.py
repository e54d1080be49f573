"""The space of plans: a format for every group, as small integers.

A plan is a *code*: for every group the position of its format among those on offer, uint8 [G]. Searches, tables and statistics work
on arrays of codes; `Space` turns them into plans and back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.precision import PrecisionPlan, parse_format
from workbench.sweep.groups import Group

Codes = npt.NDArray[np.uint8]
"""Plans as positions of formats: [P, G]."""

MOST_FORMATS = 255


@dataclass(frozen=True)
class Space:
    """Groups, and the formats on offer for each (those that the target has for it), in order.

    default: the plans' default format; layers in it are not named in a plan. Plans are numbered with the last group changing first.
    """

    groups: tuple[Group, ...]
    formats: tuple[tuple[str, ...], ...]
    default: str

    @staticmethod
    def of(groups: Sequence[Group], formats: Sequence[str] | Mapping[str, Sequence[str]], default: str | None = None) -> Space:
        """Return a checked space. formats: for all groups alike, or by the group's name. default: usually the baseline; the first
        format of the first group unless given.

        Raises: InputError without groups, for a group without formats, for an unknown format.
        """
        if not groups:
            raise InputError("no layers to choose formats for.")
        offered = tuple(tuple(dict.fromkeys(formats[g.name] if isinstance(formats, Mapping) else formats)) for g in groups)
        for group, names in zip(groups, offered, strict=True):
            if not names:
                raise InputError(f"no format for '{group.name}'.")
            if len(names) > MOST_FORMATS:
                raise InputError(f"{len(names)} formats for '{group.name}'; at most {MOST_FORMATS} fit.")
        for name in dict.fromkeys(itertools.chain.from_iterable(offered)):
            parse_format(name)
        return Space(tuple(groups), offered, default or offered[0][0])

    @cached_property
    def radices(self) -> npt.NDArray[np.int64]:
        """How many formats every group has, [G]."""
        return np.array([len(names) for names in self.formats], np.int64)

    @cached_property
    def size(self) -> int:
        """How many plans there are."""
        return math.prod(map(len, self.formats))

    def codes(self, numbers: npt.NDArray[np.int64] | range) -> Codes:
        """Return the plans of these numbers (0 to size - 1), [P, G]. For spaces of up to 2**63 plans."""
        left = np.asarray(numbers, np.int64)
        found = np.empty((len(left), len(self.groups)), np.uint8)
        for g in range(len(self.groups) - 1, -1, -1):
            left, found[:, g] = np.divmod(left, self.radices[g])
        return found

    def numbers(self, codes: Codes) -> npt.NDArray[np.int64]:
        """Return the numbers of plans, [P]. For spaces of up to 2**63 plans."""
        found = np.zeros(len(codes), np.int64)
        for g in range(len(self.groups)):
            found = found * self.radices[g] + codes[:, g]
        return found

    def draw(self, count: int, rng: np.random.Generator) -> Codes:
        """Return plans drawn uniformly, with replacement, [count, G]."""
        return rng.integers(0, self.radices, size=(count, len(self.groups)), dtype=np.int64).astype(np.uint8)

    def plan(self, code: npt.NDArray[np.integer[Any]] | Sequence[int]) -> PrecisionPlan:
        """Return the plan of one code."""
        pairs = [self._pairs[g][int(f)] for g, f in enumerate(code)]
        return PrecisionPlan(self.default, tuple(sorted(itertools.chain.from_iterable(pairs))))

    def plans(self, codes: Codes) -> list[PrecisionPlan]:
        """Return the plans of codes."""
        return [self.plan(code) for code in codes.tolist()]

    def code(self, plan: PrecisionPlan) -> Codes:
        """Return the code of a plan, [G]; InputError when the plan is not in the space."""
        own = dict(plan.layers)
        found = np.empty(len(self.groups), np.uint8)
        for g, (group, names) in enumerate(zip(self.groups, self.formats, strict=True)):
            wanted = {own.get(layer, plan.default) for layer in group.layers}
            if len(wanted) != 1 or not wanted <= set(names):
                raise InputError(
                    f"plan '{plan.label()}': '{group.name}' is in {', '.join(sorted(wanted))}; on offer: {', '.join(names)}."
                )
            found[g] = names.index(wanted.pop())
        return found

    def uniform(self, fmt: str) -> Codes:
        """Return the code with a format wherever it is on offer and the default elsewhere (the first where that is not), [G]."""
        return np.array(
            [names.index(next((f for f in (fmt, self.default) if f in names), names[0])) for names in self.formats], np.uint8
        )

    @cached_property
    def _pairs(self) -> list[list[tuple[tuple[str, str], ...]]]:
        """By group and format: what a plan says of its layers. Made once and shared by all plans."""
        return [
            [tuple((layer, fmt) for layer in g.layers if fmt != self.default) for fmt in names]
            for g, names in zip(self.groups, self.formats, strict=True)
        ]
