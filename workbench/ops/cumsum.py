"""cumsum: sums of all elements up to each along an axis, added one after the other (float32: in that order); plain integers wrap.

exclusive: without the element itself; reverse: from the end. int8: TFLM rescales as its additions do, by a left shift of 20 and two
multipliers, and every sum begins at the rescaled -zx, not at 0: with a zero point all of them are shifted by it.
Source: TFLite and TFLM cumsum.h, ONNX CumSum. Constraints: (C1) one type: floats, int32, int64 or int8, (C2) int8 sums that leave
int32 wrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError
from workbench.numerics.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from workbench.ops._elementwise import float_run, normal_axis, quant_of
from workbench.ops._tables import flat_requantizer
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, checked, count_outputs, register
from workbench.tensor import RANGES

LEFT_SHIFT = 20
PLAIN_TYPES = ("int32", "int64")


@dataclass(frozen=True)
class CumsumAttrs:
    """axis: along which. exclusive: without the element itself. reverse: from the end."""

    axis: int
    exclusive: bool = False
    reverse: bool = False


def _infer(attrs: CumsumAttrs, shapes: list[Shape]) -> list[Shape]:
    normal_axis(attrs.axis, len(shapes[0]), "cumsum")
    return [shapes[0]]


def _sums(attrs: CumsumAttrs, x: Array, start: int = 0) -> Array:
    """Return the sums in the type of x, each beginning at `start`."""
    axis = attrs.axis % x.ndim
    values = np.flip(x, axis) if attrs.reverse else x
    with np.errstate(over="ignore", invalid="ignore"):
        y = np.cumsum(values, axis, dtype=x.dtype) + x.dtype.type(start)
    if attrs.exclusive:
        first = np.full_like(np.take(y, [0], axis), start)
        y = np.concatenate([first, np.take(y, np.arange(y.shape[axis] - 1), axis)], axis)
    return np.flip(y, axis) if attrs.reverse else y


def _reference(attrs: CumsumAttrs, args: list[Array]) -> list[Array]:
    if args[0].dtype.kind not in "if":
        raise InputError(f"cumsum: {args[0].dtype} is not added up; expected floats, int32 or int64.")
    return [_sums(attrs, args[0])]


def _prepare(site: Site) -> Run:
    attrs: CumsumAttrs = site.attrs
    _infer(attrs, [site.x.shape])
    run = float_run(_reference, site)
    if run is not None:
        return run
    if site.x.dtype != site.y.dtype:
        raise site.unsupported("input and output must have the same type.")
    if site.x.is_plain and site.x.dtype in PLAIN_TYPES:
        return lambda args: [np.ascontiguousarray(_sums(attrs, checked(site, args[0], site.x)))]
    return _rescaled(site)


def _rescaled(site: Site) -> Run:
    (sx, zx), (sy, zy) = quant_of(site, site.x, ("int8",)), quant_of(site, site.y, ("int8",))
    twice = 2.0 * max(float(sx), float(sy))
    m, s = (int(v[0]) for v in quantize_multiplier(np.array([float(sx) / twice])))
    low, high = RANGES["int8"]
    table = np.array([multiply_by_quantized_multiplier((q - zx) << LEFT_SHIFT, m, s) for q in range(low, high + 1)], np.int32)
    start = int(multiply_by_quantized_multiplier(-zx << LEFT_SHIFT, m, s))
    finish = flat_requantizer(site, "double", twice / (float(sy) * 2.0**LEFT_SHIFT), zy, (low, high))

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        sums = np.ascontiguousarray(_sums(site.attrs, table[x.astype(np.int64) - low], start))
        y = np.empty(x.shape, np.int8)
        finish(sums.reshape(-1), y.reshape(-1))
        return [y]

    return run


CUMSUM = register(
    OpSpec(
        name="cumsum", attrs=CumsumAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs,
        plain=True, summary="sums up to every element along an axis",
    )
)  # fmt: skip
