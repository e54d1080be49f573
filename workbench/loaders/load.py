"""`load_model`: which reader fits a file, by what is inside and by its suffix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workbench.errors import InputError, nearest
from workbench.graph.ir import Graph
from workbench.loaders.tflite.verify import IDENTIFIER

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Largest `.tflite` file; networks for these targets are thousands of times smaller."""
SUFFIXES = (".tflite", ".onnx")


def load_model(path: str | Path, signature: str | None = None, dims: Mapping[str, int] | None = None) -> Graph:
    """Read a model file.

    Args:
        path: a TFLite file (any suffix but `.onnx`; recognized by its identifier) or an `.onnx` file.
        dims: sizes of open dimensions of an ONNX file by name ({'seq': 16}), or by input and number ({'x:2': 48}); or the value of an
            input that is one whole number.
        signature: which of the networks of a TFLite file; default `serving_default`, else the first.
    Returns: the graph, checked; see `load_tflite` and `load_onnx`.
    Raises: InputError for files that cannot be opened or are of no known kind; ModelError for what is inside of them.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"a model is given by its path, not by {type(path).__name__}.")
    path = Path(path)
    head = _head(path)
    if path.suffix.lower() == ".onnx":
        from workbench.loaders.onnx import load_onnx  # heavy: imported only when needed

        if signature is not None:
            raise InputError(f"{path}: signatures name the networks of a TFLite file; an ONNX file has one.")
        return load_onnx(path, dims)
    if path.suffix.lower() == ".tflite" or head[4:8] == IDENTIFIER:
        from workbench.loaders.tflite import load_tflite

        if dims:
            raise InputError(f"{path}: dims fix symbolic dimensions of ONNX files; a TFLite file has fixed shapes.")
        return load_tflite(path, _read(path), signature)
    found = f"the suffix '{path.suffix}'" if path.suffix else "no suffix"
    hint = nearest(path.suffix.lower(), SUFFIXES)
    raise InputError(f"{path}: has {found} and is no TFLite file inside.{hint}\nGive a {' or '.join(SUFFIXES)} file.")


def _head(path: Path) -> bytes:
    """Return the first bytes; InputError when the path is not a readable plain file."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory. Give the path of a {' or '.join(SUFFIXES)} file.")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a plain file. Give the path of a {' or '.join(SUFFIXES)} file.")
        with path.open("rb") as file:
            return file.read(8)
    except (OSError, ValueError) as problem:
        raise InputError(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}.") from None


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path}: has {size} bytes; at most {MAX_FILE_BYTES} are read.")
        return path.read_bytes()
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror or problem}.") from None
