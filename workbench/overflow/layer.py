"""A linear layer with integer sums as this package sees it: every output channel is one row of products, in the order of the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.kernels.gemm import FINAL, RUNNING, TILES
from workbench.kernels.load import Window
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops._linear import bias_of, quant_of, stated_accumulator
from workbench.ops._packed import Accumulator, signed_limits
from workbench.ops._windows import window_of
from workbench.ops.base import Site
from workbench.ops.batch_matmul import BatchMatmulAttrs, matrix_accumulator
from workbench.overflow.activations import Range, range_of

I64 = npt.NDArray[np.int64]
LINEAR = ("conv2d", "depthwise_conv2d", "fully_connected", "batch_matmul")
INTEGERS = ("int2", "int4", "int8", "int16")
"""Activation types of layers with an integer accumulator."""


@dataclass(frozen=True)
class Sums:
    """Which sums may not leave a register of `bits` bits.

    kind: FINAL = the whole sum (a register that wraps: what is beyond it in between comes back); RUNNING = the bias, and the sum after
    every `tile` products; TILES = the sum of every `tile` products by itself. shift: subtracted from an activation before the product:
    its zero point, or -128 where raw bytes are multiplied.
    """

    kind: int
    tile: int
    bits: int
    shift: int

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest number that the register holds."""
        return signed_limits(self.bits)


@dataclass(frozen=True, eq=False)
class Layer:
    """site: of the operator. w: int64 [O, K], zero point removed; None when both operands are activations (K products of two).

    bias: of every output channel. x: the integers that the activations hold; y: those of the second operand where w is None.
    patterns: which of the K activations are not padding, at the positions of the output that matter. window: of a convolution.
    alone: False where the sums are no operator of their own (the gates of an LSTM): they have bounds, but no tile is run, and data are
    not seen.
    """

    site: Site
    accumulator: Accumulator
    w: I64 | None
    bias: tuple[int, ...]
    x: Range
    patterns: tuple[npt.NDArray[np.bool_], ...]
    y: Range = (0, 0)
    window: Window | None = None
    alone: bool = True

    @property
    def depth(self) -> int:
        """Products of one sum."""
        return len(self.patterns[0])

    @property
    def zero_point(self) -> int:
        """Of the activations that are multiplied by the weights."""
        return quant_of(self.site, self.site.input(self.varying))[1]

    @property
    def varying(self) -> int:
        """Which operand is an activation: 1 for a matrix product whose first one is constant."""
        return 1 if self.site.x.is_constant else 0

    @property
    def one_to_one(self) -> bool:
        """True for a matrix product of two activations and a depthwise layer with one output per input, whose pairs are exact."""
        one = self.w is not None and self.site.op == "depthwise_conv2d" and len(self.w) == self.site.x.shape[3]
        return one or self.site.op == "batch_matmul"

    @property
    def sums(self) -> tuple[Sums, ...]:
        """What may not overflow, the narrower register first."""
        made, z = self.accumulator, self.zero_point
        if made.overflow == "saturate":
            return (Sums(RUNNING, made.tile, made.bits, z),)
        bits = made.bits if made.native else 64 if made.wide else 32
        final = Sums(FINAL, self.depth, bits, z)
        pairs = made.pairs and self.site.x.dtype == "int8" and not self.one_to_one
        return (Sums(TILES, 2, 16, -128), final) if pairs else (final,)


def layer_of(site: Site, found: Mapping[str, Range]) -> Layer | None:
    """Return the layer of an operator with one kind of sums, None when it has no integer accumulator.

    found: range of every activation.
    """
    if site.op not in LINEAR or site.x.dtype not in INTEGERS:
        return None
    if site.op == "batch_matmul":
        return _matrices(site, found)
    x = found[site.x.name]
    w = np.asarray(site.input(1).data).astype(np.int64)
    if site.op == "fully_connected":
        bias = tuple(bias_of(site, len(w)).tolist())
        return Layer(site, stated_accumulator(site), w, bias, x, (np.ones(w.shape[1], np.bool_),))
    return convolution(site, window_of(site.attrs, site.x.shape, w.shape[1:3], site.op), x)


def convolution(site: Site, window: Window, x: Range) -> Layer:
    """Return the layer of a convolution, depthwise or not. x: the integers that its input holds."""
    w = np.asarray(site.input(1).data).astype(np.int64)
    depthwise = site.op == "depthwise_conv2d"
    columns = w[0].reshape(-1, w.shape[3]).T if depthwise else w.reshape(len(w), -1)
    repeat = 1 if depthwise else w.shape[3]
    # What padding holds is one of the integers that an activation may hold: then only the fullest windows matter.
    fullest = x[0] <= quant_of(site, site.x)[1] <= x[1]
    patterns = tuple(np.repeat(p.reshape(-1), repeat) for p in padding_patterns(window, site.x.shape[1:3], fullest))
    bias = tuple(bias_of(site, len(columns)).tolist())
    return Layer(site, stated_accumulator(site), np.ascontiguousarray(columns), bias, x, patterns, window=window)


def _matrices(site: Site, found: Mapping[str, Range]) -> Layer:
    """A matrix product; with a constant operand, every row or column of that is an output channel."""
    attrs: BatchMatmulAttrs = site.attrs
    made = matrix_accumulator(site)
    a, b = site.x, site.input(1)
    depth = a.shape[-2 if attrs.adj_x else -1]
    everything = (np.ones(depth, np.bool_),)
    constant = b if b.is_constant else a if a.is_constant else None
    if constant is None:
        return Layer(site, made, None, (0,), range_of(a, found), everything, range_of(b, found))
    swap = attrs.adj_x if constant is a else not attrs.adj_y
    data = np.asarray(constant.data).astype(np.int64) - quant_of(site, constant)[1]
    w = np.ascontiguousarray((np.swapaxes(data, -1, -2) if swap else data).reshape(-1, depth))
    return Layer(site, made, w, (0,) * len(w), range_of(b if constant is a else a, found), everything)


def padding_patterns(window: Window, size: tuple[int, ...], fullest: bool) -> list[npt.NDArray[np.bool_]]:
    """Return the different masks [KH, KW] of the taps that lie in the image. size: (height, width).

    fullest: without those that another position's mask contains.
    """
    rows = _inside(window.kernel_h, window.stride_h, window.dilation_h, window.top, window.out_h, size[0], fullest)
    columns = _inside(window.kernel_w, window.stride_w, window.dilation_w, window.left, window.out_w, size[1], fullest)
    return [np.logical_and.outer(r, c) for r in rows for c in columns]


def _inside(
    kernel: int, stride: int, dilation: int, before: int, outputs: int, size: int, fullest: bool
) -> list[npt.NDArray[np.bool_]]:
    at = np.arange(outputs)[:, None] * stride - before + np.arange(kernel) * dilation
    masks = np.unique((at >= 0) & (at < size), axis=0)
    return [m for m in masks if not fullest or not any((m <= other).all() and (m < other).any() for other in masks)]


def wide_arithmetic(arithmetic: Arithmetic) -> Arithmetic:
    """Return the same rules with the widest accumulators."""
    return replace(arithmetic, accumulator_bits=32, accumulator_bits_wide=64, overflow="wrap")


def describe(layer: Layer) -> str:
    """Return the accumulator in words."""
    made = layer.accumulator
    if layer.sums[0].kind == TILES:
        return "int16 pairs saturate, int32"
    if made.overflow != "saturate":
        return f"{layer.sums[0].bits} bits, wraps"
    return f"{made.bits} bits, saturates" + (f" every {made.tile} products" if made.tile > 1 else "")
