"""The fused dot-add of `tensor_core` for 16 outputs at once, in LLVM IR: rows x 16 columns stay in registers over the whole K.

Exact in float32: a product of two significands of at most 11 bits has 22 bits; times a power of two it is exact again (or below 1),
and converting it to int32 *is* the truncation toward zero. One step of the chain, in lanes:

    e     = max over k of ea[k] + eb[k]                  int8, saturating: a zero has exponent -128, and so have its products
    top   = max(e + base, exponent of c)
    sum   = trunc(c * 2**(F - top)) + sum over k of trunc(a[k] * b[k] * 2**(F + base - top))
    c     = round(sum) * 2**(top - F);  c stays as it is where every product is zero, and where it is infinite

`narrow` inputs (fp16, fp8) are stored as they are. `wide` ones (bf16, tf32: 8 exponent bits) do not fit: each step of each row is
divided by the power of two of its largest number, base is the sum of the two powers, and exponents more than 63 below are kept at -63,
their values flushed to zero. That is exact as long as e (or c) is not below F - 62; an output for which it ever was is *flagged*,
as is one whose sum may have left int32, or whose result is so small that float32 would round it: the caller computes those with the
integer rule.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from workbench.numerics.cpu import PATH
from workbench.numerics.simd import I8, I16, I32, I64, LANES, call, emitted, pointer, vector
from workbench.numerics.simd_float import FLOAT, INT, Code, nearest_below, to_half, to_odd

BYTES = vector(I8, 4 * LANES)

ROWS = 4 if PATH.word_dot == 16 else 2
"""Rows of a full tile. More are hardly faster: the instructions of one row do not wait for those of another."""
ZERO_EXPONENT, LOWEST_EXPONENT = -128, -63
"""Exponent of a zero; the lowest that a nonzero number of a wide format is given, relative to its step."""
HEADROOM = 62
"""e may lie this far below F before a flushed value could have reached 1."""


class Shape(NamedTuple):
    """What a tile is compiled for. wide: 8 exponent bits. accumulator: a code of ACCUMULATOR_CODES.

    sums: int32 sums that the products of a step need, each of at most 2**31 in size: 0 = one, with c it cannot leave int32; 1; or 2,
    of the products at even and odd k. Beyond 0 an output whose sum comes near the limits is flagged.
    """

    rows: int
    wide: bool
    accumulator: int
    sums: int


def _exponents(code: Code, shape: Shape, a: Any, stride: Any, b: Any, quarters: Any) -> list[Any]:
    """Return, for every row, max over the step of ea + eb as int32 lanes; a: address of int8 rows, b: of int8 [quarters][16][4]."""
    build = code.ir

    def quarter(i: Any, state: list[Any]) -> list[Any]:
        columns = code.load(build.add(b, build.shl(i, I64(6))), BYTES)
        found = []
        for r, best in enumerate(state):
            four = code.load(code.at(a, build.mul(stride, I64(r)), build.shl(i, I64(2))), I32, 1)
            row = build.bitcast(code.spread(four), BYTES)
            total = call(build, f"llvm.sadd.sat.v{4 * LANES}i8", BYTES, [row, columns])
            found.append(call(build, f"llvm.smax.v{4 * LANES}i8", BYTES, [best, total]))
        return found

    lowest = ir.Constant(BYTES, [-128] * (4 * LANES))
    result = []
    for best in code.loop(quarters, [lowest] * shape.rows, quarter):
        for bits in (16, 8):
            moved = build.bitcast(build.shl(code.bits(best), code.ints(bits)), BYTES)
            best = call(build, f"llvm.smax.v{4 * LANES}i8", BYTES, [best, moved])
        result.append(build.ashr(code.bits(best), code.ints(24)))
    return result


class _Scales(NamedTuple):
    """What one step of one row needs. keep: outputs that the step leaves alone. flag: outputs that it may get wrong. below: bits of the
    sum that a subnormal result has no room for."""

    products: Any
    start: Any
    result: tuple[Any, ...]
    keep: Any
    flag: Any
    below: Any = None


def _narrow_scales(code: Code, shape: Shape, c: Any, e: Any, fraction: Any) -> _Scales:
    """Align numbers whose products lie between 2**-64 and 2**64."""
    build = code.ir
    biased = build.lshr(build.shl(code.bits(c), code.ints(1)), code.ints(24))
    keep = build.icmp_signed("<", e, code.ints(-64))
    if shape.accumulator == 2:
        keep = build.or_(keep, build.icmp_signed("==", biased, code.ints(255)))
        biased = build.select(
            build.fcmp_unordered("!=", c, code.floats(0.0)), code.most(biased, code.ints(127 - 14)), code.ints(0)
        )
    top = code.most(biased, build.add(e, code.ints(127)))
    scale = build.shl(build.sub(code.spread(build.add(fraction, I32(254))), top), code.ints(23))
    inverse = build.bitcast(build.sub(code.ints(254 << 23), scale), FLOAT)
    scale = build.bitcast(scale, FLOAT)
    return _Scales(scale, code.truncate(build.fmul(c, scale)), (inverse,), keep, None)


def _wide_scales(code: Code, shape: Shape, c: Any, e: Any, base: Any, fraction: Any) -> _Scales:
    """Align numbers of any exponent. Powers of two that no float32 holds are two factors."""
    build = code.ir
    biased = build.lshr(build.shl(code.bits(c), code.ints(1)), code.ints(24))
    none = build.icmp_signed("==", e, code.ints(ZERO_EXPONENT))
    keep = build.or_(none, build.icmp_signed("==", biased, code.ints(255)))
    if shape.accumulator == 2:
        half = code.most(biased, code.ints(127 - 14))
        biased = build.select(build.fcmp_unordered("!=", c, code.floats(0.0)), half, code.ints(0))
    products = build.add(build.add(e, base), code.ints(127))
    top = code.most(code.most(biased, code.ints(1)), products)
    exponent = build.sub(code.spread(build.add(fraction, I32(127))), top)  # F - top
    field = code.most(build.add(build.add(exponent, base), code.ints(127)), code.ints(0))
    half = build.ashr(exponent, code.ints(1))
    factors = [build.shl(build.add(part, code.ints(127)), code.ints(23)) for part in (half, build.sub(exponent, half))]
    inverse = tuple(build.bitcast(build.sub(code.ints(254 << 23), factor), FLOAT) for factor in factors)
    start = c
    for factor in factors:
        start = build.fmul(start, build.bitcast(factor, FLOAT))
    least = build.add(base, code.spread(build.add(fraction, I32(127 - HEADROOM))))  # flushed values stay below 1 from there on
    flag = build.and_(build.icmp_signed("<", top, least), build.not_(keep))
    lowest = build.sub(exponent, code.ints(139 if shape.accumulator == 1 else 149))
    below = None if shape.accumulator == 2 else code.most(lowest, code.ints(0))
    return _Scales(code.power(field), code.truncate(start), inverse, keep, flag, below)


def _finish(code: Code, shape: Shape, total: Any, scales: _Scales, c: Any) -> Any:
    """Return the accumulator after a step."""
    build = code.ir
    if scales.below is not None:  # a subnormal result ends at 2**-149 (e8m13: 2**-139)
        kept = build.shl(code.ints(-1), scales.below)
        carry = build.and_(build.ashr(total, code.ints(31)), build.not_(kept))
        total = build.and_(build.add(total, carry), kept)
    value = to_odd(code, total) if shape.accumulator == 2 else nearest_below(code, total)
    if shape.accumulator == 1:
        value = build.bitcast(build.and_(code.bits(value), code.ints(-1 << 10)), FLOAT)
    for factor in scales.result:
        value = build.fmul(value, factor)
    if shape.accumulator == 2:
        value = to_half(code, value)
    return build.select(scales.keep, c, value)


def tensor_core_tile(shape: Shape) -> Any:
    """Return the intrinsic of `shape.rows` rows by 16 columns, all steps of K.

    (a, ea, pitch, b, eb, depth, step, fraction, base, steps, column_base, c, c_stride, flags). a: address of float32 rows, `pitch`
    elements apart; ea: address of their int8 exponents, `pitch` bytes apart. b: address of float32 [depth][16]; eb: of int8
    [depth / 4][16][4]. depth, step: multiples of 4. base: address of int32 rows [steps]; column_base: address of int32 [steps][16]
    (wide only). c: address of float32 [rows][16], `c_stride` bytes apart: start and result. flags: address of int16 [rows], one
    bit per column, set where the result may be wrong.
    """

    @emitted
    def tile(
        typing: Any, a: Any, ea: Any, pitch: Any, b: Any, eb: Any, depth: Any, step: Any, fraction: Any, base: Any, steps: Any,
        column_base: Any, c: Any, c_stride: Any, flags: Any,
    ) -> Any:  # fmt: skip
        return types.void(*[types.int64] * 14), generate

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _tile(Code(builder), shape, *args)
        return context.get_dummy_value()

    return tile


def _tile(
    code: Code, shape: Shape, a: Any, ea: Any, pitch: Any, b: Any, eb: Any, depth: Any, step: Any, fraction: Any, base: Any,
    steps: Any, column_base: Any, c: Any, c_stride: Any, flags: Any,
) -> None:  # fmt: skip
    """Emit the tile; the operands as in `tensor_core_tile`."""
    build = code.ir
    fraction, rows = build.trunc(fraction, I32), range(shape.rows)
    targets = [build.add(c, build.mul(c_stride, I64(r))) for r in rows]
    limit = code.spread(build.sub(I32(-(1 << 31)), build.shl(I32(1), build.add(fraction, I32(1)))))  # 2**31 - 2**(F + 1)
    parts = max(shape.sums, 1)

    def one_step(i: Any, state: list[Any]) -> list[Any]:
        begin = build.mul(i, step)
        left = build.sub(depth, begin)
        count = build.select(build.icmp_signed("<", left, step), left, step)
        top = _exponents(
            code, shape, build.add(ea, begin), pitch, build.add(eb, build.mul(begin, I64(16))), build.lshr(count, I64(2))
        )
        scales = []
        for r in rows:
            if shape.wide:
                row = code.load(code.at(base, build.shl(build.add(build.mul(steps, I64(r)), i), I64(2))), I32)
                both = build.add(code.spread(row), code.load(build.add(column_base, build.mul(i, I64(64))), INT))
                scales.append(_wide_scales(code, shape, state[r], top[r], both, fraction))
            else:
                scales.append(_narrow_scales(code, shape, state[r], top[r], fraction))
        left_at, right_at = build.add(a, build.shl(begin, I64(2))), build.add(b, build.mul(begin, I64(64)))

        def products(j: Any, sums: list[Any]) -> list[Any]:
            found = []
            for part in range(parts):
                k = build.add(build.mul(j, I64(parts)), I64(part))
                column = code.load(build.add(right_at, build.mul(k, I64(64))), FLOAT)
                for r in rows:
                    at = code.at(left_at, build.mul(pitch, I64(4 * r)), build.shl(k, I64(2)))
                    value = build.fmul(build.fmul(code.spread(code.load(at, ir.FloatType())), column), scales[r].products)
                    found.append(build.add(sums[shape.rows * part + r], code.truncate(value)))
            return found

        start = [s.start for s in scales] + [code.ints(0)] * (shape.rows * (parts - 1))
        sums = code.loop(build.udiv(count, I64(parts)), start, products)
        after = []
        for r in rows:
            total, flag = sums[r], scales[r].flag
            if parts == 2:
                other = sums[shape.rows + r]
                total = build.add(total, other)
            if shape.sums:
                beyond = _beyond(code, sums[r], limit)
                if parts == 2:
                    agree = build.and_(build.xor(sums[r], total), build.xor(other, total))  # negative where the sum wrapped
                    wrapped = build.icmp_signed("<", agree, code.ints(0))
                    beyond = build.or_(build.or_(beyond, wrapped), _beyond(code, total, limit))
                flag = beyond if flag is None else build.or_(flag, beyond)
            if flag is not None:
                place = pointer(build, build.add(flags, I64(2 * r)), I16)
                build.store(build.or_(build.load(place, align=2), build.bitcast(flag, I16)), place, align=2)
            after.append(_finish(code, shape, total, scales[r], state[r]))
        return after

    for target, value in zip(targets, code.loop(steps, [code.load(t, FLOAT) for t in targets], one_step), strict=True):
        build.store(value, pointer(build, target, FLOAT), align=4)


def _beyond(code: Code, total: Any, limit: Any) -> Any:
    """Return where a sum is outside of +-limit, which it also is where it wrapped: sums are below 2**31 and |c| below 2**31 - limit."""
    return code.ir.icmp_unsigned(">", code.ir.add(total, limit), code.ir.shl(limit, code.ints(1)))
