"""Requantization of 16 accumulators at once, in LLVM IR: the rules of `requantize_rules`, bit for bit.

Each rule is a function (builder, acc, vectors of parameters, limits, element) -> outputs, narrowed to `element`; limits are vectors of
(zero_point, q_min, q_max). Accumulators are int32 (rules `wide_*`: int64), the bias included (not with `wide_*`).
`lane_parameters.py` makes the parameters.

    fixed    M, left, away, down, one     SRDHM by M of (acc << left), then >> in two steps: v = srdhm + (srdhm >> 31 & away);
                                          v = ((v >> down) + one) >> one, which is the rounding shift by down + one, ties away
                                          from zero where `away` is -1, up where it is 0; `one` 0: no shift
    bounded  M, 2M, round - M, away, right
                                          fixed without a left shift, where nothing overflows: v = (srdhm + round + (srdhm < 0 ?
                                          away : 0)) >> right; round includes the zero point, 2**right times. Its accumulators are
                                          unsigned, `BIAS` too large: the high half of acc * 2M + 2**31 is then srdhm + M
    single   M, round (int64), shift (int64)
    product  least, most, left, M, round (int64), shift (int64)
                                          (clip(acc) << left) * M + round >> shift: the product of the other rules with one product
    wrapped  M, right                     acc * M, of which 32 bits count, >> right
    shift    least, most, left, right, mask, half, odd
                                          clip(acc) << left >> right; then + 1 where the bits shifted out (mask) are half or more:
                                          ties up, or with `odd` 1 and `half` one smaller to the even integer
    float32  scale                        to the nearest, ties to even
    float32_truncate  scale               toward zero
    float64  scale (float64)
    wide_reduced  bias, wrap, M (15 bits), round, right, all int64: (acc + bias, of which 64 - wrap bits count) * M + round >> right
    wide_float64  bias, wrap (int64), scale (float64)
    wide_shift    bias, wrap, and as `shift`, all int64
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from workbench.numerics.simd import I32, I64, LANES, call, clip, splat, vector

INT = vector(I32, LANES)
LONG = vector(I64, LANES)
HALF = vector(I64, LANES // 2)
FLOAT, DOUBLE = vector(ir.FloatType(), LANES), vector(ir.DoubleType(), LANES)


def _srdhm(builder: Any, x: Any, multiplier: Any) -> Any:
    """Return (x * M + 2**30) >> 31, exact in 64-bit lanes: even and odd elements apart, each product of the 32 low bits of a lane."""
    by32, by31 = (splat(builder, I64(n), LANES // 2) for n in (32, 31))
    half = splat(builder, I64(1 << 30), LANES // 2)
    x, multiplier = builder.bitcast(x, HALF), builder.bitcast(multiplier, HALF)
    even = [builder.ashr(builder.shl(v, by32), by32) for v in (x, multiplier)]
    odd = [builder.ashr(v, by32) for v in (x, multiplier)]
    low = builder.lshr(builder.add(builder.mul(*even), half), by31)
    high = builder.shl(builder.add(builder.mul(*odd), half), splat(builder, I64(1), LANES // 2))
    low, high = builder.bitcast(low, INT), builder.bitcast(high, INT)
    order = ir.Constant(INT, [i if i % 2 == 0 else LANES + i for i in range(LANES)])
    return builder.shuffle_vector(low, high, order)


def _limited(builder: Any, value: Any, limits: Any, element: Any) -> Any:
    """Clip before the zero point is added, so that nothing overflows; then narrow."""
    if value.type == LONG:
        limits = [builder.sext(limit, LONG) for limit in limits]
    zero, low, high = limits
    value = builder.add(clip(builder, value, builder.sub(low, zero), builder.sub(high, zero)), zero)
    return value if value.type.element == element else builder.trunc(value, vector(element, LANES))


def _fixed(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    multiplier, left, away, down, one = parameters
    v = _srdhm(builder, builder.shl(acc, left), multiplier)
    v = builder.add(v, builder.and_(builder.ashr(v, splat(builder, I32(31), LANES)), away))
    v = builder.ashr(builder.add(builder.ashr(v, down), one), one)
    return _limited(builder, v, limits, element)


def _bounded(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    multiplier, twice, rounding, away, right = parameters
    low32, by32 = (splat(builder, I64(n), LANES // 2) for n in (2**32 - 1, 32))
    half = splat(builder, I64(1 << 31), LANES // 2)
    x, factor = builder.bitcast(acc, HALF), builder.bitcast(twice, HALF)
    even = builder.add(builder.mul(builder.and_(x, low32), builder.and_(factor, low32)), half)
    odd = builder.add(builder.mul(builder.lshr(x, by32), builder.lshr(factor, by32)), half)
    order = ir.Constant(INT, [i + 1 if i % 2 == 0 else LANES + i for i in range(LANES)])
    v = builder.shuffle_vector(builder.bitcast(even, INT), builder.bitcast(odd, INT), order)
    negative = builder.select(builder.icmp_unsigned("<", v, multiplier), away, ir.Constant(INT, [0] * LANES))
    v = builder.ashr(builder.add(builder.add(v, rounding), negative), right)
    least, most = (splat(builder, I32(n), LANES) for n in (-(1 << (element.width - 1)), (1 << (element.width - 1)) - 1))
    v = builder.trunc(clip(builder, v, least, most), vector(element, LANES))  # one saturating instruction
    low, high = (builder.trunc(limit, v.type) for limit in limits[1:])
    v = call(builder, f"llvm.smax.v{LANES}i{element.width}", v.type, [v, low])
    return call(builder, f"llvm.smin.v{LANES}i{element.width}", v.type, [v, high])


def _single(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    multiplier, rounding, shift = parameters
    product = builder.add(builder.mul(builder.sext(acc, LONG), builder.sext(multiplier, LONG)), rounding)
    return _limited(builder, builder.trunc(builder.ashr(product, shift), INT), limits, element)


def _product(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    least, most, left, multiplier, rounding, shift = parameters
    acc = builder.shl(clip(builder, acc, least, most), left)
    product = builder.add(builder.mul(builder.sext(acc, LONG), builder.sext(multiplier, LONG)), rounding)
    return _limited(builder, builder.ashr(product, shift), limits, element)


def _wrapped(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    multiplier, right = parameters
    return _limited(builder, builder.ashr(builder.mul(acc, multiplier), right), limits, element)


def _shift(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    least, most, left, right, mask, half, odd = parameters
    acc = builder.shl(clip(builder, acc, least, most), left)
    whole = builder.ashr(acc, right)
    above = builder.add(builder.and_(acc, mask), builder.add(half, builder.and_(whole, odd)))
    return _limited(builder, builder.add(whole, builder.lshr(above, right)), limits, element)


def _float(kind: Any, suffix: str, rounding: str) -> Any:
    """Return the rule of a scale: clamping to integers before rounding gives the same integer and keeps the conversion in range.

    rounding: an LLVM intrinsic, or "": toward zero, as the conversion itself.
    """

    def rule(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
        v = builder.fmul(builder.sitofp(acc, kind), parameters[0])
        zero = limits[0]
        low, high = (builder.sitofp(builder.sub(limit, zero), kind) for limit in limits[1:])
        v = builder.select(builder.fcmp_ordered("<", v, low), low, v)
        v = builder.select(builder.fcmp_ordered(">", v, high), high, v)
        if rounding:
            v = call(builder, f"llvm.{rounding}.{suffix}", kind, [v])
        whole = builder.fptosi(v, INT)
        return builder.trunc(builder.add(whole, zero), vector(element, LANES))

    return rule


def _whole(builder: Any, acc: Any, bias: Any, wrap: Any) -> Any:
    return builder.ashr(builder.shl(builder.add(acc, bias), wrap), wrap)


def _wide_reduced(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    bias, wrap, multiplier, rounding, right = parameters
    product = builder.add(builder.mul(_whole(builder, acc, bias, wrap), multiplier), rounding)
    return _limited(builder, builder.trunc(builder.ashr(product, right), INT), limits, element)


def _wide_float64(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    bias, wrap, scale = parameters
    return _float(DOUBLE, "v16f64", "round")(builder, _whole(builder, acc, bias, wrap), [scale], limits, element)


def _wide_shift(builder: Any, acc: Any, parameters: Any, limits: Any, element: Any) -> Any:
    return _shift(builder, _whole(builder, acc, *parameters[:2]), parameters[2:], limits, element)


RULES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "fixed": (_fixed, (INT,) * 5),
    "bounded": (_bounded, (INT,) * 5),
    "single": (_single, (INT, LONG, LONG)),
    "float32": (_float(FLOAT, "v16f32", "rint"), (FLOAT,)),
    "float64": (_float(DOUBLE, "v16f64", "round"), (DOUBLE,)),
    "wide_reduced": (_wide_reduced, (LONG,) * 5),
    "wide_float64": (_wide_float64, (LONG, LONG, DOUBLE)),
    "shift": (_shift, (INT,) * 7),
    "product": (_product, (INT, INT, INT, INT, LONG, LONG)),
    "wrapped": (_wrapped, (INT, INT)),
    "float32_truncate": (_float(FLOAT, "v16f32", ""), (FLOAT,)),
    "wide_shift": (_wide_shift, (LONG,) * 9),
}
"""Name -> (code, types of its parameter vectors). The order is the code that drivers branch on."""

FAMILIES: dict[str, type[np.generic]] = {
    **dict.fromkeys(("fixed", "bounded", "single"), np.int32),
    **dict.fromkeys(("shift", "product", "wrapped"), np.int64),
    "float32": np.float32, "float64": np.float64, "float32_truncate": np.uint32,
    "wide_reduced": np.int64, "wide_float64": np.float64, "wide_shift": np.uint64,
}  # fmt: skip
"""Rule -> the type under which a driver gets its parameters: only rules of one type are compiled into a driver for it."""
