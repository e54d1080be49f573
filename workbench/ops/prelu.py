"""prelu: y = x where x >= 0, x * slope elsewhere; the slope is broadcast to x.

Integers: y = requantize(x - zx, sx / sy) + zy, and requantize((x - zx) * (slope - zs), sx * ss / sy) + zy for x < zx.
Source: TFLite activations.cc (PreluPrepare), reference/prelu.h; TFLM prelu_common.cc.
Constraints: (C1) one integer type; the slope of int16 is int8, (C2) int16 has zero point 0, (C3) the slope has no size that x has not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.errors import ModelError
from workbench.numerics.requantize import effective_scale
from workbench.ops._broadcast import Compute, binary_run, check_broadcast
from workbench.ops._elementwise import broadcast_shape, float_run, quant_of, same_types, symmetric_int16
from workbench.ops._pairs import pair_compute, tabulate
from workbench.ops._tables import flat_requantizer
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Shape, Site, count_outputs, register
from workbench.tensor import RANGES


def _infer(attrs: NoAttrs, shapes: list[Shape]) -> list[Shape]:
    if broadcast_shape(shapes[:2], "prelu") != tuple(shapes[0]):
        raise ModelError(f"prelu: the slope {shapes[1]} cannot be broadcast to {shapes[0]}.")
    return [shapes[0]]


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    x, slope = args[0], args[1]
    with np.errstate(all="ignore"):
        return [np.asarray(np.where(x >= 0, x, x * slope), np.float32)]


def _prepare(site: Site) -> Run:
    _infer(site.attrs, [site.x.shape, site.input(1).shape])
    run = float_run(_reference, site)
    if run is not None:
        check_broadcast(site)
        return run
    dtype = same_types(replace(site, inputs=(site.x,)))
    if site.input(1).dtype != ("int8" if dtype == "int16" else dtype):
        raise site.unsupported(f"the slope of {dtype} values must be {'int8' if dtype == 'int16' else dtype}.")
    symmetric_int16(site, site.x, site.y)
    compute = _integers(site)
    return binary_run(site, compute if dtype == "int16" else pair_compute(tabulate(compute), None))


def _integers(site: Site) -> Compute:
    (sx, zx), (ss, zs), (sy, zy) = (quant_of(site, t) for t in (site.x, site.input(1), site.y))
    rule, limits = site.arithmetic.requantize, RANGES[site.y.dtype]
    identity = flat_requantizer(site, rule, float(effective_scale(site.arithmetic, sx, 1.0, sy)[0]), zy, limits)
    sloped = flat_requantizer(site, rule, float(effective_scale(site.arithmetic, sx, ss, sy)[0]), zy, limits)

    def compute(a: Array, b: Array, y: Array) -> None:
        x = a.astype(np.int32) - np.int32(zx)
        below = np.empty(y.size, y.dtype)
        identity(x, y)
        sloped(x * (b.astype(np.int32) - np.int32(zs)), below)
        np.copyto(y, below, where=x < 0)

    return compute


PRELU = register(
    OpSpec(
        name="prelu", attrs=NoAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="x, or x times a slope of its own below zero",
    )
)  # fmt: skip
