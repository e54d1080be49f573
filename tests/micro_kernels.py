"""Tiles of the dot-product intrinsics: run as kernels on arrays, on any path, and computed in plain integers."""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from llvmlite import binding as llvm

from tests.oracles import linear
from workbench.numerics import cpu, simd, simd_requantize
from workbench.numerics.jit import kernel
from workbench.numerics.simd import LANES, address

Array = np.ndarray[Any, Any]
GUARD = 64


def copy_for(path: cpu.Path) -> ModuleType:
    """Return a copy of `numerics/simd.py` as it is on another path."""
    spec = importlib.util.spec_from_file_location(f"simd_{path.name.replace('-', '_')}", simd.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(cpu, "PATH", path):
        spec.loader.exec_module(module)
    return module


@cache
def simd_of(path: cpu.Path) -> ModuleType:
    """Return `numerics/simd.py` of a path, to be compiled for this machine."""
    if path == cpu.PATH:
        return simd
    module = copy_for(path)
    if path.signed:
        without_sdot(module)
    return module


def without_sdot(module: ModuleType) -> None:
    """Replace the instruction that only Arm has by what it computes."""
    module.DOTS["bytes"] = (lambda *args: _signed_bytes(module, *args), module.PATH.byte_dot)


def _signed_bytes(module: ModuleType, builder: Any, acc: Any, x: Any, w: Any, lanes: int, low: Any, high: Any) -> Any:
    parts = [module._elements(builder, operand, lanes, 4, True) for operand in (x, w)]
    for a, b in zip(*parts, strict=True):
        acc = builder.add(acc, builder.mul(a, b))
    return acc


def runnable() -> list[cpu.Path]:
    """Return the paths whose instructions kernels may use: AVX512 encodes those of AVX-VNNI as well."""
    if cpu.FORCED:  # kernels are compiled for an older CPU
        return [cpu.PATH]
    features = dict(llvm.get_host_cpu_features())
    also = {"portable", "neon-dot"}
    if features.get("avx512vnni") and features.get("avx512vl"):
        also.add("avx-vnni")
    return [path for path in cpu.PATHS.values() if path.name in also or path.name in cpu.available()]


def shapes(path: cpu.Path, spread: bool) -> list[tuple[int, int]]:
    """Return the (quads, panels) that drivers use: full tiles, and single quads."""
    full = [(q, p) for q, p in path.tiles if spread or p == 1]
    return sorted({(1, p) for _, p in full} | set(full))


@dataclass(frozen=True, eq=False)
class Tile:
    """Operands of `dot_tile`. x: uint8; starts: int64 [4] bytes; w: uint8 [steps, 16 * panels, 4]; bits: of `saturate`."""

    kind: str
    spread: bool
    quads: int
    panels: int
    x: Array
    starts: Array
    stride: int
    offsets: Array
    w: Array
    init: Array
    bits: int = 31

    @property
    def limits(self) -> tuple[int, int]:
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1

    def run(self, path: cpu.Path) -> list[list[int]]:
        """Return the accumulators; nothing around them may change."""
        rows, columns = 4 * self.quads, LANES * self.panels
        acc = np.full(rows * columns + 2 * GUARD, 12345, np.int32)
        code = tile_kernel(path, self.quads, self.panels, self.kind, self.spread)
        w = aligned_copy(self.w)
        code(self.x, self.starts, self.stride, self.offsets, w, self.init, *self.limits, acc, GUARD)
        inside = slice(GUARD, GUARD + rows * columns)
        assert (np.delete(acc, inside) == 12345).all()
        return [row.tolist() for row in acc[inside].reshape(rows, columns)]

    def requantized(self, rule: str, parameters: Array, limits: tuple[int, int, int], columns: int, dtype: Any) -> Array:
        """Return the tile, requantized in the registers of this machine's path. limits: zero point, q_min, q_max.

        columns: of the last panel, 16 or 8. Elements beyond them and rows before and after may not change.
        """
        rows, width = 4 * self.quads, LANES * self.panels
        out = np.full((rows + 2, width + 5), 85, dtype)
        code = requantized_kernel(self.quads, self.panels, self.kind, self.spread, rule, 8 * out.itemsize)
        operands = (self.x, self.starts, self.stride, self.offsets, aligned_copy(self.w), self.init, *self.limits)
        code(*operands, parameters, *limits, out, width + 5, columns)
        columns += width - LANES
        assert (out[[0, -1]] == 85).all() and (out[:, columns:] == 85).all()
        return out[1:-1, :columns]

    def expected(self, signed: bool) -> list[list[int]]:
        """The same, one product after another. signed: the activations of `bytes` are."""
        memory, columns = self.x.tobytes(), LANES * self.panels
        weights = [[_parts(self.kind, step[c].tobytes(), True) for step in self.w] for c in range(columns)]
        overflow = {"pairs": "saturate_int16_pairs", "saturate": "saturate"}.get(self.kind, "wrap")
        found = []
        for row in range(4 * self.quads):
            origin = int(self.starts[row // 4]) + row % 4 * self.stride
            sums = []
            for c in range(columns):
                at = [origin + int(offset) + (0 if self.spread else 4 * c) for offset in self.offsets]
                values = [_parts(self.kind, memory[a : a + 4], signed and self.kind == "bytes") for a in at]
                pairs = [(x, w) for xs, ws in zip(values, weights[c], strict=True) for x, w in zip(xs, ws, strict=True)]
                bits = self.bits if self.kind == "saturate" else 32
                # Bytes are unsigned already, which is a zero point of -128 to the oracle.
                sums.append(linear.accumulate(pairs, int(self.init[c]), bits, overflow, -128))
            found.append(sums)
        return found


def _parts(kind: str, four: bytes, signed: bool) -> tuple[int, ...]:
    if kind in ("words", "saturate"):
        return struct.unpack("<2h", four)
    return struct.unpack("<4b" if signed else "<4B", four)


def aligned_copy(array: Array) -> Array:
    """Return a copy that starts at a multiple of 64 bytes."""
    raw = np.zeros(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    raw[start : start + array.nbytes] = array.reshape(-1).view(np.uint8)
    return raw[start : start + array.nbytes]


@cache
def tile_kernel(path: cpu.Path, quads: int, panels: int, kind: str, spread: bool) -> Any:
    tile = simd_of(path).dot_tile(quads, panels, kind, spread)

    @kernel
    def run(x, starts, stride, offsets, w, init, low, high, acc, at):  # type: ignore[no-untyped-def]
        base = address(x)
        tile(
            base + starts[0], base + starts[1], base + starts[2], base + starts[3], stride, address(offsets), offsets.size,
            address(w), address(init), low, high, address(acc) + 4 * at,
        )  # fmt: skip

    return run


@cache
def requantized_kernel(quads: int, panels: int, kind: str, spread: bool, rule: str, bits: int) -> Any:
    tile = simd_requantize.requantized_tile(quads, panels, kind, spread, rule, bits)

    @kernel
    def run(x, starts, stride, offsets, w, init, low, high, parameters, zero_point, q_min, q_max, out, pitch, columns):  # type: ignore[no-untyped-def]
        base = address(x)
        tile(
            base + starts[0], base + starts[1], base + starts[2], base + starts[3], stride, address(offsets), offsets.size,
            address(w), address(init), low, high, address(parameters), zero_point, q_min, q_max,
            address(out) + pitch * out.itemsize, pitch * out.itemsize, columns,
        )  # fmt: skip

    return run


@cache
def panel_kernel(rule: str, bits: int) -> Any:
    panel = simd_requantize.requantize_panel(rule, bits)

    @kernel
    def run(acc, pitch, rows, parameters, zero_point, q_min, q_max, out, at, out_pitch, columns):  # type: ignore[no-untyped-def]
        panel(
            address(acc), 4 * pitch, rows, address(parameters), zero_point, q_min, q_max, address(out) + at * out.itemsize,
            out_pitch * out.itemsize, columns,
        )  # fmt: skip

    return run


def extreme_bytes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Random bytes in which the ends of 8 and of 16 bits are frequent, at any alignment."""
    ends = rng.choice(np.array([0x00, 0x7F, 0x80, 0xFF], np.uint8), shape)
    return np.where(rng.random(shape) < 0.6, ends, rng.integers(0, 256, shape)).astype(np.uint8)
