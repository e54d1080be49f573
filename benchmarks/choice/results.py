"""Results of the benchmark: a line of JSON for every case, method, budget and seed; one file per case, appended to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Result:
    """One search, judged.

    budget: share of the exhaustive evaluations that it was given. state: digest of the table and of the method's code. recall, regret,
    volume, tau, tau_near: see `score.Truth` (NaN: does not apply). spent: evaluations, parts of the samples counted as such a
    part; plans: how many different ones were evaluated on all samples; size: of the space; front: points of the exact frontier.
    seconds: the search's own, without evaluating.
    """

    case: str
    method: str
    budget: float
    seed: int
    state: str
    size: int
    front: int
    recall: float
    regret: float
    volume: float
    tau: float
    tau_near: float
    spent: float
    plans: int
    seconds: float

    @property
    def key(self) -> tuple[str, str, float, int, str]:
        """What a result is a result of."""
        return self.case, self.method, self.budget, self.seed, self.state


class Results:
    """The results in a folder. A line that was torn by a kill is passed over, and its search run again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[tuple[Any, ...], Result] = {}
        for file in sorted(folder.glob("*.jsonl")):
            for line in file.read_text().splitlines():
                try:
                    found = Result(**json.loads(line))
                except (ValueError, TypeError):
                    continue
                self.rows[found.key] = found

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        return key in self.rows

    def add(self, result: Result) -> None:
        """Append a result to the file of its case."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{result.case}.jsonl"
        torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        with path.open("a") as file:
            file.write(("\n" if torn else "") + json.dumps(asdict(result)) + "\n")
        self.rows[result.key] = result

    def frame(self, cases: Iterable[str] | None = None) -> pd.DataFrame:
        """Return the latest result of every case, method, budget and seed, a row each."""
        latest = {row.key[:-1]: row for row in self.rows.values()}
        wanted = None if cases is None else set(cases)
        return pd.DataFrame([asdict(row) for row in latest.values() if wanted is None or row.case in wanted])
