"""local_response_normalization over channels: y = x / (bias + alpha * sum of squares of `radius` channels on either side) ** beta.

Source: TFLite local_response_norm.cc; ONNX LRN (its alpha is `size` times this one). Floats alone have a rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._elementwise import float_run
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, register

MAX_RADIUS = 2**20


@dataclass(frozen=True)
class LocalResponseNormalizationAttrs:
    """radius: channels on either side (fewer at the ends). before: channels before the own one, None: as many as after."""

    radius: int
    alpha: float
    beta: float
    bias: float
    before: int | None = None


def _infer(attrs: LocalResponseNormalizationAttrs, shapes: list[Shape]) -> list[Shape]:
    before = attrs.radius if attrs.before is None else attrs.before
    if not (0 <= attrs.radius <= MAX_RADIUS and 0 <= before <= MAX_RADIUS):
        raise ModelError(f"local_response_normalization: radius {attrs.radius}; 0 to {MAX_RADIUS} fits.")
    if not all(map(math.isfinite, (attrs.alpha, attrs.beta, attrs.bias))):
        raise ModelError("local_response_normalization: alpha, beta and bias must be finite.")
    return [shapes[0]]


def _reference(attrs: LocalResponseNormalizationAttrs, args: list[Array]) -> list[Array]:
    x = args[0].astype(np.float64)
    channels = x.shape[-1]
    total = np.concatenate([np.zeros((*x.shape[:-1], 1)), np.cumsum(x * x, axis=-1)], axis=-1)
    at = np.arange(channels)
    first = np.maximum(at - (attrs.radius if attrs.before is None else attrs.before), 0)
    last = np.minimum(at + attrs.radius + 1, channels)
    with np.errstate(all="ignore"):
        norm = np.power(attrs.bias + attrs.alpha * (total[..., last] - total[..., first]), attrs.beta)
        return [np.asarray(x / norm, np.float32)]


def _count(attrs: LocalResponseNormalizationAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    window = min(2 * attrs.radius + 1, inputs[0][-1])
    return Counts(elements=int(np.prod(outputs[0][1:], dtype=np.int64)) * window)


def _prepare(site: Site) -> Run:
    _infer(site.attrs, [site.x.shape])
    run = float_run(_reference, site)
    if run is None:
        raise site.unsupported("there is no rule for integers; use a float format.")
    return run


LOCAL_RESPONSE_NORMALIZATION = register(
    OpSpec(
        name="local_response_normalization", attrs=LocalResponseNormalizationAttrs, infer_shape=_infer, reference=_reference,
        prepare=_prepare, count=_count, summary="x over a power of the energy of neighbouring channels",
    )
)  # fmt: skip
