"""Tensor-core vectors: no element may differ, and what is not covered is listed by name."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from workbench.validate import golden_float
from workbench.validate.golden_base import CHECKS

COVERED = {"nvidia_hw": (80, 64_000, 8), "mma_sim": (61, 9_760, 0)}
"""File -> rows compared, elements compared, rows listed as not covered."""


@pytest.mark.parametrize("name", sorted(COVERED))
def test_no_element_differs(golden_dir: Path, name: str) -> None:
    rows = CHECKS[name](golden_dir / f"{name}.npz")
    compared = [row for row in rows if row.elements]
    assert [row for row in compared if not row.ok] == []
    assert (len(compared), sum(row.elements for row in compared), len(rows) - len(compared)) == COVERED[name]
    assert all(row.note for row in rows)


def test_sets_run_under_the_numbers_of_the_profile_that_claims_them(golden_dir: Path) -> None:
    rows = golden_float.check_nvidia_hw(golden_dir / "nvidia_hw.npz")
    claimed = {row.producer.split()[0]: row.profile for row in rows if row.elements}
    assert {gpu for gpu, profile in claimed.items() if profile == "rule of the file"} == {"Ada", "L40S"}
    assert all(profile == golden_float.PROFILES[gpu] for gpu, profile in claimed.items() if gpu in golden_float.PROFILES)


def test_fp64_chain_of_special_values() -> None:
    inf, nan = math.inf, math.nan
    cases = [((1e308, 1.0), (10.0, 0.0), -inf, -inf), ((inf, 1.0), (0.0, 1.0), 1.0, nan), ((1e308, 1.0), (10.0, 0.0), 0.0, inf),
             ((-0.0, -0.0), (1.0, 1.0), -0.0, -0.0), ((1.0, 0.0), (1.0, 0.0), -1.0, 0.0),
             ((-5e-324, 0.0), (0.5, 1.0), 0.0, 0.0)]  # fmt: skip
    for a, b, c, want in cases:
        patterns = [np.array(v, np.float64).view(np.uint64) for v in ([a], [b], [c])]
        got = golden_float.fp64_chain(*patterns).view(np.float64)[0]
        assert (math.isnan(got) and math.isnan(want)) or (got == want and math.copysign(1, got) == math.copysign(1, want))
