"""Drivers of the integer layers: load a band, multiply it, requantize it, for every image.

All take `constants`, which decides the accumulator: (init, parameters) for int32, see `multiply_band`; (parameters,) for int64, see
`multiply_band_wide`. loaded: an empty array of the type that activations are loaded as (uint8, int8 or int16).
geometry, bands: a `Window` and a `Band` as plain tuples, which Numba takes over from Python in a third of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import overload

from workbench.kernels.linear import multiply_band, multiply_band_wide
from workbench.kernels.load import (
    SLACK,
    Band,
    Window,
    fill_rows,
    gather_elements,
    gather_windows,
    load_band,
    slack,
    spread_lines,
)
from workbench.kernels.product import TILE, Product
from workbench.numerics.jit import kernel
from workbench.numerics.simd import LANES, address

Array = npt.NDArray[Any]
Constants = tuple[Array, ...]
Ints = tuple[int, ...]


def multiply(
    product: Product, source: int, quads: Array, count: int, limit: int, offsets: Array, weights: Array, sizes: Array,
    constants: Constants, acc: Array, out: Array, position: int, out_row: int,
) -> None:  # fmt: skip
    """Multiply one band with the accumulator that `constants` is for."""
    raise NotImplementedError


@overload(multiply, strict=False)
def _multiply(
    product: Any, source: Any, quads: Any, count: Any, limit: Any, offsets: Any, weights: Any, sizes: Any, constants: Any,
    acc: Any, out: Any, position: Any, out_row: Any,
) -> Any:  # fmt: skip
    if len(constants) == 2:

        def narrow(product, source, quads, count, limit, offsets, weights, sizes, constants, acc, out, position, out_row):  # type: ignore[no-untyped-def]
            multiply_band(
                product, source, quads, count, limit, offsets, weights, sizes, constants[0], constants[1], acc, out, position,
                out_row,
            )  # fmt: skip

        return narrow

    def wide(product, source, quads, count, limit, offsets, weights, sizes, constants, acc, out, position, out_row):  # type: ignore[no-untyped-def]
        multiply_band_wide(
            product, source, quads, count, limit, offsets, weights, sizes, constants[0], acc, out, position, out_row
        )

    return wide


@kernel
def rows_product(
    product: Product, x: Array, tile: int, shift: int, quads: Array, offsets: Array, weights: Array, sizes: Array,
    constants: Constants, loaded: Array, out: Array,
) -> None:  # fmt: skip
    """x [M, K] by weights -> out [M, N]: fully connected layers and 1 x 1 convolutions. tile: rows at a time."""
    pitch = 4 * product.steps // loaded.itemsize
    scratch = np.zeros(tile * pitch + SLACK, loaded.dtype)
    acc = np.empty(TILE, np.int32)
    flat = out.reshape(-1)
    for first in range(0, x.shape[0], tile):
        rows = min(tile, x.shape[0] - first)
        fill_rows(x, first, rows, pitch, shift, scratch)
        multiply(
            product, address(scratch), quads, (rows + 3) // 4, rows, offsets, weights, sizes, constants, acc, flat, first,
            out.shape[1],
        )  # fmt: skip


@kernel
def convolve_lines(
    product: Product, x: Array, geometry: Ints, bands: Ints, quads: Array, offsets: Array, weights: Array, sizes: Array,
    constants: Constants, loaded: Array, out: Array,
) -> None:  # fmt: skip
    """NHWC convolution straight from the padded lines: a step's 4 bytes are where `offsets` says. out: [N, OH, OW, O]."""
    window, band = Window(*geometry), Band(*bands)
    line = band.width * x.shape[3]
    scratch = np.full(band.height * line + slack(window, x.shape[3]), band.padding, loaded.dtype)
    acc = np.empty(TILE, np.int32)
    flat = out.reshape(-1)
    per_line = (window.out_w + 3) // 4
    for n in range(x.shape[0]):
        for first in range(0, window.out_h, band.lines):
            lines, _ = load_band(x, n, first, window, band, scratch)
            multiply(
                product, address(scratch), quads, lines * per_line, lines * window.out_w, offsets, weights, sizes, constants, acc,
                flat, (n * window.out_h + first) * window.out_w, out.shape[3],
            )  # fmt: skip


@kernel
def convolve_windows(
    product: Product, x: Array, geometry: Ints, bands: Ints, tile: int, taps: Array, elementwise: bool, quads: Array, offsets: Array,
    weights: Array, sizes: Array, constants: Constants, loaded: Array, out: Array,
) -> None:  # fmt: skip
    """NHWC convolution by gathered windows, for narrow outputs. band: the whole padded image.

    taps: of all groups, in elements or in bytes: see `gather_elements` and `gather_windows`.
    """
    window, band = Window(*geometry), Band(*bands)
    line = band.width * x.shape[3]
    scratch = np.full(band.height * line + slack(window, x.shape[3]), band.padding, loaded.dtype)
    pitch = 4 * product.steps * product.groups // loaded.itemsize
    rows_of = np.zeros(tile * pitch + SLACK, loaded.dtype)
    acc = np.empty(TILE, np.int32)
    flat = out.reshape(-1)
    positions = window.out_h * window.out_w
    for n in range(x.shape[0]):
        load_band(x, n, 0, window, band, scratch)
        for first in range(0, positions, tile):
            rows = min(tile, positions - first)
            if elementwise:
                gather_elements(scratch, window, line, x.shape[3], first, rows, taps, rows_of)
            else:
                gather_windows(scratch, window, line, x.shape[3], first, rows, taps, rows_of)
            multiply(
                product, address(rows_of), quads, (rows + 3) // 4, rows, offsets, weights, sizes, constants, acc, flat,
                n * positions + first, out.shape[3],
            )  # fmt: skip


@kernel
def convolve_depthwise(
    product: Product, x: Array, geometry: Ints, bands: Ints, parts: int, quads: Array, offsets: Array, weights: Array, sizes: Array,
    constants: Constants, loaded: Array, out: Array,
) -> None:  # fmt: skip
    """NHWC depthwise convolution, one output per input channel. parts: see `spread_lines`.

    out: [N, OH, OW, C], or [N, OH, OW / n, n * C] where a panel holds n positions; window then is that of every nth position.
    """
    window, band = Window(*geometry), Band(*bands)
    channels, lanes = x.shape[3], out.shape[3]
    line = band.width * channels
    panels = (lanes + LANES - 1) // LANES
    joined = window.stride_h == 1  # then the lines of taps follow one another, and quads need not end with a line
    scratch = np.full(band.height * line + slack(window, channels), band.padding, loaded.dtype)
    spread = np.empty((band.height * window.out_w + 4) * parts * panels * 64, np.uint8)
    acc = np.empty(TILE, np.int32)
    flat = out.reshape(-1)
    per_line = (window.out_w + 3) // 4
    for n in range(x.shape[0]):
        for first in range(0, window.out_h, band.lines):
            lines, height = load_band(x, n, first, window, band, scratch)
            spread_lines(scratch, window, line, channels, lanes, height, parts, spread)
            positions = lines * window.out_w
            count = (positions + 3) // 4 if joined else lines * per_line
            multiply(
                product, address(spread), quads, count, positions, offsets, weights, sizes, constants, acc, flat,
                (n * window.out_h + first) * window.out_w, lanes,
            )  # fmt: skip
