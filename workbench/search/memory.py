"""`Memory`: the exact results that a search has, on disk as they come, so that a search that was stopped goes on.

A file of the plans evaluated: one line of JSON that says what the results are of, then one record of fixed length per plan
(code, badness float64, mean loss float64, losses float32 per sample, bits of the correct ones, CRC-32). Records are appended
and flushed after every block; a torn last one is cut off. The searches ask for the same plans in the same order, so a search
that goes on takes its first results from here and ends as an undisturbed one does."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.sweep import Codes
from workbench.truth.oracle import Oracle

F64 = npt.NDArray[np.float64]
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Row:
    """The exact result of one plan: badness, mean loss, losses float32 [n], and the correct samples, bool [n] or None."""

    badness: float
    loss: float
    losses: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_] | None


@dataclass(eq=False)
class Memory:
    """What an oracle said, in memory and, when a path is given, on disk. fresh: plans that were really evaluated."""

    oracle: Oracle
    path: Path | None = None
    fresh: int = 0
    _rows: dict[bytes, Row] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.path is not None:
            self._open(self.path)

    def evaluate(self, codes: Codes) -> list[Row]:
        """Return the exact results of plans [P, G] that all differ."""
        missing = np.array([code.tobytes() not in self._rows for code in codes], np.bool_)
        if missing.any():
            wanted = np.ascontiguousarray(codes[missing])
            self._keep(wanted, self._ask(wanted))
        return [self._rows[code.tobytes()] for code in codes]

    def _ask(self, codes: Codes) -> list[Row]:
        self.fresh += len(codes)
        found = self.oracle.evaluate(codes)
        means = found.losses.mean(axis=1)
        right = [None] * len(codes) if found.correct is None else list(found.correct)
        losses = found.losses.astype(np.float32)
        return [Row(float(b), float(m), loss, r) for b, m, loss, r in zip(found.badness, means, losses, right, strict=True)]

    def _keep(self, codes: Codes, rows: Sequence[Row]) -> None:
        if self.path is not None:
            with self.path.open("ab") as file:
                file.write(b"".join(_record(code, row) for code, row in zip(codes, rows, strict=True)))
                file.flush()
                os.fsync(file.fileno())
        self._rows.update((code.tobytes(), row) for code, row in zip(codes, rows, strict=True))

    def _open(self, path: Path) -> None:
        space = self.oracle.space
        head = {
            "format": FORMAT, "groups": [g.name for g in space.groups], "formats": space.formats, "default": space.default,
            "metric": self.oracle.metric.name, "samples": self.oracle.samples,
        }  # fmt: skip
        line = json.dumps(head).encode() + b"\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab"):
                pass
            data = path.read_bytes()
            if len(data) < len(line) and line.startswith(data):  # new, or stopped while its first line was written
                path.write_bytes(line)
                return
        except OSError as error:
            raise InputError(
                f"store: {path} cannot be written ({error}). Name a file in a folder that can be written."
            ) from None
        if not data.startswith(line):
            raise InputError(
                f"{path}: not the results of this search (other layers, formats, metric or samples). Name another file."
            )
        self._rows, end = _records(data, len(line), len(space.groups), self.oracle.samples)
        if end < len(data):
            os.truncate(path, end)
        self._check(path)

    def _check(self, path: Path) -> None:
        """Evaluate the first and the last stored plan again: a file of another network must not be taken for this one's. (Two
        that differ between other plans only are not told apart.)"""
        stored = list(self._rows.items())
        for key, row in stored[:1] + stored[1:][-1:]:
            (again,) = self._ask(np.frombuffer(key, np.uint8)[None])
            self.fresh -= 1
            if not np.array_equal((again.badness, again.loss), (row.badness, row.loss), equal_nan=True):
                raise InputError(
                    f"{path}: one of its plans has a mean loss of {row.loss:.6g} there and {again.loss:.6g} now: results of "
                    "another network, target or samples. Name another file."
                )


def _record(code: npt.NDArray[np.uint8], row: Row) -> bytes:
    bits = b"\0" + bytes((len(row.losses) + 7) // 8) if row.correct is None else b"\1" + np.packbits(row.correct).tobytes()
    body = code.tobytes() + np.array([row.badness, row.loss], "<f8").tobytes() + row.losses.astype("<f4").tobytes() + bits
    return body + zlib.crc32(body).to_bytes(4, "little")


def _records(data: bytes, start: int, groups: int, samples: int) -> tuple[dict[bytes, Row], int]:
    """Return the results in a file's bytes, and where the last whole record ends."""
    size = groups + 16 + 4 * samples + 1 + (samples + 7) // 8 + 4
    rows: dict[bytes, Row] = {}
    while start + size <= len(data):
        body, crc = data[start : start + size - 4], data[start + size - 4 : start + size]
        if zlib.crc32(body).to_bytes(4, "little") != crc:
            break
        badness, loss = np.frombuffer(body, "<f8", 2, groups)
        losses = np.frombuffer(body, "<f4", samples, groups + 16).astype(np.float32)
        bits = body[groups + 16 + 4 * samples :]
        correct = np.unpackbits(np.frombuffer(bits, np.uint8, offset=1), count=samples).astype(bool) if bits[0] else None
        rows[body[:groups]] = Row(float(badness), float(loss), losses, correct)
        start += size
    return rows, start
