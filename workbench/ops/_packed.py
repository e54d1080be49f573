"""A linear layer packed for the drivers of `kernels/convolve`: which operands, which product, where its constants lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.kernels.pack import pack_columns, panel_sizes, panels_of
from workbench.kernels.product import (
    BytesDepthwise,
    BytesProduct,
    PairsProduct,
    Product,
    SaturateDepthwise,
    SaturateProduct,
    WordsDepthwise,
    WordsProduct,
)
from workbench.numerics.cpu import PATH
from workbench.numerics.lane_parameters import BIAS, lane_parameters, wide_parameters
from workbench.numerics.requantize import Requantizer
from workbench.numerics.simd import LANES
from workbench.numerics.simd_rules import FAMILIES, RULES

Array = npt.NDArray[Any]

SATURATING_BITS = 30
"""Widest saturating accumulator of the vector kernels: sums of one product more still fit an int32."""


def signed_limits(bits: int) -> tuple[int, int]:
    """Return the smallest and largest number of a signed register."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


@dataclass(frozen=True)
class Accumulator:
    """Width and overflow of a dot product. wide: int64 (int16 activations). overflow: as in `Arithmetic`, but for `saturate_tiles`.

    tile: products that are summed exactly before the sum saturates (`saturate`).
    """

    wide: bool
    bits: int
    overflow: str
    tile: int = 1

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest number that it holds."""
        return signed_limits(self.bits)

    @property
    def native(self) -> bool:
        """True when it wraps: an int32 or int64 register that is narrowed once, at the end, has the same bits."""
        return self.overflow == "wrap"

    @property
    def pairs(self) -> bool:
        """True when pairs of products saturate at int16."""
        return self.overflow == "saturate_int16_pairs" and not self.wide

    @property
    def vector(self) -> bool:
        """True when the vector kernels have it."""
        if self.overflow == "saturate":
            return not self.wide and self.bits <= SATURATING_BITS and self.tile == 1
        return True


@dataclass(frozen=True)
class Operands:
    """How activations are loaded: as x - shift in `dtype`. product: the class that picks the instruction."""

    product: Any
    dtype: type[np.generic]
    shift: int

    @property
    def size(self) -> int:
        """Bytes of a loaded element."""
        return np.dtype(self.dtype).itemsize

    @property
    def taps(self) -> int:
        """Elements of a step."""
        return 4 // self.size

    @property
    def weights(self) -> type[np.generic]:
        """Type of packed weights."""
        return np.int8 if self.size == 1 else np.int16


def operands_of(accumulator: Accumulator, dtype: str, zero_point: int, w: Array, depthwise: bool = False) -> Operands:
    """Return the operands for activations of a type and weights (int8, or int16 where they need more bits: int9). The accumulator
    must be `vector`."""
    narrow = dtype != "int16" and w.dtype == np.int8
    if accumulator.pairs and narrow and not depthwise:
        return Operands(PairsProduct, np.uint8, -128)
    if accumulator.overflow != "saturate" and narrow and PATH.byte_dot:
        product = BytesDepthwise if depthwise else BytesProduct
        return Operands(product, np.int8, 0) if PATH.signed else Operands(product, np.uint8, -128)
    return words_of(accumulator, zero_point, depthwise)


def words_of(accumulator: Accumulator, zero_point: int, depthwise: bool = False) -> Operands:
    """Return operands of int16, which hold x - zero_point of int8 as well."""
    if accumulator.overflow == "saturate":
        return Operands(SaturateDepthwise if depthwise else SaturateProduct, np.int16, zero_point)
    return Operands(WordsDepthwise if depthwise else WordsProduct, np.int16, zero_point)


@dataclass(frozen=True, eq=False)
class Packed:
    """The arguments of a driver that do not depend on the activations."""

    operands: Operands
    product: Product
    weights: npt.NDArray[np.uint8]
    sizes: npt.NDArray[np.int64]
    constants: tuple[Array, ...]
    loaded: Array


def pack(
    operands: Operands, accumulator: Accumulator, w: Array, bias: npt.NDArray[np.int64], zero_point: int, requantize: Requantizer,
    inputs: tuple[int, int], row: int, group: int = 0, panel: int = 0, repeat: int = 1,
) -> Packed:  # fmt: skip
    """Pack weights [groups, columns, steps, taps] with the bias [groups * columns] and the requantizer of all channels.

    inputs: least and largest activation. row, group, panel: see `Product`. panel > 0: depthwise, every panel by itself. repeat: the
    channels of the requantizer are taken so many times, one after the other.
    """
    groups, columns, steps, _ = w.shape
    panels = panels_of(columns)
    sizes = np.ones(panels, np.int64) if panel else panel_sizes(panels)
    sums = w.astype(np.int64).sum(axis=(2, 3)).reshape(-1)
    start = bias - (zero_point - operands.shift) * sums
    wrap = (64 if accumulator.wide else 32) - accumulator.bits if accumulator.native else 0
    low = high = words = rule = 0
    if accumulator.overflow == "saturate":
        low, high = accumulator.limits
        start = np.clip(start, low, high)
    if accumulator.wide:
        constants, rule, words = _wide(requantize, repeat, start.reshape(groups, columns), panels, wrap)
        wrap = 0
    else:
        reach = [(w.astype(np.int64) * (x - zero_point)).reshape(-1, steps * w.shape[3]) for x in inputs]
        ends = np.minimum(*reach).sum(axis=1) + bias, np.maximum(*reach).sum(axis=1) + bias
        if wrap or accumulator.overflow != "wrap":
            ends = np.full_like(bias, -(2**31)), np.full_like(bias, 2**31)  # what narrows an accumulator wants it signed
        constants, rule, words = _narrow(requantize, repeat, start.reshape(groups, columns), panels, ends)
    product = operands.product(
        groups, steps, columns, panels, row, group, panel, rule, words, wrap, low, high, requantize.zero_point, requantize.q_min,
        requantize.q_max,
    )  # fmt: skip
    packed = pack_columns(np.ascontiguousarray(w.astype(operands.weights)), sizes)
    return Packed(operands, product, packed, sizes, constants, np.empty(0, operands.dtype))


def _narrow(
    requantize: Requantizer, repeat: int, start: Array, panels: int, ends: tuple[Array, Array]
) -> tuple[tuple[Array, ...], int, int]:
    """Return ((init, parameters), rule, words of a panel): int32 [groups, panels * 16], [groups * panels, ...]."""
    groups, columns = start.shape
    init = np.zeros((groups, panels * LANES), np.int64)
    init[:, :columns] = start
    parameters = []
    for g in range(groups):
        channels = slice(g * columns, (g + 1) * columns)
        name, part = lane_parameters(requantize, repeat, channels, panels * LANES, *ends)
        parameters.append(part)
    if name == "bounded":
        init += BIAS
    # The type of the parameters picks the family of rules when Numba compiles.
    stacked = np.ascontiguousarray(np.concatenate(parameters)).view(FAMILIES[name])
    return (init.astype(np.int32), stacked), list(RULES).index(name), stacked.nbytes // (4 * len(stacked))


def _wide(requantize: Requantizer, repeat: int, start: Array, panels: int, wrap: int) -> tuple[tuple[Array, ...], int, int]:
    """Return ((parameters,), rule, words of a panel)."""
    groups, columns = start.shape
    parameters = []
    for g in range(groups):
        channels = slice(g * columns, (g + 1) * columns)
        name, part = wide_parameters(requantize, repeat, start.reshape(-1), wrap, channels, panels * LANES)
        parameters.append(part)
    stacked = np.ascontiguousarray(np.concatenate(parameters))
    return (stacked,), list(RULES).index(name), stacked.nbytes // (4 * len(stacked))
