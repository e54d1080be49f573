"""The command line: help, lists, schemas, wrong words, and that a command loads only what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const

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
        ("battery",),
        ("calibrate",),
        ("emulate",),
        ("compare",),
        ("table",),
        ("profiles",),
        ("formats",),
        ("ops",),
        ("schema",),
        ("validate",),
        ("validate", "golden"),
        ("validate", "models"),
        ("validate", "silicon"),
        ("validate", "cost"),
    ],
)
def test_every_command_has_help_in_whole_sentences(command: tuple[str, ...]) -> None:
    done = cli(*command, "--help")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.startswith(f"Usage: {' '.join(('python -m workbench.cli', *command))} ")
    assert "..." not in done.stdout.partition("\n")[2]  # a first sentence that is too long for the list of commands is cut


LIST_MODULES = """
import json, sys, workbench.cli
report = sys.argv.pop(1)
try:
    workbench.cli.main()
except SystemExit as end:
    assert end.code == 0
    open(report, "w").write(json.dumps(list(sys.modules)))
"""


def loaded(folder: Path, *words: str) -> set[str]:
    """Return the names of all modules that a command has imported when it ends."""
    report = folder / "modules.json"
    subprocess.run(
        [sys.executable, "-c", LIST_MODULES, str(report), *words],
        check=True, cwd=folder, timeout=120, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return set(json.loads(report.read_text()))


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (("--help",), {"numpy", "numba", "pydantic", "yaml"}),
        (("profiles",), {"numba", "scipy", "pandas"}),
        (("formats",), {"numba", "scipy", "pandas"}),
        (("ops",), {"scipy.linalg", "pandas", "matplotlib", "onnx"}),
    ],
)
def test_commands_load_only_what_they_need(tmp_path: Path, words: tuple[str, ...], heavy: set[str]) -> None:
    assert not loaded(tmp_path, *words) & heavy


def test_emulate_loads_only_what_it_needs_and_writes_the_outputs(tmp_path: Path) -> None:
    unit = {"scale": [1.0], "zero": [0]}
    x = np.array([[1, -2, 3, 100], [-128, 127, 0, 1]], np.int8)
    w = np.array([[1, 2, 3, 1], [-1, 0, 1, -2], [4, 4, 4, 1]], np.int8)
    bias = np.array([5, -6, 7], np.int32)
    tensors = [
        T([1, 4], np.int8, "x", **unit),
        const(w, name="w", **unit),
        const(bias, name="b", **unit),
        T([1, 3], np.int8, "y", **unit),
    ]
    layer = Op("FULLY_CONNECTED", [0, 1, 2], [3], ("FullyConnectedOptions", {}))
    (tmp_path / "m.tflite").write_bytes(Net(tensors, [layer]).bytes())
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "y.npz"
    words = (str(tmp_path / "m.tflite"), "-p", "stm32l4r5-cortex-m4-tflm", "--data", str(tmp_path / "x.npy"), "--out", str(out))
    assert not loaded(tmp_path, "emulate", *words) & {
        "scipy.linalg",
        "scipy.optimize",
        "pandas",
        "matplotlib",
        "onnx",
        "jinja2",
        "rich.table",
    }
    exact = x.astype(np.int64) @ w.T.astype(np.int64) + bias
    np.testing.assert_array_equal(np.load(out)["y"], np.clip(exact, -128, 127).astype(np.int8))


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
        ("validate", "models", "--data", "/nowhere"),
        ("validate", "silicon", "--data", "/nowhere"),
    ],
)
def test_wrong_words_end_with_exit_2_and_no_traceback(words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
