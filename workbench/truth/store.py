"""Truth tables as Parquet: one row per plan, everything else in the metadata of the schema as JSON. Nothing in a file is executed.

Columns: a format per group (`layer:` + its name), a float64 per metric (`metric:`) and cost (`cost:`), `mean_loss`, and as bytes per
plan `correct` (bits, the first sample in the highest), `losses` (uint8 or little-endian uint16 per sample: positions in the metadata's
`levels`) and `key`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.cost.axes import COST_AXES
from workbench.errors import InputError
from workbench.metrics import METRICS, Metric, named_metric
from workbench.sweep import Group, Space
from workbench.truth.losses import Losses
from workbench.truth.table import KEY_BYTES, Origin, TruthTable

F64 = npt.NDArray[np.float64]

VERSION = 1
"""Raised when the meaning of a file changes; others are refused."""
MARK = b"workbench.truth"
"""Key of the metadata."""
ROWS = 4096
"""Plans per row group: what is compressed together."""
LEVEL = 9
"""Of zstd."""


def save_table(table: TruthTable, path: Path) -> None:
    """Write a table, all or nothing."""
    columns: dict[str, pa.Array] = {}
    codes = table.space.codes(range(table.space.size))
    for g, (group, names) in enumerate(zip(table.space.groups, table.space.formats, strict=True)):
        columns[f"layer:{group.name}"] = pa.DictionaryArray.from_arrays(pa.array(codes[:, g].astype(np.int8)), pa.array(names))
    columns |= {f"metric:{name}": pa.array(values) for name, values in table.figures.items()}
    if table.costs is not None:
        columns |= {f"cost:{name}": pa.array(np.ascontiguousarray(c)) for name, c in zip(COST_AXES, table.costs.T, strict=True)}
    columns["mean_loss"] = pa.array(table.mean_loss)
    if table.correct is not None:
        columns["correct"] = bytes_column(table.correct)
    if table.losses is not None:
        columns["losses"] = bytes_column(table.losses.codes)
    columns["key"] = bytes_column(table.keys)
    text = json.dumps(_facts(table), sort_keys=True)
    write_parquet(columns, {MARK: text.encode(), MARK + b".sha256": _digest(table, text).encode()}, path)


def load_table(path: Path) -> TruthTable:
    """Return the table of a file; InputError when it is something else, damaged or of another version."""
    if path.is_dir():
        raise InputError(f"{path}: this is a folder. Give the file of a truth table (`table.parquet`).")
    if not path.is_file():
        raise InputError(f"{path}: no such file. A truth table is a Parquet file made by an exhaustive sweep.")
    try:
        found = pq.read_table(path, memory_map=False, use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise InputError(f"{path}: this is no Parquet file, or it is cut off or damaged ({_first_line(problem)}).") from None
    meta = found.schema.metadata or {}
    if MARK not in meta:
        raise InputError(f"{path}: this Parquet file is not a truth table.")
    try:
        facts = json.loads(meta[MARK])
        version = facts["version"]
        if version == VERSION:
            table = _table(facts, found)
            stated = meta[MARK + b".sha256"].decode()
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, InputError, pa.ArrowException) as problem:
        raise InputError(f"{path}: the truth table is damaged ({_first_line(problem)}). Make it again.") from None
    if version != VERSION:
        raise InputError(f"{path}: a truth table of version {version}; this program reads version {VERSION}. Make it again.")
    if stated != _digest(table, meta[MARK].decode()):
        raise InputError(f"{path}: the truth table is damaged (its content is not what its digest says). Make it again.")
    return table


def is_marked(path: Path) -> bool:
    """Return whether a file was written as a truth table, whatever has become of its content."""
    try:
        return MARK in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError, ValueError):
        return False


def _facts(table: TruthTable) -> dict[str, Any]:
    metric = table.metric
    facts = {
        "version": VERSION,
        "groups": [[g.name, list(g.layers)] for g in table.space.groups],
        "formats": [list(names) for names in table.space.formats],
        "default": table.space.default,
        "metric": {k: getattr(metric, k) for k in ("name", "title", "unit", "higher_is_better", "summary")},
        "origin": asdict(table.origin),
        "samples": table.samples,
        "bits": table.bits,
        "power": _text(table.power),
    }
    if table.losses is not None:
        facts["losses"] = {"levels": _text(table.losses.levels), "exact": table.losses.exact}
    return facts


def _table(facts: Mapping[str, Any], found: pa.Table) -> TruthTable:
    groups = [Group(name, tuple(layers)) for name, layers in facts["groups"]]
    offered = {group.name: names for group, names in zip(groups, facts["formats"], strict=True)}
    space = Space.of(groups, offered, facts["default"])
    samples, rows = int(facts["samples"]), found.num_rows
    if rows != space.size:
        raise ValueError(f"{rows:,} rows for {space.size:,} plans")
    figures = {n.removeprefix("metric:"): _floats(found, n) for n in found.column_names if n.startswith("metric:")}
    costs = None
    if any(n.startswith("cost:") for n in found.column_names):
        costs = np.stack([_floats(found, f"cost:{name}") for name in COST_AXES], axis=1)
    correct = bytes_of(found, "correct", (samples + 7) // 8) if "correct" in found.column_names else None
    losses = None
    if "losses" in facts:
        levels = _floats_of(facts["losses"]["levels"])
        kind = np.dtype("<u1" if len(levels) <= 256 else "<u2")
        codes = bytes_of(found, "losses", samples * kind.itemsize).view(kind).astype(kind.newbyteorder("="), copy=False)
        if len(codes) and int(codes.max()) >= len(levels):
            raise ValueError("a loss without a level")
        losses = Losses(codes, levels, bool(facts["losses"]["exact"]))
    metric = _metric(facts["metric"])
    if metric.name not in figures:
        raise ValueError(f"no figures of {metric.name}")
    return TruthTable(
        space, metric, Origin(**facts["origin"]), samples, figures, _floats(found, "mean_loss"), str(facts["bits"]), correct,
        losses, _floats_of(facts["power"]), bytes_of(found, "key", KEY_BYTES), costs,
    )  # fmt: skip


def _metric(said: Mapping[str, Any]) -> Metric:
    """Return the metric of a table: a known one, or (a function of a study) one that has a name and a direction but no formula."""
    try:
        return named_metric(said["name"])
    except InputError:

        def unknown(*_: object) -> Any:
            raise InputError(f"metric '{said['name']}' is a function of a study: its formula is not part of a table.")

        plain = METRICS["mse"]
        return Metric(
            said["name"], said["title"], said["unit"], "any", bool(said["higher_is_better"]), said["summary"],
            unknown, plain.interval, unknown,
        )  # fmt: skip


def _digest(table: TruthTable, facts: str) -> str:
    """Return the content hash of everything in a table."""
    h = hashlib.sha256(facts.encode())
    losses = None if table.losses is None else table.losses.codes
    arrays: dict[str, npt.NDArray[Any] | None] = {
        **table.figures, "mean": table.mean_loss, "correct": table.correct, "losses": losses, "keys": table.keys,
        "costs": table.costs,
    }  # fmt: skip
    for name in sorted(arrays):
        array = arrays[name]
        if array is not None:
            little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
            h.update(f"{name} {little.dtype.str} {little.shape}".encode())
            h.update(little.data)
    return h.hexdigest()


def bytes_column(rows: npt.NDArray[Any]) -> pa.Array:
    """Return rows [P, K] of an array as bytes per plan, little-endian."""
    little = np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder("<"), copy=False))
    width = little.shape[1] * little.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(little), [None, pa.py_buffer(little.tobytes())])


def bytes_of(table: pa.Table, name: str, width: int) -> npt.NDArray[np.uint8]:
    """Return a column of bytes, uint8 [P, width]; ValueError when it has another width or gaps."""
    column = table.column(name)
    if column.type != pa.binary(width) or column.null_count:
        raise ValueError(f"column {name} is {column.type}, not {width} bytes")
    found = np.empty((len(column), width), np.uint8)
    start = 0
    for chunk in column.chunks:
        own = np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * width, chunk.offset * width)
        found[start : start + len(chunk)] = own.reshape(len(chunk), width)
        start += len(chunk)
    return found


def write_parquet(columns: Mapping[str, pa.Array], meta: Mapping[bytes, bytes], path: Path) -> None:
    """Write columns so that the file is there wholly or not at all, even after a power cut."""
    table = pa.table(dict(columns)).replace_schema_metadata(dict(meta))
    content = io.BytesIO()
    pq.write_table(table, content, row_group_size=ROWS, compression="zstd", compression_level=LEVEL, use_dictionary=[
        name for name in columns if name.startswith("layer:")
    ])  # fmt: skip
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise InputError(f"{path}: cannot be written: {problem.strerror}.") from None


def _floats(table: pa.Table, name: str) -> F64:
    column = table.column(name)
    if column.type != pa.float64() or column.null_count:
        raise ValueError(f"column {name} is {column.type}, not float64")
    return np.array(column.to_numpy(), np.float64)


def _text(values: F64) -> str:
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def _floats_of(text: str) -> F64:
    return np.frombuffer(base64.b64decode(text), "<f8").astype(np.float64)


def _first_line(problem: BaseException) -> str:
    return (str(problem) or type(problem).__name__).splitlines()[0][:160]
