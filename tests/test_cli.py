"""The command line: help, lists, schemas, wrong words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workbench.cli", *words], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("run",),
        ("inspect",),
        ("emulate",),
        ("profiles",),
        ("formats",),
        ("ops",),
        ("schema",),
        ("validate",),
        ("validate", "golden"),
    ],
)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    done = cli(*command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_lists_name_the_shipped_things() -> None:
    assert "ethos-u55-128" in cli("profiles").stdout
    assert "w4a8-per-tensor" in cli("formats").stdout
    assert "depthwise_conv2d" in cli("ops").stdout


@pytest.mark.parametrize("kind", ["study", "profile"])
def test_schema_is_json(kind: str) -> None:
    assert json.loads(cli("schema", kind).stdout)["type"] == "object"


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("run",),
        ("run", "nothing.yaml"),
        ("schema", "dog"),
        ("inspect", "nothing.tflite"),
        ("inspect", "pyproject.toml"),
        ("emulate", "a.tflite", "-p", "x"),
        ("profiles", "nothing"),
        ("validate", "golden", "--data", "/nowhere"),
        ("validate", "silicon", "--data", "/nowhere"),
    ],
)
def test_wrong_words_end_with_exit_2_and_no_traceback(words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
