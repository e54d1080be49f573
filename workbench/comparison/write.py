"""The folder of a comparison: compare.json, compare.csv (layers), attribution.csv and compare.png, complete or not there at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from workbench.comparison.figure import comparison_figure
from workbench.comparison.results import Comparison
from workbench.comparison.tables import attribution_frame, comparison_json, layer_frame
from workbench.errors import InputError
from workbench.report.plots.style import drawing, png_bytes


def check_folder(out: Path) -> None:
    """Raise InputError unless a folder can be made there: nothing is overwritten."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; results are never overwritten. Choose another folder.")


def write_comparison(c: Comparison, out: Path) -> None:
    """Write a comparison into a new or empty folder; an error or Ctrl-C leaves nothing."""
    out = Path(out).absolute()
    check_folder(out)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        try:
            part.mkdir(parents=True)
            _write(part / "compare.json", json.dumps(comparison_json(c), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
            _write(part / "compare.csv", layer_frame(c).to_csv(index=False, lineterminator="\n"))
            if c.attribution is not None:
                _write(part / "attribution.csv", attribution_frame(c.attribution).to_csv(index=False, lineterminator="\n"))
            with drawing():
                (part / "compare.png").write_bytes(png_bytes(comparison_figure(c)))
            part.replace(out)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as problem:
        raise InputError(f"{out}: the comparison cannot be written: {problem.strerror or problem}.") from None


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
