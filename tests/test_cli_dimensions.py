"""`--dim NAME=SIZE`: symbolic dimensions of ONNX files on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.loaders.onnx_cases import model, node, rand
from workbench.cli import main


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "model.onnx"
    found.write_bytes(model([node("MatMul", "x w", "y")], {"x": ("batch", "seq", 4)}, {"w": rand(4, 2)}).SerializeToString())
    return found


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as done:
        patch.setattr("sys.argv", ["workbench", *arguments])
        main()
    return int(done.value.code or 0)


def test_emulate_and_inspect_take_dimensions(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", str(path), "--dim", "seq=3") == 0
    assert "float32[N, 3, 4]" in " ".join(capsys.readouterr().out.split())
    data, out = tmp_path / "x.npy", tmp_path / "y.npz"
    np.save(data, rand(2, 3, 4))
    profile = ["--profile", "x86-vnni-onnxruntime", "--plan", "fp32"]
    assert run("emulate", str(path), *profile, "--data", str(data), "--dim", "seq=3", "-o", str(out)) == 0
    assert np.load(out)["y"].shape == (2, 3, 2)


@pytest.mark.parametrize("given", ["seq", "=3", "seq=", "seq=x", "seq=-1", "seq=3=4", "seq=99999999999"])
def test_dimension_that_is_none_is_refused(given: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", str(path), "--dim", given) == 2
    assert "--dim" in capsys.readouterr().err


def test_unknown_and_repeated_dimensions_are_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", str(path), "--dim", "sequence=3") == 2
    assert "dimensions of this file: batch, seq" in capsys.readouterr().err
    assert run("inspect", str(path), "--dim", "seq=3", "--dim", "seq=4") == 2
    assert "once" in capsys.readouterr().err
    assert run("inspect", str(path)) == 2
    assert "--dim seq=16" in capsys.readouterr().err
