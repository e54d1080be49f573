"""What is needed to get the same result again: versions, hashes, seeds, commit."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from workbench.numerics.jit import SOURCE_HASH

PACKAGES = ("workbench", "numpy", "numba", "llvmlite", "scipy", "pandas", "matplotlib", "pillow", "onnx", "pydantic")


def manifest(**hashes: str) -> dict[str, Any]:
    """Return versions, time, commit and the given content hashes."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "kernel_sources": SOURCE_HASH,
        **hashes,
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Return the commit of the checkout that runs, with '+changes' when it is not clean; '' outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=False)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""
