"""mul: y = act(a * b), NumPy broadcasting; either operand may be a constant.

y = clip(requantize((a - za) * (b - zb), sa * sb / sy) + zy). Source: TFLite mul.cc; XNNPACK qs8-vmul.
Integers without a scale wrap around. Constraints: (C1) one integer type, (C2) int16 has zero point 0.
"""

from __future__ import annotations

import numpy as np

from workbench.kernels.elementwise import multiply_exact, wrap_zero_point_s16
from workbench.numerics.arithmetic import RequantizeRule
from workbench.numerics.requantize import effective_scale
from workbench.ops._broadcast import binary_run, vector_runs, with_tail
from workbench.ops._elementwise import quant_of, same_types, symmetric_int16
from workbench.ops._float32 import multiply_compute
from workbench.ops._pairs import pair_compute, tabulate
from workbench.ops._plain import are_plain, float_or_plain, modular, no_activation
from workbench.ops._tables import flat_requantizer
from workbench.ops.add import BinaryAttrs, activate, infer_broadcast
from workbench.ops.base import Array, OpSpec, Run, Site, count_outputs, fused_range, register

INT32 = (-(2**31), 2**31 - 1)
PIECE = 1 << 15
"""int16 elements at a time: their products stay in the cache."""


def _reference(attrs: BinaryAttrs, args: list[Array]) -> list[Array]:
    if are_plain(args[0], args[1]):
        no_activation(attrs)
        return [modular(np.multiply)(args[0], args[1])]
    with np.errstate(over="ignore", under="ignore"):
        return [activate(attrs, args[0] * args[1]).astype(np.float32, copy=False)]


def _prepare(site: Site) -> Run:
    run = float_or_plain(site, _reference, modular(np.multiply))
    if run is not None:
        return run
    dtype = same_types(site)
    symmetric_int16(site, site.input(0), site.input(1), site.y)
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t) for t in (site.input(0), site.input(1), site.y))
    limits = fused_range(site, site.attrs.activation, float(sy), zy)
    if dtype == "int8" and site.arithmetic.mul == "float32":
        return binary_run(site, multiply_compute(site, limits))
    scale = float(effective_scale(site.arithmetic, sa, sb, sy)[0])
    rule: RequantizeRule = site.arithmetic.requantize
    if site.arithmetic.mul == "xnnpack":
        ratio = np.float32(sa * sb) / sy
        # The delegate takes ratios in [2**-16, 2**8); LiteRT's own kernel is `double` (its tail rule) and may wrap.
        takes = dtype == "int8" and 2.0**-16 <= ratio < 256.0
        rule = "float32_half_even" if takes else "double"
        scale = float(ratio) if takes else scale
    requantize = flat_requantizer(site, rule, scale, zy, limits)

    def exact(a: Array, b: Array, y: Array) -> None:
        product = np.empty(min(y.size, PIECE), np.int32)
        for start in range(0, y.size, PIECE):
            part = slice(start, start + PIECE)
            acc = product[: y[part].size]
            multiply_exact(a[part], b[part], za, zb, acc)
            requantize(acc, y[part])

    if dtype == "int16":
        return binary_run(site, exact)
    every = pair_compute(tabulate(exact), None)
    runs = vector_runs(site.input(0).shape, site.input(1).shape)
    if site.arithmetic.mul == "rescale" or rule != "double" or runs is None:
        return binary_run(site, every)
    # LiteRT's loop takes 16 elements at a time, on unsigned bytes 8; that of a scalar operand then cuts the product to 16 bits.
    cut = bool(site.lift) and runs[1]
    unclipped = flat_requantizer(site, rule, scale, 0, INT32)

    def wrapping(a: Array, b: Array, y: Array) -> None:
        product, rescaled = np.empty(y.size, np.int32), np.empty(y.size, np.int32)
        multiply_exact(a, b, za, zb, product)
        unclipped(product, rescaled)
        wrap_zero_point_s16(rescaled, zy, site.lift_out, cut, *limits, y)

    return binary_run(site, with_tail(pair_compute(tabulate(wrapping), None), every, runs[0], 8 if site.lift else 16))


MUL = register(
    OpSpec(
        name="mul", attrs=BinaryAttrs, infer_shape=infer_broadcast, reference=_reference, prepare=_prepare,
        count=count_outputs, plain=True, summary="a * b with broadcasting and a fused activation",
    )
)  # fmt: skip
