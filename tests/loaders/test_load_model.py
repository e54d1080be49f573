"""`load_model`: the reader by content and suffix, and one message for what cannot be opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.loaders.tflite_writer import Net, Op, T
from workbench.errors import InputError, ModelError
from workbench.loaders import load as load_module
from workbench.loaders import load_model

DATA = Net([T((1, 3), name="x"), T((1, 3), name="y")], [Op("RELU", [0], [1])]).bytes()


@pytest.mark.parametrize("name", ["m.tflite", "m.TFLITE", "m.bin", "m"])
def test_tflite_is_recognized_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(DATA)
    graph = load_model(str(path))
    assert graph.name == "m" and graph.source_format == "tflite"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.tflite", b"", "is not a .tflite model"), ("m.tflite", b"hello world", "no identifier TFL3"),
        ("m.tflit", b"hello world", "has the suffix '.tflit' and is no TFLite file inside. Did you mean '.tflite'?"),
        ("m", b"hello world", "has no suffix"), ("m.onnx", b"hello world", "is not an ONNX model"),
        ("m.tflite", DATA[: len(DATA) // 2], "damaged or truncated"),
    ],
)  # fmt: skip
def test_unreadable_content_gets_one_message(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as problem:
        load_model(path)
    assert message in str(problem.value) and str(problem.value).startswith(str(path))


def test_missing_file_directory_and_pipe_get_one_message(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tflite")
    (tmp_path / "folder.tflite").mkdir()
    for path, message in (
        (tmp_path / "none.tflite", "cannot be read: No such file"), (tmp_path / "folder.tflite", "is a directory"),
        (tmp_path / "pipe.tflite", "is not a plain file"), (tmp_path / "none.tflite" / "m.tflite", "cannot be read"),
        (Path("a\0b.tflite"), "cannot be read"), (tmp_path / ("n" * 300), "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(InputError) as problem:
            load_model(path)
        assert message in str(problem.value) and not isinstance(problem.value, ModelError)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_gets_one_message(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(DATA)
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        load_model(path)


def test_file_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "MAX_FILE_BYTES", 100)
    path = tmp_path / "m.tflite"
    path.write_bytes(DATA)
    with pytest.raises(InputError, match=f"has {len(DATA)} bytes; at most 100 are read"):
        load_model(path)
