"""Racing: which candidates are in the top share, with as few evaluations as possible.

All candidates still in the race are evaluated on the same samples, drawn without replacement. After every look, a candidate that is
certainly above the boundary is in, one that is certainly below is out; neither is evaluated any more, and what is left of the
budget goes to those about which it is open. "Certainly" is by paired comparisons with as many others as must be below for it to be
in, or above for it to be out (Hoeffding races: O. Maron, A. Moore, Artificial Intelligence Review 11 (1997) 193-225; here by the t of
paired differences, as in the F-races of M. Birattari et al., GECCO 2002, 11-18: bounds for any distribution need more samples than
there are). The level is
split over looks and candidates; the variance of a mean of samples drawn without replacement is smaller by the share not yet drawn
(W. G. Cochran, "Sampling Techniques", 1977, section 2.6).

So that the budget is enough, the candidate whose mean is farthest from the boundary also leaves when its share of the budget is used
(successive accepts and rejects: S. Bubeck, T. Wang, N. Viswanathan, "Multiple identifications in multi-armed bandits", ICML 2013),
in or out by its mean alone: such candidates are called *tied*. How often all that is right: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from workbench.errors import InputError
from workbench.statistics.checks import numbers

F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Draw = Callable[[Ints, Ints], F64]
"""Evaluates candidates [K'] on samples [n']: what every sample loses, [K', n']."""

FIRST_LOOK = 16
GROWTH = 1.4
"""Samples at the first look, and how much more there are at the next."""
ERROR = 0.05
"""How often a race may decide something wrong by evidence: split over the looks and the candidates."""

Verdict = Literal["in", "out", "tied in", "tied out"]


@dataclass(frozen=True)
class Runner:
    """A candidate of a race. mean: of its losses on the samples it used. low, high: 95 % interval of the mean over all samples, at
    whichever look the race stopped (the level is split over the looks).

    verdict: 'in' or 'out' were decided by evidence, 'tied in' and 'tied out' by the mean alone, for want of budget.
    """

    mean: float
    low: float
    high: float
    samples: int
    verdict: Verdict

    @property
    def decided(self) -> bool:
        """Whether evidence decided."""
        return not self.verdict.startswith("tied")


@dataclass(frozen=True)
class Race:
    """What a race found. runners: in the order of the candidates. chosen: the top, largest mean first. spent: evaluations of one
    candidate on one sample, as a share of all."""

    runners: tuple[Runner, ...]
    chosen: tuple[int, ...]
    spent: float

    @property
    def decided(self) -> bool:
        """Whether evidence decided every candidate."""
        return all(r.decided for r in self.runners)


EVIDENCE, MEAN = 1, 2
"""What decided a place: the sign says in (+) or out (-), 0 is open."""


@dataclass
class _State:
    """seen: losses of every candidate, in the order drawn. place: see `EVIDENCE`. wanted: how many may be in. drawn: samples so far."""

    seen: list[F64]
    place: Ints
    wanted: int
    samples: int
    drawn: int = 0

    def active(self) -> Ints:
        return np.flatnonzero(self.place == 0)

    def places(self) -> int:
        return self.wanted - int((self.place > 0).sum())


def race(draw: Draw, candidates: int, samples: int, top: float = 0.25, budget: float = 0.2, seed: int = 0) -> Race:
    """Return the `top` share of candidates with the largest mean loss over all samples.

    budget: the most evaluations, as a share of candidates x samples. The same seed draws the same samples.
    """
    if candidates < 1 or samples < 1:
        raise InputError(f"a race of {candidates} candidates on {samples} samples; give at least one of either")
    wanted = min(max(1, round(candidates * top)), candidates)
    state = _State([np.empty(0)] * candidates, np.zeros(candidates, np.int64), wanted, samples)
    order = np.random.default_rng(seed).permutation(samples)
    looks = max(1, math.ceil(math.log(max(samples / FIRST_LOOK, 1.0)) / math.log(GROWTH)) + 1)
    level = 1.0 - ERROR / looks / candidates
    room, look = int(budget * candidates * samples + 1e-9), FIRST_LOOK
    while len(active := state.active()):
        share = max(_share(len(active), state.drawn, room, samples), state.drawn)
        until = min(look, share, state.drawn + room // len(active), samples)
        if until > state.drawn:
            values = np.asarray(draw(active, order[state.drawn : until]), np.float64)
            numbers("losses of a race", values)
            for row, part in zip(active, values, strict=True):
                state.seen[row] = np.concatenate((state.seen[row], part))
            room -= len(active) * (until - state.drawn)
            state.drawn = until
        if until in (look, samples):
            look = math.ceil(look * GROWTH)
            _decide(state, active, level)
        if until == share or room < len(active):
            _leave(state)
    return _result(state, looks)


def _share(active: int, drawn: int, room: int, samples: int) -> int:
    """Return after how many samples the next candidate leaves: when the last two have c / 2 and the i-th last one c / i, the budget is
    used. drawn: samples that the active ones have; room: evaluations that are left."""
    if active < 2 or active * (samples - drawn) <= room:
        return samples
    parts = np.concatenate(([2.0], np.arange(2.0, active + 1)))
    low, high = 0.0, float(samples * active)
    for _ in range(40):
        c = (low + high) / 2
        affordable = np.maximum(np.minimum(c / parts, samples) - drawn, 0.0).sum() <= room
        low, high = (c, high) if affordable else (low, c)
    return min(int(low / active), samples)


def _decide(state: _State, active: Ints, level: float) -> None:
    """Mark who is in or out by evidence; everyone as soon as the places left are none or as many as the candidates left."""
    places, drawn = state.places(), state.drawn
    if _trivial(state, active, places) or drawn < 2:
        return
    seen = np.stack([state.seen[row] for row in active])
    order = np.argsort(-seen.mean(axis=1), kind="stable")
    # Those that left by their mean may belong on the other side: so many places are not certain.
    tied_in, tied_out = int((state.place == MEAN).sum()), int((state.place == -MEAN).sum())
    for sign, at in ((1, places - tied_out), (-1, places - 1 + tied_in)):
        if not 0 <= at < len(active):
            continue
        # In: surely ahead of as many as there are without a place; out: surely behind as many as there are places. To be past the
        # boundary's candidate alone is not enough, since the means may have the wrong one there.
        needed = len(active) - at if sign > 0 else at + 1
        hopeful = np.flatnonzero(_ahead(sign * (seen - seen[order[at]]), state.samples, level))
        certain = [i for i in hopeful if _ahead(sign * (seen[i] - seen), state.samples, level).sum() >= needed]
        state.place[active[certain]] = sign * EVIDENCE
    _trivial(state, state.active(), state.places())


def _ahead(lead: F64, samples: int, level: float) -> npt.NDArray[np.bool_]:
    """Return which leads [K, n] on n of so many samples are surely above 0 on all of them (one-sided t)."""
    drawn = lead.shape[1]
    mean, spread = lead.mean(axis=1), lead.std(axis=1, ddof=1)
    error = spread * math.sqrt(max(1.0 - drawn / samples, 0.0) / drawn)
    # A lead on few samples that is always the same is no proof; when all samples are drawn nothing is uncertain.
    sure = (mean > float(stdtrit(drawn - 1, level)) * error) & (mean > 0) & ((spread > 0) | (drawn == samples))
    return np.asarray(sure, np.bool_)


def _trivial(state: _State, active: Ints, places: int) -> bool:
    """Fill or close the places left where there is nothing to compare any more; certain when every place before was."""
    if places not in (0, len(active)):
        return False
    by = EVIDENCE if np.all(np.abs(state.place) <= EVIDENCE) else MEAN
    state.place[active] = by if places else -by
    return True


def _leave(state: _State) -> None:
    """Let the candidate leave whose mean is farthest from the boundary: in when it is above."""
    active, places = state.active(), state.places()
    if not len(active) or _trivial(state, active, places):
        return
    mean = np.array([state.seen[row].mean() if len(state.seen[row]) else 0.0 for row in active])
    order = np.argsort(-mean, kind="stable")
    above, below = mean[order[0]] - mean[order[places]], mean[order[places - 1]] - mean[order[-1]]
    state.place[active[order[0 if above >= below else -1]]] = MEAN if above >= below else -MEAN


def _result(state: _State, looks: int) -> Race:
    """Say what is known of every candidate."""
    names: dict[int, Verdict] = {EVIDENCE: "in", -EVIDENCE: "out", MEAN: "tied in", -MEAN: "tied out"}
    runners = []
    for place, values in zip(state.place.tolist(), state.seen, strict=True):
        n = len(values)
        mean, half = float(values.mean()) if n else math.nan, math.inf
        if n > 1:
            error = float(values.std(ddof=1)) * math.sqrt(max(1.0 - n / state.samples, 0.0) / n)
            half = float(stdtrit(n - 1, 1.0 - 0.025 / looks)) * error
        runners.append(Runner(mean, mean - half, mean + half, n, names[place]))
    chosen = sorted(np.flatnonzero(state.place > 0).tolist(), key=lambda i: (-runners[i].mean, i))
    spent = sum(r.samples for r in runners) / (len(runners) * state.samples)
    return Race(tuple(runners), tuple(chosen), spent)
