"""Golden vectors, one test per file: no element may differ from what the profile of its producer claims (tolerance 0)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench.validate.golden import NOT_COVERED, check_file, check_folder, is_covered

_FOLDER = Path(os.environ.get("WORKBENCH_GOLDEN") or Path(__file__).resolve().parents[3] / "shared" / "golden")
_FILES = sorted(path for path in _FOLDER.glob("*.npz") if is_covered(path))
_LINEAR = ("conv", "depthwise", "fc_", "batch_matmul")


@pytest.mark.parametrize("name", [path.name for path in _FILES])
def test_no_element_differs(golden_dir: Path, name: str) -> None:
    rows = check_file(golden_dir / name)
    assert rows, f"{name}: nothing was compared"
    assert [row for row in rows if not row.ok] == []
    assert sum(row.elements for row in rows) > 0


def test_every_linear_family_is_covered(golden_dir: Path) -> None:
    linear = [p for p in golden_dir.glob("*.npz") if p.stem.partition("_")[2].startswith(_LINEAR)]
    assert linear
    assert [p.stem for p in linear if not is_covered(p)] == []


def test_a_file_without_a_rule_fails(tmp_path: Path) -> None:
    (tmp_path / "litert_unheard_of.npz").write_bytes(b"")
    (row,) = check_folder(tmp_path)
    assert (row.file, row.elements, row.note, row.ok) == ("litert_unheard_of", 0, NOT_COVERED, False)
