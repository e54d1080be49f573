"""Taking turns: calls that are compared run one after another within every round, and a ratio is the median of the rounds' ratios.

A ratio of two medians would mix rounds of a quiet machine with rounds of a busy one; the two entries of one round share its weather.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Call = tuple[Callable[[], Any], float]
"""(call, units of work of one call)."""

SURE = 0.95


class Middle(NamedTuple):
    """A median, and the interval that holds the true median with at least `SURE` (with fewer than six values: all of them)."""

    median: float
    low: float
    high: float


def middle(values: Sequence[float]) -> Middle:
    """Return the median between two order statistics: a value lies on either side of the true median like a coin that falls."""
    ordered, n = sorted(values), len(values)
    cut, missed = 0, 2 * (1 + n) / 2**n
    while missed <= 1 - SURE:
        cut += 1
        missed += 2 * math.comb(n, cut + 1) / 2**n
    return Middle(statistics.median(ordered), ordered[cut], ordered[n - 1 - cut])


@dataclass(frozen=True)
class Times:
    """Seconds of one unit of work, a list per call, one entry per round. The entries of a round belong together."""

    rounds: Mapping[str, list[float]]

    def seconds(self, name: str) -> float:
        """Return the median."""
        return statistics.median(self.rounds[name])

    def fastest(self, name: str) -> float:
        """Return the shortest."""
        return min(self.rounds[name])

    def ratio(self, name: str, base: str) -> Middle:
        """Return how many times as fast as `base` a call is: the middle of the rounds' ratios."""
        return middle([b / a for a, b in zip(self.rounds[name], self.rounds[base], strict=True)])


def take_turns(calls: Mapping[str, Call], slot: float, rounds: int, clock: Callable[[], float] = time.perf_counter) -> Times:
    """Time every call in every round, each for about `slot` seconds of `clock`."""
    repeats = {}
    for name, (call, _) in calls.items():
        call()  # compiles, allocates, fills caches
        began = clock()
        call()
        repeats[name] = max(1, math.ceil(slot / max(clock() - began, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, units) in calls.items():
            began = clock()
            for _ in range(repeats[name]):
                call()
            times[name].append((clock() - began) / repeats[name] / units)
    return Times(times)


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Return b of the least-squares line log y = a + b log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def arguments(text: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every section has."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds: does it work?")
    return parser


def save(path: Path | None, result: Mapping[str, Any]) -> None:
    """Write a section's figures, whole or not at all."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(_short(result), indent=1) + "\n")
        part.replace(path)


def _short(value: Any) -> Any:
    """Return the same with floats of six digits."""
    if isinstance(value, Mapping):
        return {key: _short(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_short(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
