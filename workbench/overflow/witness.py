"""An input that makes an accumulator overflow, built from the bounds, and run in the kernel: once as the target adds, once exactly.

Candidates push the sum beyond its limit by a little or by much, and bring it back afterwards or not: which of them changes the output
depends on the requantization, so all of them are run, and the one with the largest difference is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.graph.ir import Array, Tensor
from workbench.kernels.gemm import FINAL, RUNNING, TILES
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site
from workbench.ops.base import DTYPES
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.overflow.bounds import Bounds, right_zero_point, tile_sums
from workbench.overflow.layer import Layer, Sums, wide_arithmetic

I64 = npt.NDArray[np.int64]
TRIED = 16
"""Candidates between just beyond the limit and as far as it goes."""
CHANNELS = 8
"""Output channels that are tried, those that go farthest first."""


@dataclass(frozen=True)
class Trace:
    """One sum, added as the target does. beyond: the first value that no longer fits, after so many products; acc: the register's end;
    exact: what it should be."""

    beyond: int
    products: int
    acc: int
    exact: int


@dataclass(frozen=True, eq=False)
class Witness:
    """tiles: the window [KH, KW, C] or row [K] of input integers (a matrix product of activations: both operands). factors: those that
    the sum reads, in its order. padded: how many of them are padding.

    output: of the kernel in the target's accumulator; exact_output: in a wide one, None where the exact sum fits no register.
    """

    channel: int
    sums: Sums
    tiles: tuple[Array, ...]
    factors: I64
    padded: int
    trace: Trace
    output: int
    exact_output: int | None

    @property
    def depth(self) -> int:
        """Products of the sum."""
        return int(self.factors.shape[1])


def find_witness(layer: Layer, bounds: Bounds) -> Witness:
    """Return an input that overflows, if possible with another output. bounds: of the layer, without a proof."""
    found = None
    for channel in bounds.overflowing[:CHANNELS]:
        made = _of_channel(layer, bounds, channel)
        if made.exact_output is not None and made.output != made.exact_output:
            return made
        found = found or made
    assert found is not None
    return found


def _of_channel(layer: Layer, bounds: Bounds, channel: int) -> Witness:
    """Return the input that changes the output of a channel most."""
    sums = bounds.sums
    high = bounds.high[channel] + 1 >= -bounds.low[channel]
    pattern = layer.patterns[(bounds.high_pattern if high else bounds.low_pattern)[channel]]
    tried = _candidates(layer, sums, channel, pattern, high)
    traces = [trace(layer, sums, channel, operands) for operands in tried]
    windows = [_window(layer, channel, operands) for operands in tried]
    batch = [np.stack(parts) for parts in zip(*windows, strict=True)]
    got = run_windows(layer, layer.site.arithmetic, channel, batch)
    exact = run_windows(layer, wide_arithmetic(layer.site.arithmetic), channel, batch)
    most = 1 << ((64 if layer.accumulator.wide else 32) - 1)
    known = np.array([-most <= t.exact < most for t in traces])
    chosen = int(np.argmax(np.where(known, np.abs(got - exact), -1)))
    return Witness(
        channel, sums, windows[chosen], tried[chosen], int((~pattern).sum()), traces[chosen], int(got[chosen]),
        int(exact[chosen]) if known[chosen] else None,
    )  # fmt: skip


def _candidates(layer: Layer, sums: Sums, channel: int, pattern: npt.NDArray[np.bool_], high: bool) -> list[I64]:
    """Return operands [1 or 2, K] whose sums leave the register. high: upwards."""
    most, opposite, neutral = _choices(layer, sums, channel, pattern, high)
    sign = 1 if high else -1
    limit = sums.limits[1 if high else 0]
    gain = sign * products(layer, sums, channel, most)
    place = np.arange(layer.depth)
    if sums.kind == FINAL:
        rest = sign * products(layer, sums, channel, neutral)
        order = np.argsort(rest - gain, kind="stable")
        total = sign * layer.bias[channel] + int(rest.sum()) + np.concatenate([[0], (gain - rest)[order].cumsum()])
        rank = np.empty(layer.depth, np.int64)
        rank[order] = place
        return [np.where(rank < n, most, neutral) for n in _spread(np.flatnonzero(total > sign * limit))]
    added = tile_sums(gain, sums.tile)
    if sums.kind == RUNNING:
        reached = sign * layer.bias[channel] + np.concatenate([[0], added.cumsum()])
        masks = [place < n * sums.tile for n in _spread(np.flatnonzero(reached > sign * limit))]
    else:
        order = np.argsort(-added, kind="stable")
        counts = _spread(1 + np.arange(int((added > sign * limit).sum())))
        masks = [np.isin(place // sums.tile, order[:n]) for n in counts]
    return [np.where(mask, most, rest) for mask in masks for rest in (opposite, neutral)]


def _spread(found: npt.NDArray[np.intp] | I64) -> list[int]:
    """Return up to TRIED of the numbers, first and last among them."""
    return sorted({int(found[i]) for i in np.linspace(0, len(found) - 1, TRIED).astype(np.int64)})


def _choices(layer: Layer, sums: Sums, channel: int, pattern: npt.NDArray[np.bool_], high: bool) -> tuple[I64, I64, I64]:
    """Return operands [1 or 2, K] that push every product to one end, to the other, and to nothing."""
    ends = layer.x
    zero = layer.zero_point
    if layer.w is None:
        others, other_zero = layer.y, right_zero_point(layer)
        corners = sorted(((x - zero) * (y - other_zero), x, y) for x in ends for y in others)
        pairs = corners[0][1:], corners[-1][1:], (_nearest(zero, ends), _nearest(other_zero, others))
        low, top, still = (np.repeat(np.array(pair)[:, None], layer.depth, axis=1) for pair in pairs)
    else:
        rising = layer.w[channel] >= 0
        choices = np.where(rising, *ends), np.where(rising, *ends[::-1]), _nearest(zero, ends)
        low, top, still = (np.where(pattern, choice, zero)[None] for choice in choices)
    return (top, low, still) if high else (low, top, still)


def _nearest(value: int, ends: tuple[int, int]) -> int:
    return min(max(value, ends[0]), ends[1])


def products(layer: Layer, sums: Sums, channel: int, operands: I64) -> I64:
    """Return the K products of one output channel."""
    if layer.w is None:
        return np.asarray((operands[0] - layer.zero_point) * (operands[1] - right_zero_point(layer)))
    return np.asarray((operands[0] - sums.shift) * layer.w[channel])


def trace(layer: Layer, sums: Sums, channel: int, operands: I64) -> Trace:
    """Add one sum in Python integers as the target does; it leaves the register."""
    low, high = sums.limits
    bias, depth = layer.bias[channel], layer.depth
    exact = bias + sum(products(layer, replace(sums, shift=layer.zero_point), channel, operands).tolist())
    if sums.kind == FINAL:
        return Trace(exact, depth, _wrapped(exact, sums.bits), exact)
    parts = tile_sums(products(layer, sums, channel, operands), sums.tile).tolist()
    ends = [min((i + 1) * sums.tile, depth) for i in range(len(parts))]
    if sums.kind == TILES:
        outside = next(i for i, part in enumerate(parts) if not low <= part <= high)
        lost = sum(part - min(max(part, low), high) for part in parts)
        return Trace(parts[outside], ends[outside], _wrapped(exact - lost, 32), exact)
    acc, first = bias, None
    for end, part in zip([0, *ends], [0, *parts], strict=True):
        acc += part
        if first is None and not low <= acc <= high:
            first = acc, end
        acc = min(max(acc, low), high)
    assert first is not None
    return Trace(*first, acc, exact)


def _wrapped(value: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def _window(layer: Layer, channel: int, operands: I64) -> tuple[Array, ...]:
    """Return the input of the one-window layer, in stored integers: what no product reads holds the zero point."""
    site = layer.site
    x = site.input(layer.varying)
    row = operands[0].astype(DTYPES[x.dtype])
    if layer.w is None:
        return row[None], operands[1].astype(DTYPES[site.input(1).dtype])[:, None]
    if site.op == "batch_matmul":
        return (row[None],)
    if layer.window is None:
        return (row,)
    w, (height, width) = layer.window, one_window(layer)
    tile = np.full((height, width, x.shape[3]), layer.zero_point, row.dtype)
    taps = tile[:: w.dilation_h, :: w.dilation_w]
    if site.op == "depthwise_conv2d":
        taps[..., channel // (len(layer.bias) // x.shape[3])] = row.reshape(w.kernel_h, w.kernel_w)
    else:
        depth = layer.depth // (w.kernel_h * w.kernel_w)
        first = channel // (len(layer.bias) // site.attrs.groups) * depth
        taps[..., first : first + depth] = row.reshape(w.kernel_h, w.kernel_w, depth)
    return (tile,)


def one_window(layer: Layer) -> tuple[int, int]:
    """Return the height and width that one window of a convolution covers."""
    w = layer.window
    assert w is not None
    return (w.kernel_h - 1) * w.dilation_h + 1, (w.kernel_w - 1) * w.dilation_w + 1


def run_windows(layer: Layer, arithmetic: Arithmetic, channel: int, batch: list[Array]) -> I64:
    """Run a batch of windows through the layer's operator, made for one window; return one output channel, int64 [N]."""
    site = layer.site
    x = site.input(layer.varying)
    inputs: list[Tensor | None] = [replace(x, shape=(1, *batch[0].shape[1:]), data=None), *site.inputs[1:]]
    attrs, column = site.attrs, channel
    if site.op == "batch_matmul":
        attrs, column = BatchMatmulAttrs(), 0
        other = site.input(1 - layer.varying)
        if layer.w is None:
            inputs[1] = replace(other, shape=(1, *batch[1].shape[1:]))
        else:
            assert other.quant is not None
            weights = (layer.w[channel] + other.quant.scalar[1]).astype(DTYPES[other.dtype]).reshape(1, -1, 1)
            inputs[1] = replace(other, shape=weights.shape, data=weights)
    elif layer.window is not None:
        attrs = replace(attrs, stride=(1, 1), pads=(0, 0, 0, 0))
    made = Site(site.name, site.op, attrs, tuple(inputs), site.outputs, arithmetic)
    args = [*batch, *(t.data if t is not None else None for t in inputs[len(batch) :])]
    (y,) = OPS[site.op].prepare(made)(args)  # type: ignore[arg-type]
    return np.asarray(y.reshape(len(batch[0]), -1)[:, column], np.int64)
