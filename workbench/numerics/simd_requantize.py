"""Requantization of tiles: a panel of accumulators in memory, or a tile while it is in the registers.

`requantize_panel(rule, bits)` is an intrinsic (acc, acc_stride, rows, parameters, zero_point, q_min, q_max, out, out_stride, columns).
acc: address of int32 [rows, 16] (rules `wide_*`: int64), rows >= 1, `acc_stride` bytes apart. parameters: address of the rule's
vectors for these 16 columns (`lane_parameters.py` makes them). out: address of int8, int16 or int32, rows `out_stride` bytes apart;
only the first `columns` (1 .. 16) elements of a row are written. The rules: `simd_rules.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from workbench.numerics.simd import I8, I16, I32, I64, LANES, emitted, pointer, splat, tile_sums, vector
from workbench.numerics.simd_rules import DOUBLE, INT, LONG, RULES

ELEMENTS = {8: I8, 16: I16, 32: I32}


def requantize_panel(rule: str, bits: int) -> Any:
    """Return the intrinsic of a rule for int8, int16 or int32 outputs; see the module text."""
    compute, kinds = RULES[rule]
    element = ELEMENTS[bits]

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
    element = ELEMENTS[bits]
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
