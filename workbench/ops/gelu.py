"""gelu: y = x * Phi(x), Phi the normal distribution: exact by erfc, or approximated by tanh. Integers by table (`_lut`).

exact: 0.5 * x * erfc(-x / sqrt(2)); approximate: 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))), each step in float32.
Source: TFLite gelu.h (GeluTransform, GeluTransformApproximate). Constraint: (C1) int16 has zero points 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.ops._elementwise import float_run
from workbench.ops._lut import Floats, in_float64, lut_run
from workbench.ops.base import Array, OpSpec, Run, Site, count_outputs, register, same_shape

tanh = in_float64(np.tanh)
HALF, MINUS_SQRT_HALF = np.float32(0.5), np.float32(-math.sqrt(0.5))
SQRT_2_OVER_PI, CUBIC = np.float32(math.sqrt(2.0 / math.pi)), np.float32(0.044715)


@dataclass(frozen=True)
class GeluAttrs:
    """approximate: by tanh."""

    approximate: bool = False


def _exact(x: Floats) -> Floats:
    from scipy.special import erfc  # slow to import, seldom needed

    return HALF * x * in_float64(erfc)(MINUS_SQRT_HALF * x)


def _by_tanh(x: Floats) -> Floats:
    with np.errstate(over="ignore", under="ignore"):
        return HALF * x * (np.float32(1.0) + tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)))


def _reference(attrs: GeluAttrs, args: list[Array]) -> list[Array]:
    return [(_by_tanh if attrs.approximate else _exact)(args[0].astype(np.float32))]


def _prepare(site: Site) -> Run:
    return float_run(_reference, site) or lut_run(site, _by_tanh if site.attrs.approximate else _exact)


GELU = register(
    OpSpec(
        name="gelu", attrs=GeluAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="x * Phi(x), exact or by tanh",
    )
)  # fmt: skip
