"""All measurements in one go, and the page about them.

    python -m benchmarks.run_all [SECTION ...] [--quick] [--out FOLDER]

Every section is a process of its own; its figures become FOLDER/<section>.json, and all of them FOLDER/README.md (by default
docs/benchmarks/<date>-<cpu>, with --quick build/benchmarks/quick). Sections that are not named keep the figures they have there.
Needs the extra `verify`, and the models (WORKBENCH_MODELS, default ../shared/models); about 15 minutes, with --quick about three, and
a machine that does nothing else. Exit code 1 when a section ends with an error: the page then says so.

This process stays small: a child's peak memory is counted from that of its parent.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "benchmarks"
SECTIONS = {
    "gemm": ["gemm"], "layers": ["layers"], "throughput": ["throughput"], "sweeps": ["printed", "sweeps"], "growth": ["growth"],
    "memory": ["memory"], "startup": ["printed", "startup"],
}  # fmt: skip


def start(*words: str) -> dict[str, Any]:
    """Run a module of this folder; return exit code, seconds, and peak memory of its largest process (None where nobody counts)."""
    print(f"\n== {' '.join(words)}", flush=True)
    began, peak = time.perf_counter(), None
    child = subprocess.Popen([sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]], cwd=ROOT)
    if hasattr(os, "wait4"):
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    code = child.wait()
    return {"code": code, "seconds": round(time.perf_counter() - began, 1), "peak_bytes": peak}


def run(names: list[str], out: Path | None, quick: bool) -> int:
    """Run the sections and write the page; return the exit code."""
    options = ["--quick"] if quick else []
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    found = BUILD / "machine.json"
    if start("machine", "--json", str(found), *options)["code"]:
        return 1
    machine = json.loads(found.read_text())
    name = re.sub(r"[^a-z0-9]+", "-", f"{machine['date']} {machine['cpu']} {machine['llvm_cpu']}".lower()).strip("-")
    folder = (out or (BUILD / "quick" if quick else ROOT / "docs" / "benchmarks" / name)).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machine.json").write_text(found.read_text())
    kept = folder / "run.json"
    sections = json.loads(kept.read_text())["sections"] if kept.exists() and names else {}
    for section, (module, *words) in SECTIONS.items():
        if not names or section in names:
            part = folder / f"{section}.json"
            part.unlink(missing_ok=True)
            sections[section] = start(module, *words, "--json", str(part), *options)
    seconds = sum(s["seconds"] for s in sections.values())
    kept.write_text(json.dumps({"quick": quick, "load": load, "seconds": seconds, "sections": sections}, indent=1) + "\n")
    failed = [section for section, done in sections.items() if done["code"]]
    if failed:
        print(f"ended with an error: {', '.join(failed)}", file=sys.stderr)
    return start("page", str(folder))["code"] or int(bool(failed))


def main() -> int:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of: {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds: does it work?")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    unknown = sorted(set(args.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are: {', '.join(SECTIONS)}")
    return run(args.sections, args.out, args.quick)


if __name__ == "__main__":
    raise SystemExit(main())
