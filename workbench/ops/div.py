"""div: y = act(a / b), NumPy broadcasting; either operand may be a constant. Integers without a scale: toward zero.

Integers with scales: a times the reciprocal of b in fixed point (gemmlowp's, from |b|), rescaled by sa / (sb * sy), which is a float32.
Source: TFLite div.cc, reference/div.h; TFLM div.cc.
Constraints: (C1) one integer type, (C2) int16 has zero point 0, (C3) no divisor is zero: the runtimes refuse it or leave it undefined.
"""

from __future__ import annotations

import numpy as np

from workbench.errors import InputError
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.numerics.gemmlowp import high_mul, one_over_one_plus_x
from workbench.numerics.tflite_fixed_point import shift_right
from workbench.ops._broadcast import Compute, binary_run
from workbench.ops._elementwise import quant_of, same_types, symmetric_int16
from workbench.ops._pairs import pair_compute, tabulate
from workbench.ops._plain import are_plain, divide, float_or_plain, no_activation
from workbench.ops.add import BinaryAttrs, activate, infer_broadcast
from workbench.ops.base import Array, OpSpec, Run, Site, count_outputs, fused_range, register


def _reference(attrs: BinaryAttrs, args: list[Array]) -> list[Array]:
    if are_plain(args[0], args[1]):
        no_activation(attrs)
        return [divide(args[0], args[1])]
    with np.errstate(all="ignore"):
        return [np.asarray(activate(attrs, args[0] / args[1]), np.float32)]


def _prepare(site: Site) -> Run:
    run = float_or_plain(site, _reference, divide)
    if run is not None:
        return run
    dtype = same_types(site)
    symmetric_int16(site, site.input(0), site.input(1), site.y)
    compute = _fixed_point(site)
    return binary_run(site, _checking(site, compute if dtype == "int16" else pair_compute(tabulate(compute), None)))


def _checking(site: Site, compute: Compute) -> Compute:
    """Return the computation that refuses divisors at their zero point."""
    zero_point = quant_of(site, site.input(1))[1]

    def checking(a: Array, b: Array, y: Array) -> None:
        if (b == zero_point).any():
            raise InputError(f"node '{site.name}': divides by zero ('{site.input(1).name}' is {zero_point}, its zero point).")
        compute(a, b, y)

    return checking


def _fixed_point(site: Site) -> Compute:
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t) for t in (site.input(0), site.input(1), site.y))
    limits = fused_range(site, site.attrs.activation, float(sy), zy)
    with np.errstate(all="ignore"):
        multiplier, shift = (int(v) for v in quantize_multiplier(float(sa / (sb * sy))))

    def compute(a: Array, b: Array, y: Array) -> None:
        top, bottom = a.astype(np.int64) - za, b.astype(np.int64) - zb
        top = np.where(bottom < 0, -top, top)
        bottom = np.maximum(np.abs(bottom), 1)  # pairs with a zero are looked up by nobody
        bits = np.frexp(bottom.astype(np.float64))[1].astype(np.int64)
        inverse = one_over_one_plus_x((bottom << (32 - bits)) - 2**31, 32)
        headroom = 31 - np.frexp(np.where(top < 0, -top - 1, top).astype(np.float64))[1].astype(np.int64)
        quotient = high_mul(top << headroom, inverse, 32)
        scaled = _shifted(high_mul(quotient, multiplier, 32), headroom + bits - 1 - shift)
        y[:] = np.clip(scaled + zy, *limits)

    return compute


def _shifted(a: Array, exponent: Array) -> Array:
    """Return a / 2**exponent, ties away from zero, by a shifter of 32 bits: beyond 31 its count wraps and its mask is all ones.

    So small quotients come out wrong, as they do in the runtimes, compiled for x86: the language leaves such shifts undefined.
    """
    wrapped = (a >> (exponent & 31)) + (a >= 0)
    return np.asarray(np.where(exponent < 32, shift_right(a, np.clip(exponent, 0, 31)), wrapped))


DIV = register(
    OpSpec(
        name="div", attrs=BinaryAttrs, infer_shape=infer_broadcast, reference=_reference, prepare=_prepare,
        count=count_outputs, plain=True, summary="a / b with broadcasting and a fused activation",
    )
)  # fmt: skip
