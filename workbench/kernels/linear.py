"""The inner part of every integer layer with weights: tiles of a matrix product, requantized while they are in the first-level cache.

A *band* is what fits the cache: some output lines of one image, or some rows of a matrix, loaded as the dot-product instruction
wants them (`kernels/load.py`). It is cut into quads of 4 output positions; a tile is 1 to 4 quads by 1 to 3 panels of 16 channels.
Sums start at the bias (with the zero point's share folded in), so an accumulator comes out whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.kernels.product import FUSED, MOST_PANELS, TILE, Product, finish, most_quads, requantized, tile
from workbench.numerics.jit import inline
from workbench.numerics.simd import address

Array = npt.NDArray[Any]

CHUNK = 128
"""Steps of 2 products whose sum an int32 holds: 256 * 2**15 * 2**7 = 2**30."""


@inline
def pointers(quads: Array, q: int, used: int, base: int) -> tuple[int, int, int, int]:
    """Return the addresses of quads q .. q + used - 1; the last one again where there are fewer than 4."""
    last = q + used - 1
    return (
        base + quads[q, 0], base + quads[min(q + 1, last), 0], base + quads[min(q + 2, last), 0], base + quads[last, 0],
    )  # fmt: skip


@inline
def finish_tile(
    product: Product, acc: Array, quads: Array, q: int, used: int, limit: int, panels: int, parameters: Array, rule: int, out: Array,
    target: int, out_row: int, columns: int,
) -> None:  # fmt: skip
    """Requantize the sums of quads q .. q + used - 1: acc [4 * used][16 * panels]. rule: address of their parameters.

    target: address of position 0 in their first column. columns: from there to the last. The others as in `multiply_band`.
    """
    sums, row, size = address(acc), 16 * panels * acc.itemsize, out.itemsize
    for i in range(used):
        first = quads[q + i, 1]
        rows = min(quads[q + i, 2], limit - first)
        for panel in range(panels):
            finish(
                product, acc, sums + 4 * i * row + 16 * acc.itemsize * panel, row, rows, parameters, rule + 4 * product.words * panel,
                out, target + size * (first * out_row + 16 * panel), size * out_row, columns - 16 * panel,
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
                finish_tile(
                    product, acc, quads, q, used, limit, panels, parameters, rule,
                    out, target, out_row, product.columns - column,
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
                finish_tile(
                    product, total, quads, q, used, limit, panels, parameters, rule,
                    out, target, out_row, product.columns - column,
                )  # fmt: skip
                q += used
            w += 64 * panels * product.steps
            rule += 4 * product.words * panels
            column += 16 * panels
