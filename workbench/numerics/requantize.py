"""From scales to a `Requantizer`: the rule of `Arithmetic` with its parameters for every channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.fixed_point import (
    floor_multiplier,
    mantissa_shift,
    power_of_two_shift,
    quantize_multiplier,
    reduce_multiplier,
)
from workbench.numerics.requantize_rules import REQUANTIZE, REQUANTIZE_WIDE, RequantizeKernel

Array = npt.NDArray[Any]

__all__ = [
    "REQUANTIZE",
    "REQUANTIZE_WIDE",
    "Requantizer",
    "effective_scale",
    "make_requantizer",
    "product_precision",
    "rule_name",
]


@dataclass(frozen=True, eq=False)
class Requantizer:
    """A rule with its parameters for N channels, ready to be applied to any number of rows.

    name: of the rule. remainder: the rule of the channels from `remainder_from` on, where it is another one.
    """

    name: str
    rule: RequantizeKernel
    first: Array
    second: Array
    zero_point: int
    q_min: int
    q_max: int
    remainder: RequantizeKernel | None = None
    remainder_from: int = 0

    def __call__(self, acc: Array, bias: Array, out: Array, column: int = 0) -> None:
        """Write the columns column .. column + bias.size of `out`; shapes as in `requantize_rules`."""
        last = column + bias.size
        split = last if self.remainder is None else min(last, max(column, self.remainder_from))
        if split > column:
            self._apply(self.rule, acc, bias[: split - column], out, column)
        if self.remainder is not None and split < last:
            left = np.ascontiguousarray(acc[:, split - column :])
            self._apply(self.remainder, left, bias[split - column :], out, split)

    @property
    def away(self) -> npt.NDArray[np.bool_]:
        """Of a fixed-point rule of two steps: whether a channel rounds ties away from zero (else up)."""
        if self.remainder is None:
            return np.full(self.first.size, self.name == "double")
        return np.arange(self.first.size) >= self.remainder_from

    def _apply(self, rule: RequantizeKernel, acc: Array, bias: Array, out: Array, column: int) -> None:
        channels = slice(column, column + bias.size)
        rule(acc, bias, self.first[channels], self.second[channels], self.zero_point, self.q_min, self.q_max, out, column)


def effective_scale(
    arithmetic: Arithmetic, sx: Any, sw: Any, sy: Any, rule: str = "", product: str = ""
) -> npt.NDArray[np.float64]:
    """Return sx * sw / sy, evaluated in `arithmetic.scale_precision` and in this order, widened to float64.

    sx, sy: float32 scalars; sw: float32 [C] or scalar. rule: `float32_half_even` and `rndnu` are always evaluated in float32, as
    XNNPACK and ONNX Runtime do (rounding the float64 quotient instead changes about one output in a million). product: precision
    of sx * sw alone, where it differs.
    """
    quotient = np.dtype("float32" if rule in ("float32_half_even", "rndnu") else arithmetic.scale_precision).type
    dtype = np.dtype(product).type if product else quotient
    with np.errstate(over="ignore", under="ignore"):
        scale = quotient(dtype(sx) * np.atleast_1d(np.asarray(sw)).astype(dtype)) / quotient(sy)
        return np.asarray(scale, np.float64)


def product_precision(arithmetic: Arithmetic, rule: str) -> str:
    """Return the precision of sx * sw of a layer with one multiplier: only fixed-point rules round it (see `Arithmetic`)."""
    return "" if rule.startswith("float") else arithmetic.product_precision


def rule_name(arithmetic: Arithmetic, wide: bool = False, subbyte: bool = False, grouped: bool = False) -> str:
    """Return the rule of a layer. wide: int64 accumulators; subbyte: weights of 4 or 2 bits; grouped: conv2d with groups."""
    if wide:
        return arithmetic.requantize_wide
    special = [arithmetic.requantize_grouped if grouped else None, arithmetic.requantize_subbyte if subbyte else None]
    return next((rule for rule in special if rule is not None), arithmetic.requantize)


def make_requantizer(
    arithmetic: Arithmetic,
    scale: Array,
    channels: int,
    zero_point: int,
    limits: tuple[int, int],
    wide: bool,
    rule: str | None = None,
) -> Requantizer:
    """Return the requantizer of one operator.

    scale: float64 [1] or [channels] from `effective_scale`. limits: (q_min, q_max). wide: int64 accumulators. rule:
    from `rule_name` (None: the ordinary one). Raises InputError when a scale is out of the range in which it is defined.
    """
    scale = np.ascontiguousarray(np.broadcast_to(scale, (channels,)))
    rule = rule or rule_name(arithmetic, wide)
    table = REQUANTIZE_WIDE if wide else REQUANTIZE
    name, remainder, remainder_from = rule, None, 0
    if rule == "double_half_up_run16":
        raise InputError("double_half_up_run16 is a rule of transpose_conv2d alone")
    if rule == "double_half_up_simd8":
        rule, remainder, remainder_from = "double_half_up", REQUANTIZE["double"], channels // 8 * 8
    if rule == "multiplier_floor" and arithmetic.product_bits == 32:
        name = rule = "multiplier_floor32"
    first, second = _parameters(arithmetic, rule, scale, wide)
    return Requantizer(name, table[rule], first, second, zero_point, *limits, remainder, remainder_from)


def _parameters(arithmetic: Arithmetic, rule: str, scale: Array, wide: bool) -> tuple[Array, Array]:
    """Return (scale, scale) of a float rule, (left, right) of a shift, (multiplier, shift) of the others."""
    if not np.isfinite(scale).all():
        raise InputError("input scale * weight scale / output scale is not finite")
    if rule in ("float32_half_even", "float32_truncate"):
        return scale.astype(np.float32), scale.astype(np.float32)
    if rule == "float64_half_away":
        return scale, scale
    if rule.startswith("power_of_two"):
        return _shifts(arithmetic, scale, 14 if wide else 30)
    if rule == "rndnu":
        if not ((scale >= 2.0**-32) & (scale < 256.0)).all():
            raise InputError(f"input scale * weight scale / output scale is {scale.max():g}; rndnu wants it in [2**-32, 256)")
        return mantissa_shift(scale)
    if rule.startswith("multiplier_floor"):
        below = 2 ** (arithmetic.multiplier_bits - 1)
        if not (scale < below).all():
            raise InputError(f"input scale * weight scale / output scale is {scale.max():g}; must be below {below}")
        return floor_multiplier(scale, arithmetic.multiplier_bits)
    multiplier, shift = quantize_multiplier(scale)
    largest = 14 if wide else 30
    if int(shift.max(initial=0)) > largest:
        raise InputError(f"input scale * weight scale / output scale is {scale.max():g}; must be below 2**{largest}")
    return reduce_multiplier(multiplier) if wide else multiplier, shift


def _shifts(arithmetic: Arithmetic, scale: Array, most: int) -> tuple[Array, Array]:
    """Return (left, right) of scales that a shifter has."""
    try:
        left, right = power_of_two_shift(scale)
    except ValueError as problem:
        raise InputError(f"input scale * weight scale / output scale: {problem}, and this target only shifts") from None
    lowest, highest = arithmetic.scale_exponent_min, min(arithmetic.scale_exponent_max, most)
    power = left - right
    # Beyond 31 bits to the right everything is 0 or -1: a target without a stated limit gets there with any shifter.
    if power.max() > highest or (lowest > -31 and power.min() < lowest):
        raise InputError(
            f"input scale * weight scale / output scale is 2**{power.min()} to 2**{power.max()}; "
            f"the shifter has 2**{lowest} to 2**{highest}"
        )
    return left, right
