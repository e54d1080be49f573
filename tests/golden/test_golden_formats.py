"""Casts, microscaling blocks and GGUF blocks: no element may differ, and every array is compared or named with the reason."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.validate import golden_formats
from workbench.validate.golden_base import CHECKS

CODEBOOKS = 0 if importlib.util.find_spec("gguf") else 7
COVERED = {"fp_formats": (80, 400_096, 0), "gguf_quant": (37 - CODEBOOKS, 224_640 - CODEBOOKS // 7 * 41_472, 8 + CODEBOOKS)}
"""File -> rows compared, elements compared, rows that say why not. Without the package `gguf`, seven formats lack their codebook."""


@pytest.mark.parametrize("name", sorted(COVERED))
def test_no_element_differs(golden_dir: Path, name: str) -> None:
    rows = CHECKS[name](golden_dir / f"{name}.npz")
    compared = [row for row in rows if row.elements]
    assert [row for row in compared if row.mismatches or not row.ok] == []
    assert (len(compared), sum(row.elements for row in compared), len(rows) - len(compared)) == COVERED[name]
    assert all(row.note for row in rows)


@pytest.mark.parametrize("name", sorted(COVERED))
def test_every_array_has_a_row(golden_dir: Path, name: str) -> None:
    producers = {row.producer for row in CHECKS[name](golden_dir / f"{name}.npz")}
    with np.load(golden_dir / f"{name}.npz") as arrays:
        files = set(arrays.files) - {"x", "v"}
    if name == "fp_formats":
        assert {p.replace(" ", "_", 1) for p in producers} == files
    else:
        formats = {entry["format"] for entry in json.loads((golden_dir / f"{name}.json").read_text())["formats"]}
        assert {f.partition("/")[0] for f in files} <= formats == {p.partition(" ")[0] for p in producers}


def test_one_wrong_bit_is_seen(golden_dir: Path, tmp_path: Path) -> None:
    for name, array in (("fp_formats", "mx_fp4_e2m1_even_b32"), ("gguf_quant", "Q4_0/blocks")):
        with np.load(golden_dir / f"{name}.npz") as source:
            arrays = dict(source)
        arrays[array] = arrays[array].copy()
        arrays[array].view(np.uint8).reshape(-1)[100] ^= 1
        np.savez(tmp_path / f"{name}.npz", **arrays)
        shutil.copy(golden_dir / f"{name}.json", tmp_path)
        rows = CHECKS[name](tmp_path / f"{name}.npz")
        assert sum(row.mismatches for row in rows) >= 1 and not all(row.ok for row in rows)


@pytest.mark.parametrize(
    ("index", "arrays", "message"),
    [
        ("{}", {"x": np.zeros((1, 32), np.float32)}, r"gguf_quant\.json.*'formats'"),
        (
            '{"formats": [{"format": "Q4_0", "kind": "random"}]}',
            {"Q4_0/blocks": np.zeros((1, 17), np.uint8), "Q4_0/dequant": np.zeros((1, 32), np.float32)},
            "17 bytes are not whole blocks of 18",
        ),
    ],
)
def test_damaged_files_are_one_message(tmp_path: Path, index: str, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "gguf_quant.npz", **arrays)  # type: ignore[arg-type]
    (tmp_path / "gguf_quant.json").write_text(index)
    with pytest.raises(InputError, match=message):
        golden_formats.check_gguf_quant(tmp_path / "gguf_quant.npz")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("float16", "fp16"), ("float8_e4m3fn", "e4m3"), ("float8_e4m3fnuz", "e4m3fnuz"), ("float8_e8m0fnu", "e8m0"),
        ("float4_e2m1fn", "e2m1"), ("float8_p3", ""),
    ],
)  # fmt: skip
def test_types_are_found_by_their_names_in_ml_dtypes(kind: str, name: str) -> None:
    assert golden_formats.format_of(kind) == name
