"""The table of docs/validation.md: who made the vectors, how many, how many differ; and what was left out, with the reason.

python -m benchmarks.golden_table [FOLDER]        (default: WORKBENCH_GOLDEN, or ../shared/golden)
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections import Counter
from pathlib import Path

from workbench.hardware import list_profiles
from workbench.validate.golden import check_folder
from workbench.validate.golden_base import by_maker

MOST_PROFILES = 2


def main() -> None:
    """Print both tables."""
    shared = Path(__file__).resolve().parents[2] / "shared" / "golden"
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("WORKBENCH_GOLDEN") or shared)
    rows, shipped = check_folder(folder), list_profiles()
    print("| made by | profile | files | cases | elements | mismatches |\n|---|---|---|---|---|---|")
    for r in by_maker(rows):
        names = [f"`{p}`" for p in dict.fromkeys(r.profile.split(", ")) if p in shipped]
        profiles = ", ".join(names[:MOST_PROFILES]) + (", ..." if len(names) > MOST_PROFILES else "")
        print(f"| {r.producer} | {profiles} | {r.file.split()[0]} | {r.cases:,} | {r.elements:,} | {r.mismatches:,} |")
    gguf = "with" if importlib.util.find_spec("gguf") else "without"
    print(f"\nCompared {gguf} the optional package `gguf` (codebooks of llama.cpp's IQ formats).")
    print("\n| left out | rows | reason |\n|---|---|---|")
    left = [r for r in rows if not r.elements or re.match(r"\d+ cases: ", r.note)]
    for (file, note), count in Counter((r.file, r.note) for r in left).items():
        print(f"| {file} | {count} | {note} |")


if __name__ == "__main__":
    main()
