"""What is missing, left over or refused in a folder of vectors is never passed over: a row that is not ok, or one message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.errors import InputError
from workbench.validate.golden import check_file, check_folder
from workbench.validate.golden_base import Row, by_maker
from workbench.validate.tables import golden_table

Arrays = dict[str, Any]
Edit = Callable[[Any, Arrays], object]
OWN = Path(__file__).parent / "onnxruntime" / "ort_avx2.npz"


def copied(path: Path, folder: Path, edit: Edit | None = None) -> Path:
    """Return a copy of a file and its list of cases, edited."""
    index = json.loads(path.with_suffix(".json").read_text())
    with np.load(path) as stored:
        arrays = {k: stored[k] for k in stored.files}
    if edit is not None:
        edit(index, arrays)
    made = folder / path.name
    made.with_suffix(".json").write_text(json.dumps(index))
    np.savez(made, **arrays)
    return made


def first(files: list[Any], count: int) -> None:
    del files[count:]


def keep(index: Any, arrays: Arrays, count: int) -> Any:
    """Shorten a file to its first cases, so that what is left is compared quickly."""
    cases = index["instructions"] if isinstance(index, dict) else index
    first(cases, count)
    ids = {case["id"] for case in cases}
    for name in [k for k in arrays if k.partition("/")[0] not in ids]:
        del arrays[name]
    return cases


def without(array: str, count: int = 4) -> Edit:
    def edit(index: Any, arrays: Arrays) -> None:
        keep(index, arrays, count)
        del arrays[array]

    return edit


def unlisted(index: Any, arrays: Arrays) -> None:
    del keep(index, arrays, 4)[2]


def no_case(index: Any, arrays: Arrays) -> None:
    keep(index, arrays, 0)


def renamed(index: Any, arrays: Arrays) -> None:
    keep(index, arrays, 4)[1]["op"] = "unheard_of"


def twice(index: Any, arrays: Arrays) -> None:
    cases = keep(index, arrays, 4)
    cases.append(cases[0])


def shifted(index: Any, arrays: Arrays) -> None:
    keep(index, arrays, 4)[1]["total_shift"] = 20


@pytest.mark.parametrize(
    ("name", "edit", "note"),
    [
        ("ort_vnni", no_case, "no case is listed: ort_vnni"),
        ("ort_vnni", unlisted, "arrays of no listed case: c002"),
        ("ort_vnni", twice, "listed more than once: c000"),
        ("ort_vnni", renamed, "no rule for unheard_of: c001"),
        ("ort_vnni", without("c000/x"), "missing arrays: c000/x"),
        ("ort_vnni", without("c000/y"), "missing arrays: c000/y"),
        ("litert_conv2d_s8", no_case, "no case is listed"),
        ("litert_conv2d_s8", unlisted, "arrays of no listed case: c002"),
        ("litert_conv2d_s8", without("c003/x"), "missing arrays: c003/x"),
        ("litert_conv2d_s8", without("c003/y__litert_ref"), "missing arrays: c003/y__litert_ref"),
        ("ai8x_max78000", without("c003/w"), "missing arrays: c003/w"),
        ("ai8x_max78000", without("c003/y"), "missing arrays: c003/y"),
        ("ai8x_max78000", renamed, "no rule for unheard_of: c001"),
        ("ai8x_max78000", shifted, "c001"),
        ("tosa_reference", without("c003/y"), "missing arrays: c003/y"),
        ("tosa_reference", without("c003/const-0"), "missing arrays: c003/const-0"),
        ("tosa_reference", renamed, "no rule for unheard_of: c001"),
        ("nvidia_hw", without("A100_bf16_f32/d", 1), "missing arrays: A100_bf16_f32/d"),
        ("mma_sim", without("q01/kind", 2), "missing arrays: q01/kind"),
        ("mma_sim", no_case, "no case is listed"),
    ],
)
def test_what_is_missing_fails(golden_dir: Path, tmp_path: Path, name: str, edit: Edit, note: str) -> None:
    rows = check_file(copied(golden_dir / f"{name}.npz", tmp_path, edit))
    assert [note in row.note for row in rows if row.failed] == [True]
    assert not all(row.ok for row in rows)
    assert all(row.mismatches == 0 for row in rows)


@pytest.mark.parametrize("array", ["back_float8_e4m3fn", "table_float4_e2m1fn", "mx_fp8_e4m3_even_b16"])
def test_a_number_format_without_its_array_fails(golden_dir: Path, tmp_path: Path, array: str) -> None:
    rows = check_file(copied(golden_dir / "fp_formats.npz", tmp_path, lambda index, arrays: arrays.pop(array)))
    assert [row.note for row in rows if not row.ok] == [f"missing arrays: {array}"]


def test_a_block_format_without_its_blocks_fails(golden_dir: Path, tmp_path: Path) -> None:
    rows = check_file(copied(golden_dir / "gguf_quant.npz", tmp_path, lambda index, arrays: arrays.pop("Q4_0/blocks")))
    assert [row.note for row in rows if not row.ok] == ["missing arrays: Q4_0/blocks"]


def test_outputs_of_cmsis_that_ran_must_be_there(golden_dir: Path, tmp_path: Path) -> None:
    copied(golden_dir / "litert_conv2d_s8.npz", tmp_path)
    rows = check_file(copied(golden_dir / "cmsis_conv2d_s8.npz", tmp_path, without("c001/y__cmsis_dr")))
    assert [row.note for row in rows if not row.ok] == ["missing arrays: c001/y__cmsis_dr"]


def test_files_that_belong_together_are_missed(tmp_path: Path) -> None:
    for name in ("ort_avx2.npz", "cmsis_fc_s8.npz", "litert_unheard_of.npz"):
        shutil.copyfile(OWN, tmp_path / name)
    shutil.copyfile(OWN.with_suffix(".json"), tmp_path / "ort_vnni.json")
    shutil.copyfile(OWN.with_suffix(".json"), tmp_path / "whose.json")
    found = {row.file: row.note for row in check_folder(tmp_path)}
    assert not any(row.ok for row in check_folder(tmp_path))
    assert found["ort_vnni.json"] == "missing: ort_vnni.npz"
    assert found["ort_avx2"] == "missing: ort_avx2.json, the list of the cases"
    assert found["cmsis_fc_s8"].startswith("missing: cmsis_fc_s8.json")
    assert found["whose.json"].startswith("unknown file")
    assert found["litert_unheard_of"].startswith("unknown vectors")


def test_a_summary_names_the_file_that_is_gone(golden_dir: Path, tmp_path: Path) -> None:
    copied(golden_dir / "litert_elu_int8.npz", tmp_path)
    said = json.loads((golden_dir / "litert_SUMMARY.json").read_text())
    (tmp_path / "litert_SUMMARY.json").write_text(json.dumps({k: said[k] for k in ("elu_int8", "exp_int8")}))
    (row,) = check_file(tmp_path / "litert_SUMMARY.json")
    assert row.mismatches > 0
    assert row.note.endswith("MISSING files: litert_exp_int8.npz")


def field(name: str) -> Edit:
    def edit(index: Any, arrays: Arrays) -> None:
        del keep(index, arrays, 4)[1][name]

    return edit


def cut(index: Any, arrays: Arrays) -> None:
    keep(index, arrays, 4)
    arrays["c001/y"] = arrays["c001/y"].reshape(-1)[:-1]


def cut_operands(index: Any, arrays: Arrays) -> None:
    name = keep(index, arrays, 1)[0]["id"]
    arrays[f"{name}/a"] = arrays[f"{name}/a"][:-1]


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("ort_vnni", field("id"), "ort_vnni.json: case 1 of the list: field 'id' is missing"),
        ("ort_vnni", field("x_scale"), "ort_vnni.json: case c001: field 'x_scale' is missing"),
        ("litert_conv2d_s8", field("activation"), "litert_conv2d_s8.json: case c001: field 'activation' is missing"),
        ("litert_add_int8", field("activation"), "litert_add_int8.json: case c001: field 'activation' is missing"),
        ("ai8x_max78000", field("op"), "ai8x_max78000.json: case c001: field 'op' is missing"),
        ("tosa_reference", cut, "tosa_reference.npz: case c001: its fields and arrays do not fit"),
        ("nvidia_hw", cut_operands, "case A100_bf16_f32: its fields and arrays do not fit each other: array 'a' has the shape"),
        ("mma_sim", cut_operands, "case q00: its fields and arrays do not fit each other: array 'a' has the shape"),
    ],
)
def test_what_does_not_fit_is_one_message(golden_dir: Path, tmp_path: Path, name: str, edit: Edit, message: str) -> None:
    path = copied(golden_dir / f"{name}.npz", tmp_path, edit)
    with pytest.raises(InputError) as problem:
        check_file(path)
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(("edit", "code"), [(None, 0), (without("c000/y"), 1), (no_case, 1)])
def test_exit_code(tmp_path: Path, edit: Edit | None, code: int) -> None:
    copied(OWN, tmp_path, edit or (lambda index, arrays: keep(index, arrays, 4)))
    result = CliRunner().invoke(app, ["validate", "golden", "--data", str(tmp_path)])
    assert result.exit_code == code


def test_elements_that_are_compared_twice_count_once() -> None:
    rows = [
        Row("mma_sim", "Hopper", "p", 2, 10, 0, 0, "integer rule"),
        Row("mma_sim", "Hopper", "p", 2, 10, 1, 3, "kernel", again=True),
    ]
    (made,) = by_maker(rows)
    assert (made.cases, made.elements, made.mismatches) == (2, 10, 1)
    last = [list(column.cells)[-1] for column in golden_table(rows).columns]
    assert last[3:6] == ["2", "10", "1"]
    assert "10 of the elements compared a second way" in last[7]
