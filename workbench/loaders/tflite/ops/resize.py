"""Translators of RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

from workbench.loaders.tflite.call import Call, translates
from workbench.ops._resize import ResizeAttrs
from workbench.ops.resize_nearest import ResizeNearestAttrs


def _size(call: Call) -> tuple[int, int]:
    """Return the output's (height, width)."""
    numbers = call.numbers(1, "the output's size", 2)
    if len(call.input(0).shape) != 4 or len(numbers) != 2:
        raise call.error(f"input {list(call.input(0).shape)} and size {numbers}; expected [N, H, W, C] and two sizes.")
    return numbers[0], numbers[1]


def _flags(call: Call) -> tuple[bool, bool]:
    """Return (align_corners, half_pixel_centers)."""
    align, half = bool(call.options.get("AlignCorners", False)), bool(call.options.get("HalfPixelCenters", False))
    if align and half:
        raise call.error("aligns corners and centres of pixels at once; one of both fits.")
    return align, half


@translates("RESIZE_BILINEAR", (2, 2), "ResizeBilinearOptions")
def _bilinear(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    align, half = _flags(call)
    coordinates = "align_corners" if align else "half_pixel" if half else "asymmetric"
    call.emit("resize_bilinear", [x], ResizeAttrs(_size(call), coordinates))


@translates("RESIZE_NEAREST_NEIGHBOR", (2, 2), "ResizeNearestNeighborOptions")
def _nearest(call: Call) -> None:
    x = call.input(0)
    if x.dtype != "uint8" or not x.is_plain or call.output.dtype != "uint8":
        call.same_type(x)
    align, half = _flags(call)
    coordinates = "align_corners" if align else "tf_half_pixel_for_nn" if half else "asymmetric"
    attrs = ResizeNearestAttrs(_size(call), coordinates, None, "round_prefer_ceil" if align else "floor")
    call.emit("resize_nearest", [x], attrs)
