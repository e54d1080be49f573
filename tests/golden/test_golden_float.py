"""Tensor-core and cast vectors: no element may differ, and what is not covered is listed by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.validate import golden_float
from workbench.validate.golden_base import CHECKS

COVERED = {"nvidia_hw": (56, 44_800, 8), "mma_sim": (44, 7_040, 1), "fp_formats": (4, 20_020, 52)}
"""File -> rows compared, elements compared, rows listed as not covered."""


@pytest.mark.parametrize("name", sorted(COVERED))
def test_no_element_differs(golden_dir: Path, name: str) -> None:
    rows = CHECKS[name](golden_dir / f"{name}.npz")
    compared = [row for row in rows if row.elements]
    assert [row for row in compared if not row.ok] == []
    assert (len(compared), sum(row.elements for row in compared), len(rows) - len(compared)) == COVERED[name]
    assert all(row.note for row in rows)


def test_the_hopper_sets_run_under_the_numbers_of_the_profile(golden_dir: Path) -> None:
    rows = golden_float.check_nvidia_hw(golden_dir / "nvidia_hw.npz")
    assert [row.elements for row in rows if row.profile == golden_float.HOPPER] == [800, 800]
