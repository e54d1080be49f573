"""elu: y = x where x >= 0, alpha * (exp(x) - 1) elsewhere. int8: a table of 256 values.

Source: TFLite activations.cc (EluPrepare: expm1); TFLM elu.cc (exp(x) - 1); XNNPACK unary elementwise.
Constraints: (C1) int8, (C2) alpha 1 for integers: TFLite's operator has no other, (C3) finite alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.ops._elementwise import float_run, same_types
from workbench.ops._lut import Floats, in_float64, lut_run
from workbench.ops.base import Array, OpSpec, Run, Site, count_outputs, register, same_shape

expm1, exp = in_float64(np.expm1), in_float64(np.exp)


@dataclass(frozen=True)
class EluAttrs:
    """alpha: limit of the negative side, with the sign turned."""

    alpha: float = 1.0


def _reference(attrs: EluAttrs, args: list[Array]) -> list[Array]:
    x = args[0].astype(np.float32)
    return [np.where(x < 0, np.float32(attrs.alpha) * expm1(np.minimum(x, 0)), x)]


def _two_steps(x: Floats) -> Floats:
    return np.where(x < 0, exp(np.minimum(x, 0)) - np.float32(1.0), x)


def _prepare(site: Site) -> Run:
    if not math.isfinite(site.attrs.alpha):
        raise site.unsupported(f"alpha {site.attrs.alpha} must be finite.")
    run = float_run(_reference, site)
    if run is not None:
        return run
    if same_types(site) != "int8":
        raise site.unsupported("only int8 has a rule.")
    if site.attrs.alpha != 1.0:
        raise site.unsupported(f"the integer operator has no alpha; 1 fits, not {site.attrs.alpha}.")
    return lut_run(site, _two_steps if site.arithmetic.elu == "exp_minus_one" else lambda x: _reference(EluAttrs(), [x])[0])


ELU = register(
    OpSpec(
        name="elu", attrs=EluAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="x, or alpha * (exp(x) - 1) below zero",
    )
)  # fmt: skip
