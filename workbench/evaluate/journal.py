"""Results are an append-only file of records, one JSON object per line, keyed by a content hash.

The key covers every prepared step (operators, constants, scales, arithmetic, kernel sources), the samples, the graph and the
code of operators and metrics, so an entry can never be used for anything else. A line cut off by a crash is ignored and written again.
"""

from __future__ import annotations

import base64
import json
import math
import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.precision import PrecisionPlan

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

MARK = b'{"version":'
"""How the line of a record begins."""
VERSION = 3
"""Part of every key: raised when the meaning of a record changes. Lines of other versions are passed over."""
MAX_SCORES = 2**31 - 1
"""Most bytes of the scores of a record."""


@dataclass(frozen=True, eq=False, slots=True)
class Record:
    """The exact result of one plan on one target and one set of samples.

    metrics: figure by metric name. predictions: class per sample, unsigned integers [N]. What pairs plans under the deciding metric
    (`metric`): correct, bool [N], where each sample is right or wrong; otherwise scores, float64 [units, K].
    """

    key: str
    profile: str
    plan: PrecisionPlan
    data: str
    samples: int
    metrics: Mapping[str, float]
    predictions: npt.NDArray[np.integer[Any]]
    correct: npt.NDArray[np.bool_] | None
    scores: npt.NDArray[np.float64] | None = None
    metric: str = "top1"

    @property
    def evidence(self) -> npt.NDArray[Any]:
        """What pairs plans under the deciding metric."""
        found = self.correct if self.correct is not None else self.scores
        assert found is not None
        return found

    @property
    def figure(self) -> float:
        """The deciding metric."""
        return self.metrics[self.metric]

    def to_json(self) -> str:
        """Return one line of JSON. Classes take `bits` bits each, two of 4 bits in a byte, the first in the low half."""
        bits, packed = _pack(self.predictions)
        row: dict[str, Any] = {
            "version": VERSION,
            "key": self.key,
            "profile": self.profile,
            "plan": {"default": self.plan.default, "layers": dict(self.plan.layers)},
            "data": self.data,
            "samples": self.samples,
            "metrics": {k: _number(v) for k, v in self.metrics.items()},
            "bits": bits,
            "predictions": base64.b64encode(packed).decode(),
        }
        if self.correct is not None:
            row["correct"] = base64.b64encode(np.packbits(self.correct).tobytes()).decode()
        row["metric"] = self.metric
        if self.scores is not None:
            row["columns"] = self.scores.shape[1]
            row["scores"] = base64.b64encode(zlib.compress(self.scores.astype("<f8").tobytes(), 6)).decode()
        return json.dumps(row, separators=(",", ":"))

    @staticmethod
    def from_json(line: str | bytes) -> Record:
        """Return the record of a line; ValueError or KeyError when it is damaged."""
        row = json.loads(line)
        if row["version"] != VERSION:
            raise ValueError("another version")
        n = int(row["samples"])
        predicted = _unpack(_bytes(row["predictions"], n * row["bits"]), row["bits"], n)
        correct = None
        if "correct" in row:
            correct = np.unpackbits(np.frombuffer(_bytes(row["correct"], n), np.uint8))[:n].view(np.bool_)
        layers = {
            sys.intern(layer): sys.intern(fmt) for layer, fmt in row["plan"]["layers"].items()
        }  # one copy for all records
        plan = PrecisionPlan.of(sys.intern(row["plan"]["default"]), layers)
        metrics = {k: float(v) for k, v in row["metrics"].items()}
        metric = sys.intern(row["metric"])
        scores = _scores(row["scores"], row["columns"]) if "scores" in row else None
        return Record(
            row["key"], sys.intern(row["profile"]), plan, sys.intern(row["data"]), n, metrics, predicted, correct, scores, metric
        )  # fmt: skip


def _bytes(text: str, bits: int) -> bytes:
    data = base64.b64decode(text)
    if bits < 0 or len(data) != (bits + 7) // 8:
        raise ValueError("wrong length")
    return data


def _scores(text: str, columns: int) -> npt.NDArray[np.float64]:
    """Return scores [units, columns] of a line."""
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(text), MAX_SCORES)
    if columns < 1 or not unpacker.eof or len(data) % (8 * columns):
        raise ValueError("wrong length")
    return np.frombuffer(data, "<f8").astype(np.float64).reshape(-1, columns)


def _pack(classes: npt.NDArray[np.integer[Any]]) -> tuple[int, bytes]:
    """Return the bits of the widest class (4, 8, 16 or 32), and all classes in that many bits each."""
    most = int(classes.max(initial=0))
    if most >= 16:
        kind = np.min_scalar_type(most)
        return 8 * kind.itemsize, classes.astype(kind.newbyteorder("<")).tobytes()
    pairs = np.zeros(2 * ((len(classes) + 1) // 2), np.uint8)
    pairs[: len(classes)] = classes
    return 4, (pairs[::2] | pairs[1::2] << 4).tobytes()


def _unpack(packed: bytes, bits: int, count: int) -> npt.NDArray[np.integer[Any]]:
    if bits != 4:
        kind = np.dtype(f"u{bits // 8}")
        return np.frombuffer(packed, kind.newbyteorder("<")).astype(kind)
    pairs = np.frombuffer(packed, np.uint8)
    return np.stack((pairs & 15, pairs >> 4), axis=1).reshape(-1)[:count]


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


@dataclass
class Journal:
    """Records by key, in memory and (when `path` is given) on disk. Several processes may add to one file."""

    path: Path | None = None
    records: dict[str, Record] = field(default_factory=dict)
    _end: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                with self.path.open("rb") as file:
                    self._read(file)
        except OSError as problem:
            raise InputError(f"{self.path}: the journal cannot be opened: {problem.strerror}.") from None

    def _read(self, file: IO[bytes]) -> None:
        """Take over the whole lines that are new since the last look. What a crash cut off stays until something is written."""
        file.seek(self._end)
        text = file.read()
        if (
            self._end == 0
            and text
            and not any(line.startswith(MARK) for line in text.split(b"\n"))
            and not MARK.startswith(text)
        ):
            raise InputError(f"{self.path}: this file is not a journal, and it is left as it is. Name another one.")
        whole = text.rfind(b"\n") + 1
        self._end += whole
        for line in text[:whole].splitlines():
            try:
                record = Record.from_json(line)
            except (ValueError, KeyError, TypeError, AttributeError, InputError, zlib.error):
                continue
            self.records[record.key] = record

    def add(self, records: Iterable[Record]) -> None:
        """Append records and make them durable before returning; what cannot be written leaves the file as it was."""
        fresh = {r.key: r for r in records if r.key not in self.records}
        if self.path is not None and fresh:
            try:
                self._append(self.path, fresh)
            except OSError as problem:
                raise InputError(
                    f"{self.path}: results cannot be written: {problem.strerror}.\n"
                    "Free some space or choose another folder with --out; finished plans are kept and will not run again."
                ) from None
        self.records.update(fresh)

    def _append(self, path: Path, fresh: Mapping[str, Record]) -> None:
        with path.open("a+b", buffering=0) as file:  # unbuffered: nothing is left to be written after a failure
            _lock(file)
            self._read(file)  # what another process has added meanwhile
            left = memoryview("".join(r.to_json() + "\n" for key, r in fresh.items() if key not in self.records).encode())
            size = len(left)
            try:
                file.truncate(self._end)  # a line that a crash cut off
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except BaseException:  # a full disk, Ctrl-C
                file.truncate(self._end)
                raise
            self._end += size


def _lock(file: IO[bytes]) -> None:
    """Wait until no other process writes; released when the file is closed. Nothing where the system or the folder has no locks."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
