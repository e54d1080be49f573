"""What the resize operators share: attributes, and which place of the input every row and column of the output stands on.

Places are computed in float32 step by step, as the runtimes do: which pixel is the nearest hangs on it. Source: TFLite
reference/resize_bilinear.h, resize_nearest_neighbor.h; ONNX Resize, ONNX Runtime upsamplebase.h.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.errors import ModelError
from workbench.ops.base import Shape

F32 = np.float32
Floats = npt.NDArray[np.float32]
COORDINATES = (
    "asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel", "tf_half_pixel_for_nn", "half_pixel_symmetric",
)  # fmt: skip
LARGEST = 2**16
"""Largest size of an output: fixed point and float32 hold every place."""


@dataclass(frozen=True)
class ResizeAttrs:
    """size: (height, width) of the output. coordinates: one of COORDINATES, as ONNX names them.

    scales: output / input of both axes, which divide a place (ONNX); None: a place is multiplied by float32(input / output) (TFLite).
    """

    size: tuple[int, int]
    coordinates: str = "asymmetric"
    scales: tuple[float, float] | None = None


def infer_shape(attrs: ResizeAttrs, shapes: list[Shape]) -> list[Shape]:
    """Return [N, OH, OW, C]."""
    x = shapes[0]
    if len(x) != 4 or min(x[1:3]) < 1 or max(x[1:3]) > LARGEST:
        raise ModelError(f"resize: the input must be [N, H, W, C], H and W at most {LARGEST}; it is {x}.")
    if not all(1 <= d <= LARGEST for d in attrs.size):
        raise ModelError(f"resize: an output of {attrs.size}; sizes of 1 to {LARGEST} fit.")
    if attrs.coordinates not in COORDINATES:
        raise ModelError(f"resize: coordinates '{attrs.coordinates}'; expected one of {', '.join(COORDINATES)}.")
    if attrs.scales is not None and not all(np.isfinite(s) and s > 0 for s in attrs.scales):
        raise ModelError(f"resize: scales {attrs.scales} must be finite and > 0.")
    return [(x[0], *attrs.size, x[3])]


def places(attrs: ResizeAttrs, axis: int, size: int) -> Floats:
    """Return where every output of an axis (0: height, 1: width) of `size` inputs stands between the inputs, float32 [outputs]."""
    outputs = attrs.size[axis]
    i = np.arange(outputs, dtype=F32)
    if attrs.scales is None:
        ratio = input_ratio(attrs, size, outputs)
        if attrs.coordinates == "half_pixel":
            return (i + F32(0.5)) * ratio - F32(0.5)
        return (i + F32(0.5)) * ratio if attrs.coordinates == "tf_half_pixel_for_nn" else i * ratio
    scale = F32(attrs.scales[axis])
    if scale == 1.0:
        return i
    if attrs.coordinates == "align_corners":
        return i * F32(size - 1) / F32(outputs - 1) if outputs > 1 else np.zeros(1, F32)
    if attrs.coordinates == "asymmetric":
        return i / scale
    if attrs.coordinates == "tf_half_pixel_for_nn":
        return (i + F32(0.5)) / scale
    if attrs.coordinates == "pytorch_half_pixel" and outputs == 1:
        return np.zeros(1, F32)
    if attrs.coordinates == "half_pixel_symmetric":  # the last steps are rounded once, as ONNX Runtime does
        start = F32(size / 2) * (F32(1.0) - F32(outputs) / (scale * F32(size)))
        return (float(start) + (i.astype(np.float64) + 0.5) / float(scale) - 0.5).astype(F32)
    return (i + F32(0.5)) / scale - F32(0.5)


def input_ratio(attrs: ResizeAttrs, size: int, outputs: int) -> np.float32:
    """Return inputs / outputs as TFLite has it: between the corners where they are aligned."""
    if attrs.coordinates == "align_corners" and outputs > 1:
        return F32(size - 1) / F32(outputs - 1)
    return F32(size) / F32(outputs)
