"""Files that hold no vectors of operators: each is compared, each comparison can fail, none is passed over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.validate.golden import NOT_COVERED, check_file, check_folder
from workbench.validate.golden_base import OTHERS, Row, by_maker


@pytest.mark.parametrize("name", list(OTHERS))
def test_nothing_differs(golden_dir: Path, models_dir: Path, name: str) -> None:
    (row,) = check_file(golden_dir / name)
    assert row.elements > 0
    assert row.mismatches == 0, row


def _json(edit: Callable[[Any], None]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        value = json.loads(text)
        edit(value)
        return json.dumps(value)

    return changed


def _more(table: dict[str, Any], key: str) -> None:
    table[key] += 1


CHANGES: dict[str, Callable[[str], str]] = {
    "tflite_tables.json": _json(lambda v: v["sigmoid_table_uint16"].__setitem__(7, 0)),
    "litert_SUMMARY.json": _json(lambda v: _more(v["conv2d_s8"]["litert_opt"], "differ_from_ref")),
    "cmsis_SUMMARY.json": _json(lambda v: _more(v["fc_s8"], "dr_n")),
    "model_SUMMARY.json": _json(lambda v: _more(v[0]["tflm"], "tensors_differing")),
    "vela_summary.csv": lambda text: text.replace("264192,0.0", "264193,0.0", 1),
    "vela_per_layer.csv": lambda text: text.replace(",81920,", ",81921,", 1),
}


@pytest.fixture(scope="module")
def folder(golden_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vectors, linked, in a folder whose text files may be changed."""
    made = tmp_path_factory.mktemp("vectors")
    for path in golden_dir.iterdir():
        if path.suffix == ".npz" or path.with_suffix(".npz").exists():
            (made / path.name).symlink_to(path)
        else:
            shutil.copyfile(path, made / path.name)
    return made


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_number_is_noticed(folder: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("WORKBENCH_MODELS", str(models_dir))
    path = folder / name
    original = path.read_text()
    path.write_text(CHANGES[name](original))
    try:
        assert path.read_text() != original
        (row,) = check_file(path)
    finally:
        path.write_text(original)
    assert row.mismatches == 1


def test_a_published_solution_that_is_better_than_ours_is_noticed(folder: Path) -> None:
    """All layers with 8 bits are better than any choice within the limits."""
    path = folder / "hawq_v3_ilp.json"
    original = path.read_text()
    path.write_text(_json(lambda v: v["published"]["bit_config_resnet18_bops_0.5"].update(bits=[8] * 19))(original))
    try:
        (row,) = check_file(path)
    finally:
        path.write_text(original)
    assert row.mismatches == 1


def test_every_file_has_a_row(tmp_path: Path) -> None:
    for name in ("litert_unheard_of.npz", "litert_unheard_of.json", "notes.txt", "numbers.csv"):
        (tmp_path / name).write_bytes(b"")
    notes = {row.file: row.note for row in check_folder(tmp_path)}
    assert notes == {
        "litert_unheard_of": NOT_COVERED,
        "notes.txt": "text, not compared",
        "numbers.csv": "unknown file, no vectors",
    }


def test_the_summary_adds_up_what_one_maker_made() -> None:
    rows = [
        Row("litert_a", "tflm", "p", 2, 10, 1, 3),
        Row("litert_b", "tflm", "p", 1, 5, 0, 0),
        Row("nvidia_hw", "H100 FP16 -> FP32", "q", 4, 4, 0, 0),
        Row("nvidia_hw", "H100 FP8 -> FP16", "-", 0, 0, 0, 0, "left out"),
        Row("nvidia_hw", "A100 FP16 -> FP32", "q", 3, 3, 2, 9),
    ]
    found = [(r.producer, r.file, r.profile, r.cases, r.elements, r.mismatches, r.max_abs) for r in by_maker(rows)]
    assert found == [
        ("tflite-micro", "2 files", "p", 3, 15, 1, 3),
        ("real GPU H100", "1 file", "q", 4, 4, 0, 0),
        ("real GPU A100", "1 file", "q", 3, 3, 2, 9),
    ]
