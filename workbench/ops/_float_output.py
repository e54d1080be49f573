"""Layers on integers that write float32, y = float32(acc) * (sx * sw[o]), or the sums themselves as plain int32: ONNX Runtime's
MatMulIntegerToFloat and QGemm without output scale, MatMulInteger and ConvInteger.

acc = bias + sum((x - zx) * (w - zw)), int32. Constraint: (C1) the target's `layer_output` is `or_float32`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from workbench.ops._elementwise import quant_of
from workbench.ops.base import Array, Run, Site
from workbench.tensor import QuantParams


def writes_float(site: Site) -> bool:
    """True for bytes with a scale that become floats or plain sums in a layer."""
    return site.y.quant is None and site.y.dtype in ("float32", "int32") and site.x.dtype == "int8" and site.x.quant is not None


def scale_of(site: Site, right: Array) -> Array:
    """Return the scale of the products, float32. right: scales of the second operand."""
    if site.arithmetic.layer_output != "or_float32":
        raise site.unsupported("no layer of this target writes float32 from integers.")
    scale, _ = quant_of(site, site.x, ("int8",))
    return np.asarray(scale * right, np.float32)


def prepare_float_output(site: Site, prepare: Callable[[Site], Run]) -> Run:
    """Return a layer with constant weights from its int32 sums. prepare(inner site) -> the run that makes them."""
    if site.y.dtype == "int32" and site.optional(2) is not None:
        raise site.unsupported("plain sums have no bias.")
    w, bias = site.input(1), site.optional(2)
    if w.quant is None:
        raise site.unsupported("the weights have no scale.")
    scale = scale_of(site, w.quant.scale)
    one = QuantParams.per_tensor(1.0)
    x = replace(site.x, quant=QuantParams.per_tensor(1.0, quant_of(site, site.x, ("int8",))[1]))
    inner = replace(
        site, inputs=(x, replace(w, quant=one), *(() if bias is None else (bias,))),
        outputs=(replace(site.y, dtype="int32", quant=one),), arithmetic=replace(site.arithmetic, layer_output="any_width"),
    )  # fmt: skip
    run = prepare(inner)
    if site.y.dtype == "int32":
        return run
    return lambda args: [run(args)[0].astype(np.float32) * scale]
