"""A user's own measurements: a CSV with one timing a line. Columns: docs/own-measurements.md."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from workbench.errors import InputError, nearest

TIMES = {"latency_ms": 1e-3, "latency_us": 1e-6, "cycles": 0.0}
"""Column -> its unit in seconds (cycles: of the profile's clock)."""
COLUMNS = ("model", "format", "layer", *TIMES, "energy_uj", "note")
MOST_ROWS = 10_000


@dataclass(frozen=True)
class Measurement:
    """One timing. format: a plan for a float model, '' = the file's own. layer: '' = the whole network. energy_j: None = not known.
    content: hash of the model file ('' = not read): copies of a file are one network.
    """

    line: int
    model: Path
    format: str
    layer: str
    seconds: float
    energy_j: float | None = None
    content: str = ""

    @property
    def network(self) -> str:
        """What makes rows those of one network: the file's content."""
        return self.content or str(self.model.resolve())

    @property
    def where(self) -> str:
        """Model and layer."""
        return f"{self.model.name}{f' [{self.format}]' if self.format else ''}{f': {self.layer}' if self.layer else ''}"


def read_measurements(path: Path, clock_hz: float, folder: Path | None = None) -> tuple[Measurement, ...]:
    """Return the lines of a CSV. folder: where models are (default: beside the CSV). InputError: where, what came, what fits."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or ())
            lines = [(reader.line_num, cells) for cells in reader]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. It is a CSV with the columns {', '.join(COLUMNS)}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"{path}: cannot be read as a CSV ({problem}).") from problem
    _check_columns(path, names)
    if not lines or len(lines) > MOST_ROWS:
        raise InputError(
            f"{path}: {len(lines):,} measurements; expected 1 to {MOST_ROWS:,}, below a line that names the columns."
        )
    return tuple(_measurement(path, line, cells, clock_hz, folder or path.parent) for line, cells in lines)


def _check_columns(path: Path, names: list[str]) -> None:
    for name in names:
        if name not in COLUMNS or names.count(name) > 1:
            what = "stands twice" if name in COLUMNS else "is not known"
            raise InputError(
                f"{path}: column '{name}' {what}.{nearest(name or '', COLUMNS)}\n"
                f"Columns: {', '.join(COLUMNS)}; units are in their names."
            )
    if "model" not in names or not any(name in names for name in TIMES):
        raise InputError(
            f"{path}: expected the columns model and one of {', '.join(TIMES)}; got {', '.join(names) or 'nothing'}."
        )


def _measurement(path: Path, line: int, cells: Mapping[str, str | None], clock_hz: float, folder: Path) -> Measurement:
    where = f"{path}: line {line}"
    if None in cells or None in cells.values():
        raise InputError(f"{where}: it has not as many fields as the first line.")
    texts = {name: (text or "").strip() for name, text in cells.items()}
    given = [name for name in TIMES if texts.get(name)]
    if len(given) != 1:
        raise InputError(f"{where}: expected a number in one of {', '.join(TIMES)}; got {', '.join(given) or 'none'}.")
    value = _positive(where, given[0], texts[given[0]])
    seconds = value / clock_hz if given[0] == "cycles" else value * TIMES[given[0]]
    energy = _positive(where, "energy_uj", texts["energy_uj"]) * 1e-6 if texts.get("energy_uj") else None
    layer = texts.get("layer", "")
    if energy is not None and layer:
        raise InputError(
            f"{where}: energy_uj of a single layer says nothing about the board's power; give it for whole networks."
        )
    if not texts["model"]:
        raise InputError(f"{where}: column 'model' is empty; give the path of a .tflite or .onnx file.")
    model = folder / texts["model"]
    if not model.is_file():
        near = nearest(model.name, [p.name for p in model.parent.glob("*.*")]) if model.parent.is_dir() else ""
        raise InputError(f"{where}: there is no model '{model}'.{near} Paths are relative to {folder} (--model-folder).")
    return Measurement(line, model, texts.get("format", ""), layer, seconds, energy, _content(where, model))


def _positive(where: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (isfinite(value) and value > 0):
        raise InputError(
            f"{where}: {column} is '{text}'; expected a number above 0, without a unit (the column's name has it)."
        )
    return value


def _content(where: str, model: Path) -> str:
    try:
        with model.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise InputError(f"{where}: {model} cannot be read ({problem.strerror}).") from problem
