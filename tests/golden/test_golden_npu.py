"""Vectors of NPUs: every case of both files is compared, under the profile or rule that it belongs to, and none differs."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from workbench.numerics import tosa
from workbench.validate import golden_npu
from workbench.validate.golden_npu import check_ai8x
from workbench.validate.golden_tosa import check_tosa_reference


def test_every_layer_of_the_simulator(golden_dir: Path) -> None:
    rows = check_ai8x(golden_dir / "ai8x_max78000.npz")
    assert [row for row in rows if not row.ok or row.note] == []
    assert sum(row.cases for row in rows) == 78
    assert {row.profile for row in rows} == {"max78000", "max78002", f"max78000{golden_npu.ROUNDED}"}
    assert sum(row.elements for row in rows if row.profile.startswith("max78000")) == 33_120  # as the profile says


def test_averages_are_told_apart(golden_dir: Path) -> None:
    """Both roundings under one rule: the vectors show it."""
    with mock.patch.object(golden_npu, "ROUNDED", ""):
        rows = check_ai8x(golden_dir / "ai8x_max78000.npz")
    assert sum(row.mismatches for row in rows) > 0


def test_every_operator_of_the_reference_model(golden_dir: Path) -> None:
    rows = check_tosa_reference(golden_dir / "tosa_reference.npz")
    assert [row for row in rows if not row.ok or row.note] == []
    assert sum(row.cases for row in rows) == 130
    assert {row.profile for row in rows if row.profile.startswith("rescale")} == {
        f"rescale {mode} ({rule})" for mode, rule in tosa.ROUNDING.items()
    }
