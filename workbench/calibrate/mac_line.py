"""The naive model that every other one has to beat: a line in multiply-accumulates per device, runtime and precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from workbench.calibrate.family import Json, Sample
from workbench.calibrate.table_facts import TableFacts

LEAST_NETWORKS = 3


@dataclass(frozen=True)
class Lines:
    """log seconds = a + b * log MACs. lines: target and precision, else runtime and precision, else kind of engine, else ''."""

    lines: Mapping[str, tuple[float, float]]

    @staticmethod
    def fit(samples: Sequence[Sample]) -> Lines:
        """Return per group the better (median relative error of its rows) of a line and a proportion, from rows with known
        MACs.
        """
        groups: dict[str, list[Sample]] = {}
        for sample in samples:
            for key in _keys(sample):
                groups.setdefault(key, []).append(sample)
        found = {key: _line(group) for key, group in sorted(groups.items())}
        return Lines({key: line for key, line in found.items() if line is not None})

    def predict(self, sample: Sample) -> float | None:
        """Return seconds from the narrowest group that has a line (None without MACs or without any)."""
        macs = sample.facts.macs
        line = next((self.lines[key] for key in _keys(sample) if key in self.lines), None)
        return exp(line[0] + line[1] * log(macs)) if line is not None and macs > 0 else None

    def to_json(self) -> Json:
        """Return the lines, the words of their names once."""
        words: dict[str, int] = {}
        lines = [
            [[words.setdefault(w, len(words)) for w in key.split("|")], round(a, 3), round(b, 3)]
            for key, (a, b) in self.lines.items()
        ]
        return {"words": list(words), "lines": lines}

    @staticmethod
    def load(value: Json) -> Lines:
        """Return what `to_json` wrote."""
        return Lines({"|".join(value["words"][i] for i in places): (a, b) for places, a, b in value["lines"]})


def _keys(sample: Sample) -> list[str]:
    f: TableFacts = sample.facts
    return [f"{f.target}|{f.precision}", f"{f.runtime}|{f.precision}", f.engine.kind, ""]


def _line(samples: Sequence[Sample]) -> tuple[float, float] | None:
    rows = [s for s in samples if s.facts.macs > 0]
    if len({s.facts.network for s in rows}) < LEAST_NETWORKS:
        return None
    x, y = np.log([s.facts.macs for s in rows]), np.log([s.measured for s in rows])
    lines = [(float(np.median(y - x)), 1.0)]
    if np.ptp(x) > 0:
        slope, start = np.polyfit(x, y, 1)
        lines.append((float(start), float(slope)))
    return min(lines, key=lambda line: float(np.median(np.abs(np.expm1(line[0] + line[1] * x - y)))))
