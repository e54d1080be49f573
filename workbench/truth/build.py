"""`build_table`: every plan of a space, exactly, in parts that survive an interruption.

The programs of all plans are hashed first, so that plans that compute the same are run once, and a part is recognized by what is in it.
A part is some thousand plans with consecutive numbers, hence with long common beginnings, which the evaluator runs once. A finished
part is a file; what is killed loses one part, and goes on to the table that an undisturbed run makes, byte for byte, on any number
of threads. No more than one part (at most 32 MiB of losses) and the table itself are in memory.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import InputError, UnsupportedError
from workbench.evaluate import Evaluator
from workbench.execute import Program
from workbench.metrics import METRICS, Metric
from workbench.metrics.base import sums
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.quantize import Lowering
from workbench.sweep import Codes, Space
from workbench.truth.losses import Losses, encode, find_levels
from workbench.truth.store import VERSION, bytes_column, bytes_of, is_marked, write_parquet
from workbench.truth.table import KEY_BYTES, Origin, TruthTable, pricing_key, program_key

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
Price = Callable[[Codes], F64]

PART_PLANS = 2048
"""Most plans of a part. Each part begins at the input again, which costs one pass: little beside those of so many plans."""
PART_BYTES = 2**25
"""Most memory for the losses of a part, float64."""
TABLE_FILE = "table.parquet"


def build_table(
    evaluator: Evaluator,
    space: Space,
    price: Price | None,
    folder: Path | None = None,
    *,
    losses: bool = True,
    like: Sequence[Path] = (),
    progress: Tick | None = None,
) -> TruthTable:
    """Evaluate every plan of a space and return the table.

    Args:
        evaluator: target, samples and metric; its journal has no part in it. price: costs of plans (`plan_costs`), or None for a target
            without costs. folder: keeps finished parts, then the table itself (`table.parquet`); the same call goes on from there,
            and a second process waits. losses: keep them per sample (a table that has them serves who needs none). like: files of
            other tables, whose results are taken when they are those of the same plans; they stay as they are. progress: of the
            plans that are left.
    Raises: UnsupportedError when the target cannot run a plan. Interrupting keeps finished parts.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return build_table(evaluator, space, price, Path(temporary), losses=losses, like=like, progress=progress)
    keys = plan_keys(evaluator.lowering, space)
    origin = table_origin(evaluator)
    path = folder / TABLE_FILE
    with locked(folder):
        known = _known(path, like, space, origin, keys, losses)
        if known is None:
            builder = _Builder(evaluator, space, folder, keys, losses, origin)
            table = builder.table(price, progress)
            table.save(path)
            for _, part in builder.parts:
                part.unlink(missing_ok=True)
            return table
        if progress is not None:
            progress(len(keys), len(keys))
        found, own = known
        same = found.origin == origin and (found.costs is None) == (price is None)
        table = (
            found
            if same
            else replace(found, origin=origin, costs=None if price is None else price(space.codes(range(space.size))))
        )
        if not (same and own):
            table.save(path)
        return table


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process works in a folder, where the system can say so; it is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"{folder}: no folder for a table: {problem.strerror}.") from None
    if fcntl is None:
        yield
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def plan_keys(lowering: Lowering, space: Space, block: int = 4096) -> U8:
    """Return the hash of every plan's program, [P, 16]."""
    found = np.empty((space.size, KEY_BYTES), np.uint8)
    for start in range(0, space.size, block):
        numbers = range(start, min(start + block, space.size))
        for number, plan in zip(numbers, space.plans(space.codes(numbers)), strict=True):
            found[number] = np.frombuffer(program_key(_program(lowering, plan)), np.uint8)
    return found


def bits_metric(evaluator: Evaluator) -> Metric | None:
    """Return the metric that says which samples are right: the deciding one if it does, else top-1 where there are labels."""
    if evaluator.metric.interval == "binary":
        return evaluator.metric
    return METRICS["top1"] if evaluator.truth.labels is not None else None


def _program(lowering: Lowering, plan: PrecisionPlan) -> Program:
    try:
        return lowering.program(plan)
    except UnsupportedError as problem:
        raise UnsupportedError(f"plan '{plan.label()}': {problem}") from None


def table_origin(evaluator: Evaluator) -> Origin:
    """Return what a table of an evaluator's results is made of."""
    graph, profile, truth = evaluator.lowering.graph, evaluator.lowering.profile, evaluator.truth
    # The key of a program without steps: what is left are samples, graph, metric and sources.
    data_key = evaluator.key(Program((), ()))
    loss = "squared_error" if truth.labels is None else "cross_entropy"
    return Origin(
        graph.name, graph.digest, evaluator.data.name, evaluator.data.digest, data_key, loss,
        truth.elements // len(truth.reference), profile.name, profile.digest, pricing_key(profile),
    )  # fmt: skip


def _known(
    path: Path, like: Sequence[Path], space: Space, origin: Origin, keys: U8, losses: bool
) -> tuple[TruthTable, bool] | None:
    """Return this table as a file has it, and whether that is its own file."""
    found = _finished(path, space, origin, keys, losses)
    if found is not None:
        return found, True
    for other in like:
        with suppress(InputError):
            found = _finished(other, space, origin, keys, losses)
        if found is not None:
            return found, False
    return None


def _finished(path: Path, space: Space, origin: Origin, keys: U8, losses: bool) -> TruthTable | None:
    """Return the table of a folder if it is this one. A damaged table is made again; a file that is none is left alone (InputError)."""
    if not path.exists():
        return None
    try:
        table = TruthTable.load(path)
    except InputError:
        if not is_marked(path):
            raise
        return None
    same = table.space == space and table.origin.data_key == origin.data_key and np.array_equal(table.keys, keys)
    return table if same and (table.losses is not None or not losses) else None


@dataclass(frozen=True, eq=False)
class _Part:
    """Results of some plans: figures and mean loss [P], right [P, bytes] or None, losses [P, N] or None."""

    figures: dict[str, F64]
    mean_loss: F64
    correct: U8 | None
    losses: F64 | None


@dataclass(eq=False)
class _Builder:
    evaluator: Evaluator
    space: Space
    folder: Path
    keys: U8
    losses: bool
    origin: Origin

    def __post_init__(self) -> None:
        whole = np.ascontiguousarray(self.keys).view(f"V{KEY_BYTES}")[:, 0]
        _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
        self.distinct = np.sort(first).astype(np.int64)
        self.row_of = np.searchsorted(self.distinct, first)[inverse]
        self.samples = len(self.evaluator.truth.reference)
        size = max(1, min(PART_PLANS, PART_BYTES // (8 * self.samples)))
        bounds = [*range(0, len(self.distinct), size), len(self.distinct)]
        self.parts = [(self.distinct[a:b], self._path(i, self.distinct[a:b])) for i, (a, b) in enumerate(pairwise(bounds))]

    def table(self, price: Price | None, progress: Tick | None) -> TruthTable:
        """Return the table, computing what is missing."""
        missing = [(numbers, path) for numbers, path in self.parts if not self._is_there(path)]
        done, total = 0, sum(len(numbers) for numbers, _ in missing)
        for numbers, path in missing:
            self._run(numbers, path, None if progress is None else _within(progress, done, len(numbers), total))
            done += len(numbers)
        parts = [self._read(path) for _, path in self.parts]
        rows = self.row_of
        truth = self.evaluator.truth
        bits = bits_metric(self.evaluator)
        return TruthTable(
            self.space,
            self.evaluator.metric,
            self.origin,
            self.samples,
            {m.name: np.concatenate([p.figures[m.name] for p in parts])[rows] for m in self.evaluator.metrics},
            np.concatenate([p.mean_loss for p in parts])[rows],
            "" if bits is None else bits.name,
            None if bits is None else np.concatenate([p.correct for p in parts if p.correct is not None])[rows],
            self._losses().take(rows) if self.losses else None,
            np.asarray(sum((r**2).sum(axis=1) for r in (truth.reference, *truth.others)), np.float64),
            self.keys,
            None if price is None else price(self.space.codes(range(self.space.size))),
        )

    def _path(self, number: int, numbers: Indices) -> Path:
        """Return the file of a part: its name says what is in it."""
        columns = " ".join([m.name for m in self.evaluator.metrics])
        stated = f"{VERSION} {self.origin.data_key} {columns} {self.losses}".encode() + self.keys[numbers].tobytes()
        return self.folder / f"part-{number:05d}-{hashlib.sha256(stated).hexdigest()[:24]}.parquet"

    def _is_there(self, path: Path) -> bool:
        if not path.exists():
            return False
        try:
            self._read(path)
        except (pa.ArrowException, OSError, KeyError, ValueError):
            return False
        return True

    def _run(self, numbers: Indices, path: Path, progress: Tick | None) -> None:
        """Evaluate the plans of a part and write it."""
        evaluator, bits, truth = self.evaluator, bits_metric(self.evaluator), self.evaluator.truth
        plans = self.space.plans(self.space.codes(numbers))
        figures = {m.name: np.empty(len(plans)) for m in evaluator.metrics}
        mean, losses = np.empty(len(plans)), np.empty((len(plans) if self.losses else 0, self.samples))
        correct = np.empty((len(plans), (self.samples + 7) // 8), np.uint8)
        for rows, scores in evaluator.scores([_program(evaluator.lowering, plan) for plan in plans], progress):
            for metric in evaluator.metrics:
                figures[metric.name][rows] = metric.figures(scores, truth)
            own = scores.error if truth.labels is None else scores.entropy
            mean[rows] = sums(own) / self.samples
            if self.losses:
                losses[rows] = own
            if bits is not None:
                correct[rows] = np.packbits(bits.evidence(scores, truth), axis=1)
        columns = {f"metric:{name}": pa.array(values) for name, values in figures.items()} | {"mean_loss": pa.array(mean)}
        if bits is not None:
            columns["correct"] = bytes_column(correct)
        if self.losses:
            columns["losses"] = bytes_column(losses)
        write_parquet(columns, {}, path)

    def _read(self, path: Path, with_losses: bool = False) -> _Part:
        names = [f"metric:{m.name}" for m in self.evaluator.metrics] + ["mean_loss"]
        names += ["correct"] * (bits_metric(self.evaluator) is not None) + ["losses"] * with_losses
        found = pq.read_table(path, columns=names, use_threads=False)
        floats = {n.removeprefix("metric:"): found.column(n).to_numpy() for n in names if n not in ("correct", "losses")}
        mean = floats.pop("mean_loss")
        correct = bytes_of(found, "correct", (self.samples + 7) // 8) if "correct" in names else None
        losses = bytes_of(found, "losses", 8 * self.samples).view("<f8").astype(np.float64) if with_losses else None
        return _Part(floats, mean, correct, losses)

    def _blocks(self) -> Iterator[F64]:
        for _, path in self.parts:
            losses = self._read(path, with_losses=True).losses
            assert losses is not None
            yield losses

    def _losses(self) -> Losses:
        levels, exact = find_levels(self._blocks())
        return Losses(np.concatenate([encode(block, levels, exact) for block in self._blocks()]), levels, exact)


def _within(progress: Tick, done: int, count: int, total: int) -> Tick:
    """Return what a part tells its progress (in steps) to, told on in plans."""
    return lambda steps, of: progress(done + count * steps // max(of, 1), total)
