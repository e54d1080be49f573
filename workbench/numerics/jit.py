"""The only place where Numba is configured: `@kernel`.

Flags: no fastmath ever (it changes bits), no bounds checks (inputs are validated before), GIL released (threads split the
batch outside), numpy error model (division by zero is not an exception inside a kernel).

Numba's disk cache misses edits in *called* functions, so the cache folder is named after a hash of all kernel sources, the
Numba version and the CPU: an edit anywhere in `numerics/` or `kernels/` starts a fresh cache.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import binding as llvm

F = TypeVar("F", bound=Callable[..., Any])


def _source_hash() -> str:
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for folder in ("numerics", "kernels"):
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCE_HASH = _source_hash()
"""sha256 of every source under numerics/ and kernels/; part of every journal key."""


def _cache_root() -> Path:
    override = os.environ.get("WORKBENCH_CACHE_DIR")
    if override:
        return Path(override)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "workbench"


def _cache_dir() -> Path:
    machine = f"{numba.__version__}-{llvm.get_host_cpu_name()}"
    folder = _cache_root() / "kernels" / f"{machine}-{SOURCE_HASH[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:  # read-only home: compile into a private folder instead of failing
        folder = Path(tempfile.mkdtemp(prefix="workbench-kernels-"))
    return folder


CACHE_DIR = _cache_dir()
numba.config.CACHE_DIR = str(CACHE_DIR)  # type: ignore[attr-defined]


def kernel(function: F) -> F:
    """Compile a small pure function on arrays and scalars; see the module text for the flags."""
    compiled = numba.njit(cache=True, nogil=True, fastmath=False, boundscheck=False, error_model="numpy")(function)  # noqa: TID251
    return cast(F, compiled)


def inline(function: F) -> F:
    """Compile a scalar helper that LLVM inlines into the kernels that call it."""
    compiled = numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function)  # noqa: TID251
    return cast(F, compiled)
