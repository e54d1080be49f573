"""Building: interrupted, damaged and repeated builds end with the bytes of an undisturbed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.evaluate.cases import dataset, lowering
from tests.truth.cases import evaluator, space, table
from workbench.errors import InputError, UnsupportedError
from workbench.evaluate import Evaluator
from workbench.truth import TruthTable, build, build_table
from workbench.truth.build import TABLE_FILE, plan_keys
from workbench.truth.prices import plan_costs

PRICE = plan_costs(lowering(), space())


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PART_PLANS", 10)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many programs every part ran."""
    counts: list[int] = []
    scores = Evaluator.scores

    def counted(self: Evaluator, programs: Any, *rest: Any) -> Iterator[Any]:
        counts.append(len(programs))
        return scores(self, programs, *rest)

    monkeypatch.setattr(Evaluator, "scores", counted)
    return counts


def _bytes(folder: Path) -> bytes:
    return (folder / TABLE_FILE).read_bytes()


def test_interrupted_and_damaged_builds_go_on_to_the_same_bytes(tmp_path: Path, ran: list[int]) -> None:
    build_table(evaluator(), space(), PRICE, tmp_path / "a")
    assert ran == [10] * 8 + [1] and [p.name for p in (tmp_path / "a").iterdir()] == [TABLE_FILE]
    ran.clear()

    def interrupt(done: int, total: int) -> None:
        if done >= 35:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_table(evaluator(), space(), PRICE, tmp_path / "b", progress=interrupt)
    parts = sorted((tmp_path / "b").iterdir())
    assert len(parts) in (3, 4) and not any(p.name.startswith(".") for p in parts)
    parts[1].write_bytes(parts[1].read_bytes()[:-9])  # a disk that lost a part
    parts[2].write_bytes(b"")
    ran.clear()
    build_table(evaluator(threads=2), space(), PRICE, tmp_path / "b")
    assert sum(ran) == 81 - 10 * (len(parts) - 2)
    assert _bytes(tmp_path / "b") == _bytes(tmp_path / "a") and len(list((tmp_path / "b").iterdir())) == 1


def test_a_finished_table_is_read(tmp_path: Path, ran: list[int]) -> None:
    first = build_table(evaluator(), space(), PRICE, tmp_path)
    ran.clear()
    seen: list[tuple[int, int]] = []
    again = build_table(evaluator(), space(), PRICE, tmp_path, progress=lambda *at: seen.append(at))
    assert not ran and again.digests() == first.digests() and seen == [(81, 81)]
    build_table(evaluator("cross_entropy"), space(), PRICE, tmp_path)  # another metric, the same plans: another table
    assert sum(ran) == 81


def test_a_damaged_table_is_made_again_and_a_foreign_file_stays(tmp_path: Path, ran: list[int]) -> None:
    path = tmp_path / TABLE_FILE
    build_table(evaluator(), space(), PRICE, tmp_path)
    whole = path.read_bytes()
    found = pq.read_table(path)
    pq.write_table(found.set_column(found.column_names.index("mean_loss"), "mean_loss", found["metric:mse"]), path)
    ran.clear()
    build_table(evaluator(), space(), PRICE, tmp_path)
    assert sum(ran) == 81 and path.read_bytes() == whole
    (tmp_path / "part-of-something.parquet").write_text("mine")
    path.write_text("mine")
    with pytest.raises(InputError, match=r"table\.parquet: this is no Parquet file"):
        build_table(evaluator(), space(), PRICE, tmp_path)
    path.unlink()
    build_table(evaluator(), space(), PRICE, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["part-of-something.parquet", TABLE_FILE]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_the_size_of_parts_change_nothing(tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table().save(tmp_path / "want.parquet")
    monkeypatch.setattr(build, "PART_PLANS", 23)
    build_table(evaluator(threads=threads), space(), PRICE).save(tmp_path / "got.parquet")
    assert (tmp_path / "got.parquet").read_bytes() == (tmp_path / "want.parquet").read_bytes()


def test_plans_that_are_the_same_program_are_run_once(monkeypatch: pytest.MonkeyPatch, ran: list[int]) -> None:
    keys, want = plan_keys(lowering(), space()), table()

    def without_last_layer(lowering: object, space: object) -> np.ndarray:
        return np.repeat(keys[::3], 3, axis=0)

    monkeypatch.setattr(build, "plan_keys", without_last_layer)
    got = build_table(evaluator(), space(), PRICE)
    assert sum(ran) == 27
    first = np.repeat(np.arange(0, 81, 3), 3)
    np.testing.assert_array_equal(got.figures["top1"], want.figures["top1"][first])
    np.testing.assert_array_equal(got.right(np.arange(81)), want.right(first))
    assert got.losses is not None and want.losses is not None
    np.testing.assert_array_equal(got.losses.values(slice(None)), want.losses.values(first))
    np.testing.assert_array_equal(got.costs, want.costs)  # these are the plan's own


def test_progress_counts_the_plans_that_are_left(tmp_path: Path) -> None:
    def stop_after(limit: int) -> Callable[[int, int], None]:
        def tick(done: int, total: int) -> None:
            seen.append((done, total))
            if done > limit:
                raise KeyboardInterrupt

        return tick

    seen: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        build_table(evaluator(), space(), None, tmp_path, progress=stop_after(40))
    left = 81 - 10 * len(list(tmp_path.glob("part-*")))
    seen.clear()
    build_table(evaluator(), space(), None, tmp_path, progress=stop_after(1000))
    assert {total for _, total in seen} == {left} and seen[-1] == (left, left)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_plan_that_the_target_lacks_is_named() -> None:
    low = lowering(profile="gap8-pulp-nn")
    with pytest.raises(UnsupportedError, match=r"plan 'w8a8 \+ fc6:w8a16': node 't5:int16': quantize of"):
        build_table(Evaluator(low, dataset(4), threads=1), space(("w8a8", "w8a16")), None)


def test_costs_follow_the_profile_when_a_table_is_read(tmp_path: Path) -> None:
    own = evaluator(samples=9)
    build_table(own, space(), PRICE, tmp_path)
    known = TruthTable.load(tmp_path / TABLE_FILE)
    dearer = own.lowering.profile.model_copy(update={"name": "dearer"})
    other = type(own.lowering)(own.lowering.graph, dearer, own.lowering.calibration)
    again = build_table(Evaluator(other, own.data, threads=1), space(), lambda codes: PRICE(codes) * 2.0, tmp_path)
    assert again.origin.profile == "dearer" and known.costs is not None and again.costs is not None
    np.testing.assert_array_equal(again.costs, 2.0 * known.costs)
