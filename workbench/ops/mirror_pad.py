"""mirror_pad: padding with the tensor's own elements, which are copied as they are.

'reflect': mirrored at the last element, which is not repeated (2 1 | 0 1 2 | 1 0); 'symmetric': it is (1 0 | 0 1 2 | 2 1);
'edge': the last element repeated (0 0 | 0 1 2 | 2 2).
Source: TFLite mirror_pad.cc, ONNX Pad. Constraints: (C1) one pair >= 0 per dimension, none on the batch,
(C2) reflect: at most size - 1, symmetric: at most size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.errors import ModelError
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class MirrorPadAttrs:
    """pads: (before, after) of every dimension. mode: what is repeated."""

    pads: tuple[tuple[int, int], ...]
    mode: Literal["reflect", "symmetric", "edge"] = "reflect"


def _infer(attrs: MirrorPadAttrs, shapes: list[Shape]) -> list[Shape]:
    x = shapes[0]
    if len(attrs.pads) != len(x) or any(len(p) != 2 or min(p) < 0 for p in attrs.pads) or any(attrs.pads[0]):
        raise ModelError(f"mirror_pad: pads {attrs.pads} do not fit the shape {x}: one pair >= 0 each, none for the batch.")
    for d, pair in zip(x[1:], attrs.pads[1:], strict=True):
        most = {"reflect": d - 1, "symmetric": d, "edge": 2**31}[attrs.mode]
        if max(pair) > most:
            raise ModelError(f"mirror_pad: pads {attrs.pads} of {x}: '{attrs.mode}' takes at most {most} for size {d}.")
    return [tuple(d + sum(p) for d, p in zip(x, attrs.pads, strict=True))]


def _reference(attrs: MirrorPadAttrs, args: list[Array]) -> list[Array]:
    _infer(attrs, [args[0].shape])
    return [np.pad(args[0], attrs.pads, mode=attrs.mode)]


MIRROR_PAD = register(
    OpSpec(
        name="mirror_pad", attrs=MirrorPadAttrs, infer_shape=_infer, reference=_reference, prepare=copying(_infer, _reference),
        count=count_outputs, output_quant="input", plain=True, summary="padding with the tensor's own elements",
    )
)  # fmt: skip
