"""resize_cubic: every output is a sum of four by four input pixels, weighted by Keys' cubic. In real numbers alone.

Source: ONNX Resize (mode cubic), ONNX Runtime upsample.cc. Beyond the ends the outermost pixel is repeated, or left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.errors import ModelError
from workbench.ops._elementwise import float_run
from workbench.ops._resize import F32, ResizeAttrs, places
from workbench.ops._resize import infer_shape as infer_size
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, register


@dataclass(frozen=True)
class ResizeCubicAttrs(ResizeAttrs):
    """slope: the coefficient a of the cubic. exclude_outside: pixels beyond the ends get no weight, the others sum to 1."""

    slope: float = -0.75
    exclude_outside: bool = False


def _infer(attrs: ResizeCubicAttrs, shapes: list[Shape]) -> list[Shape]:
    if not math.isfinite(attrs.slope):
        raise ModelError(f"resize_cubic: the coefficient {attrs.slope} must be finite.")
    return infer_size(attrs, shapes)


def _taps(attrs: ResizeCubicAttrs, axis: int, size: int) -> tuple[npt.NDArray[np.int64], Array]:
    """Return (inputs, weights) of every output of an axis, both [4, outputs]."""
    place = places(attrs, axis, size)
    floor = np.floor(place)
    t, a = place - floor, F32(attrs.slope)
    u = F32(1.0) - t

    def outer(d: Array) -> Array:
        """Weight at distance 1 + d."""
        d = d + F32(1.0)
        return ((a * d - F32(5.0) * a) * d + F32(8.0) * a) * d - F32(4.0) * a

    def inner(d: Array) -> Array:
        return ((a + F32(2.0)) * d - (a + F32(3.0))) * d * d + F32(1.0)

    weights = np.stack([outer(t), inner(t), inner(u), outer(u)]).astype(F32)
    at = floor.astype(np.int64) + np.arange(-1, 3, dtype=np.int64)[:, None]
    if attrs.exclude_outside:
        weights = np.where((at >= 0) & (at < size), weights, F32(0.0))
        weights = weights / weights.sum(axis=0)
    return np.clip(at, 0, size - 1), weights


def _reference(attrs: ResizeCubicAttrs, args: list[Array]) -> list[Array]:
    x = args[0].astype(F32, copy=False)
    for axis in (0, 1):
        at, weights = _taps(attrs, axis, args[0].shape[axis + 1])
        shaped = weights.reshape((4, 1, -1, 1, 1) if axis == 0 else (4, 1, 1, -1, 1))
        total = np.take(x, at[0], axis=axis + 1) * shaped[0]
        for k in range(1, 4):
            total = total + np.take(x, at[k], axis=axis + 1) * shaped[k]
        x = total
    return [np.ascontiguousarray(x, F32)]


def _prepare(site: Site) -> Run:
    _infer(site.attrs, [site.x.shape])
    run = float_run(_reference, site)
    if run is None:
        raise site.unsupported("it has no integer rule; floats fit.")
    return run


def _count(attrs: ResizeCubicAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    return Counts(elements=16 * int(np.prod(outputs[0][1:], dtype=np.int64)))


RESIZE_CUBIC = register(
    OpSpec(
        name="resize_cubic", attrs=ResizeCubicAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=_count,
        output_quant="input", summary="picture in another size, by cubics through four pixels",
    )
)  # fmt: skip
