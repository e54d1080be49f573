"""The folder with published measurements."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def ground_truth() -> Path:
    path = Path(os.environ.get("WORKBENCH_GROUND_TRUTH") or ROOT.parent / "shared" / "ground_truth")
    if not path.is_dir():
        pytest.skip(f"{path} is not there; set WORKBENCH_GROUND_TRUTH to a folder laid out like shared/ground_truth")
    return path
