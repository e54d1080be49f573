"""sum over axes.

`requantize`: sum in int32, zero points subtracted, one requantization (TFLM). `float32`: that sum rescaled in float32 (LiteRT
optimised). `xnnpack`: int8 as its mean without the division, int16 by `float32`. `unsigned_bytes`: LiteRT's reference kernel reads
int8 tensors as uint8 with the zero points of int8, and writes so: a defect, kept as it is.
Source: TFLite reference/reduce.h, optimized/reduce.h (QuantizedMeanOrSum), reduce.cc; TFLM reduce_common.cc; XNNPACK reduce-nd.c.
Constraints: (C1) one integer type, (C2) int16 has zero point 0, (C3) axes unique and in range, (C4) nothing summed is empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from workbench.ops._elementwise import float_run, quant_of, same_types, symmetric_int16
from workbench.ops._plain import are_plain, is_plain
from workbench.ops._sums import run_plain, run_sums, sum_parts
from workbench.ops._tables import flat_requantizer
from workbench.ops.base import DTYPES, Array, OpSpec, Run, Site, register
from workbench.ops.mean import MEAN, MeanAttrs, xnnpack_finish
from workbench.tensor import RANGES


def _reference(attrs: MeanAttrs, args: list[Array]) -> list[Array]:
    if are_plain(args[0]):
        return [np.asarray(np.sum(args[0], axis=attrs.axes, dtype=args[0].dtype, keepdims=attrs.keep_dims))]
    return [np.asarray(np.sum(args[0], axis=attrs.axes, dtype=np.float32, keepdims=attrs.keep_dims), np.float32)]


def _prepare(site: Site) -> Run:
    attrs: MeanAttrs = site.attrs
    shape = MEAN.infer_shape(attrs, [site.x.shape])[0]
    run = float_run(_reference, site)
    if run is not None:
        return run
    if is_plain(site):
        return run_plain(site, _reference)
    same_types(site)
    symmetric_int16(site, site.x, site.y)
    count = math.prod(site.x.shape[a] for a in attrs.axes)
    if count < 1:
        raise site.unsupported(f"axes {attrs.axes} of {site.x.shape} are empty.")
    unsigned = site.arithmetic.sum == "unsigned_bytes"
    if unsigned and site.x.dtype != "int8":
        raise site.unsupported("the runtime reads half of the bytes only and leaves half of the output unwritten.")
    finish = _finish(site, count)
    return run_sums(site, attrs.axes, shape, _unsigned_sums if unsigned else sum_parts, finish)


def _unsigned_sums(parts: Array) -> Array:
    """Return the sums of bytes read as 0 .. 255."""
    found = sum_parts(parts)
    found += 256 * np.count_nonzero(parts < 0, axis=1).astype(np.int32)
    return found


def _finish(site: Site, count: int) -> Callable[[Array], Array]:
    """Return sums int32 -> outputs, of the same number."""
    if site.arithmetic.sum == "xnnpack" and site.x.dtype == "int8":
        return xnnpack_finish(site, count, np.float32(1.0))
    return _float32(site, count) if site.arithmetic.sum in ("float32", "xnnpack") else _requantize(site, count)


def _requantize(site: Site, count: int) -> Callable[[Array], Array]:
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    unsigned = site.arithmetic.sum == "unsigned_bytes"
    limits, dtype = ((0, 255), np.dtype(np.int16)) if unsigned else (RANGES[site.y.dtype], DTYPES[site.y.dtype])
    requantizer = flat_requantizer(site, site.arithmetic.requantize, float(sx) / float(sy), zy, limits)

    def finish(sums: Array) -> Array:
        out = np.empty(sums.size, dtype)
        requantizer((sums - np.int32(zx * count)).reshape(-1), out)
        return out.astype(np.uint8).view(np.int8) if unsigned else out

    return finish


def _float32(site: Site, count: int) -> Callable[[Array], Array]:
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    scale = sx / sy
    start = np.float32(-zx - site.lift) * scale * np.float32(count)
    stored = np.int32(site.lift * count)

    def finish(sums: Array) -> Array:
        real = (sums + stored).astype(np.float32) * scale + start
        rounded = np.copysign(np.floor(np.abs(real.astype(np.float64)) + 0.5), real)
        return np.asarray(np.clip(rounded + zy, *RANGES[site.y.dtype]), DTYPES[site.y.dtype])

    return finish


SUM = register(
    OpSpec(
        name="sum", attrs=MeanAttrs, infer_shape=MEAN.infer_shape, reference=_reference, prepare=_prepare, count=MEAN.count,
        plain=True, summary="sum over axes",
    )
)  # fmt: skip
