"""Whatever ends an evaluation (kill -9, Ctrl-C, a full disk), it goes on later and ends with the file of an undisturbed run."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.evaluate.cases import all_plans, dataset, lowering, same
from workbench.errors import InputError
from workbench.evaluate import Evaluator, Journal
from workbench.precision import PrecisionPlan

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 20
PLANS = [*all_plans(), PrecisionPlan.of("fp32")]


@cache
def undisturbed() -> bytes:
    """Return the journal of a run that nothing disturbs."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        run(path, threads=1)
        return path.read_bytes()


def run(path: Path | Journal, threads: int = 2, memory: int = 2**29, interrupt: object = None) -> None:
    """Evaluate all plans into a journal. interrupt: called with (done, total) steps."""
    journal = path if isinstance(path, Journal) else Journal(path)
    Evaluator(lowering(), dataset(SAMPLES), journal, threads, memory).evaluate(PLANS, interrupt)  # type: ignore[arg-type]


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.evaluate.walk.BLOCK_SECONDS", 0.001)


@pytest.mark.parametrize(("threads", "memory"), [(1, 2**29), (3, 2**29), (1, 9_000), (2, 9_000), (5, 40_000), (2, 60_000)])
@pytest.mark.parametrize("seconds", [0.0005, 0.02, 2.0])
def test_same_journal_for_any_threads_memory_and_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, memory: int, seconds: float
) -> None:
    monkeypatch.setattr("workbench.evaluate.walk.BLOCK_SECONDS", seconds)
    run(tmp_path / "journal.jsonl", threads, memory)
    assert (tmp_path / "journal.jsonl").read_bytes() == undisturbed()


def test_same_journal_for_any_order_of_the_plans(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Evaluator(lowering(), dataset(SAMPLES), Journal(path)).evaluate(random.Random(0).sample(PLANS, len(PLANS)))
    assert path.read_bytes() == undisturbed()


KILLED = """
import time
from pathlib import Path
import workbench.evaluate.walk as walk
from tests.evaluate.cases import dataset, lowering
from tests.evaluate.test_interruptions import PLANS
from workbench.evaluate import Evaluator, Journal
walk.BLOCK_SECONDS = 0.002
journal = Journal(Path({path!r}))
add = journal.add
blocks = []
def wait_after_the_last(records):
    add(records); blocks.append(1)
    if len(blocks) == {blocks}:
        print("killable", flush=True); time.sleep(600)
journal.add = wait_after_the_last
Evaluator(lowering(), dataset({samples}), journal, threads=2, memory_bytes={memory}).evaluate(PLANS)
"""


def start(code: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, env=environment)


@pytest.mark.parametrize(("memory", "blocks", "torn"), [(2**29, 1, 0), (2**29, 2, 1), (30_000, 1, 300), (30_000, 2, 0)])
def test_killed_with_kill_9_it_resumes_and_ends_with_the_same_file(tmp_path: Path, memory: int, blocks: int, torn: int) -> None:
    path = tmp_path / "journal.jsonl"
    with start(KILLED.format(path=str(path), samples=SAMPLES, memory=memory, blocks=blocks)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"killable\n"
        process.kill()
    kept = path.read_bytes()
    assert 0 < len(kept) < len(undisturbed()) and undisturbed().startswith(kept)
    path.write_bytes(kept[: len(kept) - torn])  # what a crash of the machine can leave
    run(path, memory=memory)
    assert path.read_bytes() == undisturbed()


ENDLESS = """
from pathlib import Path
import workbench.evaluate.walk as walk
from tests.evaluate.cases import all_plans, dataset, lowering
from workbench.evaluate import Evaluator, Journal
walk.BLOCK_SECONDS = 0.05
plans = all_plans(("w8a8", "w4a8", "w2a8", "w8a16", "w4a16", "fp32"))
data, low = dataset(300), lowering()
print("running", flush=True)
Evaluator(low, data, Journal(Path({path!r})), threads={threads}, memory_bytes={memory}).evaluate(plans)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_again_and_again_it_ends_with_the_same_file(tmp_path: Path, seed: int) -> None:
    chance, path, whole = random.Random(seed), tmp_path / "journal.jsonl", tmp_path / "whole.jsonl"
    began = time.monotonic()
    with start(ENDLESS.format(path=str(whole), threads=2, memory=2**29)) as process:
        assert process.wait() == 0
    spent = time.monotonic() - began
    kills = 0
    while True:
        with start(
            ENDLESS.format(path=str(path), threads=chance.choice([1, 2, 3]), memory=chance.choice([2**29, 100_000]))
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                assert process.wait(chance.uniform(0, spent / 3)) == 0
                break
            except subprocess.TimeoutExpired:
                process.kill()
        kills += 1
        if chance.random() < 0.5 and path.exists():
            os.truncate(path, max(0, path.stat().st_size - chance.randrange(500)))
    assert kills > 1
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("memory", [2**29, 30_000])
def test_ctrl_c_keeps_finished_blocks(tmp_path: Path, memory: int) -> None:
    path = tmp_path / "journal.jsonl"

    def interrupt(done: int, total: int) -> None:
        if done > total // 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(path, memory=memory, interrupt=interrupt)
    assert 0 < path.stat().st_size < len(undisturbed())
    run(path, memory=memory)
    assert path.read_bytes() == undisturbed()


@pytest.mark.usefixtures("short_blocks")
def test_ctrl_c_while_a_block_is_written_takes_it_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fsync, sizes = tmp_path / "journal.jsonl", os.fsync, [0]

    def interrupt(file: int) -> None:
        fsync(file)
        sizes.append(os.fstat(file).st_size)
        if len(sizes) == 4:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(path)
    assert path.stat().st_size == sizes[2] < sizes[3]
    run(path)
    assert path.read_bytes() == undisturbed()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let writing end at `size` bytes, as a full disk does: the bytes that fit are written, then comes the error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_a_full_disk_is_one_message_and_leaves_nothing_half_written(tmp_path: Path, share: float) -> None:
    path, room = tmp_path / "journal.jsonl", int(share * len(undisturbed())) + 100
    journal = Journal(path)
    with files_of_at_most(room), pytest.raises(InputError) as problem:
        run(journal)
    assert str(problem.value).splitlines() == [
        f"{path}: results cannot be written: File too large.",
        "Free some space or choose another folder with --out; finished plans are kept and will not run again.",
    ]
    kept = path.read_bytes()
    assert kept == b"".join(line for line in undisturbed().splitlines(keepends=True)[: len(journal.records)])
    assert len(kept) <= room
    run(journal)  # the same process goes on when there is space again
    assert path.read_bytes() == undisturbed()
    fresh, again = Journal(), Journal(path)
    run(fresh)
    assert all(same(record, again.records[key]) for key, record in fresh.records.items())
