"""What conv2d, depthwise, fully connected and batch matmul share: checks, packed weights, accumulate, requantize.

    acc = bias + sum((x - zero_point) * w)      int32 that wraps, or int64, or as narrow as the target's accumulator
    y = clip(requantize(acc, sx * sw[c] / sy) + zero_point, activation range)

Integer bias types decide: an int64 bias (int16 activations) means int64 accumulators and the target's *wide* rule.
Source: TFLite 8-bit and 16x8 quantization specification; docs/arithmetic.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.kernels.gemm import gemm_narrow, gemm_s32, gemm_s64, pack_rows
from workbench.numerics.activation import activation_range, fused_limits
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.requantize import Requantizer, effective_scale, make_requantizer, product_precision, rule_name
from workbench.ops.base import Array, Site
from workbench.tensor import RANGES, STORAGE, dequantize

CHUNK_BYTES = 256 * 1024
"""Rows are made, multiplied and requantized this many bytes at a time, so that they stay in the second-level cache."""

WEIGHT_TYPES = ("int8", "int4", "int2")
Fill = Callable[[int, int, Array], None]
"""(group, first row, rows to fill) -> None."""


@dataclass(frozen=True)
class Accumulator:
    """Width and overflow of a dot product. `native`: the ordinary wrapping register of 32 or 64 bits."""

    wide: bool
    bits: int
    saturate: bool

    @property
    def native(self) -> bool:
        """True when plain int32 / int64 arithmetic has the same bits."""
        return not self.saturate and self.bits == (64 if self.wide else 32)

    @property
    def dtype(self) -> type[np.generic]:
        """NumPy type of the native accumulator."""
        return np.int64 if self.wide else np.int32


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer ready to run.

    packed: int16 [N', K'] of each group (`pack_rows`). channels: N of one group. bias: int64 [all channels].
    zero_point: of the input. block: products that an int32 holds (see gemm_s64).
    """

    packed: tuple[npt.NDArray[np.int16], ...]
    channels: int
    bias: npt.NDArray[np.int64]
    zero_point: int
    accumulator: Accumulator
    requantize: Requantizer
    block: int = 256

    def multiply(self, rows: Array, group: int, acc: Array) -> None:
        """Accumulate one chunk: rows int16 [R, K'] -> acc [R, N'] without bias (with it when the accumulator is narrow)."""
        w = self.packed[group]
        if not self.accumulator.native:
            start = self.bias[group * self.channels : (group + 1) * self.channels]
            gemm_narrow(rows, w, start, self.accumulator.bits, self.accumulator.saturate, acc)
        elif self.accumulator.wide:
            gemm_s64(rows, w, self.block, acc)
        else:
            gemm_s32(rows, w, acc)

    def run(self, fill: Fill, count: int, out: Array) -> None:
        """Compute `count` output rows into out [count, all channels]."""
        depth = self.packed[0].shape[1]
        bias = self.bias if self.accumulator.native else np.zeros_like(self.bias)
        acc_type = self.accumulator.dtype if self.accumulator.native else np.int64
        width = self.packed[0].shape[0]
        step = max(1, min(count, CHUNK_BYTES // (2 * depth + np.dtype(acc_type).itemsize * width)))
        rows = np.zeros((step, depth), np.int16)
        acc = np.empty((step, width), acc_type)
        for group in range(len(self.packed)):
            column = group * self.channels
            for first in range(0, count, step):
                used = min(step, count - first)
                fill(group, first, rows[:used])
                self.multiply(rows[:used], group, acc[:used])
                self.requantize(acc[:used], bias[column : column + self.channels], out[first : first + used], column)


def make_layer(site: Site, w: Array, groups: int = 1, activation: str = "none") -> Layer:
    """Return the layer of constant weights.

    w: integers [O, K], the rows of one group after another. Raises InputError when a scale is out of range.
    """
    per_group = w.shape[0] // groups
    packed = tuple(pack_rows(w[g * per_group : (g + 1) * per_group]) for g in range(groups))
    return Layer(
        packed,
        per_group,
        bias_of(site, w.shape[0]),
        zero_point_of(site),
        accumulator_of(site),
        requantizer_of(site, w.shape[0], activation, groups > 1),
    )


def accumulator_of(site: Site) -> Accumulator:
    """Return the accumulator of a site: int64 when the bias is int64, else what the target's arithmetic says."""
    arithmetic: Arithmetic = site.arithmetic
    bias = site.optional(2)
    wide = site.x.dtype == "int16" and (arithmetic.int16_without_bias == "int64" if bias is None else bias.dtype == "int64")
    bits = arithmetic.accumulator_bits_wide if wide else arithmetic.accumulator_bits
    return Accumulator(wide, bits, arithmetic.overflow == "saturate")


def requantizer_of(site: Site, channels: int, activation: str, grouped: bool = False) -> Requantizer:
    """Return the requantizer from the scales of input 0, input 1 and output 0. grouped: conv2d with groups."""
    sx, _ = quant_of(site, site.x)
    sy, zy = quant_of(site, site.y)
    w = site.input(1)
    if w.quant is None:
        raise site.unsupported("input 1 has no scale.")
    if len(w.quant.scale) not in (1, channels):
        raise site.unsupported(f"{len(w.quant.scale)} weight scales for {channels} output channels; 1 or {channels} fit.")
    limits = activation_range(activation, float(sy), zy, *RANGES[site.y.dtype])
    wide, subbyte = accumulator_of(site).wide, w.dtype in ("int4", "int2")
    if grouped and subbyte and site.arithmetic.requantize_subbyte and not site.arithmetic.requantize_grouped:
        raise site.unsupported("the rule of this target for groups with weights below 8 bits is not known.")
    rule = rule_name(site.arithmetic, wide, subbyte, grouped)
    one = site.op == "fully_connected" and len(w.quant.scale) == 1
    product = product_precision(site.arithmetic, rule) if one else ""
    scale = effective_scale(site.arithmetic, sx, w.quant.scale, sy, rule, product)
    try:
        return make_requantizer(site.arithmetic, scale, channels, zy, limits, wide, rule)
    except InputError as problem:
        raise site.unsupported(f"{problem}.") from None


def zero_point_of(site: Site) -> int:
    """Return the zero point of the first input."""
    return quant_of(site, site.x)[1]


def bias_of(site: Site, channels: int) -> npt.NDArray[np.int64]:
    """Return the bias as int64 [channels], zeros when there is none."""
    bias = site.optional(2)
    if bias is None:
        return np.zeros(channels, np.int64)
    if bias.data is None or bias.dtype not in ("int32", "int64") or bias.data.size != channels:
        shape = None if bias.data is None else bias.data.shape
        raise site.unsupported(f"the bias must be a constant int32 or int64 [{channels}], it is {bias.dtype} {shape}.")
    if bias.dtype == "int64" and site.x.dtype != "int16":
        raise site.unsupported("an int64 bias needs int16 activations.")
    return bias.data.reshape(-1).astype(np.int64)


def check_integer(site: Site, weights: Sequence[str] = WEIGHT_TYPES) -> Array:
    """Check types and zero points of a layer with constant weights; return the weights as stored (int8)."""
    x, w, y = site.x, site.input(1), site.y
    if x.dtype not in ("int8", "int16") or y.dtype != x.dtype:
        raise site.unsupported("activations must be int8 or int16 and input and output the same type.")
    if w.dtype not in weights:
        raise site.unsupported(f"weights must be {', '.join(weights)}.")
    if w.data is None or w.quant is None:
        raise site.unsupported("weights must be a constant with scales.")
    if (w.quant.zero_point != 0).any():
        raise site.unsupported("weights must be symmetric (zero point 0).")
    if w.data.dtype != STORAGE[w.dtype] or w.data.size == 0:
        raise site.unsupported(f"weights are stored as {w.data.dtype} {w.data.shape}.")
    low, high = RANGES[w.dtype]
    if w.data.min() < low or w.data.max() > high:
        raise site.unsupported(f"weights outside of {w.dtype} [{low}, {high}].")
    for tensor in (x, y):
        quant_of(site, tensor)
    return w.data


def quant_of(site: Site, tensor: Any) -> tuple[np.float32, int]:
    """Return the scale and zero point of an activation; UnsupportedError when they do not fit its type."""
    if tensor.quant is None or tensor.quant.axis is not None:
        raise site.unsupported(f"tensor '{tensor.name}' needs one scale and zero point.")
    scale, zero_point = tensor.quant.scalar
    low, high = RANGES[tensor.dtype]
    if not low <= zero_point <= high or (tensor.dtype == "int16" and zero_point != 0):
        fits = "0" if tensor.dtype == "int16" else f"[{low}, {high}]"
        raise site.unsupported(f"zero point {zero_point} of '{tensor.name}' must be in {fits}.")
    return scale, zero_point


def checked(site: Site, array: Array, tensor: Any) -> Array:
    """Return a contiguous array of the declared type and shape (any batch); kernels have no bounds checks."""
    if array.dtype != STORAGE[tensor.dtype] or array.ndim != len(tensor.shape) or array.shape[1:] != tuple(tensor.shape[1:]):
        raise InputError(
            f"node '{site.name}': '{tensor.name}' is {array.dtype} {array.shape}, "
            f"expected {tensor.dtype} (N, {', '.join(map(str, tensor.shape[1:]))})."
        )
    return np.ascontiguousarray(array)


def fuse(y: Array, activation: str) -> Array:
    """Apply a fused activation to real numbers, in place."""
    low, high = fused_limits(activation)
    return y if activation == "none" else np.clip(y, y.dtype.type(low), y.dtype.type(high), out=y)


def real_constants(site: Site, args: Sequence[Array]) -> list[Array]:
    """Return the arguments with integer constants dequantized: weights stored as integers in a float32 layer."""
    tensors = [*site.inputs, *[None] * len(args)]
    return [
        dequantize(a, t.quant) if t is not None and t.is_constant and t.quant is not None and a.dtype.kind == "i" else a
        for a, t in zip(args, tensors, strict=False)
    ]
