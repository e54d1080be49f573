"""exp. Integers by table (`_lut`): int8, int16. Source: TFLite exp.cc. Constraint: (C1) int16 has zero points 0."""

from __future__ import annotations

import numpy as np

from workbench.ops._elementwise import float_run
from workbench.ops._lut import in_float64, lut_run
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape

exp = in_float64(np.exp)


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    return [exp(args[0])]


def _prepare(site: Site) -> Run:
    return float_run(_reference, site) or lut_run(site, exp)


EXP = register(
    OpSpec(
        name="exp", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="exp(x)",
    )
)  # fmt: skip
