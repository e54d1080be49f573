"""Fixtures: folders with vectors and models. A test that needs one says so when it is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("workbench", deadline=None)  # the first call of a kernel compiles it
settings.load_profile("workbench")

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, default: str) -> Path:
    path = Path((variable and os.environ.get(variable)) or ROOT.parent / "shared" / default)
    if not path.is_dir():
        way_out = f"; set {variable} to a folder laid out like shared/{default}" if variable else ""
        pytest.skip(f"{path} is not there{way_out}")
    return path


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    return _folder("WORKBENCH_GOLDEN", "golden")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The networks of shared/models by their names."""
    return _folder("", "models")


@pytest.fixture(scope="session")
def any_models_dir() -> Path:
    """A folder of networks with stored outputs: whatever WORKBENCH_MODELS names, else shared/models."""
    return _folder("WORKBENCH_MODELS", "models")


@pytest.fixture(scope="session")
def ground_truth() -> Path:
    """The folder with published measurements."""
    return _folder("WORKBENCH_GROUND_TRUTH", "ground_truth")
