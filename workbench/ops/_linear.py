"""What conv2d, depthwise, fully connected and batch matmul share: checks, packed weights, accumulate, requantize.

    acc = bias + sum((x - zero_point) * w)      int32 that wraps, or int64, or as narrow as the target's accumulator
    y = clip(requantize(acc, sx * sw[c] / sy) + zero_point, activation range)

Integer bias types decide: an int64 bias (int16 activations) means int64 accumulators and the target's *wide* rule.
Source: TFLite 8-bit and 16x8 quantization specification; docs/arithmetic.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.kernels.convolve import rows_product
from workbench.kernels.gemm import gemm_narrow
from workbench.kernels.pack import cut, row_quads, step_offsets
from workbench.numerics.activation import fused_limits
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.requantize import Requantizer, effective_scale, make_requantizer, product_precision, rule_name
from workbench.ops._packed import Accumulator, Operands, operands_of, pack
from workbench.ops.base import DTYPES, Array, Run, Site, fused_range
from workbench.tensor import RANGES, STORAGE, dequantize

ROW_BYTES = 32 * 1024
"""Loaded rows at a time: about the first-level cache."""
TILE_ROWS = 48
"""A multiple of every tile's rows (16, 12, 8, 4)."""

WEIGHT_TYPES = ("int9", "int8", "int7", "int4", "int2", "int1", "binary", "ternary")
SUBBYTE = ("int4", "int2", "int1", "binary", "ternary")
BYTES = ("int8", "int4", "int2")
"""Types of activations that are stored and multiplied as bytes; int16 is the other."""
ANY_WIDTH = (*BYTES, "int16", "int32")
"""Types that a layer of bytes can write where the target has `layer_output: any_width`. int32: the accumulators themselves."""


def tile_rows(pitch: int) -> int:
    """Return how many rows of `pitch` bytes are loaded at a time."""
    return max(1, ROW_BYTES // (pitch * TILE_ROWS)) * TILE_ROWS


def prepare_rows(site: Site, w: Array, activation: str) -> Run:
    """Return x [..., K] by constant weights [O, K]: fully connected layers, pointwise convolutions."""
    accumulator, zero_point = accumulator_of(site), zero_point_of(site)
    bias, requantize = bias_of(site, w.shape[0]), requantizer_of(site, w.shape[0], activation)
    if not accumulator.vector:
        return lambda args: [_narrow(site, args[0], w, bias, accumulator, requantize)]
    operands = operands_of(accumulator, site.x.dtype, zero_point, w)
    product = make_rows(operands, accumulator, w, bias, zero_point, requantize, RANGES[site.x.dtype])
    dtype = DTYPES[site.y.dtype]

    def run(args: Sequence[Array]) -> list[Array]:
        x = args[0]
        y = np.empty((*x.shape[:-1], w.shape[0]), dtype)
        rows = x.reshape(-1, w.shape[1])
        product(rows, y.reshape(len(rows), w.shape[0]))
        return [y]

    return run


def make_rows(
    operands: Operands, accumulator: Accumulator, w: Array, bias: npt.NDArray[np.int64], zero_point: int, requantize: Requantizer,
    inputs: tuple[int, int],
) -> Callable[[Array, Array], None]:  # fmt: skip
    """Return (x [M, K], out [M, O] to fill) of weights [O, K]. zero_point: of x. inputs: range of x."""
    offsets = step_offsets(np.zeros(1, np.int64), w.shape[1], operands.size)
    pitch = 4 * offsets.size
    steps = cut(w[None, :, None, :], operands.taps)
    packed = pack(operands, accumulator, steps, bias, zero_point, requantize, inputs, pitch)
    tile = tile_rows(pitch)
    quads = row_quads(tile, pitch)

    def run(x: Array, out: Array) -> None:
        rows_product(
            packed.product, x, tile, operands.shift, quads, offsets, packed.weights, packed.sizes, packed.constants,
            packed.loaded, out,
        )  # fmt: skip

    return run


def _narrow(site: Site, x: Array, w: Array, bias: Array, accumulator: Accumulator, requantize: Requantizer) -> Array:
    """Multiply rows in an accumulator that the vector kernels do not have."""
    rows = (x.reshape(-1, w.shape[1]).astype(np.int64) - zero_point_of(site)).astype(np.int16)
    y = np.empty((*x.shape[:-1], w.shape[0]), DTYPES[site.y.dtype])
    narrow_rows(rows, w, bias, accumulator, requantize, y.reshape(len(rows), w.shape[0]), 0)
    return y


def narrow_rows(
    rows: Array, w: Array, bias: Array, accumulator: Accumulator, requantize: Requantizer, out: Array, column: int
) -> None:
    """Write columns column .. column + len(w) of `out` from rows int16 [M, K] by w [O, K]; bias of these columns."""
    acc = np.empty((len(rows), len(w)), np.int64)
    if len(w) == 1:  # the rows fill the vectors
        start, columns = np.full(len(rows), bias[0]), np.ascontiguousarray(rows.T)
        gemm_narrow(w.astype(np.int16), columns, start, accumulator.tile, *accumulator.limits, acc.reshape(1, -1))
    else:
        columns = np.ascontiguousarray(w.astype(np.int16).T)
        gemm_narrow(np.ascontiguousarray(rows), columns, bias, accumulator.tile, *accumulator.limits, acc)
    requantize(acc, np.zeros_like(bias), out, column)


def accumulator_of(site: Site) -> Accumulator:
    """Return the accumulator that a site is computed in: one that provably never saturates is an ordinary register."""
    stated, w = stated_accumulator(site), site.input(1).data
    if stated.overflow != "saturate" or w is None:
        return stated
    axis = 3 if site.op == "depthwise_conv2d" else 0
    low, high = RANGES[site.x.dtype]
    span = max(high - zero_point_of(site), zero_point_of(site) - low)
    sizes = np.abs(np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1).astype(np.int64)).sum(axis=1).tolist()
    reach = (span * size + abs(start) for size, start in zip(sizes, bias_of(site, w.shape[axis]).tolist(), strict=True))
    return replace(stated, overflow="wrap") if max(reach) <= stated.limits[1] else stated


def stated_accumulator(site: Site) -> Accumulator:
    """Return the accumulator that the target's arithmetic states: int64 when the bias is int64."""
    bias = site.optional(2)
    dtype = site.arithmetic.int16_without_bias if bias is None else bias.dtype
    return accumulator_for(site.arithmetic, site.x.dtype == "int16" and dtype == "int64")


def accumulator_for(arithmetic: Arithmetic, wide: bool) -> Accumulator:
    """Return the accumulator of an arithmetic. wide: int16 activations with sums in int64."""
    bits = arithmetic.accumulator_bits_wide if wide else arithmetic.accumulator_bits
    if arithmetic.overflow == "saturate_tiles":
        return Accumulator(wide, bits, "saturate", arithmetic.accumulator_tile)
    return Accumulator(wide, bits, arithmetic.overflow)


def requantizer_of(site: Site, channels: int, activation: str, grouped: bool = False) -> Requantizer:
    """Return the requantizer from the scales of input 0, input 1 and output 0. grouped: conv2d with groups."""
    sx, _ = quant_of(site, site.x)
    sy, zy = quant_of(site, site.y)
    w = site.input(1)
    if w.quant is None:
        raise site.unsupported("input 1 has no scale.")
    if len(w.quant.scale) not in (1, channels):
        raise site.unsupported(f"{len(w.quant.scale)} weight scales for {channels} output channels; 1 or {channels} fit.")
    limits = fused_range(site, activation, float(sy), zy)
    if site.y.dtype == "int32":
        return _accumulators(site, w.quant.scale, channels, limits)
    wide, subbyte = stated_accumulator(site).wide, w.dtype in SUBBYTE
    if grouped and subbyte and site.arithmetic.requantize_subbyte and not site.arithmetic.requantize_grouped:
        raise site.unsupported("the rule of this target for groups with weights below 8 bits is not known.")
    rule = rule_name(site.arithmetic, wide, subbyte, grouped)
    if site.arithmetic.requantize_undelegated and not wide and undelegated(site):
        if grouped:
            raise site.unsupported("the rule of this target for groups with a bias of several dimensions is not known.")
        rule = site.arithmetic.requantize_undelegated
    one = site.op == "fully_connected" and len(w.quant.scale) == 1
    product = product_precision(site.arithmetic, rule) if one else ""
    scale = effective_scale(site.arithmetic, sx, w.quant.scale, sy, rule, product)
    try:
        return make_requantizer(site.arithmetic, scale, channels, zy, limits, wide, rule)
    except InputError as problem:
        raise site.unsupported(f"{problem}.") from None


def undelegated(site: Site) -> bool:
    """Return whether a delegate leaves a layer of bytes alone (see `Arithmetic.requantize_undelegated`)."""
    w, bias = site.input(1), site.optional(2)
    if site.op == "fully_connected":
        return w.dtype == "int4" and w.shape[1] % 2 == 1
    return bias is not None and len(bias.shape) > 1


def _accumulators(site: Site, w_scale: Array, channels: int, limits: tuple[int, int]) -> Requantizer:
    """Return what gives int32 outputs the accumulators as they are: their scale is that of the products."""
    (sx, _), (sy, zero_point) = quant_of(site, site.x), quant_of(site, site.y)
    if zero_point or not np.allclose(sx * w_scale, sy, rtol=1e-6, atol=0):
        raise site.unsupported("an int32 output is the accumulator: input scale * weight scale, zero point 0.")
    whole = replace(Arithmetic(), requantize="power_of_two_half_up")
    return make_requantizer(whole, np.ones(1), channels, 0, limits, wide=False)


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
    if x.dtype not in (*BYTES, "int16"):
        raise site.unsupported("activations must be int8, int4, int2 or int16.")
    if y.dtype != x.dtype and not (site.arithmetic.layer_output == "any_width" and x.dtype in BYTES and y.dtype in ANY_WIDTH):
        raise site.unsupported("on this target input and output of a layer have the same type.")
    if w.dtype not in weights:
        raise site.unsupported(f"weights must be {', '.join(weights)}.")
    if w.data is None or w.quant is None:
        raise site.unsupported("weights must be a constant with scales.")
    if (w.quant.zero_point != 0).any():
        raise site.unsupported("weights must be symmetric (zero point 0).")
    if w.data.dtype != STORAGE[w.dtype] or w.data.size == 0:
        raise site.unsupported(f"weights are stored as {w.data.dtype} {w.data.shape}.")
    low, high = RANGES[w.dtype]
    if w.data.min() < low or w.data.max() > high or (w.dtype == "binary" and not w.data.all()):
        raise site.unsupported(f"weights outside of {w.dtype} [{low}, {high}]{', 0 excepted' if w.dtype == 'binary' else ''}.")
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
