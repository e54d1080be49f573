"""Products of rows and packed weights, for Numba: which instruction a tile takes, which rule requantizes it.

The class of the product (`BytesProduct`, ...) picks the instruction when Numba compiles a driver for it, and the type of the
parameters picks the family of rules: only what a network uses is compiled, and the disk cache keys on it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types
from numba.extending import overload

from workbench.numerics.cpu import PATH
from workbench.numerics.simd import dot_tile
from workbench.numerics.simd_requantize import requantize_panel, requantized_tile
from workbench.numerics.simd_rules import FAMILIES, RULES

Array = npt.NDArray[Any]


class Product(NamedTuple):
    """What a driver needs to know of a product; its subclass says how four bytes are multiplied.

    groups: that share nothing but the input. steps: of 4 bytes. columns, panels: of one group. row: bytes between the rows of a quad.
    group: bytes between the inputs of groups. panel: bytes between the inputs of panels (depthwise; else 0). rule: index into RULES.
    words: of 4 bytes, of the parameters of a panel. wrap: 32 - bits of the accumulator (0: native, or wide).
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
CODES = {name: code for code, name in enumerate(RULES)}
FUSED = tuple(CODES[name] for name in ("bounded", "float32", "float64", "float32_truncate", "shift"))
"""Rules that are also computed in the registers of a tile, one of a family: those of nearly every layer."""


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
    product: Product, acc: Array, begin: int, stride: int, rows: int, constants: Array, parameters: int, out: Array, target: int,
    out_stride: int, columns: int,
) -> None:  # fmt: skip
    """Requantize one panel of `rows` rows into the type of `out`, at the address `target`; see `requantize_panel`.

    begin: address in acc, whose type (int32, int64) and that of constants say the family of rules (`FAMILIES`). parameters: the
    panel's address in constants.
    """
    raise NotImplementedError


@overload(finish, strict=False)
def _finish(
    product: Any, acc: Any, begin: Any, stride: Any, rows: Any, constants: Any, parameters: Any, out: Any, target: Any,
    out_stride: Any, columns: Any,
) -> Any:  # fmt: skip
    bits = out.dtype.bitwidth
    family = _family(constants.dtype, acc.dtype == types.int64)
    if len(family) == 1:
        only = requantize_panel(family[0], bits)

        def alone(product, acc, begin, stride, rows, constants, parameters, out, target, out_stride, columns):  # type: ignore[no-untyped-def]
            z, low, high = product.zero_point, product.q_min, product.q_max
            only(begin, stride, rows, parameters, z, low, high, target, out_stride, columns)

        return alone
    one, two, other = (requantize_panel(rule, bits) for rule in family)
    code1, code2 = CODES[family[0]], CODES[family[1]]

    def several(product, acc, begin, stride, rows, constants, parameters, out, target, out_stride, columns):  # type: ignore[no-untyped-def]
        z, low, high = product.zero_point, product.q_min, product.q_max
        if product.rule == code1:
            one(begin, stride, rows, parameters, z, low, high, target, out_stride, columns)
        elif product.rule == code2:
            two(begin, stride, rows, parameters, z, low, high, target, out_stride, columns)
        else:
            other(begin, stride, rows, parameters, z, low, high, target, out_stride, columns)

    return several


def _family(dtype: Any, wide: bool) -> list[str]:
    """Return the rules whose parameters come as arrays of a Numba type: one, or three."""
    return [rule for rule, kind in FAMILIES.items() if from_dtype(np.dtype(kind)) == dtype and rule.startswith("wide") == wide]


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
    rule = next(rule for rule in _family(constants.dtype, wide=False) if CODES[rule] in FUSED)
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
