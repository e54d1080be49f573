"""resize_bilinear: every output lies between four input pixels, weighted by how near they are; the scale stays.

Integers: `Arithmetic.resize` says in which numbers. `fixed10`: places and weights with 10 fraction bits, half away from zero;
`q11`: weights with 11 bits, half up (XNNPACK); `float32`: the stored integers in reals, 1/2 added and cut; `float32_products`: so,
the weights of both axes multiplied first; `float_quotient`: in real numbers, divided by the scale, half even (ONNX Runtime).
Source: TFLite reference/resize_bilinear.h (ResizeBilinearInteger), optimized/resize_bilinear.h; XNNPACK s8-ibilinear,
indirection.c. Constraints: (C1) one type and one quantization, int8 or int16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.ops._elementwise import float_run, quant_of, same_quantization, same_types
from workbench.ops._resize import F32, ResizeAttrs, infer_shape, input_ratio, places
from workbench.ops.base import DTYPES, Array, Counts, OpSpec, Run, Shape, Site, checked, register
from workbench.tensor import RANGES

Axis = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array, Array]
"""Of every output: the lower and the upper input, and their weights."""
PIXELS = 1 << 16
"""Output elements that are mixed at a time."""


def between(attrs: ResizeAttrs, axis: int, size: int) -> Axis:
    """Return the axis in float32. Beyond the ends the outermost pixel is repeated."""
    place = places(attrs, axis, size)
    if attrs.scales is not None:  # as ONNX Runtime: the last pixel counts as two halves
        place = np.clip(place, F32(0.0), F32(size - 1))
        low = place.astype(np.int64)
        high = np.minimum(low + 1, size - 1)
        halves = np.full(len(place), F32(0.5))
        near, far = np.abs(place - high.astype(F32)), np.abs(place - low.astype(F32))
        return low, high, np.where(low == high, halves, near), np.where(low == high, halves, far)
    floor = np.floor(place)
    low = np.maximum(floor.astype(np.int64), 0)
    high = np.minimum(np.ceil(place).astype(np.int64), size - 1)
    high = np.maximum(high, low)
    far = place - low.astype(F32)
    return low, high, F32(1.0) - far, far


def _fixed10(attrs: ResizeAttrs, axis: int, size: int) -> Axis:
    outputs = attrs.size[axis]
    i = np.arange(outputs, dtype=np.int64)
    scale = ((size << 10) + outputs // 2) // outputs
    if attrs.coordinates == "align_corners" and outputs > 1:
        scale = (((size - 1) << 10) + (outputs - 1) // 2) // (outputs - 1)
    place = i * scale + scale // 2 - (1 << 9) if attrs.coordinates == "half_pixel" else i * scale
    low = np.maximum(_toward_zero(place, 10), 0)
    high = np.minimum(_toward_zero(place + (1 << 10) - 1, 10), size - 1)
    far = place - (low << 10)
    return low, high, (1 << 10) - far, far


def _toward_zero(v: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    """Return v / 2**bits as C divides."""
    return np.asarray(np.where(v < 0, -(-v >> bits), v >> bits))


def _q11(attrs: ResizeAttrs, axis: int, size: int) -> Axis:
    outputs = attrs.size[axis]
    ratio = input_ratio(attrs, size, outputs)
    place = np.arange(outputs, dtype=F32) * ratio
    if attrs.coordinates == "half_pixel":
        place = np.clip(place + (F32(0.5) * ratio - F32(0.5)), F32(0.0), F32(size - 1))
    low = place.astype(np.int64)
    far = np.rint((place - low.astype(F32)) * F32(2048.0)).astype(np.int64)
    return low, np.minimum(low + 1, size - 1), 2048 - far, far


def _mix_products(x: Array, rows: Axis, columns: Axis) -> Array:
    """Return the weighted sums of x [N, H, W, C], one float32 weight for each of the four pixels."""
    (top, bottom, near_y, far_y), (left, right, near_x, far_x) = rows, columns
    weights = [(y[:, None] * x)[:, :, None] for y in (near_y, far_y) for x in (near_x, far_x)]
    pixels = [x[:, line][:, :, column] for line in (top, bottom) for column in (left, right)]
    total = pixels[0] * weights[0]
    for pixel, weight in zip(pixels[1:], weights[1:], strict=True):
        total = total + pixel * weight
    return np.asarray(total)


def _mix(x: Array, rows: Axis, columns: Axis) -> Array:
    """Return the weighted sums of x [N, H, W, C], in the type of the weights."""
    (top, bottom, near_y, far_y), (left, right, near_x, far_x) = rows, columns
    near_y, far_y = near_y[:, None, None], far_y[:, None, None]
    near_x, far_x = near_x[:, None], far_x[:, None]
    upper, lower = x[:, top], x[:, bottom]
    return np.asarray(
        upper[:, :, left] * near_y * near_x + lower[:, :, left] * far_y * near_x
        + upper[:, :, right] * near_y * far_x + lower[:, :, right] * far_y * far_x
    )  # fmt: skip


def _reference(attrs: ResizeAttrs, args: list[Array]) -> list[Array]:
    x = args[0].astype(F32, copy=False)
    mix = _mix if attrs.scales is None else _mix_products  # as TFLite's reference and as ONNX Runtime add them
    return [mix(x, between(attrs, 0, x.shape[1]), between(attrs, 1, x.shape[2]))]


def _count(attrs: ResizeAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    return Counts(elements=4 * int(np.prod(outputs[0][1:], dtype=np.int64)))


def _prepare(site: Site) -> Run:
    attrs: ResizeAttrs = site.attrs
    out = infer_shape(attrs, [site.x.shape])[0][1:]
    run = float_run(_reference, site)
    if run is not None:
        return run
    dtype = same_types(site)
    same_quantization(site, site.x, site.y)
    rule = site.arithmetic.resize
    if rule == "float_quotient":
        return _quotients(site, out)
    if not rule.startswith("float"):
        attrs = _as_tflite(site)
    fits = dtype != "int16" or rule.startswith("float")  # XNNPACK takes bytes, LiteRT's own kernel the rest
    axes, mix, finish, kind = _RULES[rule if fits else "fixed10"]
    lift = site.lift if kind is F32 else 0
    rows, columns = axes(attrs, 0, site.x.shape[1]), axes(attrs, 1, site.x.shape[2])
    for (low, *_), size in ((rows, site.x.shape[1]), (columns, site.x.shape[2])):
        if low.max() >= size:
            raise site.unsupported(
                f"the runtime's fixed point puts the last of {attrs.size} outputs beyond {size} inputs; it reads other memory there. "
                "Choose an output size that is a multiple of the input's."
            )
    per_sample = max(1, PIXELS // int(np.prod(out)))

    def run_integer(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        y = np.empty((len(x), *out), DTYPES[dtype])
        for start in range(0, len(x), per_sample):
            part = slice(start, start + per_sample)
            y[part] = np.clip(finish(mix(x[part].astype(kind) + kind(lift), rows, columns)) - lift, *RANGES[dtype])
        return [y]

    return run_integer


def _quotients(site: Site, out: Shape) -> Run:
    """Return the run in real numbers, which are divided by the scale and rounded half even."""
    scale, zero_point = quant_of(site, site.x)
    rows, columns = (between(site.attrs, i, site.x.shape[i + 1]) for i in (0, 1))
    limits, dtype = RANGES[site.y.dtype], DTYPES[site.y.dtype]

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        y = np.empty((len(x), *out), dtype)
        for i in range(len(x)):
            real = scale * (x[i : i + 1].astype(np.int32) - zero_point).astype(F32)
            y[i] = np.clip(np.rint(_mix_products(real, rows, columns) / scale) + zero_point, *limits)[0]
        return [y]

    return run


def _as_tflite(site: Site) -> ResizeAttrs:
    """Return the attributes in the terms of TFLite: its fixed point takes a ratio of sizes and three kinds of coordinates."""
    attrs: ResizeAttrs = site.attrs
    sizes = site.x.shape[1:3]
    if attrs.scales is not None and any(
        F32(o) / F32(i) != F32(s) for i, o, s in zip(sizes, attrs.size, attrs.scales, strict=True)
    ):
        raise site.unsupported(
            f"scales {attrs.scales} from {sizes} to {attrs.size} are not the ratio of the sizes, which this target takes."
        )
    same = attrs.coordinates == "pytorch_half_pixel" and min(attrs.size) > 1
    coordinates = "half_pixel" if same or attrs.coordinates == "half_pixel_symmetric" else attrs.coordinates
    if coordinates not in ("asymmetric", "half_pixel", "align_corners"):
        raise site.unsupported(
            f"coordinates '{attrs.coordinates}' are not known in fixed point; asymmetric, half_pixel, align_corners fit."
        )
    return replace(attrs, coordinates=coordinates, scales=None)


def _half_away20(total: Array) -> Array:
    return _toward_zero(total + np.where(total > 0, 1 << 19, -(1 << 19)), 20)


def _half_up22(total: Array) -> Array:
    return np.asarray((total + (1 << 21)) >> 22)


def _cut(total: Array) -> Array:
    return np.asarray(np.trunc(total + F32(0.5)))


Rule = tuple[Callable[[ResizeAttrs, int, int], Axis], Callable[[Array, Axis, Axis], Array], Callable[[Array], Array], Any]
_RULES: dict[str, Rule] = {
    "fixed10": (_fixed10, _mix, _half_away20, np.int64), "q11": (_q11, _mix, _half_up22, np.int64),
    "float32": (between, _mix, _cut, F32), "float32_products": (between, _mix_products, _cut, F32),
}  # fmt: skip

RESIZE_BILINEAR = register(
    OpSpec(
        name="resize_bilinear", attrs=ResizeAttrs, infer_shape=infer_shape, reference=_reference, prepare=_prepare, count=_count,
        output_quant="input", summary="picture in another size, between four pixels",
    )
)  # fmt: skip
