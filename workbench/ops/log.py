"""log. Integers by table (`_lut`): int8, int16; what is not positive gives the lowest output.

Source: TFLite elementwise.cc (LogLUTPrepare). Constraint: (C1) int16 has zero points 0.
"""

from __future__ import annotations

import numpy as np

from workbench.ops._elementwise import float_run, quant_of
from workbench.ops._lut import Floats, in_float64, lut_run
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape
from workbench.tensor import RANGES

log = in_float64(np.log)


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return [log(args[0])]


def _prepare(site: Site) -> Run:
    run = float_run(_reference, site)
    if run is not None:
        return run
    scale, zero_point = quant_of(site, site.y)
    lowest = np.float32(RANGES[site.y.dtype][0] - zero_point) * scale

    def function(x: Floats) -> Floats:
        return np.where(x > 0, log(np.where(x > 0, x, np.float32(1.0))), lowest)

    return lut_run(site, function)


LOG = register(
    OpSpec(
        name="log", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="natural logarithm",
    )
)  # fmt: skip
