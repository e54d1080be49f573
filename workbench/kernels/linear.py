"""The inner part of every integer layer with weights: tiles of a matrix product, requantized while they are in the first-level cache.

A *band* is what fits the cache: some output lines of one image, or some rows of a matrix, loaded as the dot-product instruction
wants them (`kernels/load.py`). It is cut into quads of 4 output positions; a tile is 1 to 4 quads by 1 to 3 panels of 16 channels.
Sums start at the bias (with the zero point's share folded in), so an accumulator comes out whole.

The class of the product (`BytesProduct`, ...) picks the instruction when Numba compiles a driver for it: only what a network uses is
compiled, and the disk cache keys on it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import overload

from workbench.numerics.cpu import PATH
from workbench.numerics.jit import inline
from workbench.numerics.simd import address, dot_tile
from workbench.numerics.simd_requantize import RULES, requantize_panel, requantized_tile

Array = npt.NDArray[Any]


class Product(NamedTuple):
    """What a driver needs to know of a product; its subclass says how four bytes are multiplied.

    groups: that share nothing but the input. steps: of 4 bytes. columns, panels: of one group. row: bytes between the rows of a quad.
    group: bytes between the inputs of groups. panel: bytes between the inputs of panels (depthwise; else 0). rule: index into RULES.
    words: of the parameters of a panel, int32 or (wide accumulators) int64. wrap: 32 - bits of the accumulator (0: native, or wide).
    low, high: limits of a saturating accumulator.
    """

    groups: int
    steps: int
    columns: int
    panels: int
    row: int
    group: int
    panel: int
    rule: int
    words: int
    wrap: int
    low: int
    high: int
    zero_point: int
    q_min: int
    q_max: int


class BytesProduct(Product):
    """8-bit by 8-bit, four to a step."""


class WordsProduct(Product):
    """int16 by int16, two to a step."""


class PairsProduct(Product):
    """8-bit by 8-bit, pairs saturated to int16."""


class SaturateProduct(Product):
    """int16 by int16 in an accumulator that saturates after each product."""


class BytesDepthwise(Product):
    """8-bit by 8-bit, every column with rows of its own."""


class WordsDepthwise(Product):
    """int16 by int16, every column with rows of its own."""


class SaturateDepthwise(Product):
    """As SaturateProduct, every column with rows of its own."""


KINDS: dict[Any, tuple[str, bool]] = {
    BytesProduct: ("bytes", True),
    WordsProduct: ("words", True),
    PairsProduct: ("pairs", True),
    SaturateProduct: ("saturate", True),
    BytesDepthwise: ("bytes", False),
    WordsDepthwise: ("words", False),
    SaturateDepthwise: ("saturate", False),
}
"""Class of a product -> (kind, spread) of `dot_tile`."""

QUADS = {panels: quads for quads, panels in PATH.tiles}
"""Panels -> quads of a full tile."""
MOST_PANELS = max(QUADS)
TILE = 64 * max(panels * quads for panels, quads in QUADS.items())
"""int32 of the largest tile."""
CHUNK = 128
"""Steps of 2 products whose sum an int32 holds: 256 * 2**15 * 2**7 = 2**30."""

FIXED, BOUNDED, SINGLE, FLOAT32 = (list(RULES).index(name) for name in ("fixed", "bounded", "single", "float32"))
FUSED = (BOUNDED, FLOAT32)
"""Rules that are also computed in the registers of a tile: those of nearly every layer."""


def most_quads(product: Product, panels: int) -> int:
    """Return how many quads a full tile of some panels has."""
    raise NotImplementedError


@overload(most_quads, strict=False)
def _most_quads(product: Any, panels: Any) -> Any:
    one, two, three = (QUADS.get(n, 1) for n in (1, 2, 3))
    return lambda product, panels: one if panels == 1 else two if panels == 2 else three


def tile(
    product: Product, quads: int, panels: int, p0: int, p1: int, p2: int, p3: int, offsets: int, steps: int, w: int, init: int, acc: int
) -> None:  # fmt: skip
    """Multiply one tile with the instruction of the product's class; see `dot_tile`."""
    raise NotImplementedError


@overload(tile, strict=False)
def _tile(
    product: Any, quads: Any, panels: Any, p0: Any, p1: Any, p2: Any, p3: Any, offsets: Any, steps: Any, w: Any, init: Any, acc: Any
) -> Any:  # fmt: skip
    kind, spread = KINDS[product.instance_class]
    one1 = dot_tile(1, 1, kind, spread)

    def single(product, quads, panels, p0, p1, p2, p3, offsets, steps, w, init, acc):  # type: ignore[no-untyped-def]
        one1(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)

    if MOST_PANELS == 1:
        return single
    if not spread:
        full = dot_tile(QUADS[1], 1, kind, spread)

        def depthwise(product, quads, panels, p0, p1, p2, p3, offsets, steps, w, init, acc):  # type: ignore[no-untyped-def]
            if quads == 1:
                one1(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)
            else:
                full(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)

        return depthwise
    one2, one3 = dot_tile(1, 2, kind), dot_tile(1, 3, kind)
    full1, full2, full3 = (dot_tile(QUADS[n], n, kind) for n in (1, 2, 3))

    def several(product, quads, panels, p0, p1, p2, p3, offsets, steps, w, init, acc):  # type: ignore[no-untyped-def]
        if panels == 1:
            if quads == 1:
                one1(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)
            else:
                full1(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)
        elif panels == 2:
            if quads == 1:
                one2(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)
            else:
                full2(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)
        elif quads == 1:
            one3(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)
        else:
            full3(p0, p1, p2, p3, product.row, offsets, steps, w, init, product.low, product.high, acc)

    return several


def finish(
    product: Product, acc: int, stride: int, rows: int, constants: Array, parameters: int, out: Array, target: int, out_stride: int,
    columns: int,
) -> None:  # fmt: skip
    """Requantize one panel of `rows` rows into the type of `out`, at the address `target`; see `requantize_panel`.

    constants: whose type says the family of rules (float32, float64, int32: fixed point); parameters: the panel's address in it.
    """
    raise NotImplementedError


@overload(finish, strict=False)
def _finish(
    product: Any, acc: Any, stride: Any, rows: Any, constants: Any, parameters: Any, out: Any, target: Any, out_stride: Any,
    columns: Any,
) -> Any:  # fmt: skip
    bits = out.dtype.bitwidth
    if constants.dtype != types.int32:
        only = requantize_panel("float32" if constants.dtype == types.float32 else "float64", bits)

        def scaled(product, acc, stride, rows, constants, parameters, out, target, out_stride, columns):  # type: ignore[no-untyped-def]
            z, low, high = product.zero_point, product.q_min, product.q_max
            only(acc, stride, rows, parameters, z, low, high, target, out_stride, columns)

        return scaled
    fixed, bounded, single = (requantize_panel(rule, bits) for rule in ("fixed", "bounded", "single"))

    def multiplied(product, acc, stride, rows, constants, parameters, out, target, out_stride, columns):  # type: ignore[no-untyped-def]
        z, low, high = product.zero_point, product.q_min, product.q_max
        if product.rule == BOUNDED:
            bounded(acc, stride, rows, parameters, z, low, high, target, out_stride, columns)
        elif product.rule == FIXED:
            fixed(acc, stride, rows, parameters, z, low, high, target, out_stride, columns)
        else:
            single(acc, stride, rows, parameters, z, low, high, target, out_stride, columns)

    return multiplied


def requantized(
    product: Product, panels: int, p0: int, p1: int, p2: int, p3: int, offsets: int, steps: int, w: int, init: int, constants: Array,
    parameters: int, out: Array, target: int, out_stride: int, columns: int,
) -> None:  # fmt: skip
    """Multiply and requantize a full tile; rule and types as in `finish`. The product's rule is one of FUSED."""
    raise NotImplementedError


@overload(requantized, strict=False)
def _requantized(
    product: Any, panels: Any, p0: Any, p1: Any, p2: Any, p3: Any, offsets: Any, steps: Any, w: Any, init: Any, constants: Any,
    parameters: Any, out: Any, target: Any, out_stride: Any, columns: Any,
) -> Any:  # fmt: skip
    kind, spread = KINDS[product.instance_class]
    if constants.dtype == types.float64:

        def never(  # type: ignore[no-untyped-def]
            product, panels, p0, p1, p2, p3, offsets, steps, w, init, constants, parameters, out, target, out_stride, columns
        ):
            pass

        return never
    rule = "float32" if constants.dtype == types.float32 else "bounded"
    shapes = (1,) if MOST_PANELS == 1 or not spread else (1, 2, 3)
    tiles = [requantized_tile(QUADS[n], n, kind, spread, rule, out.dtype.bitwidth) for n in shapes]
    one, two, three = tiles if len(tiles) == 3 else tiles * 3

    def single(  # type: ignore[no-untyped-def]
        product, panels, p0, p1, p2, p3, offsets, steps, w, init, constants, parameters, out, target, out_stride, columns
    ):
        z, q_min, q_max = product.zero_point, product.q_min, product.q_max
        low, high, row = product.low, product.high, product.row
        one(p0, p1, p2, p3, row, offsets, steps, w, init, low, high, parameters, z, q_min, q_max, target, out_stride, columns)

    def several(  # type: ignore[no-untyped-def]
        product, panels, p0, p1, p2, p3, offsets, steps, w, init, constants, parameters, out, target, out_stride, columns
    ):
        z, q_min, q_max = product.zero_point, product.q_min, product.q_max
        low, high, row = product.low, product.high, product.row
        if panels == 1:
            one(
                p0, p1, p2, p3, row, offsets, steps, w, init, low, high, parameters, z, q_min, q_max, target, out_stride,
                columns,
            )  # fmt: skip
        elif panels == 2:
            two(
                p0, p1, p2, p3, row, offsets, steps, w, init, low, high, parameters, z, q_min, q_max, target, out_stride,
                columns,
            )  # fmt: skip
        else:
            three(
                p0, p1, p2, p3, row, offsets, steps, w, init, low, high, parameters, z, q_min, q_max, target, out_stride,
                columns,
            )  # fmt: skip

    return single if len(shapes) == 1 else several


def finish_wide(
    product: Product, acc: int, stride: int, rows: int, constants: Array, parameters: int, out: Array, target: int, out_stride: int,
    columns: int,
) -> None:  # fmt: skip
    """As `finish` for int64 accumulators. constants: float64 or int64 (multiplier and shift)."""
    raise NotImplementedError


@overload(finish_wide, strict=False)
def _finish_wide(
    product: Any, acc: Any, stride: Any, rows: Any, constants: Any, parameters: Any, out: Any, target: Any, out_stride: Any,
    columns: Any,
) -> Any:  # fmt: skip
    panel = requantize_panel("wide_float64" if constants.dtype == types.float64 else "wide_reduced", out.dtype.bitwidth)

    def wide(product, acc, stride, rows, constants, parameters, out, target, out_stride, columns):  # type: ignore[no-untyped-def]
        z, low, high = product.zero_point, product.q_min, product.q_max
        panel(acc, stride, rows, parameters, z, low, high, target, out_stride, columns)

    return wide


@inline
def pointers(quads: Array, q: int, used: int, base: int) -> tuple[int, int, int, int]:
    """Return the addresses of quads q .. q + used - 1; the last one again where there are fewer than 4."""
    last = q + used - 1
    return (
        base + quads[q, 0], base + quads[min(q + 1, last), 0], base + quads[min(q + 2, last), 0], base + quads[last, 0],
    )  # fmt: skip


@inline
def multiply_band(
    product: Product, source: int, quads: Array, count: int, limit: int, offsets: Array, weights: Array, sizes: Array, init: Array,
    parameters: Array, acc: Array, out: Array, position: int, out_row: int,
) -> None:  # fmt: skip
    """Multiply and requantize one band with int32 accumulators.

    source: address of the loaded band. quads: int64 [>= count, 3]: byte offset of the first row, output position, valid rows, in
    order of position. limit: positions of this band. offsets: int64 [steps] bytes. weights: bytes, for each group, for each of
    `sizes` panels: [steps][16 * panels][4]. init: int32 [groups, 16 * panels]. parameters: int32 [groups * panels, words].
    acc: int32 [TILE]. out: int8 or int16, flat; position: of the band's first output; out_row: elements of one position.
    """
    sums, taps, size = address(acc), address(offsets), out.itemsize
    w, start, rule = address(weights), address(init), address(parameters)
    for group in range(product.groups):
        column = 0
        for panels in sizes:
            most = most_quads(product, panels)
            base = source + group * product.group + column // 16 * product.panel
            target = address(out) + size * (position * out_row + group * product.columns + column)
            last = product.columns - column - 16 * (panels - 1)
            whole = product.wrap == 0 and product.rule in FUSED and (last >= 16 or last == 8)
            q = 0
            while q < count:
                used = most if count - q >= most else 1
                p0, p1, p2, p3 = pointers(quads, q, used, base)
                first, rows = quads[q, 1], 4 * used
                end = quads[q + used - 1]
                follow = end[1] == first + rows - 4 and end[2] == 4 and first + rows <= limit
                if whole and used == most and follow:  # requantized in the registers
                    requantized(
                        product, panels, p0, p1, p2, p3, taps, product.steps, w, start, parameters, rule, out,
                        target + size * first * out_row, size * out_row, last,
                    )  # fmt: skip
                    q += used
                    continue
                tile(product, used, panels, p0, p1, p2, p3, taps, product.steps, w, start, sums)
                if product.wrap > 0:
                    for i in range(rows * 16 * panels):
                        acc[i] = np.int32(acc[i] << product.wrap) >> product.wrap
                for i in range(used):
                    first = quads[q + i, 1]
                    rows = min(quads[q + i, 2], limit - first)
                    for panel in range(panels):
                        finish(
                            product, sums + 64 * (4 * i * panels + panel), 64 * panels, rows, parameters,
                            rule + 4 * product.words * panel, out, target + size * (first * out_row + 16 * panel), size * out_row,
                            product.columns - column - 16 * panel,
                        )  # fmt: skip
                q += used
            w += 64 * panels * product.steps
            start += 64 * panels
            rule += 4 * product.words * panels
            column += 16 * panels


@inline
def multiply_band_wide(
    product: Product, source: int, quads: Array, count: int, limit: int, offsets: Array, weights: Array, sizes: Array,
    parameters: Array, acc: Array, out: Array, position: int, out_row: int,
) -> None:  # fmt: skip
    """As `multiply_band` with int64 accumulators: int32 sums of CHUNK steps, then int64.

    parameters: float64 or int64 [groups * panels, words], see `wide_parameters`; the bias is in them. out: int16.
    """
    sums, taps, w, size = address(acc), address(offsets), address(weights), out.itemsize
    rule = address(parameters)
    zeros = np.zeros(16 * MOST_PANELS, np.int32)
    total = np.empty(TILE, np.int64)
    for group in range(product.groups):
        column = 0
        for panels in sizes:
            most = most_quads(product, panels)
            base = source + group * product.group + column // 16 * product.panel
            target = address(out) + size * (position * out_row + group * product.columns + column)
            q = 0
            while q < count:
                used = most if count - q >= most else 1
                p0, p1, p2, p3 = pointers(quads, q, used, base)
                for begin in range(0, product.steps, CHUNK):
                    steps = min(CHUNK, product.steps - begin)
                    at = w + 64 * panels * begin
                    tile(product, used, panels, p0, p1, p2, p3, taps + 8 * begin, steps, at, address(zeros), sums)
                    if begin == 0:
                        for i in range(used * 64 * panels):
                            total[i] = acc[i]
                    else:
                        for i in range(used * 64 * panels):
                            total[i] += acc[i]
                for i in range(used):
                    first = quads[q + i, 1]
                    rows = min(quads[q + i, 2], limit - first)
                    for panel in range(panels):
                        finish_wide(
                            product, address(total) + 128 * (4 * i * panels + panel), 128 * panels, rows, parameters,
                            rule + 8 * product.words * panel, out, target + size * (first * out_row + 16 * panel), size * out_row,
                            product.columns - column - 16 * panel,
                        )  # fmt: skip
                q += used
            w += 64 * panels * product.steps
            rule += 8 * product.words * panels
            column += 16 * panels
