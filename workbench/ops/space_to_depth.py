"""space_to_depth, depth_to_space: blocks of B x B pixels as channels, and back; elements are copied as they are. NHWC.

space_to_depth: y[n, h, w, (i * B + j) * C + c] = x[n, h * B + i, w * B + j, c].
depth_to_space: the inverse (mode 'dcr': TFLite, ONNX DCR); mode 'crd' (ONNX CRD, pixel shuffle) reads channel c * B * B + i * B + j.
Source: TFLite space_to_depth.h, depth_to_space.h; ONNX DepthToSpace. Constraints: (C1) four dimensions, (C2) the sizes divide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.errors import ModelError
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class SpaceToDepthAttrs:
    """block: pixels along each side."""

    block: int


@dataclass(frozen=True)
class DepthToSpaceAttrs:
    """block: pixels along each side. mode: order of the channels."""

    block: int
    mode: Literal["dcr", "crd"] = "dcr"


def _infer_depth(attrs: SpaceToDepthAttrs, shapes: list[Shape]) -> list[Shape]:
    x, b = shapes[0], attrs.block
    if len(x) != 4 or b < 1 or x[1] % b or x[2] % b:
        raise ModelError(f"space_to_depth: {x} does not divide into blocks of {b} x {b}; expected [N, H, W, C].")
    return [(x[0], x[1] // b, x[2] // b, x[3] * b * b)]


def _to_depth(attrs: SpaceToDepthAttrs, args: list[Array]) -> list[Array]:
    x, b = args[0], attrs.block
    n, h, w, c = _infer_depth(attrs, [x.shape])[0]
    return [x.reshape(n, h, b, w, b, c // (b * b)).transpose(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)]


def _infer_space(attrs: DepthToSpaceAttrs, shapes: list[Shape]) -> list[Shape]:
    x, b = shapes[0], attrs.block
    if len(x) != 4 or b < 1 or x[3] % (b * b) or attrs.mode not in ("dcr", "crd"):
        raise ModelError(f"depth_to_space: {attrs} does not fit {x}; expected [N, H, W, C] with C a multiple of {b * b}.")
    return [(x[0], x[1] * b, x[2] * b, x[3] // (b * b))]


def _to_space(attrs: DepthToSpaceAttrs, args: list[Array]) -> list[Array]:
    x, b = args[0], attrs.block
    shape = _infer_space(attrs, [x.shape])[0]
    n, h, w, _ = x.shape
    if attrs.mode == "dcr":
        return [x.reshape(n, h, w, b, b, shape[3]).transpose(0, 1, 3, 2, 4, 5).reshape(shape)]
    return [x.reshape(n, h, w, shape[3], b, b).transpose(0, 1, 4, 2, 5, 3).reshape(shape)]


SPACE_TO_DEPTH = register(
    OpSpec(
        name="space_to_depth", attrs=SpaceToDepthAttrs, infer_shape=_infer_depth, reference=_to_depth,
        prepare=copying(_infer_depth, _to_depth), count=count_outputs, output_quant="input", plain=True,
        summary="blocks of pixels as channels",
    )
)  # fmt: skip
DEPTH_TO_SPACE = register(
    OpSpec(
        name="depth_to_space", attrs=DepthToSpaceAttrs, infer_shape=_infer_space, reference=_to_space,
        prepare=copying(_infer_space, _to_space), count=count_outputs, output_quant="input", plain=True,
        summary="channels as blocks of pixels",
    )
)  # fmt: skip
