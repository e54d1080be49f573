"""Vectors of 16 float32 and int32 in LLVM IR, written short, and the roundings that float units have and CPUs lack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from workbench.numerics.cpu import PATH
from workbench.numerics.simd import I32, I64, LANES, call, pointer, splat, vector

INT, FLOAT = vector(I32, LANES), vector(ir.FloatType(), LANES)


class Code:
    """Operations on 16 lanes. ir: the builder."""

    def __init__(self, builder: Any) -> None:
        self.ir = builder

    def ints(self, value: int) -> Any:
        """Return a constant in all lanes."""
        return ir.Constant(INT, [value] * LANES)

    def floats(self, value: float) -> Any:
        """Return a constant in all lanes."""
        return ir.Constant(FLOAT, [value] * LANES)

    def spread(self, scalar: Any) -> Any:
        """Return a scalar in all lanes."""
        return splat(self.ir, scalar, LANES)

    def bits(self, x: Any) -> Any:
        """Return the bits of any vector of 64 bytes as int32."""
        return self.ir.bitcast(x, INT)

    def power(self, biased: Any) -> Any:
        """Return the float32 whose exponent field is `biased`."""
        return self.ir.bitcast(self.ir.shl(biased, self.ints(23)), FLOAT)

    def most(self, a: Any, b: Any) -> Any:
        """Return the larger of signed int32."""
        return call(self.ir, f"llvm.smax.v{LANES}i32", INT, [a, b])

    def truncate(self, x: Any) -> Any:
        """Return float32 as int32, toward zero."""
        return self.ir.fptosi(x, INT)

    def load(self, at: Any, kind: Any, align: int = 4) -> Any:
        """Load from an address."""
        return self.ir.load(pointer(self.ir, at, kind), align=align)

    def at(self, base: Any, *parts: Any) -> Any:
        """Return an address with offsets added."""
        for part in parts:
            base = self.ir.add(base, part)
        return base

    def loop(self, count: Any, state: Sequence[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """Emit `for i in range(count): state = body(i, state)`, count >= 1; return the last state."""
        entry = self.ir.block
        block, done = self.ir.append_basic_block("loop"), self.ir.append_basic_block("done")
        self.ir.branch(block)
        self.ir.position_at_end(block)
        i = self.ir.phi(I64)
        phis = [self.ir.phi(value.type) for value in state]
        after = body(i, phis)
        following = self.ir.add(i, I64(1))
        last = self.ir.block
        for phi, first, value in zip([i, *phis], [I64(0), *state], [following, *after], strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(value, last)
        self.ir.cbranch(self.ir.icmp_signed("<", following, count), block, done)
        self.ir.position_at_end(done)
        return after


def nearest_below(code: Code, total: Any) -> Any:
    """Return int32 sums as float32, truncated to 24 bits toward zero; |sum| < 2**31 - 64."""
    if PATH.word_dot == 16:
        return call(
            code.ir, "llvm.x86.avx512.sitofp.round.v16f32.v16i32", FLOAT, [total, I32(11)]
        )  # toward zero, no exceptions
    near = code.ir.sitofp(total, FLOAT)
    sizes = [call(code.ir, f"llvm.abs.v{LANES}i32", INT, [x, ir.IntType(1)(0)]) for x in (code.truncate(near), total)]
    above = code.ir.sext(code.ir.icmp_signed(">", *sizes), INT)  # -1 where the conversion rounded away from zero
    return code.ir.bitcast(code.ir.add(code.bits(near), above), FLOAT)


def to_odd(code: Code, total: Any) -> Any:
    """Return int32 sums as float32 rounded to odd: rounding that once more to 11 bits is rounding the sum itself."""
    below = nearest_below(code, total)
    inexact = code.ir.icmp_signed("!=", code.truncate(below), total)
    return code.ir.bitcast(code.ir.or_(code.bits(below), code.ir.zext(inexact, INT)), FLOAT)


def to_half(code: Code, value: Any) -> Any:
    """Round float32 values (odd in their last bit where inexact) to float16 values, to nearest even; every zero is +0."""
    build = code.ir
    exponent = code.most(build.and_(code.bits(value), code.ints(0x7F80_0000)), code.ints((127 - 14) << 23))
    # Adding 1.5 * 2**13 units of the exponent leaves 10 fraction bits of the value. Values that large are infinite anyway.
    magic = build.bitcast(build.or_(build.add(exponent, code.ints(13 << 23)), code.ints(1 << 22)), FLOAT)
    rounded = build.fsub(build.fadd(value, magic), magic)
    sign = build.and_(code.bits(value), code.ints(-(1 << 31)))
    infinite = build.bitcast(build.or_(sign, code.ints(0x7F80_0000)), FLOAT)
    size = build.bitcast(build.and_(code.bits(rounded), code.ints(0x7FFF_FFFF)), FLOAT)
    return build.select(build.fcmp_unordered(">", size, code.floats(65504.0)), infinite, rounded)
