"""The only place where Numba is configured: `@kernel`.

Flags: no fastmath ever (it changes bits), no bounds checks (inputs are validated before), GIL released (threads split the
batch outside), numpy error model (division by zero is not an exception inside a kernel).

Compiled kernels are kept on disk (`kernel_cache.py`), in a folder named after the versions, the CPU, the path (`numerics/cpu.py`) and
a hash of all kernel sources: a kernel holds the code of the functions that it calls, so an edit anywhere in `numerics/` or `kernels/`
starts a fresh folder. A path that was asked for by name is compiled for the CPU that it is meant for.

Settings of Numba that would run kernels as Python, where sums have other widths, or compile them for a CPU that lacks the
instructions of the path, are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import numba
from llvmlite import binding as llvm

from workbench.errors import InputError
from workbench.numerics.cpu import FORCED, PATH, UNREPORTED
from workbench.numerics.kernel_cache import KernelCache, cache_folder
from workbench.resources import source_hash

F = TypeVar("F", bound=Callable[..., Any])

for _setting, _why in {
    "DISABLE_JIT": "the kernels have a target's bits only when they are compiled. Unset it.",
    "CPU_NAME": "the kernels choose their instructions themselves. Unset it; WORKBENCH_CPU names another path.",
    "CPU_FEATURES": "the kernels choose their instructions themselves. Unset it; WORKBENCH_CPU names another path.",
}.items():
    if getattr(numba.config, _setting):
        raise InputError(f"NUMBA_{_setting} is set: {_why}")
if not numba.config.OPT:  # type: ignore[attr-defined]
    raise InputError("NUMBA_OPT is 0: without optimization kernels hold addresses and cannot be kept on disk. Unset it.")
if not numba.config.ENABLE_AVX and PATH.name.startswith("avx"):  # type: ignore[attr-defined]
    raise InputError(
        f"NUMBA_ENABLE_AVX is 0, but the kernels use '{PATH.name}'. Unset it; WORKBENCH_CPU=portable needs no AVX."
    )


SOURCE_HASH = source_hash("numerics/**/*.py", "kernels/**/*.py")
"""sha256 of every source under numerics/ and kernels/; part of every journal key."""

CACHE_DIR = cache_folder(PATH.name, SOURCE_HASH[:16])
if FORCED and PATH.target:
    numba.config.CPU_NAME, numba.config.CPU_FEATURES = PATH.target, ""  # type: ignore[attr-defined]
elif UNREPORTED:
    numba.config.CPU_FEATURES = f"{llvm.get_host_cpu_features().flatten()},{UNREPORTED}".lstrip(",")  # type: ignore[attr-defined]


def kernel(function: F) -> F:
    """Compile a small pure function on arrays and scalars, and keep it on disk; see the module text for the flags."""
    compiled = _compile(function, no_cfunc_wrapper=True)
    compiled._cache = KernelCache(function, CACHE_DIR)
    return cast(F, compiled)


def inline(function: F) -> F:
    """Compile a scalar helper that LLVM inlines into the kernels that call it: its code is kept with theirs, and only there.

    The wrappers with which Python would call it are most of its code. They are made only when Python does call it (in a test).
    """
    compiled = _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)

    @cache
    def called_by_python() -> Any:
        return _compile(function)

    compiled.add_overload = lambda found: compiled.overloads.update({tuple(found.signature.args): found})
    compiled._compile_for_args = lambda *args: called_by_python()._compile_for_args(*args)
    return cast(F, compiled)


def _compile(function: Callable[..., Any], **options: bool) -> Any:
    flags: dict[str, Any] = {"nogil": True, "fastmath": False, "boundscheck": False, "error_model": "numpy", **options}
    return numba.njit(**flags)(function)  # noqa: TID251
