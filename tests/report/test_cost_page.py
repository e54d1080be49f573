"""docs/cost-accuracy.md: made from the fits that are stored, complete, and the same when it is made again."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from workbench.calibrate import store
from workbench.calibrate.family import families
from workbench.calibrate.rows import Tables
from workbench.report.cost_page import DOCS, PAGE, fits_digest, page, write_page
from workbench.validate.cost import NEW, check_families, claim_lines
from workbench.validate.cost_vela import check_vela

AGAIN = "make calibrate makes it again"


@pytest.fixture(scope="module")
def text() -> str:
    return (DOCS / PAGE).read_text(encoding="utf-8")


def test_the_page_was_made_from_the_fits_that_are_stored(text: str) -> None:
    assert f"<!-- fits {fits_digest()} -->" in text, f"docs/{PAGE} is stale; {AGAIN}"


def test_the_digest_changes_with_any_fit(tmp_path: Path) -> None:
    found = set()
    for content in ("{}", '{"a":1}'):
        (tmp_path / "a.json").write_text(content)
        found.add(fits_digest(tmp_path))
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    assert len(found | {fits_digest(tmp_path)}) == 3


def test_every_family_has_its_part_and_its_picture(text: str) -> None:
    for family in families().values():
        assert f"\n## {family.title}\n" in text, f"docs/{PAGE} lacks {family.name}; {AGAIN}"
    pictures = set(re.findall(r"\(images/(cost-[^)]+\.png)\)", text))
    assert pictures == {p.name for p in (DOCS / "images").glob("cost-*.png")}
    for name in pictures:
        raw = (DOCS / "images" / name).read_bytes()
        assert raw[:4] == b"\x89PNG" and struct.unpack(">I", raw[16:20])[0] > 1000


def test_the_page_is_the_same_when_it_is_made_again(text: str, ground_truth: Path, golden_dir: Path, models_dir: Path) -> None:
    assert golden_dir.parent == models_dir.parent == ground_truth.parent
    tables = Tables(ground_truth)
    checks = check_families(tables)
    assert page(checks, check_vela(ground_truth, None, None), tables) == text, f"docs/{PAGE} is stale; {AGAIN}"


def test_a_page_of_some_rows_says_what_is_missing_and_what_is_off(ground_truth: Path, tmp_path: Path) -> None:
    """Rows made twice as slow: the claims are missed, and the page says so in words."""
    table = "mlperf_tiny.csv"
    lines = (ground_truth / table).read_text().splitlines()
    column = lines[0].split(",").index("energy_uj")
    data, docs = tmp_path / "data", tmp_path / "docs"
    data.mkdir()
    (docs / "images").mkdir(parents=True)
    (docs / "images" / "cost-gone.png").write_bytes(b"old")
    doubled = [_scaled(line, column) for line in lines[1:] if '"' not in line]
    (data / table).write_text("\n".join([lines[0], *doubled]) + "\n")
    found = write_page(data, docs).read_text()
    short = [line for check in check_families(Tables(data)) for line in claim_lines(check) if line.short]
    assert "energy" in {line.family for line in short}
    for line in short:
        assert f"* Not reached: {line.name} ({line.family}; {NEW[line.split]}): {', '.join(line.short)}." in found
    assert "* Not here: hailo_npu.csv" in found or "hailo_npu.csv" not in str([f.tables for f in families().values()])
    assert not (docs / "images" / "cost-gone.png").exists()
    assert (docs / "images" / "cost-energy.png").read_bytes()[:4] == b"\x89PNG"


def _scaled(line: str, column: int) -> str:
    cells = line.split(",")
    cells[column] = str(2 * float(cells[column])) if cells[column] else ""
    return ",".join(cells)


def test_every_family_is_fitted() -> None:
    assert {p.stem for p in store.FOLDER.glob("*.json")} == set(families())
