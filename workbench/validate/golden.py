"""`check_folder`: every file of a folder of golden vectors, compared or listed as not covered; nothing is left out silently."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from workbench import validate
from workbench.errors import InputError
from workbench.validate.cases import failed
from workbench.validate.golden_base import CHECKS, FAMILIES, OTHERS, Row
from workbench.validate.golden_models import check_model_file
from workbench.validate.golden_single_op import check_single_op_file

for _module in pkgutil.iter_modules(validate.__path__):  # golden_*.py register families and files when imported
    if _module.name.startswith("golden_"):
        importlib.import_module(f"workbench.validate.{_module.name}")

NOT_COVERED = "unknown vectors: no rule says how to compare this file"
TEXT = (".md", ".txt")


def is_covered(path: Path) -> bool:
    """True when something compares this file."""
    prefix, _, family = path.stem.partition("_")
    return path.stem in CHECKS or path.stem.startswith("model_") or (prefix in ("litert", "cmsis") and family in FAMILIES)


def has_case_list(path: Path) -> bool:
    """True when a file of vectors that is known here has a list of its cases beside it."""
    return is_covered(path) and not path.stem.startswith("model_")


def check_file(path: Path) -> list[Row]:
    """Return the rows of one file: vectors of their own kind, a single-operator family, a companion, or one row that says why not."""
    if path.suffix != ".npz":
        return OTHERS[path.name](path) if path.name in OTHERS else [_not_vectors(path)]
    if not is_covered(path):
        return [failed(path.stem, NOT_COVERED)]
    if path.stem.startswith("model_"):
        return check_model_file(path)
    if not path.with_suffix(".json").exists():
        return [failed(path.stem, f"missing: {path.stem}.json, the list of the cases")]
    return CHECKS[path.stem](path) if path.stem in CHECKS else check_single_op_file(path)


def check_folder(path: Path) -> list[Row]:
    """Return the rows of every file in a folder, by name, an .npz and its .json as one; InputError when there is no .npz."""
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")) if path.is_dir() else []
    vectors = {p.stem for p in files if p.suffix == ".npz"}
    if not vectors:
        raise InputError(f"{path}: no golden vectors here; expected .npz files, each with a .json of the same name.")
    return [row for file in files if file.suffix != ".json" or file.stem not in vectors for row in check_file(file)]


def _not_vectors(path: Path) -> Row:
    if path.suffix == ".json":
        return failed(
            path.name, f"missing: {path.stem}.npz" if has_case_list(path) else "unknown file: vectors without arrays?"
        )
    return Row(path.name, "-", "-", 0, 0, 0, 0, "text, not compared" if path.suffix in TEXT else "unknown file, no vectors")
