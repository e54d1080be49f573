"""Certificates: what is proven about a frontier, in words and as data that can be checked again.

exhaustive: every plan of the space was evaluated. program: a stated additive surrogate was solved to optimality. sampling: plans drawn
uniformly from the space and evaluated exactly bound the share of all plans that would improve the frontier.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from workbench.progress import Tick
from workbench.sweep import Codes, Space
from workbench.truth.frontier import pareto_front

F64 = npt.NDArray[np.float64]
Measure = Callable[[Codes, Tick | None], F64]
"""Exact values of plans [P, G] on the axes of a frontier, smaller is better: [P, A]."""

CONFIDENCE = 0.95
BATCH = 64
"""Draws evaluated between two looks at the clock."""
STREAM = 7
"""Sets the generator of the draws apart from that of a search with the same seed."""

AXIS_WORDS = {"loss": "mean loss", "ram": "RAM"}


@dataclass(frozen=True)
class Certificate:
    """What is proven about the plans that a target's search found.

    kind: 'exhaustive' (every plan was evaluated), 'program' (the stated program was solved with gap 0), 'sampling' (plans
    drawn uniformly and evaluated exactly bound the share that is better). text: what is proven, in words, with its figures. data: the
    same as plain data, as `certificate.json` has it.
    """

    kind: Literal["exhaustive", "program", "sampling"]
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One thing that was derived again. said: by the certificate or the verdict; found: now."""

    what: str
    said: str
    found: str
    ok: bool


@dataclass(frozen=True, eq=False)
class Sampled:
    """A sampling certificate, and the frontier with the draws that improved it: codes [F, G], values [F, A]."""

    certificate: Certificate
    frontier: Codes
    values: F64


def upper_share(successes: int, draws: int, error: float) -> float:
    """Return the exact one-sided upper bound of a share (C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404-413)."""
    return 1.0 if successes >= draws else float(betaincinv(successes + 1, draws - successes, 1.0 - error))


def draws_needed(improved: int, share: float, error: float) -> int:
    """Return the fewest draws n at which `improved` of them prove a share: P(Binomial(n, share) <= improved) <= error."""

    def proves(n: int) -> bool:
        return float(betainc(n - improved, improved + 1, 1.0 - share)) <= error

    low, high = improved, improved + 1
    while not proves(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if proves(middle) else (middle, high)
    return high


def improves(frontier: F64, values: F64) -> bool:
    """Return whether a plan's values [A] would join a frontier [F, A]: no plan there is at least as good on every axis."""
    return bool(np.isfinite(values).all()) and not bool((frontier <= values).all(axis=1).any())


def sampling_certificate(
    space: Space,
    measure: Measure,
    frontier: Codes,
    axes: Sequence[str],
    samples: int,
    *,
    metric: str = "the metric",
    share: float = 0.01,
    seed: int = 0,
    most: int | None = None,
    seconds: float | None = None,
    progress: Tick | None = None,
) -> Sampled:
    """Draw plans uniformly until fewer than `share` of all are proven, at 95 %, to improve the frontier, or the budget ends.

    A draw that improves the frontier as it is by then joins it. The share p of all plans that improve it falls with every plan that
    joins; while p > share, each draw improves with a chance above `share`, whatever happened before, so that k or fewer
    improvements in n draws have a chance below that of Binomial(n, share) <= k. Looks at k = 0, 1, 2, ... each have their own n
    (`draws_needed`) and half of the error that is left, so the claim is wrong with a chance of at most 5 % however it ended. When the
    budget ends first, the bound is that of Clopper and Pearson, at the error that is left, for the draws that improved the frontier as
    it was at the start.

    Args:
        frontier: plans found without these draws, [F, G]. samples: on which `measure` is exact; metric: what decides, in words (both
            for the text). most: draws at most.
    """
    rng = draw_generator(seed)
    start = measure(frontier, None)
    codes, values = frontier, start
    drawn, seen = np.empty((0, len(space.groups)), np.uint8), np.empty((0, start.shape[1]))
    improved: list[int] = []
    at_start = 0
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        outcome = conclude(len(drawn), len(improved), at_start, share)
        goal = outcome.next_look if most is None else min(outcome.next_look, most)
        if progress is not None:
            progress(len(drawn), len(drawn) if outcome.reached else goal)
        if outcome.reached or len(drawn) >= goal or (end is not None and time.monotonic() >= end):
            break
        batch = space.draw(min(BATCH, goal - len(drawn)), rng)
        found = measure(batch, None)
        for row, (code, value) in enumerate(zip(batch, found, strict=True), start=len(drawn)):
            at_start += improves(start, value)
            if improves(values, value):
                improved.append(row)
                codes, values = np.vstack((codes, code)), np.vstack((values, value))
        drawn, seen = np.concatenate((drawn, batch)), np.concatenate((seen, found))
    kept = pareto_front(values)
    data = {
        "kind": "sampling",
        "axes": list(axes),
        "metric": metric,
        "samples": samples,
        "plans": space.size,
        "share": share,
        "confidence": CONFIDENCE,
        "reached": outcome.reached,
        "bound": outcome.bound,
        "seed": seed,
        "draws": len(drawn),
        "draws_digest": digest(drawn),
        "draws_values": seen.tolist(),
        "improved": improved,
        "improved_at_start": at_start,
        "start": frontier.tolist(),
        "start_values": start.tolist(),
        "frontier": codes[kept].tolist(),
        "values": values[kept].tolist(),
    }
    return Sampled(Certificate("sampling", sampling_text(data), data), codes[kept], values[kept])


@dataclass(frozen=True)
class Outcome:
    """reached: the wanted share is proven. bound: of the share of plans that improve the frontier. next_look: draws until it may be."""

    reached: bool
    bound: float
    next_look: int


def conclude(draws: int, improved: int, improved_at_start: int, share: float) -> Outcome:
    """Return what draws prove (see `sampling_certificate`). improved: those that joined; improved_at_start: those that improved the
    frontier as it was before the first."""
    error, look = 1.0 - CONFIDENCE, 0
    while (needed := draws_needed(look, share, error / 2 ** (look + 1))) <= draws:
        if needed == draws and improved <= look:
            return Outcome(True, share, needed)
        look += 1
    return Outcome(False, upper_share(improved_at_start, draws, error / 2**look) if draws else 1.0, needed)


def draw_generator(seed: int) -> np.random.Generator:
    """Return the generator of a certificate's draws: independent of others with the same seed."""
    return np.random.default_rng([STREAM, seed])


def digest(array: npt.NDArray[Any]) -> str:
    """Return the SHA-256 of an array's content and shape."""
    return hashlib.sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def axes_words(data: Mapping[str, Any]) -> str:
    """Return the axes of a certificate in words: 'top-1 against flash'."""
    words = {**AXIS_WORDS, "metric": data["metric"]}
    first, *rest = (words.get(a, a) for a in data["axes"])
    return f"{first} against {' and '.join(rest)}" if rest else first


def sampling_text(data: Mapping[str, Any]) -> str:
    """Return what a sampling certificate proves."""
    k, n = len(data["improved"]), data["draws"]
    how = f"{n:,} drawn uniformly (seed {data['seed']}) and evaluated exactly on {data['samples']:,} samples"
    joined = "none improved it" if not k else f"{k:,} improved it and joined it"
    claim = (
        f"fewer than {100 * data['bound']:.3g} % of all {data['plans']:,} configurations improve this frontier "
        f"({axes_words(data)})"
    )
    if not n:
        return f"Nothing is proven about the rest of the {data['plans']:,} configurations: the budget left no draws."
    if data["reached"]:
        return f"With 95 % confidence {claim}: {how}, {joined}."
    k0 = data["improved_at_start"]
    rests = f"; the bound rests on the {k0:,} that improved the frontier as it was before the first draw" if k else ""
    return (
        f"With 95 % confidence {claim}; {100 * data['share']:.3g} % was wanted and the budget ended before: {how}, {joined}{rests}. "
        "A larger budget of evaluations or time would find more of the frontier and prove more."
    )


def exhaustive_certificate(
    space: Space,
    frontier: Codes,
    values: F64,
    axes: Sequence[str],
    samples: int,
    table: Mapping[str, Any],
    metric: str = "the metric",
) -> Certificate:
    """Return the certificate of a frontier [F, G] with values [F, A] of a whole table. table: its file's name and digest. metric: what
    decides, in words."""
    data = {
        "kind": "exhaustive", "axes": list(axes), "metric": metric, "samples": samples, "plans": space.size, "table": dict(table),
        "frontier": frontier.tolist(), "values": values.tolist(),
    }  # fmt: skip
    return Certificate("exhaustive", exhaustive_text(data), data)


def exhaustive_text(data: Mapping[str, Any]) -> str:
    """Return what an exhaustive certificate proves."""
    return (
        f"All {data['plans']:,} configurations were evaluated exactly on these {data['samples']:,} samples: none beats any of the "
        f"{len(data['frontier']):,} of the frontier ({axes_words(data)})."
    )


def recommended_text(data: Mapping[str, Any], chosen: Sequence[float], objective: str, tested: bool) -> str:
    """Return where a recommended plan stands to the frontier of an exhaustive certificate.

    Args:
        chosen: its values on the axes [A]. objective: what the study minimizes. tested: other samples had to prove a plan.
    """
    values, own = np.asarray(data["values"], np.float64), np.asarray(chosen, np.float64)
    same = np.isclose(values, own, rtol=1e-9, atol=1e-12)
    if same.all(axis=1).any():
        return "The recommended plan is one of them."
    better = int(((values <= own) | same).all(axis=1).sum())
    count = "the one that is" if better == 1 else f"the {better:,} that are"
    proven = "not proven on the other samples, beyond" if tested else "beyond"
    return (
        f"The recommended plan is not one of them: {count} better on these samples "
        f"{'was' if better == 1 else 'were'} {proven} a limit, or no better in {objective}."
    )
