"""`check_folder`: every file of a folder of golden vectors, compared or listed as not covered; nothing is left out silently."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from workbench import validate
from workbench.errors import InputError
from workbench.validate.golden_base import CHECKS, FAMILIES, OTHERS, Row, check_single_op_file
from workbench.validate.golden_models import check_model_file

for _module in pkgutil.iter_modules(validate.__path__):  # golden_*.py register families and files when imported
    if _module.name.startswith("golden_"):
        importlib.import_module(f"workbench.validate.{_module.name}")

NOT_COVERED = "not covered yet"
TEXT = (".md", ".txt")


def is_covered(path: Path) -> bool:
    """True when something compares this file."""
    prefix, _, family = path.stem.partition("_")
    return path.stem in CHECKS or path.stem.startswith("model_") or (prefix in ("litert", "cmsis") and family in FAMILIES)


def check_file(path: Path) -> list[Row]:
    """Return the rows of one file: vectors of their own kind, a single-operator family, a companion, or one row that says why not."""
    if path.suffix != ".npz":
        return OTHERS[path.name](path) if path.name in OTHERS else [Row(path.name, "-", "-", 0, 0, 0, 0, _what(path))]
    if path.stem in CHECKS:
        return CHECKS[path.stem](path)
    if path.stem.startswith("model_"):
        return check_model_file(path)
    if is_covered(path):
        return check_single_op_file(path)
    return [Row(path.stem, "-", "-", 0, 0, 0, 0, NOT_COVERED)]


def check_folder(path: Path) -> list[Row]:
    """Return the rows of every file in a folder, by name, an .npz and its .json as one; InputError when there is no .npz."""
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else []
    vectors = {p.stem for p in files if p.suffix == ".npz"}
    if not vectors:
        raise InputError(f"{path}: no golden vectors here; expected .npz files, each with a .json of the same name.")
    return [row for file in files if file.suffix != ".json" or file.stem not in vectors for row in check_file(file)]


def _what(path: Path) -> str:
    return "text, not compared" if path.suffix in TEXT else "unknown file"
