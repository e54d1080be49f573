"""resize_nearest: every output is the input pixel next to its place; no arithmetic on values, so the scale stays.

LiteRT's optimised kernel finds the pixel of unsigned bytes in 16-bit fixed point (`Arithmetic.resize_nearest`); all others in float32.
Source: TFLite reference/resize_nearest_neighbor.h, optimized_ops.h; ONNX Resize. Constraints: (C1) one type and one quantization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.errors import ModelError
from workbench.ops._elementwise import move_run, same_quantization
from workbench.ops._resize import ResizeAttrs, places
from workbench.ops._resize import infer_shape as infer_size
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, count_outputs, register

TIE = 1e-6
"""ONNX Runtime takes a place this near to the middle of two pixels for the middle; TFLite does not."""
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


@dataclass(frozen=True)
class ResizeNearestAttrs(ResizeAttrs):
    """rounding: of places to pixels, one of ROUNDINGS (the last two differ in ties)."""

    rounding: str = "floor"


def _infer(attrs: ResizeNearestAttrs, shapes: list[Shape]) -> list[Shape]:
    if attrs.rounding not in ROUNDINGS:
        raise ModelError(f"resize_nearest: rounding '{attrs.rounding}'; expected one of {', '.join(ROUNDINGS)}.")
    return infer_size(attrs, shapes)


def pixels(attrs: ResizeNearestAttrs, axis: int, size: int) -> npt.NDArray[np.int64]:
    """Return which of `size` inputs every output of an axis reads."""
    place = places(attrs, axis, size)
    if attrs.rounding == "floor":
        found = np.floor(place)
    elif attrs.rounding == "ceil":
        found = np.ceil(place)
    else:
        below = np.floor(place)
        over = (place - below).astype(np.float64) - 0.5
        tie = (over == 0.0) if attrs.scales is None else np.abs(over) < TIE
        found = below + np.where(tie, attrs.rounding == "round_prefer_ceil", over > 0.0)
    return np.asarray(np.clip(found.astype(np.int64), 0, size - 1))


def _pixels_fixed_point(attrs: ResizeNearestAttrs, axis: int, size: int) -> npt.NDArray[np.int64]:
    outputs = attrs.size[axis]
    return np.asarray(np.minimum((np.arange(outputs, dtype=np.int64) * ((size << 16) // outputs + 1)) >> 16, size - 1))


def _reference(attrs: ResizeNearestAttrs, args: list[Array]) -> list[Array]:
    rows, columns = (pixels(attrs, i, args[0].shape[i + 1]) for i in (0, 1))
    return [np.ascontiguousarray(args[0][:, rows][:, :, columns])]


def _prepare(site: Site) -> Run:
    attrs: ResizeNearestAttrs = site.attrs
    _infer(attrs, [site.x.shape])
    if site.x.dtype != site.y.dtype:
        raise site.unsupported("input and output must be of one type.")
    if site.x.quant is not None or site.y.quant is not None:
        same_quantization(site, site.x, site.y)
    of = pixels
    if site.arithmetic.resize_nearest == "fixed_point" and attrs.scales is None and attrs.coordinates == "asymmetric":
        of = _pixels_fixed_point
    rows, columns = (of(attrs, i, site.x.shape[i + 1]) for i in (0, 1))
    return move_run(site, lambda args: args[0][:, rows][:, :, columns])


RESIZE_NEAREST = register(
    OpSpec(
        name="resize_nearest", attrs=ResizeNearestAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare,
        count=count_outputs, output_quant="input", plain=True, summary="picture in another size, nearest pixels",
    )
)  # fmt: skip
