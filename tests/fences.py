"""Arrays with a page beside them that may not be touched: a kernel that reads or writes there ends the process."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def fenced(array: Array, after: bool) -> Array:
    """Return a copy that ends (or starts) where memory without access begins."""
    pages = -(-array.nbytes // _PAGE)
    memory = mmap.mmap(-1, (pages + 1) * _PAGE)
    whole = np.frombuffer(memory, np.uint8)
    forbidden = whole.ctypes.data + (pages * _PAGE if after else 0)
    if _LIBC.mprotect(forbidden, _PAGE, 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    start = pages * _PAGE - array.nbytes if after else _PAGE
    copy = whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def fence_all(value: Any, after: bool) -> Any:
    """Return arrays, and arrays in plain tuples, fenced; other values as they are."""
    if isinstance(value, np.ndarray) and value.size:
        return fenced(value, after)
    return tuple(fence_all(v, after) for v in value) if type(value) is tuple else value
