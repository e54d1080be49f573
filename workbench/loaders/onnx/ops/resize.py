"""Translators of Resize and Upsample: constant scales or sizes of the spatial axes of [N, C, H, W] or [N, C, W]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from workbench.loaders.onnx.call import Call, onnx_op
from workbench.loaders.onnx.ops.spatial import check_rank
from workbench.loaders.onnx.values import Value, channels_last
from workbench.ops._resize import COORDINATES, LARGEST
from workbench.ops.resize_nearest import ROUNDINGS

MODES = {"nearest": "resize_nearest", "linear": "resize_bilinear", "cubic": "resize_cubic", "bilinear": "resize_bilinear"}
"""ONNX mode -> operator ('bilinear': Upsample-1's word)."""
MODERN = 11
"""From this operator set on, coordinates and rounding are attributes; before, they were asymmetric and floor."""


@onnx_op("Upsample")
def translate_upsample(call: Call) -> list[Value]:
    """Upsample: scales are an attribute (operator set 7) or input 1 (9)."""
    x = call.value(0)
    check_rank(call, x)
    given = call.node.attrs.get("scales") if call.optional(1) is None else _floats(call, 1)
    if not isinstance(given, list) or not all(isinstance(v, int | float) for v in given):
        raise call.b.error(f"scales are {given!r:.60}; expected {x.rank} numbers.")
    return _resized(call, x, [float(v) for v in given], None, list(range(x.rank)), _old(call))


@onnx_op("Resize")
def translate_resize(call: Call) -> list[Value]:
    """Resize: scales are input 1 (operator set 10), or input 2, or sizes input 3 (11 and on)."""
    x = call.value(0)
    check_rank(call, x)
    if call.opset < MODERN:
        return _resized(call, x, _floats(call, 1), None, list(range(x.rank)), _old(call))
    for name, plain in (("antialias", 0), ("keep_aspect_ratio_policy", "stretch"), ("extrapolation_value", None)):
        if plain is not None and call.node.attrs.get(name, plain) != plain:
            raise call.b.error(
                f"attribute '{name}' is {call.node.attrs[name]!r:.40}, which is not supported; expected {plain!r}."
            )
    axes = _axes(call, x)
    scales, sizes = _floats(call, 2), _floats(call, 3)
    return _resized(call, x, scales, [int(v) for v in sizes] if sizes else None, axes, _modern(call))


def _axes(call: Call, x: Value) -> list[int]:
    """Return the axes that scales or sizes are for (operator set 18), all by default."""
    given = call.node.attrs.get("axes")
    if not given:
        return list(range(x.rank))
    if not isinstance(given, list) or not all(isinstance(v, int) and -x.rank <= v < x.rank for v in given):
        raise call.b.error(f"attribute 'axes' is {given!r:.60}; expected axes of {x.rank} dimensions.")
    axes = [v % x.rank for v in given]
    if len(set(axes)) < len(axes):
        raise call.b.error(f"names an axis twice: {given!r:.60}.")
    return axes


def _floats(call: Call, i: int) -> list[float]:
    """Return the numbers of a constant input, none when it is absent or empty."""
    const = call.const(i)
    if const is None or not const.array.size:
        return []
    if const.array.ndim != 1 or const.array.dtype.kind not in "fiu" or not np.isfinite(const.array).all():
        raise call.b.error(
            f"input {i} ('{const.name}') has type {const.array.dtype} and shape {const.array.shape}; expected numbers."
        )
    return [float(v) for v in const.array]


def _old(call: Call) -> tuple[str, dict[str, Any]]:
    """Return (operator, fields) before coordinates could be chosen."""
    mode = call.text("mode", "nearest")
    if mode not in ("nearest", "linear", "bilinear"):
        raise call.b.error(f"mode is '{mode:.40}'; expected nearest or linear.")
    return MODES[mode], {"coordinates": "asymmetric"}


def _modern(call: Call) -> tuple[str, dict[str, Any]]:
    """Return (operator, fields) from the attributes."""
    mode, coordinates = call.text("mode", "nearest"), call.text("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear", "cubic"):
        raise call.b.error(f"mode is '{mode:.40}'; expected nearest, linear or cubic.")
    if coordinates not in COORDINATES:
        fits = ", ".join(COORDINATES)
        raise call.b.error(f"coordinate_transformation_mode is '{coordinates:.40}'; expected one of {fits}.")
    fields: dict[str, Any] = {"coordinates": coordinates}
    outside = bool(call.integer("exclude_outside", 0))
    if mode == "nearest":
        fields["rounding"] = call.text("nearest_mode", "round_prefer_floor")
        if fields["rounding"] not in ROUNDINGS:
            raise call.b.error(f"nearest_mode is '{fields['rounding']:.40}'; expected one of {', '.join(ROUNDINGS)}.")
    elif mode == "cubic":
        fields |= {"slope": call.real("cubic_coeff_a", -0.75), "exclude_outside": outside}
    if outside and mode != "cubic":
        raise call.b.error("excludes pixels outside, which only mode cubic can.")
    return MODES[mode], fields


def _resized(
    call: Call, x: Value, scales: list[float], sizes: list[int] | None, axes: list[int], how: tuple[str, dict[str, Any]]
) -> list[Value]:
    """Return x in its new size. scales, sizes: of `axes`; one of both is empty."""
    op, fields = how
    if bool(scales) == bool(sizes) or len(scales or sizes or []) != len(axes):
        raise call.b.error(
            f"has {len(scales)} scales and {len(sizes or [])} sizes for {len(axes)} axes; expected one of both, one per axis."
        )
    shape, factors = list(x.shape), [1.0] * x.rank
    for k, axis in enumerate(axes):
        if sizes:
            shape[axis], factors[axis] = sizes[k], float(np.float32(sizes[k]) / np.float32(x.shape[axis]))
        else:
            if not 0 < scales[k] <= LARGEST:
                raise call.b.error(f"scale {scales[k]:g} of axis {axis} does not fit; expected more than 0.")
            factors[axis] = float(np.float32(scales[k]))
            shape[axis] = math.floor(float(np.float32(x.shape[axis]) * np.float32(scales[k])))
    if shape[:2] != list(x.shape[:2]) or factors[:2] != [1.0, 1.0]:
        raise call.b.error(f"makes {list(x.shape)} to {shape}; batch and channels must stay as they are.")
    if shape == list(x.shape):  # ONNX Runtime then copies, whatever the scales say
        return [x]
    size, pair = (tuple(v[2:]) if x.rank == 4 else (one, v[2]) for v, one in ((shape, 1), (factors, 1.0)))
    if op == "resize_nearest" and "rounding" not in fields:
        # The standard leaves it open; ONNX Runtime rounds up where an axis shrinks.
        fields["rounding"] = "ceil" if min(pair) < 1 else "floor"
        if min(pair) < 1 < max(pair):
            raise call.b.error("makes one axis smaller and another larger; give both in nodes of their own.")
    layout = channels_last(x.rank)
    out = call.b.emit(op, [call.b.store(x, layout)], size=size, scales=pair, **fields)
    return [call.b.value(out, layout, 0 if x.batch == 0 else None)]
