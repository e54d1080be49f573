"""(c, e) Sweeps and start-up: what `exhaustive.py` and `startup.py` print, and the figures read from it.

    python -m benchmarks.printed sweeps|startup [--json FILE] [--quick]

--quick sweeps DS-CNN on 32 samples, and starts every command once.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.exhaustive import KEYWORDS, SWEEPS
from benchmarks.networks import folder
from benchmarks.timing import arguments, save
from workbench.data import read_arrays

HERE = Path(__file__).parent
NUMBER = r"([\d,.]+)"
SWEEP = {
    "plans": rf": {NUMBER} plans on", "samples": rf"plans on {NUMBER} samples", "passes": rf"work +{NUMBER} passes",
    "tmac": rf"{NUMBER} TMAC", "seconds": rf"seconds +{NUMBER} ", "processor": rf"\({NUMBER} of processor time",
    "rss_mb": rf"peak RSS {NUMBER} MB", "naive_seconds": rf"naive loop +{NUMBER} s", "over_naive": rf"per plan\): x {NUMBER};",
    "differ": rf"; {NUMBER} of \d+ plans differ", "compared": rf"\d of {NUMBER} plans differ", "exponent": r"plans \*\* ([-\d.]+)",
}  # fmt: skip
STARTS = ("workbench --help", "emulate, empty cache", "emulate, filled cache")


def output(program: str, words: list[str]) -> str:
    """Return what a program prints; CalledProcessError when it fails (a sweep fails when a plan differs from the naive loop)."""
    command = [sys.executable, str(HERE / program), *words]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent).stdout
    print(text, flush=True)
    return text.strip("\n")


def number(pattern: str, text: str) -> float:
    """Return the number that a pattern finds. Raises ValueError when the text no longer has it."""
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"nothing like {pattern!r} in:\n{text}")
    return float(found[1].replace(",", ""))


def sweep(model: Path, data: Path, inputs: str, labels: str, formats: str, sample: int) -> dict[str, Any]:
    """Return one sweep. sample: plans that also go through the naive loop."""
    words = ["--model", str(model), "--data", str(data), "--inputs", inputs, "--labels", labels]
    text = output("exhaustive.py", [*words, "--formats", formats, "--sample", str(sample)])
    growth = re.findall(rf"{NUMBER} plans ([\d.]+) s", text)
    return {name: number(pattern, text) for name, pattern in SWEEP.items()} | {
        "model": model.stem, "formats": formats, "text": text, "x": [int(n.replace(",", "")) for n, _ in growth],
        "growth_seconds": [float(s) for _, s in growth],
    }  # fmt: skip


def sweeps(quick: bool) -> list[dict[str, Any]]:
    """Return the sweeps of `exhaustive.py`; none without the models."""
    if not (folder() / KEYWORDS[0]).exists():
        print(f"no models below {folder()}; set WORKBENCH_MODELS")
        return []
    if not quick:
        return [sweep(folder() / model, folder() / data, x, y, formats, 8) for model, data, x, y, formats in SWEEPS]
    model, data, x, y = KEYWORDS
    with tempfile.TemporaryDirectory() as name:
        few = Path(name) / "few.npz"
        arrays: dict[str, Any] = {key: array[:32] for key, array in read_arrays(folder() / data).items()}
        np.savez(few, **arrays)
        return [sweep(folder() / model, few, x, y, "w8a8,w4a8", 1)]


def startup(quick: bool) -> dict[str, Any]:
    """Return seconds and MiB of every command."""
    text = output("startup.py", ["--runs", "1"] if quick else [])
    rows = {name: rf"{name} +{NUMBER} s +{NUMBER} s +{NUMBER} MiB" for name in STARTS}
    parts = {name: re.search(pattern, text) for name, pattern in rows.items()}
    figures = {}
    for name, found in parts.items():
        if found is None:
            raise ValueError(f"no line of {name!r} in:\n{text}")
        figures[name] = dict(zip(("wall_s", "cpu_s", "peak_mib"), map(float, found.groups()), strict=True))
    return {"runs": figures, "text": text}


def main() -> None:
    """Run, print, keep."""
    parser = arguments(__doc__)
    parser.add_argument("what", choices=("sweeps", "startup"))
    args = parser.parse_args()
    save(args.json, {"sweeps": sweeps(args.quick)} if args.what == "sweeps" else startup(args.quick))


if __name__ == "__main__":
    main()
