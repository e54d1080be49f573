"""The most sensitive changes, by racing on an oracle: clearly better or worse ones are dropped after few samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.statistics.racing import Race, race
from workbench.sweep.space import Codes, Space

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Answer(Protocol):
    """What a race reads of an oracle's answer (`workbench.truth.Evaluated`)."""

    @property
    def losses(self) -> F64:
        """What every sample loses, [P, n]."""
        ...

    @property
    def correct(self) -> npt.NDArray[np.bool_] | None:
        """Right or wrong, [P, n]."""
        ...


class Source(Protocol):
    """What a race asks of an oracle (`workbench.truth.Oracle`)."""

    @property
    def space(self) -> Space:
        """The space of plans."""
        ...

    @property
    def samples(self) -> int:
        """How many samples there are."""
        ...

    def evaluate(self, codes: Codes, samples: Ints | None = None) -> Answer:
        """Return the results of plans on some samples."""
        ...


@dataclass(frozen=True, eq=False)
class SensitivityRace:
    """A race among single changes. group, format: of every change (indices into the space), int64 [K]. race: in their order."""

    group: Ints
    format: Ints
    race: Race

    def top(self) -> list[tuple[int, int]]:
        """Return the chosen changes as (group, format), the most sensitive first."""
        return [(int(self.group[i]), int(self.format[i])) for i in self.race.chosen]


def single_changes(space: Space, baseline: Codes, formats: tuple[str, ...] | None = None) -> tuple[Ints, Ints, Codes]:
    """Return (group [K], format [K], codes [K, G]) of every change of one group away from the baseline [G], in order."""
    pairs = [
        (g, f)
        for g, names in enumerate(space.formats)
        for f, name in enumerate(names)
        if f != baseline[g] and (formats is None or name in formats)
    ]
    if not pairs:
        raise InputError("no group has another format than the baseline's: nothing to compare. Offer more formats.")
    group, fmt = (np.array(part, np.int64) for part in zip(*pairs, strict=True))
    codes = np.repeat(np.asarray(baseline, np.uint8)[None], len(pairs), axis=0)
    codes[np.arange(len(pairs)), group] = fmt
    return group, fmt, codes


def race_sensitivities(
    oracle: Source,
    baseline: Codes,
    formats: tuple[str, ...] | None = None,
    top: float = 0.25,
    budget: float = 0.2,
    by_losses: bool = True,
    seed: int = 0,
) -> SensitivityRace:
    """Return the `top` share of single changes that lose most, at `budget` of the evaluations of all of them.

    formats: only changes to these; all without. by_losses: by the mean loss, which is smooth where right and wrong are flat; else by
    the share wrong. Since all changes run on the same samples, comparing two of them needs no run of the baseline.

    Raises: InputError for one candidate or a share out of (0, 1], and by_losses=False where samples are not right or wrong.
    """
    group, fmt, codes = single_changes(oracle.space, baseline, formats)
    for name, value in (("top", top), ("budget", budget)):
        if not 0.0 < value <= 1.0:
            raise InputError(f"race: {name} is {value}; a share above 0 and up to 1 fits.")

    def draw(rows: Ints, samples: Ints) -> F64:
        found = oracle.evaluate(codes[rows], samples)
        if by_losses:
            return found.losses
        if found.correct is None:
            raise InputError("race: this metric has no right or wrong samples; race by losses.")
        return (~found.correct).astype(np.float64)

    return SensitivityRace(group, fmt, race(draw, len(codes), oracle.samples, top, budget, seed))
