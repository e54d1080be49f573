"""The journal: small lines that bring everything back, damage passed over, torn lines taken away."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.cases import all_plans, dataset, lowering, same
from workbench.errors import InputError
from workbench.evaluate import Evaluator, Journal, Record
from workbench.precision import PrecisionPlan


def record(predictions: np.ndarray, key: str = "k", labels: bool = True) -> Record:
    n = len(predictions)
    correct = np.random.default_rng(0).random(n) < 0.5 if labels else None
    metrics = {"sqnr_db": math.inf, "mse": 0.1 + 0.2, "top1": 1 / 3}
    return Record(key, "target", PrecisionPlan.of("w8a8", {"a": "w4a8"}), "data", n, metrics, predictions, correct)


@pytest.mark.parametrize("most", [0, 9, 15, 16, 255, 256, 65535, 65536, 2**31])
@pytest.mark.parametrize("count", [1, 2, 7, 846])
def test_a_record_comes_back_from_its_line(most: int, count: int) -> None:
    predictions = np.random.default_rng(count).integers(0, most + 1, count)
    predictions[-1] = most
    one = record(predictions)
    two = Record.from_json(one.to_json())
    np.testing.assert_array_equal(two.predictions, predictions)
    np.testing.assert_array_equal(two.correct, one.correct)
    assert (two.key, two.profile, two.plan, two.data, two.samples) == (one.key, one.profile, one.plan, one.data, one.samples)
    assert two.metrics == one.metrics
    assert same(one, two)


def test_the_first_class_stands_in_the_low_half_of_the_first_byte() -> None:
    row = json.loads(record(np.array([1, 2, 15])).to_json())
    assert (row["bits"], base64.b64decode(row["predictions"])) == (4, bytes([0x21, 0x0F]))
    row = json.loads(record(np.array([1, 256])).to_json())
    assert (row["bits"], base64.b64decode(row["predictions"])) == (16, bytes([1, 0, 0, 1]))


def test_a_line_of_a_thousand_samples_is_about_a_kilobyte() -> None:
    predictions = np.random.default_rng(1).integers(0, 12, 1000).astype(np.uint8)
    assert len(record(predictions).to_json()) < 1100


def test_without_labels_nothing_is_correct() -> None:
    assert Record.from_json(record(np.arange(3), labels=False).to_json()).correct is None


LINE = record(np.arange(12)).to_json()


@pytest.mark.parametrize(
    "line",
    [
        "", "null", "[]", "17", '"text"', "{", "{}", LINE[:-1], LINE.replace('"samples":12', '"samples":10'),
        LINE.replace('"samples":12', '"samples":-1'), LINE.replace('"bits":4', '"bits":7'), LINE.replace('"bits":4', '"bits":"x"'),
        LINE.replace('"bits":4', '"bits":16'), LINE.replace('"w4a8"', "3"), LINE.replace('{"a":"w4a8"}', "[]"),
        LINE.replace('"w4a8"', '"w9a9"'), LINE.replace('"version":3', '"version":2'), LINE.replace('"predictions"', '"p"'),
        LINE.replace('"target"', "null"), LINE.replace('"metrics":{', '"metrics":{"x":"y",'), "\xff\xfe",
    ],
)  # fmt: skip
def test_a_damaged_line_is_passed_over(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(line.encode("latin-1") + b"\n" + record(np.arange(5), "good").to_json().encode() + b"\n")
    assert list(Journal(path).records) == ["good"]


def test_journal_is_reused_and_survives_a_torn_line(tmp_path: Path) -> None:
    path, data, plans = tmp_path / "journal.jsonl", dataset(20), all_plans()[:4]
    first = Evaluator(lowering(), data, Journal(path)).evaluate(plans)
    text = path.read_bytes()
    path.write_bytes(text[:-25])
    journal = Journal(path)
    assert len(journal.records) == 3
    assert path.read_bytes() == text[:-25], "nothing is taken away before something is written"
    ticks: list[int] = []
    again = Evaluator(lowering(), data, journal).evaluate(plans, lambda done, total: ticks.append(total))
    assert all(same(first[p], again[p]) for p in plans)
    assert ticks, "the torn record is computed again"
    assert path.read_bytes() == text


def test_nothing_runs_when_everything_is_in_the_journal() -> None:
    data, plans, journal = dataset(20), all_plans()[:4], Journal()
    Evaluator(lowering(), data, journal).evaluate(plans)
    ticks: list[int] = []
    Evaluator(lowering(), data, journal).evaluate(plans, lambda done, total: ticks.append(total))
    assert not ticks


@pytest.mark.parametrize("content", [b"TFL3 some other file", b"one line\nand another\n", bytes(range(256)) * 9])
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a journal"):
        Journal(path)
    assert path.read_bytes() == content


def test_two_writers_of_one_file_lose_and_repeat_nothing(tmp_path: Path) -> None:
    path, records = tmp_path / "journal.jsonl", list(Evaluator(lowering(), dataset(20)).evaluate(all_plans()[:6]).values())
    a, b = Journal(path), Journal(path)
    a.add(records[:3])
    b.add(records[1:5])
    a.add(records[2:])
    assert set(Journal(path).records) == {r.key for r in records}
    assert len(path.read_bytes().splitlines()) == len(records)
    assert set(b.records) == {r.key for r in records[:5]}
