"""The dot products of the micro-kernels, written as LLVM IR: what Numba's own vectorizer cannot be relied on to find.

`dot_tile(quads, panels, kind)` is one intrinsic: rows x 16-column panels of int32 accumulators stay in registers over the whole
sum. Rows come in quads: 4 rows at one pointer, `stride` bytes apart. Each step takes 4 bytes of every row, at the byte offset that
a table gives for the step (so a convolution needs no im2col), and multiplies them with 64 bytes of every panel:

    bytes     4 unsigned (Arm: signed) x 4 signed bytes   vpdpbusd, sdot
    words     2 x 2 int16                                 vpdpwssd, vpmaddwd
    pairs     2 x (2 unsigned x 2 signed bytes), each pair saturated to int16 and added: vpmaddubsw, what AVX2 without VNNI does
    saturate  2 int16 products, one after another, the sum clipped to [low, high] after each

Sums of the others wrap at 32 bits, and so do the instructions: every path has the same bits. With `spread` false a row is not
4 bytes for all columns but 64 bytes, 4 for each column: a depthwise convolution. Source: Intel SDM vol. 2, Arm ARM (SDOT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from workbench.numerics.cpu import PATH
from workbench.numerics.jit import inline


def emitted(code: Callable[..., Any]) -> Any:
    """Register a function that emits LLVM IR as one that kernels can call."""
    return intrinsic(code)


I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
LANES = 16
"""Columns of a panel; 16 x 4 bytes of packed weights are one step of one panel."""


def vector(element: Any, lanes: int) -> Any:
    """Return an IR vector type."""
    return ir.VectorType(element, lanes)


def pointer(builder: Any, address: Any, kind: Any) -> Any:
    """Return an address as a pointer to `kind`."""
    return builder.inttoptr(address, kind.as_pointer())


def call(builder: Any, name: str, result: Any, args: Sequence[Any]) -> Any:
    """Call an LLVM intrinsic."""
    found = builder.module.globals.get(name)
    if found is None:
        found = ir.Function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(found, args)


def splat(builder: Any, scalar: Any, lanes: int) -> Any:
    """Return a vector whose lanes are all `scalar`."""
    kind = vector(scalar.type, lanes)
    empty = ir.Constant(kind, ir.Undefined)
    return builder.shuffle_vector(
        builder.insert_element(empty, scalar, I32(0)), empty, ir.Constant(vector(I32, lanes), [0] * lanes)
    )


def _elements(builder: Any, value: Any, lanes: int, parts: int, signed: bool) -> list[Any]:
    """Split each 32-bit lane into `parts` integers of int32: [part 0 of all lanes, part 1 of all lanes, ...]."""
    bits = 32 // parts
    found = []
    for part in range(parts):
        left = splat(builder, I32(32 - bits * (part + 1)), lanes)
        right = splat(builder, I32(32 - bits), lanes)
        moved = builder.shl(value, left)
        found.append(builder.ashr(moved, right) if signed else builder.lshr(moved, right))
    return found


def clip(builder: Any, value: Any, low: Any, high: Any) -> Any:
    """Return min(max(value, low), high) of vectors of integers."""
    kind = f"v{value.type.count}i{value.type.element.width}"
    value = call(builder, f"llvm.smax.{kind}", value.type, [value, low])
    return call(builder, f"llvm.smin.{kind}", value.type, [value, high])


def _dot_bytes(builder: Any, acc: Any, x: Any, w: Any, lanes: int, low: Any, high: Any) -> Any:
    if PATH.byte_dot == 16:
        return call(builder, "llvm.x86.avx512.vpdpbusd.512", acc.type, [acc, x, w])
    if PATH.byte_dot == 8:
        return call(builder, "llvm.x86.avx512.vpdpbusd.256", acc.type, [acc, x, w])
    narrow = vector(I8, 16)
    operands = [acc, builder.bitcast(x, narrow), builder.bitcast(w, narrow)]
    return call(builder, "llvm.aarch64.neon.sdot.v4i32.v16i8", acc.type, operands)


def _dot_words(builder: Any, acc: Any, x: Any, w: Any, lanes: int, low: Any, high: Any) -> Any:
    if PATH.word_dot == 16:
        return call(builder, "llvm.x86.avx512.vpdpwssd.512", acc.type, [acc, x, w])
    if PATH.word_dot == 8:
        narrow = vector(I16, 16)
        products = call(builder, "llvm.x86.avx2.pmadd.wd", acc.type, [builder.bitcast(x, narrow), builder.bitcast(w, narrow)])
        return builder.add(acc, products)
    for a, b in zip(_elements(builder, x, lanes, 2, True), _elements(builder, w, lanes, 2, True), strict=True):
        acc = builder.add(acc, builder.mul(a, b))
    return acc


def _dot_pairs(builder: Any, acc: Any, x: Any, w: Any, lanes: int, low: Any, high: Any) -> Any:
    if not PATH.signed and PATH.word_dot:
        octets, words = vector(I8, 4 * lanes), vector(I16, 2 * lanes)
        family = "avx512" if lanes == 16 else "avx2"
        names = ("pmaddubs.w.512", "pmaddw.d.512") if lanes == 16 else ("pmadd.ub.sw", "pmadd.wd")
        pair = call(builder, f"llvm.x86.{family}.{names[0]}", words, [builder.bitcast(x, octets), builder.bitcast(w, octets)])
        ones = ir.Constant(words, [1] * (2 * lanes))
        return builder.add(acc, call(builder, f"llvm.x86.{family}.{names[1]}", acc.type, [pair, ones]))
    a, b = _elements(builder, x, lanes, 4, False), _elements(builder, w, lanes, 4, True)
    lowest, highest = (splat(builder, I32(v), lanes) for v in (-32768, 32767))
    for i in (0, 2):
        pair = builder.add(builder.mul(a[i], b[i]), builder.mul(a[i + 1], b[i + 1]))
        acc = builder.add(acc, clip(builder, pair, lowest, highest))
    return acc


def _dot_saturate(builder: Any, acc: Any, x: Any, w: Any, lanes: int, low: Any, high: Any) -> Any:
    for a, b in zip(_elements(builder, x, lanes, 2, True), _elements(builder, w, lanes, 2, True), strict=True):
        acc = clip(builder, builder.add(acc, builder.mul(a, b)), low, high)
    return acc


DOTS: dict[str, tuple[Callable[..., Any], int]] = {
    "bytes": (_dot_bytes, PATH.byte_dot),
    "words": (_dot_words, PATH.word_dot),
    "pairs": (_dot_pairs, 0 if PATH.signed else PATH.word_dot),
    "saturate": (_dot_saturate, PATH.word_dot),
}
"""Kind -> (one step of 32-bit lanes, lanes of one register; 0: as the vectorizer likes)."""


def tile_sums(builder: Any, args: Sequence[Any], quads: int, panels: int, kind: str, spread: bool) -> list[list[Any]]:
    """Emit the loop over the steps; return the accumulators: [4 * quads][panels] vectors of 16 int32.

    args: the operands of `dot_tile` without acc.
    """
    dot, width = DOTS[kind]
    lanes = width or LANES
    rows, registers = 4 * quads, panels * LANES // lanes
    stride, offsets, steps, w, init = args[4:9]
    low, high = (splat(builder, builder.trunc(limit, I32), lanes) for limit in args[9:11])
    accumulator = vector(I32, lanes)

    def load(address: Any, align: int) -> Any:
        return builder.load(pointer(builder, address, accumulator), align=align)

    strides = [I64(0), stride, builder.shl(stride, I64(1)), builder.mul(stride, I64(3))]
    start = [load(builder.add(init, I64(4 * lanes * r)), 4) for r in range(registers)]
    entry = builder.block
    loop, done = builder.append_basic_block("step"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(I64)
    step.add_incoming(I64(0), entry)
    sums = [[builder.phi(accumulator) for _ in range(registers)] for _ in range(rows)]
    for row in sums:
        for phi, value in zip(row, start, strict=True):
            phi.add_incoming(value, entry)
    base = builder.add(w, builder.mul(step, I64(64 * panels)))
    weights = [load(builder.add(base, I64(4 * lanes * r)), 4 * lanes) for r in range(registers)]
    offset = builder.load(pointer(builder, builder.add(offsets, builder.shl(step, I64(3))), I64), align=8)
    after = []
    for quad in range(quads):
        origin = builder.add(args[quad], offset)
        for i in range(4):
            at, row = builder.add(origin, strides[i]), sums[4 * quad + i]
            if spread:
                four = builder.load(pointer(builder, at, I32), align=1)
                values = [splat(builder, four, lanes)] * registers
            else:
                values = [load(builder.add(at, I64(4 * lanes * r)), 1) for r in range(registers)]
            after.append([dot(builder, row[r], values[r], weights[r], lanes, low, high) for r in range(registers)])
    following = builder.add(step, I64(1))
    step.add_incoming(following, loop)
    for row, values in zip(sums, after, strict=True):
        for phi, value in zip(row, values, strict=True):
            phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, done)
    builder.position_at_end(done)
    return [_panels(builder, row, LANES // lanes) for row in after]


def _panels(builder: Any, registers: Sequence[Any], parts: int) -> list[Any]:
    """Join every `parts` registers into a vector of 16 lanes."""
    while parts > 1:
        lanes = registers[0].type.count
        order = ir.Constant(vector(I32, 2 * lanes), list(range(2 * lanes)))
        registers = [builder.shuffle_vector(a, b, order) for a, b in zip(registers[::2], registers[1::2], strict=True)]
        parts //= 2
    return list(registers)


def dot_tile(quads: int, panels: int, kind: str, spread: bool = True) -> Any:
    """Return the intrinsic of 4 * quads rows by 16 * panels columns (spread false: 1 panel).

    (p0, p1, p2, p3, stride, offsets, steps, w, init, low, high, acc). p: addresses of the quads' first rows (those beyond `quads`
    unused). offsets: address of int64 [steps] bytes. w: address of [steps][16 * panels][4] bytes, 64-byte aligned. init: address of
    int32 [16 * panels], where every row starts. low, high: limits of `saturate`, within +-2**30. steps >= 1.
    acc: address of int32 [4 * quads][16 * panels] (overwritten).
    """

    @emitted
    def tile(
        typing: Any, p0: Any, p1: Any, p2: Any, p3: Any, stride: Any, offsets: Any, steps: Any, w: Any, init: Any, low: Any,
        high: Any, acc: Any,
    ) -> Any:  # fmt: skip
        return types.void(*[types.int64] * 12), generate

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for m, row in enumerate(tile_sums(builder, args, quads, panels, kind, spread)):
            for panel, value in enumerate(row):
                at = builder.add(args[11], I64(64 * (m * panels + panel)))
                builder.store(value, pointer(builder, at, value.type), align=4)
        return context.get_dummy_value()

    return tile


@inline
def address(array: npt.NDArray[Any]) -> int:
    """Return where an array starts, signed: Numba makes uint64 + int64 a float."""
    return np.int64(array.ctypes.data)  # type: ignore[return-value]


@emitted
def copy4(typing: Any, target: Any, source: Any) -> Any:
    """(target, source): copy 4 bytes between addresses of any alignment."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(pointer(builder, args[1], I32), align=1)
        builder.store(value, pointer(builder, args[0], I32), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@emitted
def interleave(typing: Any, target: Any, source: Any, stride: Any) -> Any:
    """(target, source, stride): 16 lanes of 4 bytes; byte i of lane c is byte source + i * stride + c. What `spread` false reads."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, lanes = vector(I8, LANES), list(range(LANES))
        rows = []
        for i in range(4):
            at = builder.add(args[1], builder.mul(args[2], I64(i)))
            rows.append(builder.load(pointer(builder, at, kind), align=1))
        pairs = [ir.Constant(vector(I32, 2 * n), list(range(2 * n))) for n in (LANES, 2 * LANES)]
        halves = [builder.shuffle_vector(rows[i], rows[i + 1], pairs[0]) for i in (0, 2)]
        whole = builder.shuffle_vector(*halves, pairs[1])
        order = ir.Constant(vector(I32, 4 * LANES), [LANES * i + c for c in lanes for i in range(4)])
        value = builder.shuffle_vector(whole, whole, order)
        builder.store(value, pointer(builder, args[0], value.type), align=1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@emitted
def interleave_words(typing: Any, target: Any, source: Any, stride: Any) -> Any:
    """As `interleave` for int16: 16 lanes of 2 elements, element i of lane c at source + i * stride + 2 * c."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = vector(I16, LANES)
        rows = [
            builder.load(pointer(builder, builder.add(args[1], builder.mul(args[2], I64(i))), kind), align=1) for i in (0, 1)
        ]
        order = ir.Constant(vector(I32, 2 * LANES), [LANES * i + c for c in range(LANES) for i in (0, 1)])
        value = builder.shuffle_vector(*rows, order)
        builder.store(value, pointer(builder, args[0], value.type), align=1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


def _shift_copy(source: Any, target: Any) -> Any:
    lanes = 32

    @emitted
    def copy(typing: Any, out: Any, x: Any, count: Any, shift: Any) -> Any:
        return types.void(*[types.int64] * 4), generate

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, x, count, shift = args
        size_in, size_out = source.width // 8, target.width // 8
        amount = builder.trunc(shift, target)

        def move(at: Any, wide: int) -> None:
            kinds = (vector(source, wide), vector(target, wide)) if wide > 1 else (source, target)
            value = builder.load(pointer(builder, builder.add(x, builder.mul(at, I64(size_in))), kinds[0]), align=1)
            value = builder.sext(value, kinds[1]) if target.width > source.width else value
            value = builder.sub(value, splat(builder, amount, wide) if wide > 1 else amount)
            builder.store(value, pointer(builder, builder.add(out, builder.mul(at, I64(size_out))), kinds[1]), align=1)

        entry = builder.block
        blocks = [builder.append_basic_block(name) for name in ("check", "vectors", "last", "rest", "one", "done")]
        check, vectors, last, rest, one, done = blocks
        builder.branch(check)
        builder.position_at_end(check)
        i = builder.phi(I64)
        i.add_incoming(I64(0), entry)
        after = builder.add(i, I64(lanes))
        builder.cbranch(builder.icmp_signed("<=", after, count), vectors, last)
        builder.position_at_end(vectors)
        move(i, lanes)
        i.add_incoming(after, vectors)
        builder.branch(check)
        builder.position_at_end(last)
        # Fewer than a vector are left: once more from the end, or one by one where there are no more.
        enough = builder.icmp_signed(">=", count, I64(lanes))
        back, tail = builder.append_basic_block("back"), builder.append_basic_block("tail")
        builder.cbranch(enough, back, tail)
        builder.position_at_end(back)
        move(builder.sub(count, I64(lanes)), lanes)
        builder.branch(done)
        builder.position_at_end(tail)
        builder.branch(rest)
        builder.position_at_end(rest)
        j = builder.phi(I64)
        j.add_incoming(i, tail)
        builder.cbranch(builder.icmp_signed("<", j, count), one, done)
        builder.position_at_end(one)
        move(j, 1)
        j.add_incoming(builder.add(j, I64(1)), one)
        builder.branch(rest)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return copy


copy_bytes, copy_widened, copy_words = _shift_copy(I8, I8), _shift_copy(I8, I16), _shift_copy(I16, I16)
"""(out, x, count, shift): out[i] = x[i] - shift, wrapping, at addresses; int8 -> 8 bits, int8 -> int16, int16 -> int16."""
