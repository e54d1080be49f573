"""add and sub: y = act(a +- b), NumPy broadcasting; either operand may be a constant.

int8 and int16: both inputs are brought to one scale (twice the larger), added exactly, rescaled once. Integers without a scale wrap.
Source: TFLite add.cc, sub.cc and the 8-bit specification; XNNPACK qs8-vadd. Constraints: (C1) all tensors of one integer type,
(C2) int16 has zero point 0, (C3) the power-of-two path wants shifts <= 0 of which one is 0, as the runtime aborts otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.kernels.elementwise import AddParams, add_fixed_point, add_power_of_two_s16, add_simd
from workbench.kernels.pairs import Line, pair_line
from workbench.numerics.activation import fused_limits
from workbench.numerics.fixed_point import floor_multiplier, quantize_multiplier
from workbench.ops._broadcast import Compute, binary_run, vector_runs, with_tail
from workbench.ops._elementwise import broadcast_shape, quant_of, same_types, symmetric_int16
from workbench.ops._float32 import add_compute
from workbench.ops._pairs import fit_line, pair_compute, tabulate
from workbench.ops._plain import are_plain, float_or_plain, modular, no_activation
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, count_outputs, fused_range, register
from workbench.tensor import STORAGE

ONE_SCALE_TYPES = ("int8", "int4", "int2", "int16", "int32")
ADD_REQUANTIZE = ("double", "single")
"""The rules of `Arithmetic.requantize` that exist for add (CMSIS-NN has both builds)."""


@dataclass(frozen=True)
class BinaryAttrs:
    """activation: fused (none, relu, relu6, relu_n1_to_1). pot_scale_int16: the file's flag for int16 add and sub.

    signed_bytes: the file's operator is on int8 (QLinearAdd, QLinearMul of ONNX Runtime), which does not become unsigned bytes there as
    int8 of a QDQ file does.
    """

    activation: str = "none"
    pot_scale_int16: bool = False
    signed_bytes: bool = False


def infer_broadcast(attrs: BinaryAttrs, shapes: list[Shape]) -> list[Shape]:
    """Infer the broadcast of both inputs."""
    fused_limits(attrs.activation)
    return [broadcast_shape(shapes[:2], "elementwise operator")]


def activate(attrs: Any, y: Array) -> Array:
    """Apply the fused activation to float32."""
    low, high = fused_limits(attrs.activation)
    return y if attrs.activation == "none" else np.clip(y, np.float32(low), np.float32(high))


def _reference(sign: int) -> Any:
    def reference(attrs: BinaryAttrs, args: list[Array]) -> list[Array]:
        a, b = args[0], args[1]
        if are_plain(a, b):
            no_activation(attrs)
            return [_whole(sign)(a, b)]
        return [activate(attrs, a + b if sign > 0 else a - b).astype(np.float32, copy=False)]

    return reference


def _whole(sign: int) -> Any:
    """Return the operation on plain integers."""
    return modular(np.add if sign > 0 else np.subtract)


def _prepare(sign: int) -> Any:
    def prepare(site: Site) -> Run:
        run = float_or_plain(site, _reference(sign), _whole(sign))
        if run is not None:
            return run
        if site.arithmetic.add == "one_scale":
            return _one_scale(site, sign)
        dtype = same_types(site)
        symmetric_int16(site, site.input(0), site.input(1), site.y)
        if site.arithmetic.add == "multiplier_floor":
            return _multiplier_floor(site, sign)
        if dtype == "int16" and site.arithmetic.add_power_of_two and site.attrs.pot_scale_int16:
            shifts = _power_of_two_shifts(site)
            if shifts is not None:
                limits = _limits(site)
                return binary_run(site, lambda a, b, y: add_power_of_two_s16(a, b, *shifts, sign, *limits, y))
        if dtype == "int8" and site.arithmetic.add == "xnnpack":
            line = _xnnpack_line(site, sign)
            if line is not None:
                return binary_run(site, lambda a, b, y: pair_line(a, b, line, y))
        if dtype == "int8" and site.arithmetic.add == "float32_fma":
            return binary_run(site, add_compute(site, sign, _limits(site)))
        return _fixed_point(site, sign, dtype)

    return prepare


def _limits(site: Site) -> tuple[int, int]:
    scale, zero_point = quant_of(site, site.y)
    return fused_range(site, site.attrs.activation, float(scale), zero_point)


def _fixed_point(site: Site, sign: int, dtype: str) -> Run:
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t) for t in (site.input(0), site.input(1), site.y))
    if site.arithmetic.requantize not in ADD_REQUANTIZE:
        raise site.unsupported(f"no rule with requantize '{site.arithmetic.requantize}'; {', '.join(ADD_REQUANTIZE)} fit.")
    left = 15 if dtype == "int16" else 20
    twice = 2.0 * float(max(sa, sb))
    scales = np.array([float(sa) / twice, float(sb) / twice, twice / (float(sy) * 2.0**left)])
    m, s = (v.tolist() for v in quantize_multiplier(scales))
    if scales[2] >= 1.0 or s[2] > 0:
        raise site.unsupported(f"input scales are {twice / float(sy):g} times the output scale; below 2**{left} fits.")
    single = site.arithmetic.requantize == "single"
    p = AddParams(za, m[0], s[0], zb, m[1], s[1], sign, left, m[2], s[2], zy, *_limits(site), int(single))
    plain = tuple(p)

    def fast(exact: Compute) -> Compute:
        """Return the pairs of a kernel of bytes; int16 has too many."""
        if dtype == "int16":
            return exact
        table = tabulate(exact)
        return pair_compute(table, fit_line(table, (float(sa / sy), float(sign * sb / sy)), (za, zb), zy, (p.q_min, p.q_max)))

    run = vector_runs(site.input(0).shape, site.input(1).shape)
    # Only add has vector code for SSE, and for int16 only when nothing is broadcast.
    vector = site.arithmetic.add != "fixed_point" and sign > 0 and run is not None
    if vector and run is not None and (dtype == "int8" or site.input(0).shape == site.input(1).shape):
        size, scalar = run
        scalar = scalar or bool(site.lift)  # unsigned bytes have that loop for all operands
        block = 8 if scalar else 16
        tail = tuple(p._replace(single=0))
        body = fast(lambda a, b, y: add_simd(a, b, plain, dtype == "int8", scalar, site.lift_out, y))
        left_over = fast(lambda a, b, y: add_fixed_point(a, b, tail, y)) if size % block else body
        return binary_run(site, with_tail(body, left_over, size, block))
    return binary_run(site, fast(lambda a, b, y: add_fixed_point(a, b, plain, y)))


def _one_scale(site: Site, sign: int) -> Run:
    """Return the integers added and clipped. Types may differ (a sum of several operands is clipped at the last one)."""
    types = {t.dtype for t in (site.input(0), site.input(1), site.y)}
    if not types <= set(ONE_SCALE_TYPES):
        raise site.unsupported(f"all inputs and outputs must be of {', '.join(ONE_SCALE_TYPES)}.")
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t, ONE_SCALE_TYPES) for t in (site.input(0), site.input(1), site.y))
    if not sa == sb == sy:
        raise site.unsupported(f"this target adds integers of one scale; these are {sa:g}, {sb:g} and {sy:g}.")
    offset = zy - za - sign * zb
    q_min, q_max = fused_range(site, site.attrs.activation, float(sy), zy)

    def exact(a: Array, b: Array, y: Array) -> None:
        y[:] = np.clip(a.astype(np.int64) + sign * b.astype(np.int64) + offset, q_min, q_max)

    if all(STORAGE[dtype] == np.int8 for dtype in types):
        line: Line = (2, 2 * sign, 2 * (offset - zy), 1, zy, q_min - zy, q_max - zy, 0, 0)
        return binary_run(site, lambda a, b, y: pair_line(a, b, line, y))
    return binary_run(site, exact)


def _multiplier_floor(site: Site, sign: int) -> Run:
    """Return (a * ma + b * mb) >> d of integers less their zero points: two multipliers, one shift."""
    if sign < 0:
        raise site.unsupported("there is no subtraction by multipliers.")
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t) for t in (site.input(0), site.input(1), site.y))
    limits, ratios = _limits(site), [float(s) / float(sy) for s in (sa, sb)]
    bits = site.arithmetic.multiplier_bits
    if max(ratios) >= 2 ** (bits - 1):
        raise site.unsupported(f"input scales are {max(ratios):g} times the output scale; below {2 ** (bits - 1)} fits.")
    shift = int(floor_multiplier(max(ratios), bits)[1])
    ma, mb = (int(np.floor(np.ldexp(ratio, shift))) for ratio in ratios)

    def exact(a: Array, b: Array, y: Array) -> None:
        total = (a.astype(np.int64) - za) * ma + (b.astype(np.int64) - zb) * mb
        y[:] = np.clip((total >> shift) + zy, *limits)

    return binary_run(site, exact if site.y.dtype == "int16" else pair_compute(tabulate(exact), None))


def _power_of_two_shifts(site: Site) -> tuple[int, int] | None:
    """Return the right shifts of both inputs, or None when a scale is no power of two (general path)."""
    mantissa, exponent = np.frexp([quant_of(site, t)[0] for t in (site.input(0), site.input(1), site.y)])
    if (mantissa != 0.5).any():
        return None
    right = int(exponent[2] - exponent[0]), int(exponent[2] - exponent[1])
    if min(right) != 0:
        raise site.unsupported("power-of-two int16 add wants one input at the output's scale and the other at a smaller one.")
    return min(right[0], 31), min(right[1], 31)


def _xnnpack_line(site: Site, sign: int) -> Line | None:
    """Return XNNPACK's parameters, or None when its delegate leaves the node to LiteRT (scale ratios in [2**-10, 2**8)).

    21-bit multipliers and a shift in [12, 30] that rounds half up: the sum stays below 2**31. What XNNPACK saturates to 16 bits
    before it adds the zero point is beyond int8 either way.
    """
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t) for t in (site.input(0), site.input(1), site.y))
    ratios = np.array([sa / sy, sb / sy], np.float32)
    if not ((ratios >= 2.0**-10) & (ratios < 256.0)).all():
        return None
    shift = 20 - (int(np.frexp(ratios.max())[1]) - 1)
    ma, mb = (int(v) for v in np.rint(ratios.astype(np.float64) * 2.0**shift))
    bias = (1 << (shift - 1)) - ma * za - sign * mb * zb
    q_min, q_max = _limits(site)
    return ma, sign * mb, bias, shift, zy, q_min - zy, q_max - zy, 0, 0


ADD = register(
    OpSpec(
        name="add", attrs=BinaryAttrs, infer_shape=infer_broadcast, reference=_reference(1), prepare=_prepare(1),
        count=count_outputs, plain=True, summary="a + b with broadcasting and a fused activation",
    )
)  # fmt: skip
SUB = register(
    OpSpec(
        name="sub", attrs=BinaryAttrs, infer_shape=infer_broadcast, reference=_reference(-1), prepare=_prepare(-1),
        count=count_outputs, plain=True, summary="a - b with broadcasting and a fused activation",
    )
)  # fmt: skip
