"""Taking turns: calls that are compared run one after another within every round, and a ratio is the median of the rounds' ratios."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


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

    def ratio(self, name: str, base: str) -> float:
        """Return how many times as fast as `base` a call is: median of the rounds' ratios."""
        return statistics.median(b / a for a, b in zip(self.rounds[name], self.rounds[base], strict=True))


def take_turns(
    calls: Mapping[str, tuple[Callable[[], Any], float]], slot: float = 0.03, rounds: int = 9, seconds: float = math.inf
) -> Times:
    """Time every call in every round, each for about `slot` seconds.

    calls: name -> (call, units of work of one call). rounds: at most; when `seconds` are over, no new round begins after the third.
    """
    repeats = {}
    for name, (call, _) in calls.items():
        call()  # compiles, allocates, fills caches
        began = time.perf_counter()
        call()
        repeats[name] = max(1, math.ceil(slot / max(time.perf_counter() - began, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= 3 and time.perf_counter() - start > seconds:
            break
        for name, (call, units) in calls.items():
            began = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.perf_counter() - began) / repeats[name] / units)
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
        part.write_text(json.dumps(result, indent=1) + "\n")
        part.replace(path)
