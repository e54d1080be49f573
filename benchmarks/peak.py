"""The measured peak of a dot-product instruction: a loop on registers alone, of the same step that the kernels are made of."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from workbench.numerics.cpu import PATH
from workbench.numerics.jit import kernel
from workbench.numerics.simd import DOTS, I32, I64, address, pointer, splat, vector

ACCUMULATORS = 24 if PATH.byte_dot == 16 else 12
"""Independent sums: more than latency times throughput of any such instruction, and they fit the registers with both operands."""
REPEATS = 4
BASIC_LANES = 4
"""Of a path without such instructions: 128-bit registers, which every CPU has."""
CHAIN = 64
MACS_OF_LANE = {"bytes": 4, "words": 2}
CONSTRAINT = "=w,0" if platform.machine().lower() in ("aarch64", "arm64") else "=v,0" if PATH.byte_dot == 16 else "=x,0"


def _spin(kind: str) -> Any:
    """Return the intrinsic (iterations, operands, sums): ACCUMULATORS * REPEATS steps an iteration, nothing loaded or stored inside.

    operands: address of 128 bytes. sums: address of ACCUMULATORS vectors, written at the end so that the loop is needed.
    """
    dot, lanes = DOTS[kind][0], DOTS[kind][1] or BASIC_LANES
    register = vector(I32, lanes)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        iterations, operands, sums = args
        barrier = ir.InlineAsm(ir.FunctionType(register, [register]), "", CONSTRAINT, True)
        x = builder.load(pointer(builder, operands, register), align=1)
        w = builder.load(pointer(builder, builder.add(operands, I64(64)), register), align=1)
        low, high = splat(builder, I32(0), lanes), splat(builder, I32(0), lanes)
        starts = [I64(0), w, *[splat(builder, I32(i), lanes) for i in range(ACCUMULATORS)]]
        entry, loop, done = builder.block, builder.append_basic_block("spin"), builder.append_basic_block("spun")
        builder.branch(loop)
        builder.position_at_end(loop)
        count = builder.phi(I64)
        first = [builder.phi(register) for _ in range(ACCUMULATORS)]
        values: list[Any] = list(first)
        weights = builder.phi(register)
        opaque = weights
        for _ in range(REPEATS):
            for i in range(ACCUMULATORS):
                opaque = builder.call(barrier, [opaque])  # no code: keeps a product from being computed once for all steps
                values[i] = dot(builder, values[i], x, opaque, lanes, low, high)
        following = builder.add(count, I64(1))
        for phi, start, after in zip([count, weights, *first], starts, [following, opaque, *values], strict=True):
            phi.add_incoming(start, entry)
            phi.add_incoming(after, loop)
        builder.cbranch(builder.icmp_signed("<", following, iterations), loop, done)
        builder.position_at_end(done)
        for i, value in enumerate(values):
            builder.store(value, pointer(builder, builder.add(sums, I64(4 * lanes * i)), register), align=4)
        return context.get_dummy_value()

    @intrinsic  # type: ignore[untyped-decorator]
    def spin(typing: Any, iterations: Any, operands: Any, sums: Any) -> Any:
        return types.void(types.int64, types.int64, types.int64), generate

    return spin


_words = _spin("words")
_bytes = _spin("bytes") if PATH.byte_dot else _words


@kernel
def _spin_bytes(iterations: int, operands: Any, sums: Any) -> None:
    _bytes(iterations, address(operands), address(sums))


@kernel
def _spin_words(iterations: int, operands: Any, sums: Any) -> None:
    _words(iterations, address(operands), address(sums))


def products(kind: str) -> int:
    """Return the products of one instruction."""
    return (DOTS[kind][1] or BASIC_LANES) * MACS_OF_LANE[kind]


def peak(kind: str, iterations: int = 20_000) -> tuple[Callable[[], None], float]:
    """Return (call, products of one call) of "bytes" (int8 by int8; words where the CPU has no such instruction) or "words"."""
    kind = kind if PATH.byte_dot else "words"
    spin = _spin_bytes if kind == "bytes" else _spin_words
    operands = np.random.default_rng(0).integers(0, 100, 128).astype(np.uint8)
    sums = np.empty(ACCUMULATORS * products(kind) // MACS_OF_LANE[kind], np.int32)
    return lambda: spin(iterations, operands, sums), float(iterations * ACCUMULATORS * REPEATS * products(kind))


@intrinsic  # type: ignore[untyped-decorator]
def _chain(typing: Any, iterations: Any) -> Any:
    """(iterations) -> int64: CHAIN additions an iteration, each waiting for the one before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        barrier = ir.InlineAsm(ir.FunctionType(I64, [I64]), "", "=r,0", True)
        entry, loop, done = builder.block, builder.append_basic_block("chain"), builder.append_basic_block("chained")
        builder.branch(loop)
        builder.position_at_end(loop)
        count, first = builder.phi(I64), builder.phi(I64)
        value: Any = first
        for _ in range(CHAIN):
            value = builder.call(barrier, [builder.add(value, I64(3))])
        following = builder.add(count, I64(1))
        for phi, after in ((count, following), (first, value)):
            phi.add_incoming(I64(0), entry)
            phi.add_incoming(after, loop)
        builder.cbranch(builder.icmp_signed("<", following, args[0]), loop, done)
        builder.position_at_end(done)
        return value

    return types.int64(types.int64), generate


@kernel
def _additions(iterations: int) -> int:
    return _chain(iterations)


def clock(iterations: int = 50_000) -> tuple[Callable[[], Any], float]:
    """Return (call, cycles of one call): an integer addition takes one cycle on every CPU that these kernels are made for."""
    return lambda: _additions(iterations), float(iterations * CHAIN)
