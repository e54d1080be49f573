"""Files: what is written is read, and everything else is refused with one message."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.truth.cases import evaluator, space, table
from workbench.errors import InputError
from workbench.truth import TruthTable, build_table
from workbench.truth.store import MARK


@pytest.mark.parametrize("metric", [None, "sqnr_db"])
def test_what_is_written_is_read(tmp_path: Path, metric: str | None) -> None:
    want = table(metric)
    want.save(tmp_path / "t.parquet")
    got = TruthTable.load(tmp_path / "t.parquet")
    assert (got.space, got.metric, got.origin, got.samples, got.bits) == (want.space, want.metric, want.origin, 90, "top1")
    for name in want.figures:
        np.testing.assert_array_equal(got.figures[name], want.figures[name])
    for name in ("mean_loss", "correct", "power", "keys", "costs"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    assert got.losses is not None and want.losses is not None and got.losses.exact
    np.testing.assert_array_equal(got.losses.values(slice(None)), want.losses.values(slice(None)))
    got.save(tmp_path / "u.parquet")
    assert (tmp_path / "u.parquet").read_bytes() == (tmp_path / "t.parquet").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.parquet", "u.parquet"]


def test_other_programs_read_it(tmp_path: Path) -> None:
    table().save(tmp_path / "t.parquet")
    rows = pq.read_table(tmp_path / "t.parquet").to_pylist()
    frame = table().frame()
    assert len(rows) == 81
    for number in (0, 41, 80):
        row, want = rows[number], frame.iloc[number]
        assert [row[f"layer:{g}"] for g in ("conv1", "dw2", "pw3", "fc6")] == want[["conv1", "dw2", "pw3", "fc6"]].tolist()
        assert row["metric:top1"] == want["top1"] and row["cost:flash"] == want["flash"]
        right = [byte >> (7 - bit) & 1 for byte in row["correct"] for bit in range(8)][:90]
        assert sum(right) / 90 == want["top1"]


def test_no_losses_no_bits_no_costs(tmp_path: Path) -> None:
    build_table(evaluator("sqnr_db", samples=9, labelled=False), space(("w8a8", "w4a8")), None, losses=False).save(
        tmp_path / "t.parquet"
    )
    got = TruthTable.load(tmp_path / "t.parquet")
    assert got.losses is None and got.correct is None and got.costs is None and got.bits == ""


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_file_is_refused(tmp_path: Path, cut: float) -> None:
    table().save(tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[: int(cut * len(content))])
    with pytest.raises(InputError, match=r"t\.parquet: this is no Parquet file, or it is cut off or damaged"):
        TruthTable.load(tmp_path / "t.parquet")


def test_a_changed_byte_is_never_taken(tmp_path: Path) -> None:
    table().save(tmp_path / "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.choice(len(content), 150, replace=False).tolist():
        broken = bytearray(content)
        broken[place] ^= int(rng.integers(1, 256))
        (tmp_path / "b.parquet").write_bytes(broken)
        try:
            assert TruthTable.load(tmp_path / "b.parquet").digests() == table().digests()  # a byte that says nothing
        except InputError:
            refused += 1
    assert refused > 75


def _with(path: Path, meta: dict[bytes, bytes] | None = None, **columns: pa.Array) -> None:
    found = pq.read_table(path)
    for name, column in columns.items():
        found = found.set_column(found.column_names.index(name), name, column)
    pq.write_table(found.replace_schema_metadata({**found.schema.metadata, **(meta or {})}), path)


def test_foreign_and_changed_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(InputError, match="no such file"):
        TruthTable.load(path)
    table().frame().to_parquet(path)
    with pytest.raises(InputError, match="this Parquet file is not a truth table"):
        TruthTable.load(path)
    table().save(path)
    facts = json.loads(pq.read_schema(path).metadata[MARK])
    for change, says in (
        ({"version": 99}, "version 99; this program reads version 1"),
        ({"groups": facts["groups"][:3]}, "damaged"),
        ({"samples": 91}, "damaged"),
        ({"samples": "many"}, "damaged"),
        ({"default": "w4a8"}, "content is not what its digest says"),
        ({"metric": {"name": "x" * 9}}, "damaged"),
        ({"power": "%%%"}, "damaged"),
        ({"losses": {"levels": base64.b64encode(bytes(8 * 257)).decode(), "exact": True}}, "damaged .a loss without a level"),
    ):
        table().save(path)
        _with(path, {MARK: json.dumps(facts | change).encode()})
        with pytest.raises(InputError, match=says):
            TruthTable.load(path)
    table().save(path)
    _with(path, {MARK: b"{"})
    with pytest.raises(InputError, match="damaged"):
        TruthTable.load(path)
    table().save(path)
    _with(path, mean_loss=pa.array(table().mean_loss + 1e-9))
    with pytest.raises(InputError, match="content is not what its digest says"):
        TruthTable.load(path)
    table().save(path)
    _with(path, mean_loss=pa.array(table().mean_loss.astype(np.float32)))
    with pytest.raises(InputError, match=r"damaged .column mean_loss is float, not float64"):
        TruthTable.load(path)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        table().save(tmp_path / "file" / "t.parquet")
