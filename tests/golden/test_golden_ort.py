"""ONNX Runtime's vectors through the functions of `validate golden`: no difference, and every kind of change is noticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.hardware import load_profile
from workbench.validate.cases import CaseFile
from workbench.validate.golden import check_file
from workbench.validate.golden_ort import EXACT, OPERATORS, int8_parts

FILES = {"ort_vnni": EXACT, "ort_avx2": "x86-avx2-onnxruntime"}
OWN = Path(__file__).parent / "onnxruntime" / "ort_avx2.npz"
"""More of AVX2 without VNNI: groups, several outputs per input, strides, dilations, one row (PROVENANCE.md beside it)."""


@pytest.mark.parametrize("name", FILES)
def test_no_element_differs_and_every_operator_is_compared(golden_dir: Path, name: str) -> None:
    rows = check_file(golden_dir / f"{name}.npz")
    assert [row for row in rows if not row.ok] == []
    assert {row.producer.split()[0] for row in rows} == {case["op"] for case, _ in CaseFile(golden_dir / f"{name}.npz").cases}
    assert all(row.elements for row in rows)
    assert {row.profile for row in rows if "uint8 x int8" in row.producer} == {FILES[name]}
    assert {row.profile for row in rows if "int8 x int8" in row.producer and "uint8" not in row.producer} == {EXACT}


def test_pairs_saturate_in_the_vectors_of_avx2(golden_dir: Path) -> None:
    """Exact sums do not give them: convolutions, matrix products and int32 sums all show it."""
    exact = load_profile(EXACT)
    different: dict[str, int] = {}
    for case, arrays in CaseFile(golden_dir / "ort_avx2.npz").cases:
        if (case.get("x_dtype"), case.get("w_dtype")) == ("uint8", "int8"):
            total = [0, 0, 0, 0]
            OPERATORS[case["op"]](case, arrays, exact, total)
            different[case["op"]] = different.get(case["op"], 0) + total[2]
    assert set(different) == {"QLinearConv", "QLinearMatMul", "MatMulInteger"}
    assert all(different.values())


def test_no_element_differs_in_groups_and_windows() -> None:
    rows = check_file(OWN)
    assert [row for row in rows if not row.ok] == []
    assert {row.producer: row.cases for row in rows} == {
        "MatMulInteger uint8 x int8": 12, "QLinearConv uint8 x int8": 36, "QLinearMatMul uint8 x int8": 24,
    }  # fmt: skip
    assert {row.profile for row in rows} == {"x86-avx2-onnxruntime"}


def test_several_outputs_of_one_input_saturate_and_single_ones_do_not() -> None:
    """What makes a depthwise layer exact is one output per input; the vectors have both kinds."""
    exact = load_profile(EXACT)
    different: dict[bool, int] = {}
    for case, arrays in CaseFile(OWN).cases:
        if case["op"] == "QLinearConv" and case["group"] == arrays["x"].shape[1]:
            total = [0, 0, 0, 0]
            OPERATORS["QLinearConv"](case, arrays, exact, total)
            single = len(arrays["w"]) == case["group"]
            different[single] = different.get(single, 0) + total[2]
    assert different[True] == 0
    assert different[False] > 0


@pytest.fixture
def copied(golden_dir: Path, tmp_path: Path) -> Path:
    shutil.copy(golden_dir / "ort_avx2.json", tmp_path)
    shutil.copy(golden_dir / "ort_avx2.npz", tmp_path)
    return tmp_path / "ort_avx2.npz"


def change(path: Path, op: str, field: str) -> None:
    """Change one element of one array of the first case of an operator."""
    case_id = next(case["id"] for case, _ in CaseFile(path).cases if case["op"] == op)
    with np.load(path) as stored:
        arrays: dict[str, Any] = {k: stored[k].copy() for k in stored.files}
    key = f"{case_id}/{field}"
    arrays[key] = np.atleast_1d(arrays[key])
    arrays[key].flat[0] += 1
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("op", "field"), [*((op, "y") for op in OPERATORS), ("DynamicQuantizeLinear", "scale"), ("DynamicQuantizeLinear", "zp")]
)
def test_one_changed_element_is_noticed(copied: Path, op: str, field: str) -> None:
    change(copied, op, field)
    assert {row.producer.split()[0]: row.mismatches for row in check_file(copied) if row.mismatches} == {op: 1}


def test_an_operator_without_a_rule_fails(copied: Path) -> None:
    cases = json.loads(copied.with_suffix(".json").read_text())
    cases[0]["op"] = "QLinearUnheardOf"
    copied.with_suffix(".json").write_text(json.dumps(cases))
    (row,) = [row for row in check_file(copied) if not row.ok]
    assert (row.elements, row.note) == (0, f"no rule for QLinearUnheardOf: {cases[0]['id']}")


@pytest.mark.parametrize("zero_point", [0, 1, 77, 128, 255])
def test_weights_with_a_zero_point_are_a_sum_of_int8(zero_point: int) -> None:
    w = np.arange(256, dtype=np.uint8)
    parts = int8_parts(w, zero_point)
    assert all(p.dtype == np.int8 for p in parts)
    assert np.array_equal(sum(p.astype(int) for p in parts), w.astype(int) - zero_point)
