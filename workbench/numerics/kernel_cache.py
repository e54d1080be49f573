"""Compiled kernels on disk: one file per kernel and signature, kept by `jit.py`.

Numba's own cache numbers its data files in an index. Two processes that compile two signatures of one kernel at the same time take
the same number there, and the code of one signature is then run for the other; a damaged file or a full disk ends the program; a
folder that cannot be written moves the cache beside the sources, where edits in called files go unseen. Here a file is named by
the hash of all that its code depends on, holds a checksum, and appears whole or not at all; what cannot be read or written is as
if it were not there. Files hold machine code: folders are made for their user alone, and files that are not this user's (or the
administrator's) are as if they were not there.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import sys
import time
import uuid
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import llvmlite
import numba
from llvmlite import binding as llvm
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

VARIABLE = "WORKBENCH_CACHE_DIR"
SUFFIX = ".kernel"
MAX_AGE_S = 30 * 24 * 3600
"""Folders of other versions, sources or CPUs are removed when nobody has used them for so long."""
_DIGEST_BYTES = hashlib.sha256().digest_size


def cache_root() -> Path:
    """Return the folder that WORKBENCH_CACHE_DIR names, or `workbench` in the user's cache folder."""
    override = os.environ.get(VARIABLE)
    if override:
        return Path(override).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "workbench"
    except RuntimeError:  # a user without a home: nothing is kept, as below any path that is not a folder
        return Path(os.devnull)


def cache_folder(*parts: str) -> Path:
    """Return the folder of what this Python, Numba, LLVM and CPU compile from sources and settings that `parts` name.

    Its time stamp says when it was last used; making a new one removes those that are out of use.
    """
    versions = (f"{sys.implementation.cache_tag}{sys.abiflags}", numba.__version__, llvmlite.__version__)
    folder = cache_root() / "kernels" / "-".join((*versions, llvm.get_host_cpu_name(), *parts))
    with suppress(OSError):  # what cannot be written is still read
        if folder.is_dir():
            os.utime(folder)
        else:
            _make(folder)
            _remove_unused(folder.parent)
    return folder


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _remove_unused(kernels: Path) -> None:
    """Remove the kernels of folders that are out of use, and the folders if nothing else is in them."""
    for folder in kernels.iterdir():
        with suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > MAX_AGE_S:
                for file in folder.glob(f"*{SUFFIX}*"):
                    file.unlink()
                folder.rmdir()


class KernelCache:
    """The cache of one kernel, with the methods that Numba's dispatcher calls."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._function = function
        self._folder = folder

    @property
    def cache_path(self) -> str:
        """The folder, for `Dispatcher.stats`."""
        return str(self._folder)

    def flush(self) -> None:
        """Forget nothing: `Dispatcher.recompile` overwrites the files."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel for a signature, or None when it is not there whole."""
        target_context.refresh()
        key = self._key(sig, target_context.codegen())
        payload = _read(self._path(key))
        if payload is None:
            return None
        kept, parts = pickle.loads(payload)
        return CompileResult._rebuild(target_context, *parts) if kept == key else None  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel; one warning when it cannot be kept."""
        if data.library.has_dynamic_globals:
            raise TypeError(
                f"kernel {self._function.__qualname__} holds an address of this process, so it cannot be kept on disk"
            )
        key = self._key(sig, data.codegen)
        try:
            _write(self._path(key), dumps((key, data._reduce())))  # type: ignore[no-untyped-call]
        except OSError as problem:
            _warn_once(self._folder, problem.strerror or str(problem))

    def _key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """All that the code depends on beyond the folder: function, file, closure, signature, CPU features, settings of Numba."""
        settings = (numba.config.OPT, numba.config.BOUNDSCHECK)  # type: ignore[attr-defined]
        source = _source(self._function.__code__.co_filename)
        return identity(self._function), source, sig, codegen.magic_tuple(), settings

    def _path(self, key: tuple[Any, ...]) -> Path:
        name = re.sub(r"\W+", "_", self._function.__qualname__)[-60:]
        return self._folder / f"{name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}{SUFFIX}"


def identity(value: Any) -> str:
    """Return text that says what a function or a value of its closure is, the same in every process.

    Numba pickles kernels and intrinsics with a random id, so a kernel that closes over one would never be found again.
    """
    value = getattr(value, "py_func", None) or getattr(value, "_defn", None) or value  # kernels; intrinsics
    if isinstance(value, FunctionType):
        cells = [identity(cell.cell_contents) for cell in value.__closure__ or ()]
        code = hashlib.sha256(_code_text(value.__code__).encode()).hexdigest()[:16]
        return f"{value.__module__}.{value.__qualname__}:{value.__code__.co_firstlineno}:{code}({', '.join(cells)})"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(map(identity, value))})"
    return hashlib.sha256(dumps(value)).hexdigest()  # type: ignore[no-untyped-call]


def _code_text(code: CodeType) -> str:
    constants = [_code_text(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return repr((code.co_code, code.co_names, constants))


@cache
def _source(file: str) -> str:
    """Return the hash of a kernel's own file, for kernels outside of the sources that name the folder; "" if there is none."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:  # typed at a prompt
        return ""


@cache
def _warn_once(folder: Path, reason: str) -> None:
    warnings.warn(
        f"compiled kernels cannot be kept in {folder}: {reason}. They are compiled at every start; "
        f"set {VARIABLE} to a folder that can be written.",
        RuntimeWarning,
        stacklevel=1,
    )


def _read(path: Path) -> bytes | None:
    """Return the content of a file, or None when it is not there, damaged, or somebody else's."""
    try:
        with path.open("rb") as file:
            if hasattr(os, "geteuid") and os.fstat(file.fileno()).st_uid not in (0, os.geteuid()):
                return None
            content = file.read()
    except OSError:
        return None
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def _write(path: Path, payload: bytes) -> None:
    """Write a file that appears whole or not at all; OSError when it cannot be written."""
    _make(path.parent)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
