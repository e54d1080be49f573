"""The only place where Numba is configured: `@kernel`.

Flags: no fastmath ever (it changes bits), no bounds checks (inputs are validated before), GIL released (threads split the
batch outside), numpy error model (division by zero is not an exception inside a kernel).

Compiled kernels are kept on disk (`kernel_cache.py`), in a folder named after the versions, the CPU, the path (`numerics/cpu.py`) and
a hash of all kernel sources: a kernel holds the code of the functions that it calls, so an edit anywhere in `numerics/` or `kernels/`
starts a fresh folder. A path that was asked for by name is compiled for the CPU that it is meant for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.dispatcher import Dispatcher

from workbench.numerics.cpu import FORCED, PATH
from workbench.numerics.kernel_cache import KernelCache, cache_folder

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

CACHE_DIR = cache_folder(PATH.name, SOURCE_HASH[:16])
if FORCED and PATH.target:
    numba.config.CPU_NAME, numba.config.CPU_FEATURES = PATH.target, ""  # type: ignore[attr-defined]


def kernel(function: F) -> F:
    """Compile a small pure function on arrays and scalars, and keep it on disk; see the module text for the flags."""
    compiled = _compile(function, no_cfunc_wrapper=True)
    if isinstance(compiled, Dispatcher):  # a plain function with NUMBA_DISABLE_JIT
        compiled._cache = KernelCache(function, CACHE_DIR)  # type: ignore[attr-defined]
    return cast(F, compiled)


def inline(function: F) -> F:
    """Compile a scalar helper that LLVM inlines into the kernels that call it: its code is kept with theirs, and only there.

    The wrappers with which Python would call it are most of its code. They are made only when Python does call it (in a test).
    """
    compiled = _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    if isinstance(compiled, Dispatcher):
        called_by_python = _compile(function)
        compiled.add_overload = lambda found: compiled.overloads.update({tuple(found.signature.args): found})  # type: ignore[attr-defined]
        compiled._compile_for_args = called_by_python._compile_for_args  # type: ignore[attr-defined]
    return cast(F, compiled)


def _compile(function: Callable[..., Any], **options: bool) -> Any:
    flags = {"nogil": True, "fastmath": False, "boundscheck": False, "error_model": "numpy", **options}
    return numba.njit(**flags)(function)  # noqa: TID251
