"""Every operator case on every runtime that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operators.case import Case, all_cases, check

CASES = all_cases()


@pytest.mark.parametrize(
    ("case", "oracle"),
    [pytest.param(case, oracle, id=f"{case.id}-{oracle}") for case in CASES for oracle in case.oracles],
)
def test_operator_equals_the_runtime(case: Case, oracle: str, tmp_path: Path) -> None:
    check(case, oracle, tmp_path)
