"""mean over axes.

`folded`: sum in int32, zero point subtracted, one requantization whose integer multiplier has 1/N divided in (with as many
bits regained as fit). `float_simd`: LiteRT's optimised kernel for int8 means over (H, W). `xnnpack`: float32.
Source: TFLite reduce.h (QuantizedMeanOrSum), integer_ops/mean.h; XNNPACK reduce-nd.c, qs8-rsum.
Constraints: (C1) one integer type, (C2) int16 has zero point 0, (C3) axes unique and in range, (C4) nothing reduced is empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from workbench.errors import ModelError
from workbench.numerics.arithmetic import RequantizeRule
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.numerics.requantize import REQUANTIZE, Requantizer
from workbench.ops._elementwise import float_run, quant_of, same_types, symmetric_int16
from workbench.ops._float32 import mean_finish
from workbench.ops._plain import are_plain, divide, is_plain
from workbench.ops._sums import run_plain, run_sums, sum_parts
from workbench.ops._tables import COLUMNS, requantize_flat
from workbench.ops.base import DTYPES, Array, Counts, OpSpec, Run, Shape, Site, register
from workbench.ops.pool import AVG_POOL2D, PoolAttrs
from workbench.tensor import RANGES

SIMD_CHANNELS = 16


@dataclass(frozen=True)
class MeanAttrs:
    """axes: non-negative, in any order. keep_dims: reduced axes stay with size 1."""

    axes: tuple[int, ...]
    keep_dims: bool


def _check(attrs: MeanAttrs, rank: int) -> None:
    if not attrs.axes or len(set(attrs.axes)) != len(attrs.axes) or not all(0 <= a < rank for a in attrs.axes):
        raise ModelError(f"mean: axes {attrs.axes} must be different and inside of {rank} dimensions.")


def _infer(attrs: MeanAttrs, shapes: list[Shape]) -> list[Shape]:
    _check(attrs, len(shapes[0]))
    kept = tuple(1 if i in attrs.axes else d for i, d in enumerate(shapes[0]) if attrs.keep_dims or i not in attrs.axes)
    return [kept]


def _reference(attrs: MeanAttrs, args: list[Array]) -> list[Array]:
    x = args[0]
    _check(attrs, x.ndim)
    if are_plain(x):
        return [_whole(attrs, x)]
    return [np.asarray(np.mean(x, axis=attrs.axes, dtype=np.float32, keepdims=attrs.keep_dims), np.float32)]


def _whole(attrs: MeanAttrs, x: Array) -> Array:
    """Return the mean of integers without a scale: the sum in 64 bits, divided toward zero."""
    count = math.prod(x.shape[a] for a in attrs.axes)
    if count < 1:
        raise ModelError(f"mean: axes {attrs.axes} of {x.shape} are empty.")
    total = np.asarray(np.sum(x, axis=attrs.axes, dtype=np.int64, keepdims=attrs.keep_dims))
    return divide(total, np.array(count, np.int64)).astype(x.dtype)


def _count(attrs: MeanAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    return Counts(elements=int(np.prod(inputs[0][1:], dtype=np.int64)))


def _prepare(site: Site) -> Run:
    attrs: MeanAttrs = site.attrs
    _check(attrs, len(site.x.shape))
    run = float_run(_reference, site)
    if run is not None:
        return run
    if is_plain(site):
        return run_plain(site, _reference)
    same_types(site)
    symmetric_int16(site, site.x, site.y)
    if site.arithmetic.mean == "average_pool":
        return _as_pool(site)
    count = math.prod(site.x.shape[a] for a in attrs.axes)
    if count < 1:
        raise site.unsupported(f"axes {attrs.axes} of {site.x.shape} are empty.")
    finish = _finish(site, count)
    out = _infer(attrs, [site.x.shape])[0]
    return run_sums(site, attrs.axes, out, sum_parts, finish)


def _as_pool(site: Site) -> Run:
    """Return the mean over the image as the target's average pooling with one window."""
    shape = site.x.shape
    if len(shape) != 4 or set(site.attrs.axes) != {1, 2}:
        raise site.unsupported(
            f"this target takes means as average pooling over (H, W); axes {site.attrs.axes} of {shape} are not that."
        )
    pool = replace(site, op="avg_pool2d", attrs=PoolAttrs((shape[1], shape[2])))
    run = AVG_POOL2D.prepare(pool)
    out = _infer(site.attrs, [shape])[0][1:]
    return lambda args: [run(args)[0].reshape(-1, *out)]


def _finish(site: Site, count: int) -> Callable[[Array], Array]:
    """Return sums int32 [outer, inner] -> outputs of the same shape."""
    rule = site.arithmetic.mean
    if rule == "xnnpack" and site.x.dtype == "int8":
        return xnnpack_finish(site, count, np.float32(1.0) / np.float32(count))
    over_image = len(site.x.shape) == 4 and set(site.attrs.axes) == {1, 2} and site.attrs.keep_dims
    if rule == "float_simd" and site.x.dtype == "int8" and over_image:
        return _float_simd(site, count)
    if rule == "float32" and site.x.dtype == "int8":
        if not over_image:
            raise site.unsupported("the runtime takes means other than over (H, W) in float, in an order of its own.")
        return mean_finish(site, count)
    return _folded(site, count)


def _requantizer(rule: RequantizeRule, multiplier: int, shift: int, zero: int, dtype: str) -> Requantizer:
    """Return the requantizer of sums with one multiplier, for `requantize_flat`."""
    first, second = np.full(COLUMNS, multiplier, np.int32), np.full(COLUMNS, shift, np.int32)
    q_min, q_max = RANGES[dtype]
    return Requantizer(name=rule, rule=REQUANTIZE[rule], first=first, second=second, zero_point=zero, q_min=q_min, q_max=q_max)


def _folded(site: Site, count: int) -> Callable[[Array], Array]:
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    multiplier, shift = (int(v) for v in quantize_multiplier(float(sx) / float(sy)))
    if shift > 30:
        raise site.unsupported(f"the input scale is {float(sx) / float(sy):g} times the output scale; below 2**30 fits.")
    regained = min(count.bit_length() - 1, 32, 31 + shift)
    multiplier, shift = (multiplier << regained) // count, shift - regained
    rule = site.arithmetic.requantize
    if rule not in ("double", "single"):
        raise site.unsupported(f"no rule for mean with requantize '{rule}'; double and single fit.")
    requantizer = _requantizer(rule, multiplier, shift, zy, site.y.dtype)
    dtype = DTYPES[site.y.dtype]

    def finish(sums: Array) -> Array:
        out = np.empty(sums.shape, dtype)
        requantize_flat(requantizer, sums.reshape(-1), out.reshape(-1), -zx * count)
        return out

    return finish


def _float_simd(site: Site, count: int) -> Callable[[Array], Array]:
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    correction = np.float32(np.float32(zx + site.lift) * sx) / sy
    bias = zy - int(correction + np.float32(0.5) if correction > 0 else correction - np.float32(0.5))
    multiplier, shift = (int(v) for v in quantize_multiplier(float(sx / np.float32(np.float32(count) * sy))))
    if shift > 30:
        raise site.unsupported("the input scale is more than 2**30 times the output scale.")
    channels = site.x.shape[3]
    body = channels - channels % SIMD_CHANNELS
    in_blocks, left_over = (_requantizer(rule, multiplier, shift, bias, "int8") for rule in ("double_half_up", "double"))

    stored = site.lift * count

    def finish(sums: Array) -> Array:
        out = np.empty(sums.shape, np.int8)
        requantize_flat(in_blocks, sums.reshape(-1), out.reshape(-1), stored)
        if body < channels:
            rest = np.ascontiguousarray(sums[:, body:])
            tail = np.empty(rest.shape, np.int8)
            requantize_flat(left_over, rest.reshape(-1), tail.reshape(-1), stored)
            out[:, body:] = tail
        return out

    return finish


def xnnpack_finish(site: Site, count: int, factor: np.float32) -> Callable[[Array], Array]:
    """Return sums of `count` int8 values -> factor * sum as XNNPACK rescales it: in float32, ties to even with the zero point in."""
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    scale = np.float32((sx / sy) * factor)
    zero = np.float32(np.float32(zy + site.lift_out) - np.float32(np.float32(count * (zx + site.lift)) * scale))
    stored = np.int32(site.lift * count)

    def finish(sums: Array) -> Array:
        q = np.rint(((sums + stored).astype(np.float32) * scale).astype(np.float32) + zero) - site.lift_out
        return np.asarray(np.clip(q, *RANGES["int8"]), np.int8)

    return finish


MEAN = register(
    OpSpec(
        name="mean", attrs=MeanAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=_count,
        plain=True, summary="mean over axes",
    )
)  # fmt: skip
