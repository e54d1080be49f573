"""The C library's allocator keeps freed memory: activations come and go in megabytes, and fresh pages cost more than a layer.

By default glibc maps every large array anew and returns it to the system: for ResNet-8 with 128 samples that is 12 page faults per
image, about a fifth of the run (`benchmarks/throughput.py` with WORKBENCH_ALLOCATOR=system shows it). Other C libraries are left alone.
"""

from __future__ import annotations

import ctypes
import os
import sys

VARIABLE = "WORKBENCH_ALLOCATOR"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3), glibc's malloc.h."""

LARGEST = 32 * 1024 * 1024
"""Arrays up to this size come from the heap: the most that glibc allows."""
KEPT = 512 * 1024 * 1024
"""Free bytes at the end of the heap before any is returned to the system."""


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed memory, from one heap for all threads; return whether that was possible.

    WORKBENCH_ALLOCATOR=system leaves the allocator as it is.
    """
    if not sys.platform.startswith("linux") or os.environ.get(VARIABLE) == "system":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        mallopt(name, value) == 1 for name, value in ((M_MMAP_THRESHOLD, LARGEST), (M_TRIM_THRESHOLD, KEPT), (M_ARENA_MAX, 1))
    )
