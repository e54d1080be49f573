"""(e) Memory: peak resident memory of a process that runs one network, stage by stage, each network in a process of its own.

    python -m benchmarks.memory [--json FILE] [--quick]

Stages: after the imports, with the program prepared, after one sample, after a batch of 64, after a batch of 256. Kernels are
compiled before, so that LLVM's own memory does not count: a first child fills the cache.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.timing import arguments, save

STATUS = Path("/proc/self/status")
STAGES = ("imports", "prepared", "batch 1", "batch 64", "batch 256")


def peak_bytes() -> int:
    """Return the peak resident memory of this process. Linux: VmHWM, since ru_maxrss begins with the parent's memory."""
    if STATUS.exists():
        line = next(text for text in STATUS.read_text().splitlines() if text.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def child(name: str) -> None:
    """Print the peak after every stage as JSON, null when the model is missing."""
    from benchmarks.networks import load

    peaks = [peak_bytes()]
    network = load(name, 256)
    if network is None:
        print("null")
        return
    program = network.program("double")
    peaks.append(peak_bytes())
    for batch in (1, 64, 256):
        program.run(network.feed(network.x[:batch]))
        peaks.append(peak_bytes())
    print(json.dumps(dict(zip(STAGES, peaks, strict=True))))


def measure(name: str) -> dict[str, Any] | None:
    """Return the stages of a network from the second of two children."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", "--child", name], check=True, stdout=subprocess.PIPE, text=True
        )
    found: dict[str, Any] | None = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--child", metavar="NETWORK", help="measure this process")
    args = parser.parse_args()
    if args.child:
        child(args.child)
        return
    from benchmarks.networks import FILES

    rows = {name: measure(name) for name in list(FILES)[: 1 if args.quick else None]}
    print(f"{'MiB':20s} " + " ".join(f"{stage:>10s}" for stage in STAGES))
    for name, row in rows.items():
        print(f"{name:20s} " + ("no model" if row is None else " ".join(f"{row[s] / 2**20:10.0f}" for s in STAGES)))
    save(args.json, {"networks": {name: row for name, row in rows.items() if row is not None}, "stages": STAGES})


if __name__ == "__main__":
    main()
