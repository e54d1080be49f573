"""pad: constant padding. Integers are padded with q(value) = z + round_half_away(value / s); value 0 gives the zero point.

Source: TFLite pad.cc (PAD pads with the output's zero point, PADV2 with a quantized constant).
Constraints: (C1) one type and one quantization, (C2) one pair of non-negative paddings per dimension, none on the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.numerics.activation import quantized_limit
from workbench.ops._elementwise import float_run, move_run, plain_type, quant_of, same_quantization, same_types
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, count_outputs, register
from workbench.tensor import RANGES


@dataclass(frozen=True)
class PadAttrs:
    """paddings: (before, after) of every dimension. value: what is filled in, in real units.

    splits: a file lets SPACE_TO_BATCH_ND do it, in front of a convolution that is dilated so; not every runtime pads well there.
    """

    paddings: tuple[tuple[int, int], ...]
    value: float = 0.0
    splits: bool = False


def _infer(attrs: PadAttrs, shapes: list[Shape]) -> list[Shape]:
    if len(attrs.paddings) != len(shapes[0]) or any(len(pair) != 2 or min(pair) < 0 for pair in attrs.paddings):
        raise ModelError(f"pad: paddings {attrs.paddings} do not fit a shape {shapes[0]}: one (before, after) >= 0 each.")
    if any(attrs.paddings[0]):
        raise ModelError(f"pad: paddings {attrs.paddings} would add samples to the batch.")
    return [tuple(d + before + after for d, (before, after) in zip(shapes[0], attrs.paddings, strict=True))]


def _padded(attrs: PadAttrs, x: Array, value: Any) -> Array:
    y = np.full(_infer(attrs, [x.shape])[0], value, x.dtype)
    y[tuple(slice(before, before + d) for d, (before, _) in zip(x.shape, attrs.paddings, strict=True))] = x
    return y


def _reference(attrs: PadAttrs, args: list[Array]) -> list[Array]:
    return [_padded(attrs, args[0], attrs.value)]


def _prepare(site: Site) -> Run:
    attrs: PadAttrs = site.attrs
    _infer(attrs, [site.x.shape])
    run = float_run(_reference, site)
    if run is not None:
        return run
    if not math.isfinite(attrs.value):
        raise site.unsupported(f"the padding value {attrs.value} is not an integer's.")
    if site.x.is_plain and site.y.is_plain:
        low, high = RANGES.get(plain_type(site), (0, 1))
        if attrs.value != int(attrs.value) or not low <= attrs.value <= high:
            raise site.unsupported(f"the padding value {attrs.value} is no {site.y.dtype}.")
        return move_run(site, lambda args: _padded(attrs, args[0], int(attrs.value)))
    dtype = same_types(site)
    same_quantization(site, site.x, site.y)
    scale, zero_point = quant_of(site, site.y)
    low, high = RANGES[dtype]
    fill = min(max(quantized_limit(attrs.value, float(scale), zero_point), low), high)
    return move_run(site, lambda args: _padded(attrs, args[0], fill))


PAD = register(
    OpSpec(
        name="pad", attrs=PadAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs,
        output_quant="input", plain=True, summary="constant padding",
    )
)  # fmt: skip
