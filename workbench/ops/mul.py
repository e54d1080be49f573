"""mul: y = act(a * b), NumPy broadcasting; either operand may be a constant.

y = clip(requantize((a - za) * (b - zb), sa * sb / sy) + zy). Source: TFLite mul.cc; XNNPACK qs8-vmul.
Constraints: (C1) one integer type, (C2) int16 has zero point 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.errors import InputError
from workbench.kernels.elementwise import multiply_exact, wrap_zero_point_s16
from workbench.numerics.activation import activation_range
from workbench.numerics.arithmetic import RequantizeRule
from workbench.numerics.requantize import effective_scale, make_requantizer
from workbench.ops._broadcast import binary_run, check_broadcast, vector_runs
from workbench.ops._elementwise import float_run, quant_of, same_types, symmetric_int16
from workbench.ops.add import BinaryAttrs, activate, infer_broadcast
from workbench.ops.base import Array, OpSpec, Run, Site, count_outputs, register
from workbench.tensor import RANGES

INT32 = (-(2**31), 2**31 - 1)


def _reference(attrs: BinaryAttrs, args: list[Array]) -> list[Array]:
    with np.errstate(over="ignore", under="ignore"):
        return [activate(attrs, args[0] * args[1]).astype(np.float32, copy=False)]


def _prepare(site: Site) -> Run:
    run = float_run(_reference, site)
    if run is not None:
        check_broadcast(site)
        return run
    dtype = same_types(site)
    symmetric_int16(site, site.input(0), site.input(1), site.y)
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t) for t in (site.input(0), site.input(1), site.y))
    limits = activation_range(site.attrs.activation, float(sy), zy, *RANGES[dtype])
    scale = effective_scale(site.arithmetic, sa, sb, sy)
    rule: RequantizeRule = site.arithmetic.requantize
    if site.arithmetic.mul == "xnnpack":
        ratio = np.float32(sa * sb) / sy
        # The delegate takes ratios in [2**-16, 2**8); LiteRT's own kernel is `double` (its tail rule) and may wrap.
        takes = dtype == "int8" and 2.0**-16 <= ratio < 256.0
        rule = "float32_half_even" if takes else "double"
        scale = np.array([float(ratio)]) if takes else scale
    wraps = dtype == "int8" and site.arithmetic.mul != "rescale" and rule == "double"
    run_of = vector_runs(site.input(0).shape, site.input(1).shape) if wraps else None
    try:
        low_high, zero = (INT32, 0) if run_of else (limits, zy)
        requantize = make_requantizer(replace(site.arithmetic, requantize=rule), scale, 1, zero, low_high, wide=False)
    except InputError as problem:
        raise site.unsupported(f"{problem}.") from None
    no_bias = np.zeros(1, np.int64)

    def compute(a: Array, b: Array, y: Array) -> None:
        product = np.empty(y.size, np.int32)
        multiply_exact(a, b, za, zb, product)
        if run_of is None:
            requantize(product.reshape(-1, 1), no_bias, y.reshape(-1, 1))
            return
        rescaled = np.empty(y.size, np.int32)
        requantize(product.reshape(-1, 1), no_bias, rescaled.reshape(-1, 1))
        wrap_zero_point_s16(rescaled, zy, *limits, run_of[0], 16, y)

    return binary_run(site, compute)


MUL = register(
    OpSpec(
        name="mul", attrs=BinaryAttrs, infer_shape=infer_broadcast, reference=_reference, prepare=_prepare,
        count=count_outputs, summary="a * b with broadcasting and a fused activation",
    )
)  # fmt: skip
