"""layer_norm, rms_norm over trailing axes. Inputs x, scale and bias (optional; of the shape that is normalized; rms_norm has no bias).

    layer_norm: y = (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias
    rms_norm:   y = x / sqrt(mean(x^2) + epsilon) * scale

Floats: sums in float64, rounded once. Integers have no rule: in a plan for integers they run in float between conversions, where
the target has them so. Source: ONNX LayerNormalization, RMSNormalization.
Constraints: (C1) what is normalized is not empty, (C2) epsilon >= 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._elementwise import float_run
from workbench.ops._linear import real_constants
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, checked, register

STEPS = {"layer_norm": 8, "rms_norm": 5}
"""Elementary operations per element: sums, differences, products."""


@dataclass(frozen=True)
class NormAttrs:
    """axis: the first one that is normalized; all after it are too. epsilon: added to the mean of squares."""

    axis: int
    epsilon: float = 1e-5


def _infer(attrs: NormAttrs, shapes: list[Shape]) -> list[Shape]:
    x = shapes[0]
    if not 0 <= attrs.axis < len(x) or not (math.isfinite(attrs.epsilon) and attrs.epsilon >= 0):
        raise ModelError(
            f"normalization: axis {attrs.axis} of {x}, epsilon {attrs.epsilon}; expected an axis of it, epsilon >= 0."
        )
    for part in shapes[1:]:
        if part and part != x[attrs.axis :]:  # () stands for an absent input
            raise ModelError(f"normalization: scale or bias {part} of {x[attrs.axis :]}; expected the same shape.")
    return [x]


def _normalized(attrs: NormAttrs, args: list[Array], centred: bool) -> list[Array]:
    x = args[0].astype(np.float64)
    axes = tuple(range(attrs.axis, x.ndim))
    if centred:
        x = x - x.mean(axes, keepdims=True)
    with np.errstate(all="ignore"):
        y = x / np.sqrt((x * x).mean(axes, keepdims=True) + attrs.epsilon)
        for part, join in zip(args[1:], (np.multiply, np.add), strict=False):
            y = y if part is None else join(y, part)
        return [y.astype(np.float32)]


def _layer(attrs: NormAttrs, args: list[Array]) -> list[Array]:
    return _normalized(attrs, args, True)


def _rms(attrs: NormAttrs, args: list[Array]) -> list[Array]:
    return _normalized(attrs, args, False)


def _prepare(site: Site) -> Run:
    _infer(site.attrs, [() if t is None else t.shape for t in site.inputs])
    run = float_run(_layer if site.op == "layer_norm" else _rms, site)
    if run is None:
        raise site.unsupported("integers have no rule; where the target has it in fp32, it runs so between conversions.")

    def run_checked(args: Sequence[Array]) -> list[Array]:
        return run(real_constants(site, [checked(site, args[0], site.x), *args[1:]]))

    return run_checked


def _count(attrs: NormAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    return Counts(elements=math.prod(inputs[0][1:]) * STEPS["layer_norm"])


LAYER_NORM = register(
    OpSpec(
        name="layer_norm", attrs=NormAttrs, infer_shape=_infer, reference=_layer, prepare=_prepare, count=_count,
        summary="less the mean, divided by the deviation, over trailing axes",
    )
)  # fmt: skip
RMS_NORM = register(
    OpSpec(
        name="rms_norm", attrs=NormAttrs, infer_shape=_infer, reference=_rms, prepare=_prepare, count=_count,
        summary="divided by the root of the mean square, over trailing axes",
    )
)  # fmt: skip
