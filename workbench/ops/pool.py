"""avg_pool2d and max_pool2d over NHWC windows.

Integers: average = sum / n rounded half away from zero, n = valid positions (or the whole filter, where padding counts as the
zero point); no rescaling, so input and output share one quantization. Source: TFLite pooling.h, CMSIS-NN arm_avgpool_s8.
Constraints: (C1) one integer type, same scale (within 1e-6) and zero point but for `avg_pool: float32`, (C2) filter and stride >= 1,
pads >= 0 and smaller than the filter, (C3) sums fit an int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.mean import sum_middle
from workbench.kernels.pool import (
    HALF_AWAY,
    HALF_EVEN,
    HALF_UP,
    NEAREST_UP,
    TRUNCATE,
    average_pool,
    average_pool_float32,
    max_pool,
)
from workbench.numerics.activation import activation_range, fused_limits
from workbench.numerics.reciprocal import reciprocals
from workbench.ops._elementwise import float_run, quant_of, same_quantization, same_types
from workbench.ops._float32 import BYTE, mean_finish, real_grid
from workbench.ops.add import activate
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, checked, fused_range, register
from workbench.tensor import RANGES

SCALE_TOLERANCE = 1e-6
ESP32_S3_BITS = 20
"""Width of the accumulator that the products with a 6-bit reciprocal are added in (QACC)."""


@dataclass(frozen=True)
class PoolAttrs:
    """filter, stride: (height, width). pads: (top, left, bottom, right). count_include_pad: average over the whole filter.

    signed_bytes: as of `BinaryAttrs` (QLinearAveragePool on int8).
    """

    filter: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    activation: str = "none"
    count_include_pad: bool = False
    signed_bytes: bool = False


def _infer(attrs: PoolAttrs, shapes: list[Shape]) -> list[Shape]:
    x = shapes[0]
    fused_limits(attrs.activation)
    if len(x) != 4:
        raise ModelError(f"pool: the input must be [N, H, W, C], it is {x}.")
    (fh, fw), (sh, sw), (top, left, bottom, right) = attrs.filter, attrs.stride, attrs.pads
    if min(fh, fw, sh, sw) < 1 or min(attrs.pads) < 0:
        raise ModelError(f"pool: filter {attrs.filter}, stride {attrs.stride} must be >= 1 and pads {attrs.pads} >= 0.")
    if max(top, bottom) >= fh or max(left, right) >= fw:
        raise ModelError(f"pool: pads {attrs.pads} must be smaller than the filter {attrs.filter}: a window would be empty.")
    size = (x[1] + top + bottom - fh) // sh + 1, (x[2] + left + right - fw) // sw + 1
    if min(x[1:3]) < 1 or min(size) < 1:
        raise ModelError(f"pool: filter {attrs.filter} is larger than the padded input {x}.")
    if (size[0] - 1) * sh - top >= x[1] or (size[1] - 1) * sw - left >= x[2]:
        raise ModelError(f"pool: the last window of filter {attrs.filter} with pads {attrs.pads} lies outside of {x}.")
    return [(x[0], *size, x[3])]


def _count(attrs: PoolAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    window = attrs.filter[0] * attrs.filter[1]
    return Counts(elements=int(np.prod(outputs[0][1:], dtype=np.int64)) * window)


def _taps(attrs: PoolAttrs, x: Array, fill: float) -> list[tuple[Array, Array]]:
    """Return (values, valid) of each filter position for every output; values are `fill` in the padding."""
    (fh, fw), (sh, sw), (top, left, bottom, right) = attrs.filter, attrs.stride, attrs.pads
    _, oh, ow, _ = _infer(attrs, [x.shape])[0]
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=np.float32(fill))
    inside = np.pad(np.ones(x.shape[1:3], np.float32), ((top, bottom), (left, right)))
    taps = []
    for ky in range(fh):
        for kx in range(fw):
            rows, columns = slice(ky, ky + (oh - 1) * sh + 1, sh), slice(kx, kx + (ow - 1) * sw + 1, sw)
            taps.append((padded[:, rows, columns], inside[rows, columns]))
    return taps


def _average_reference(attrs: PoolAttrs, args: list[Array]) -> list[Array]:
    taps = _taps(attrs, args[0].astype(np.float32, copy=False), 0.0)
    total, valid = taps[0][0].copy(), taps[0][1].copy()
    for value, inside in taps[1:]:
        total += value
        valid += inside
    count = np.float32(len(taps)) if attrs.count_include_pad else valid[None, :, :, None]
    return [activate(attrs, (total / count).astype(np.float32, copy=False))]


def _max_reference(attrs: PoolAttrs, args: list[Array]) -> list[Array]:
    taps = _taps(attrs, args[0].astype(np.float32, copy=False), -np.inf)
    largest = taps[0][0].copy()
    for value, _ in taps[1:]:
        np.maximum(largest, value, out=largest)
    return [activate(attrs, largest)]


def _limits(site: Site, average: bool) -> tuple[int, int]:
    """Return the limits of the output. Integers and reals have the same maximum, wherever it is clamped."""
    scale, zero_point = quant_of(site, site.y)
    if average:
        return fused_range(site, site.attrs.activation, float(scale), zero_point)
    return activation_range(site.attrs.activation, float(scale), zero_point, *RANGES[site.y.dtype])


def _prepare(site: Site, average: bool) -> Run:
    attrs: PoolAttrs = site.attrs
    out = _infer(attrs, [site.x.shape])[0][1:]
    run = float_run(_average_reference if average else _max_reference, site)
    if run is not None:
        return run
    dtype = same_types(site)
    real = average and dtype == "int8" and site.arithmetic.avg_pool == "float32"
    if not real:
        same_quantization(site, site.x, site.y, SCALE_TOLERANCE)
    zy, limits = quant_of(site, site.y)[1], _limits(site, average)
    (fh, fw), (sh, sw), (top, left, _, _) = attrs.filter, attrs.stride, attrs.pads
    if fh * fw >= 2**31 // -RANGES[dtype][0]:
        raise site.unsupported(f"the sum over a filter of {fh} x {fw} does not fit an int32.")

    if real:
        return _float32_average(site, out, limits)

    division = average_division(site, fh * fw) if average else None

    def run_integer(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        y = np.empty((len(x), *out), x.dtype)
        if division is not None:
            average_pool(x, fh, fw, sh, sw, top, left, zy, attrs.count_include_pad, *division, *limits, y)
        else:
            max_pool(x, fh, fw, sh, sw, top, left, *limits, y)
        return [y]

    return run_integer


def average_division(site: Site, most: int) -> tuple[int, Array, Array]:
    """Return (rule, factors, shifts) of `average_pool` for windows of at most `most` positions."""
    rule = site.arithmetic.avg_pool
    nothing = np.zeros(0, np.int64)
    if rule == "float32":
        raise site.unsupported("averages in real numbers are known for int8 alone.")
    if rule == "half_away":  # of stored integers: unsigned ones are never negative
        return NEAREST_UP if site.lift else HALF_AWAY, nothing, nothing
    if rule == "truncate":
        return TRUNCATE, nothing, nothing
    if quant_of(site, site.x)[1] != 0:
        raise site.unsupported("averages by a reciprocal need zero point 0.")
    if site.x.dtype != "int8":
        raise site.unsupported("averages by a reciprocal of a byte are known for int8 alone.")
    bits = 6 if rule == "reciprocal6_half_up" else 7
    if most >= 2**16:
        raise site.unsupported(f"the reciprocal of {most} positions is not a byte; below 65536 fits.")
    factors, shifts = reciprocals(most, bits)
    if bits == 6 and 127 * most * int(factors[most]) >= 2 ** (ESP32_S3_BITS - 1):
        raise site.unsupported(
            f"the sum of {most} products may saturate at {ESP32_S3_BITS} bits, in an order that is not known."
        )
    return HALF_UP if bits == 6 else HALF_EVEN, factors, shifts


def _float32_average(site: Site, out: Shape, limits: tuple[int, int]) -> Run:
    """Return averages in real numbers; a window over the whole image adds integers and rescales once."""
    attrs: PoolAttrs = site.attrs
    scale, zero_point = quant_of(site, site.y)
    (fh, fw), (sh, sw), (top, left, _, _) = attrs.filter, attrs.stride, attrs.pads
    whole_image = tuple(attrs.filter) == tuple(site.x.shape[1:3]) and not any(attrs.pads)
    finish, real = mean_finish(site, fh * fw), real_grid(site)

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        y = np.empty((len(x), *out), np.int8)
        if whole_image:
            sums = np.empty((len(x), out[-1]), np.int32)
            sum_middle(x.reshape(len(x), fh * fw, out[-1]), sums)
            return [np.clip(finish(sums), *limits).reshape(y.shape)]
        lift = 0 if attrs.signed_bytes else BYTE
        zero = np.float32(zero_point + lift)
        average_pool_float32(x, real, fh, fw, sh, sw, top, left, attrs.count_include_pad, scale, zero, lift, *limits, y)
        return [y]

    return run


def _register(name: str, average: bool, reference: Any, summary: str) -> OpSpec:
    return register(
        OpSpec(
            name=name, attrs=PoolAttrs, infer_shape=_infer, reference=reference,
            prepare=lambda site: _prepare(site, average), count=_count, output_quant="input", summary=summary,
        )
    )  # fmt: skip


AVG_POOL2D = _register("avg_pool2d", True, _average_reference, "mean of each window")
MAX_POOL2D = _register("max_pool2d", False, _max_reference, "maximum of each window")
