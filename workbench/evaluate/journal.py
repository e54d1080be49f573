"""Results are an append-only file of records, one JSON object per line, keyed by a content hash.

The key covers every prepared step (operators, constants, scales, arithmetic, kernel sources), the samples and the reference, so
an entry can never be used for anything else. A line cut off by a crash is ignored and written again.
"""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.precision import PrecisionPlan

VERSION = 1
"""Part of every key: raised when the meaning of a record changes."""


@dataclass(frozen=True, eq=False)
class Record:
    """The exact result of one plan on one target and one set of samples.

    metrics: figure by metric name. predictions: class per sample (int64 [N]); correct: bool [N], or None without labels.
    """

    key: str
    profile: str
    plan: PrecisionPlan
    data: str
    samples: int
    metrics: Mapping[str, float]
    predictions: npt.NDArray[np.int64]
    correct: npt.NDArray[np.bool_] | None

    def to_json(self) -> str:
        """Return one line of JSON."""
        row: dict[str, Any] = {
            "version": VERSION,
            "key": self.key,
            "profile": self.profile,
            "plan": {"default": self.plan.default, "layers": dict(self.plan.layers)},
            "data": self.data,
            "samples": self.samples,
            "metrics": {k: _number(v) for k, v in self.metrics.items()},
            "predictions": base64.b64encode(zlib.compress(self.predictions.astype("<u4").tobytes(), 6)).decode(),
        }
        if self.correct is not None:
            row["correct"] = base64.b64encode(np.packbits(self.correct).tobytes()).decode()
        return json.dumps(row, separators=(",", ":"))

    @staticmethod
    def from_json(line: str) -> Record:
        """Return the record of a line; ValueError, KeyError or zlib.error when it is damaged."""
        row = json.loads(line)
        if row["version"] != VERSION:
            raise ValueError("another version")
        n = int(row["samples"])
        predicted = np.frombuffer(zlib.decompress(base64.b64decode(row["predictions"])), "<u4").astype(np.int64)
        correct = None
        if "correct" in row:
            correct = np.unpackbits(np.frombuffer(base64.b64decode(row["correct"]), np.uint8))[:n].astype(np.bool_)
        if len(predicted) != n or (correct is not None and len(correct) != n):
            raise ValueError("wrong length")
        plan = PrecisionPlan.of(row["plan"]["default"], row["plan"]["layers"])
        metrics = {k: float(v) for k, v in row["metrics"].items()}
        return Record(row["key"], row["profile"], plan, row["data"], n, metrics, predicted, correct)


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


@dataclass
class Journal:
    """Records by key, in memory and (when `path` is given) on disk."""

    path: Path | None = None
    records: dict[str, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                self._load(self.path)
        except OSError as problem:
            raise InputError(f"{self.path}: the journal cannot be opened: {problem.strerror}.") from None

    def _load(self, path: Path) -> None:
        raw = path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        for line in raw[:whole].decode("utf-8", errors="replace").splitlines():
            try:
                record = Record.from_json(line)
            except (ValueError, KeyError, TypeError, zlib.error, InputError):
                continue
            self.records[record.key] = record
        if whole < len(raw):  # a crash cut the last line off: take the torn part away so that the next record starts clean
            with path.open("r+b") as file:
                file.truncate(whole)

    def add(self, records: Iterable[Record]) -> None:
        """Append records and make them durable before returning."""
        fresh = [r for r in records if r.key not in self.records]
        for record in fresh:
            self.records[record.key] = record
        if self.path is None or not fresh:
            return
        text = "".join(r.to_json() + "\n" for r in fresh).encode()
        try:
            with self.path.open("ab") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise InputError(
                f"{self.path}: results cannot be written: {problem.strerror}.\n"
                "Free some space or choose another folder with --out; finished plans are kept and will not run again."
            ) from None
