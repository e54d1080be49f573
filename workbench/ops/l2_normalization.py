"""l2_normalization over one axis: y = x / max(sqrt(sum of squares), epsilon).

int8: exact sum of squares, 1 / sqrt in fixed point (Newton-Raphson), one rescaling per value; output scale 1/128, zero point 0.
Source: TFLite l2norm.cc, reference/integer_ops/l2normalization.h, reference/l2normalization.h.
Constraints: (C1) int8, (C2) the output quantization, (C3) a row of at most 2064 values: the sum of squares stays below 2**27.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.numerics.tflite_fixed_point import inverse_sqrt, multiply
from workbench.ops._elementwise import fixed_output, float_run, normal_axis, quant_of, same_types
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, checked, count_outputs, register

FIXED_QUANT: tuple[tuple[str, tuple[float, int]], ...] = (("int8", (1 / 128, 0)),)
MAX_ROW = 2**27 // 255**2
FRACTION_BITS = 7
"""Of the output: its scale is 2**-7."""


@dataclass(frozen=True)
class L2NormalizationAttrs:
    """axis: along which the squares of the outputs sum to 1. epsilon: smallest norm that divides (0: none)."""

    axis: int = -1
    epsilon: float = 1e-6


def _infer(attrs: L2NormalizationAttrs, shapes: list[Shape]) -> list[Shape]:
    normal_axis(attrs.axis, len(shapes[0]), "l2_normalization")
    return [shapes[0]]


def _reference(attrs: L2NormalizationAttrs, args: list[Array]) -> list[Array]:
    x = args[0].astype(np.float32, copy=False)
    with np.errstate(all="ignore"):
        norm = np.sqrt(np.sum(x * x, axis=attrs.axis, keepdims=True, dtype=np.float32))
        return [np.asarray(x / np.maximum(norm, np.float32(attrs.epsilon)), np.float32)]


def _prepare(site: Site) -> Run:
    axis = normal_axis(site.attrs.axis, len(site.x.shape), f"node '{site.name}'")
    run = float_run(_reference, site)
    if run is not None:
        return run
    if same_types(site) != "int8":
        raise site.unsupported("only int8 has a rule.")
    fixed_output(site, dict(FIXED_QUANT)["int8"])
    if not 1 <= site.x.shape[axis] <= MAX_ROW:
        raise site.unsupported(f"a row of {site.x.shape[axis]} values; 1 to {MAX_ROW} fit.")
    zero = quant_of(site, site.x)[1]
    before = FRACTION_BITS if site.lift else 0  # unsigned bytes are scaled up before the product, int8 by its shift

    def run_integer(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x).astype(np.int64) - zero
        multiplier, shift = inverse_sqrt((x * x).sum(axis=axis, keepdims=True))
        return [np.clip(multiply(x << before, multiplier, shift + FRACTION_BITS - before), -128, 127).astype(np.int8)]

    return run_integer


L2_NORMALIZATION = register(
    OpSpec(
        name="l2_normalization", attrs=L2NormalizationAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare,
        count=count_outputs, output_quant="fixed", fixed_quant=FIXED_QUANT, summary="x over the root of the sum of squares",
    )
)  # fmt: skip
