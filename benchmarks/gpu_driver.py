"""Running a few lines of PTX on an NVIDIA GPU: the driver's library through ctypes, no toolkit, no compiler, no package.

Source of names and values: CUDA Driver API (cuda.h); cuBLAS (cublas_api.h, library_types.h).
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
LOG_BUFFER, LOG_BYTES = 5, 6  # CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
WIDE = ("cuMemAlloc", "cuMemFree", "cuMemcpyHtoD", "cuMemcpyDtoH")
"""Entry points whose plain names are an old ABI with 32-bit sizes."""

TYPES = {"fp16": 2, "bf16": 14, "fp32": 0}
"""cudaDataType of matrices."""
COMPUTE_32F, COMPUTE_32F_FAST_TF32 = 68, 77
TENSOR_OP = 99  # CUBLAS_GEMM_DEFAULT_TENSOR_OP


class GpuError(Exception):
    """What the driver said, in one line."""


class Gpu:
    """The first GPU of this machine."""

    def __init__(self) -> None:
        try:
            self._cuda = ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise GpuError("no NVIDIA driver here (libcuda.so.1): this needs a machine with an NVIDIA GPU.") from None
        self._call("cuInit", 0)
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        name = ctypes.create_string_buffer(128)
        self._call("cuDeviceGetName", name, 128, device)
        self.name = name.value.decode()
        self.capability = tuple(self._attribute(which, device) for which in (CAPABILITY_MAJOR, CAPABILITY_MINOR))
        version = ctypes.c_int()
        self._call("cuDriverGetVersion", ctypes.byref(version))
        self.driver = f"{version.value // 1000}.{version.value % 1000 // 10}"

    def _attribute(self, which: int, device: ctypes.c_int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), which, device)
        return value.value

    def _call(self, name: str, *args: Any) -> None:
        code = getattr(self._cuda, name + ("_v2" if name in WIDE else ""))(*args)
        if code:
            text = ctypes.c_char_p()
            self._cuda.cuGetErrorString(code, ctypes.byref(text))
            raise GpuError(f"{name}: {(text.value or b'?').decode()} ({code})")

    def launch(self, ptx: str, entry: str, blocks: int, threads: int, inputs: Sequence[Array], output: Array) -> Array:
        """Run `entry` of a PTX module on copies of the inputs; return the output, filled. Parameters: pointers, output last."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        log = ctypes.create_string_buffer(4096)
        keys = (ctypes.c_int * 2)(LOG_BUFFER, LOG_BYTES)
        values = (ctypes.c_void_p * 2)(ctypes.cast(log, ctypes.c_void_p), ctypes.c_void_p(len(log)))
        try:
            self._call("cuModuleLoadDataEx", ctypes.byref(module), ptx.encode(), 2, keys, values)
        except GpuError as problem:
            raise GpuError(f"{problem}: {log.value.decode(errors='replace').strip()}") from None
        self._call("cuModuleGetFunction", ctypes.byref(function), module, entry.encode())
        with self.copies([*inputs, output]) as pointers:
            cells = [ctypes.c_uint64(p) for p in pointers]
            parameters = (ctypes.c_void_p * len(cells))(*(ctypes.addressof(c) for c in cells))
            self._call("cuLaunchKernel", function, blocks, 1, 1, threads, 1, 1, 0, None, parameters, None)
            self._call("cuCtxSynchronize")
            self.read(pointers[-1], output)
        self._call("cuModuleUnload", module)
        return output

    @contextmanager
    def copies(self, arrays: Sequence[Array]) -> Iterator[list[int]]:
        """Give device addresses of copies of the arrays; freed at the end."""
        pointers: list[int] = []
        try:
            for array in arrays:
                pointer = ctypes.c_uint64()
                self._call("cuMemAlloc", ctypes.byref(pointer), ctypes.c_size_t(max(array.nbytes, 16)))
                pointers.append(pointer.value)
                kept = np.ascontiguousarray(array)
                self._call("cuMemcpyHtoD", pointer, ctypes.c_void_p(kept.ctypes.data), ctypes.c_size_t(kept.nbytes))
            yield pointers
        finally:
            for address in pointers:
                self._call("cuMemFree", ctypes.c_uint64(address))

    def read(self, pointer: int, into: Array) -> None:
        """Copy device memory into an array, after all work before."""
        self._call("cuMemcpyDtoH", ctypes.c_void_p(into.ctypes.data), ctypes.c_uint64(pointer), ctypes.c_size_t(into.nbytes))


class Cublas:
    """cuBLAS, where its library is found (CUDA toolkit, or the nvidia-cublas package of a framework)."""

    def __init__(self, gpu: Gpu, path: str | None = None) -> None:
        self._gpu = gpu
        names = [path] if path else ["libcublas.so.13", "libcublas.so.12", "libcublas.so", ctypes.util.find_library("cublas")]
        for name in filter(None, names):
            try:
                self._library = ctypes.CDLL(name)
                break
            except OSError:
                continue
        else:
            raise GpuError("no cuBLAS library found; give its path with --cublas.")
        self._handle = ctypes.c_void_p()
        self._check(self._library.cublasCreate_v2(ctypes.byref(self._handle)))

    def _check(self, code: int) -> None:
        if code:
            raise GpuError(f"cuBLAS: status {code}")

    def gemm(self, a: Array, b: Array, kind: str, tf32: bool = False) -> Array:
        """Return a [M, K] times b [N, K] transposed, as float32 [M, N]; kind: 'fp16', 'bf16' (patterns uint16) or 'fp32'."""
        (m, k), n = a.shape, b.shape[0]
        out = np.zeros((m, n), np.float32)
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        with self._gpu.copies([a, b, out]) as (pa, pb, pc):
            # Column-major: C' [N, M] = B [N, K] A' [K, M]; the rows of b and a are columns there.
            self._check(
                self._library.cublasGemmEx(
                    self._handle, 1, 0, n, m, k, ctypes.byref(one), ctypes.c_void_p(pb), TYPES[kind], k, ctypes.c_void_p(pa),
                    TYPES[kind], k, ctypes.byref(zero), ctypes.c_void_p(pc), TYPES["fp32"], n,
                    COMPUTE_32F_FAST_TF32 if tf32 else COMPUTE_32F, TENSOR_OP,
                )
            )  # fmt: skip
            self._gpu.read(pc, out)
        return out
