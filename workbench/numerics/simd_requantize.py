"""Requantization of 16 accumulators at once, in LLVM IR: the rules of `requantize_rules`, bit for bit.

`requantize_panel(rule, bits)` is an intrinsic (acc, acc_stride, rows, parameters, zero_point, q_min, q_max, out, out_stride, columns).
acc: address of int32 [rows, 16] (rules `wide_*`: int64), rows >= 1, `acc_stride` bytes apart, the bias included (not with `wide_*`).
parameters: address of the rule's vectors for these 16 columns (`lane_parameters` and `wide_parameters` make them). out: address of int8
or int16, rows `out_stride` bytes apart; only the first `columns` (1 .. 16) elements of a row are written.

    fixed    M, left, away, down, one     SRDHM by M of (acc << left), then >> in two steps: v = srdhm + (srdhm >> 31 & away);
                                          v = ((v >> down) + one) >> one, which is the rounding shift by down + one, ties away
                                          from zero where `away` is -1, up where it is 0; `one` 0: no shift
    bounded  M, 2M, round - M, away, right
                                          fixed without a left shift, where nothing overflows: v = (srdhm + round + (srdhm < 0 ?
                                          away : 0)) >> right; round includes the zero point, 2**right times. Its accumulators are
                                          unsigned, `BIAS` too large: the high half of acc * 2M + 2**31 is then srdhm + M
    single   M, round (int64), shift (int64)
    float32  scale
    float64  scale (float64)
    wide_reduced  bias, wrap, M (15 bits), round, right, all int64: (acc + bias, of which 64 - wrap bits count) * M + round >> right
    wide_float64  bias, wrap (int64), scale (float64)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from workbench.numerics.requantize import Requantizer
from workbench.numerics.simd import I8, I16, I32, I64, LANES, call, clip, emitted, pointer, splat, tile_sums, vector

Array = npt.NDArray[Any]
INT = vector(I32, LANES)
LONG = vector(I64, LANES)
HALF = vector(I64, LANES // 2)
FLOAT, DOUBLE = vector(ir.FloatType(), LANES), vector(ir.DoubleType(), LANES)


BIAS = 1 << 31
"""What `bounded` wants accumulators to start from."""


def lane_parameters(
    requantize: Requantizer, repeat: int, channels: slice, columns: int, low: Array, high: Array
) -> tuple[str, npt.NDArray[np.int32]]:
    """Return (name of the lanes' rule, int32 [panels, words]).

    repeat: the requantizer's channels are taken so many times, one after the other. channels: of those, the ones that are asked for.
    columns: room for them, a multiple of 16; what lies beyond gives anything. low, high: int64, the range of every channel's
    accumulator before it wraps.
    """
    first, second = np.tile(requantize.first, repeat), np.tile(requantize.second, repeat)
    if requantize.name == "float32_half_even":
        name, rows = "float32", [first.view(np.int32)]
    elif requantize.name == "float64_half_away":
        name, rows = "float64", [first]
    elif requantize.name == "single":
        right: Array = 31 - second.astype(np.int64)
        name, rows = "single", [first.astype(np.int64), np.left_shift(1, right - 1), right]
    else:
        away = np.tile(requantize.away, repeat)
        name, rows = _fixed_parameters(first, second.astype(np.int64), away, requantize.zero_point, low, high)
    panels = []
    for row, kind in zip(rows, RULES[name][1], strict=True):
        part = row[channels]
        padded = np.zeros(columns, part.dtype if kind in (LONG, DOUBLE) else np.int32)
        padded[: part.size] = part
        panels.append(padded.view(np.int32).reshape(columns // LANES, -1))
    return name, np.ascontiguousarray(np.concatenate(panels, axis=1))


def wide_parameters(
    requantize: Requantizer, repeat: int, bias: Array, wrap: int, channels: slice, columns: int
) -> tuple[str, Array]:
    """As `lane_parameters` for int64 accumulators: ("wide_reduced", int64 [panels, words]) or ("wide_float64", float64).

    bias: int64, of every channel. wrap: 64 - bits of the accumulator.
    """
    first, second = np.tile(requantize.first, repeat), np.tile(requantize.second, repeat)
    rows: list[Array] = [bias, np.full(bias.size, wrap)]
    if requantize.name == "float64_half_away":
        name, rows, kind = "wide_float64", [*rows, first.view(np.int64)], "float64"
    else:
        right: Array = 15 - second.astype(np.int64)
        name, rows, kind = "wide_reduced", [*rows, first, np.left_shift(1, right - 1), right], "int64"
    padded = np.zeros((len(rows), columns), np.int64)
    for row, part in zip(padded, rows, strict=True):
        row[: part[channels].size] = part[channels]
    panels = padded.reshape(len(rows), -1, LANES).transpose(1, 0, 2)
    return name, np.ascontiguousarray(panels).reshape(columns // LANES, -1).view(kind)


def _fixed_parameters(
    multiplier: Array, shift: Array, away: Array, zero_point: int, low: Array, high: Array
) -> tuple[str, list[Array]]:
    right, one = np.maximum(-shift, 0), (shift < 0).astype(np.int64)
    away = -(away * one)

    def rescaled(acc: Array) -> Array:
        v = (acc * multiplier + (1 << 30)) >> 31
        return (v + ((np.int64(1) << right) >> 1) + np.where(v < 0, away, 0)) >> right

    bounded = (shift <= 0) & (low >= -(2**31)) & (high < 2**31)
    ends = [rescaled(np.where(bounded, v, 0)) for v in (low, high)]
    dead = bounded & (ends[0] == ends[1])  # as of channels that training has switched off: tiny scales, shifts about 30
    alive = ~dead
    rounding = (((np.int64(1) << right) >> 1) + (zero_point << right)) * alive + (ends[0] + zero_point) * dead
    largest = np.maximum(-low, high) * alive  # |srdhm| is not larger
    if bounded.all() and (largest + np.abs(rounding) < 2**31 - 2).all():
        factor = multiplier * alive
        return "bounded", [factor, 2 * factor.astype(np.int64), rounding - factor, away * alive, right * alive]
    return "fixed", [multiplier, np.maximum(shift, 0), away, np.maximum(right - 1, 0), one]


def _srdhm(builder: Any, x: Any, multiplier: Any) -> Any:
    """Return (x * M + 2**30) >> 31, exact in 64-bit lanes: even and odd elements apart, each product of the 32 low bits of a lane."""
    by32, by31 = (splat(builder, I64(n), LANES // 2) for n in (32, 31))
    half = splat(builder, I64(1 << 30), LANES // 2)
    x, multiplier = builder.bitcast(x, HALF), builder.bitcast(multiplier, HALF)
    even = [builder.ashr(builder.shl(v, by32), by32) for v in (x, multiplier)]
    odd = [builder.ashr(v, by32) for v in (x, multiplier)]
    low = builder.lshr(builder.add(builder.mul(*even), half), by31)
    high = builder.shl(builder.add(builder.mul(*odd), half), splat(builder, I64(1), LANES // 2))
    low, high = builder.bitcast(low, INT), builder.bitcast(high, INT)
    order = ir.Constant(INT, [i if i % 2 == 0 else LANES + i for i in range(LANES)])
    return builder.shuffle_vector(low, high, order)


def _limited(builder: Any, value: Any, limits: Any, element: Any) -> Any:
    """Clip before the zero point is added, so that nothing overflows; then narrow."""
    zero, low, high = limits
    value = clip(builder, value, builder.sub(low, zero), builder.sub(high, zero))
    return builder.trunc(builder.add(value, zero), vector(element, LANES))


def _fixed(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    multiplier, left, away, down, one = parameters
    v = _srdhm(builder, builder.shl(acc, left), multiplier)
    v = builder.add(v, builder.and_(builder.ashr(v, splat(builder, I32(31), LANES)), away))
    v = builder.ashr(builder.add(builder.ashr(v, down), one), one)
    return _limited(builder, v, limits, element)


def _bounded(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    multiplier, twice, rounding, away, right = parameters
    low32, by32 = (splat(builder, I64(n), LANES // 2) for n in (2**32 - 1, 32))
    half = splat(builder, I64(1 << 31), LANES // 2)
    x, factor = builder.bitcast(acc, HALF), builder.bitcast(twice, HALF)
    even = builder.add(builder.mul(builder.and_(x, low32), builder.and_(factor, low32)), half)
    odd = builder.add(builder.mul(builder.lshr(x, by32), builder.lshr(factor, by32)), half)
    order = ir.Constant(INT, [i + 1 if i % 2 == 0 else LANES + i for i in range(LANES)])
    v = builder.shuffle_vector(builder.bitcast(even, INT), builder.bitcast(odd, INT), order)
    negative = builder.select(builder.icmp_unsigned("<", v, multiplier), away, ir.Constant(INT, [0] * LANES))
    v = builder.ashr(builder.add(builder.add(v, rounding), negative), right)
    least, most = (splat(builder, I32(n), LANES) for n in (-(1 << (element.width - 1)), (1 << (element.width - 1)) - 1))
    v = builder.trunc(clip(builder, v, least, most), vector(element, LANES))  # one saturating instruction
    low, high = (builder.trunc(limit, v.type) for limit in limits[1:])
    v = call(builder, f"llvm.smax.v{LANES}i{element.width}", v.type, [v, low])
    return call(builder, f"llvm.smin.v{LANES}i{element.width}", v.type, [v, high])


def _single(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    multiplier, rounding, shift = parameters
    product = builder.add(builder.mul(builder.sext(acc, LONG), builder.sext(multiplier, LONG)), rounding)
    return _limited(builder, builder.trunc(builder.ashr(product, shift), INT), limits, element)


def _float(kind: Any, suffix: str, rounding: str) -> Any:
    """Return the rule of a scale: clamping to integers before rounding gives the same integer and keeps the conversion in range."""

    def rule(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
        v = builder.fmul(builder.sitofp(acc, kind), parameters[0])
        zero = limits[0]
        low, high = (builder.sitofp(builder.sub(limit, zero), kind) for limit in limits[1:])
        v = builder.select(builder.fcmp_ordered("<", v, low), low, v)
        v = builder.select(builder.fcmp_ordered(">", v, high), high, v)
        whole = builder.fptosi(call(builder, f"llvm.{rounding}.{suffix}", kind, [v]), INT)
        return builder.trunc(builder.add(whole, zero), vector(element, LANES))

    return rule


def _whole(builder: Any, acc: Any, bias: Any, wrap: Any) -> Any:
    return builder.ashr(builder.shl(builder.add(acc, bias), wrap), wrap)


def _wide_reduced(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    bias, wrap, multiplier, rounding, right = parameters
    product = builder.add(builder.mul(_whole(builder, acc, bias, wrap), multiplier), rounding)
    return _limited(builder, builder.trunc(builder.ashr(product, right), INT), limits, element)


def _wide_float64(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    bias, wrap, scale = parameters
    return _float(DOUBLE, "v16f64", "round")(builder, _whole(builder, acc, bias, wrap), [scale], limits, element)


RULES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "fixed": (_fixed, (INT,) * 5),
    "bounded": (_bounded, (INT,) * 5),
    "single": (_single, (INT, LONG, LONG)),
    "float32": (_float(FLOAT, "v16f32", "rint"), (FLOAT,)),
    "float64": (_float(DOUBLE, "v16f64", "round"), (DOUBLE,)),
    "wide_reduced": (_wide_reduced, (LONG,) * 5),
    "wide_float64": (_wide_float64, (LONG, LONG, DOUBLE)),
}
"""Name -> (code, types of its parameter vectors). The order is the code that drivers branch on."""


def requantize_panel(rule: str, bits: int) -> Any:
    """Return the intrinsic of a rule for int8 or int16 outputs; see the module text."""
    compute, kinds = RULES[rule]
    element = {8: I8, 16: I16}[bits]

    @emitted
    def panel(
        typing: Any, acc: Any, acc_stride: Any, rows: Any, parameters: Any, zero_point: Any, q_min: Any, q_max: Any,
        out: Any, out_stride: Any, columns: Any,
    ) -> Any:  # fmt: skip
        return types.void(*[types.int64] * 10), generate

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        acc, acc_stride, rows, parameters, zero_point, q_min, q_max, out, out_stride, columns = args
        vectors = _vectors(builder, parameters, kinds)
        limits = [splat(builder, builder.trunc(v, I32), LANES) for v in (zero_point, q_min, q_max)]
        entry, loop, done = builder.block, builder.append_basic_block("row"), builder.append_basic_block("rows_done")
        builder.branch(loop)
        builder.position_at_end(loop)
        left, source, target = (builder.phi(I64) for _ in range(3))
        value = builder.load(pointer(builder, source, LONG if rule.startswith("wide") else INT), align=4)
        _store(builder, compute(builder, value, vectors, limits, element), element, target, columns)
        for phi, first, step in ((left, rows, I64(-1)), (source, acc, acc_stride), (target, out, out_stride)):
            phi.add_incoming(first, entry)
            phi.add_incoming(builder.add(phi, step), builder.block)
        builder.cbranch(builder.icmp_signed(">", left, I64(1)), loop, done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return panel


def _vectors(builder: Any, parameters: Any, kinds: tuple[Any, ...]) -> list[Any]:
    """Load the parameter vectors of one panel."""
    found, at = [], parameters
    for kind in kinds:
        found.append(builder.load(pointer(builder, at, kind), align=4))
        at = builder.add(at, I64(128 if kind in (LONG, DOUBLE) else 64))
    return found


def requantized_tile(quads: int, panels: int, kind: str, spread: bool, rule: str, bits: int) -> Any:
    """Return the intrinsic that multiplies a tile and requantizes it in the registers.

    (operands of `dot_tile` without acc, parameters, zero_point, q_min, q_max, out, out_stride, columns): the 4 * quads rows go to
    `out`, `out_stride` bytes apart; of the last panel only 8 columns when `columns` (16 or 8) says so. See `requantize_panel`.
    """
    compute, kinds = RULES[rule]
    element = {8: I8, 16: I16}[bits]
    words = sum(128 if k in (LONG, DOUBLE) else 64 for k in kinds)

    @emitted
    def tile(
        typing: Any, p0: Any, p1: Any, p2: Any, p3: Any, stride: Any, offsets: Any, steps: Any, w: Any, init: Any, low: Any,
        high: Any, parameters: Any, zero_point: Any, q_min: Any, q_max: Any, out: Any, out_stride: Any, columns: Any,
    ) -> Any:  # fmt: skip
        return types.void(*[types.int64] * 18), generate

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parameters, zero_point, q_min, q_max, out, out_stride, columns = args[11:]
        sums = tile_sums(builder, args, quads, panels, kind, spread)
        limits = [splat(builder, builder.trunc(v, I32), LANES) for v in (zero_point, q_min, q_max)]
        for panel in range(panels):
            vectors = _vectors(builder, builder.add(parameters, I64(words * panel)), kinds)
            at = builder.add(out, I64(LANES * panel * bits // 8))
            values = [compute(builder, row[panel], vectors, limits, element) for row in sums]
            if panel < panels - 1:
                _store_rows(builder, values, at, out_stride)
            else:
                _store_half_or_full(builder, values, at, out_stride, columns)
        return context.get_dummy_value()

    return tile


def _lower(builder: Any, value: Any) -> Any:
    return builder.shuffle_vector(value, value, ir.Constant(vector(I32, LANES // 2), list(range(LANES // 2))))


def _store_rows(builder: Any, values: Sequence[Any], out: Any, stride: Any) -> None:
    for value in values:
        builder.store(value, pointer(builder, out, value.type), align=1)
        out = builder.add(out, stride)


def _store_half_or_full(builder: Any, values: Sequence[Any], out: Any, stride: Any, columns: Any) -> None:
    """Branch once, after all rows: where a row had blocks of its own, LLVM would not see that high halves are zero."""
    full, half, done = (builder.append_basic_block(name) for name in ("full", "half", "stored"))
    builder.cbranch(builder.icmp_signed("==", columns, I64(LANES // 2)), half, full)
    for block, halved in ((full, False), (half, True)):
        builder.position_at_end(block)
        _store_rows(builder, [_lower(builder, v) if halved else v for v in values], out, stride)
        builder.branch(done)
    builder.position_at_end(done)


def _store(builder: Any, value: Any, element: Any, out: Any, columns: Any) -> None:
    """Store the first `columns` elements: 16 or 8 at once, other counts one by one."""
    full, half, one = (builder.append_basic_block(name) for name in ("full", "half", "one"))
    done = builder.append_basic_block("stored")
    least = builder.append_basic_block("not_full")
    builder.cbranch(builder.icmp_signed(">=", columns, I64(LANES)), full, least)
    builder.position_at_end(full)
    builder.store(value, pointer(builder, out, value.type), align=1)
    builder.branch(done)
    builder.position_at_end(least)
    builder.cbranch(builder.icmp_signed("==", columns, I64(LANES // 2)), half, one)
    builder.position_at_end(half)
    lower = _lower(builder, value)
    builder.store(lower, pointer(builder, out, lower.type), align=1)
    builder.branch(done)
    builder.position_at_end(one)
    before = one
    loop = builder.append_basic_block("element")
    builder.branch(loop)
    builder.position_at_end(loop)
    i = builder.phi(I64)
    i.add_incoming(I64(0), before)
    at = builder.add(out, builder.mul(i, I64(element.width // 8)))
    builder.store(builder.extract_element(value, i), pointer(builder, at, element), align=1)
    after = builder.add(i, I64(1))
    i.add_incoming(after, loop)
    builder.cbranch(builder.icmp_signed("<", after, columns), loop, done)
    builder.position_at_end(done)
